//! Hashes by which room versions 1 and 2 refer to other events.

use std::collections::HashMap;

use ruma::room_version_rules::RoomVersionRules;
use ruma::{CanonicalJsonObject, OwnedEventId};
use store::EventNumber;

use crate::{RoomError, Rooms};

/// The reference hash of an event's JSON.
/// Spec: server-server API, "Calculating the reference hash for an event".
pub(crate) fn reference_hash(json: &str, rules: &RoomVersionRules) -> Result<String, RoomError> {
    let damaged = |reason: String| RoomError::Damaged(format!("an event has no hash: {reason}"));
    let object: CanonicalJsonObject =
        serde_json::from_str(json).map_err(|error| damaged(error.to_string()))?;
    ruma::signatures::reference_hash(&object, rules).map_err(|error| damaged(error.to_string()))
}

impl Rooms {
    /// The reference hashes of some stored events.
    pub(crate) async fn reference_hashes(
        &self,
        events: &[EventNumber],
        rules: &RoomVersionRules,
    ) -> Result<HashMap<OwnedEventId, String>, RoomError> {
        let mut hashes = HashMap::new();
        for &number in events {
            let Some((record, json)) = self.store().event(number).await? else {
                return Err(RoomError::Damaged(format!("event {number} is missing")));
            };
            hashes.insert(record.event_id, reference_hash(&json, rules)?);
        }
        Ok(hashes)
    }
}
