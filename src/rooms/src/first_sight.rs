//! The state of a room for who sees it for the first time: many events, the same for everybody.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde_json::value::RawValue;
use store::EventNumber;

use crate::client_event::serialise;
use crate::{EventShape, RoomError, Rooms, Viewer};

/// How many bytes of them are kept in memory.
const KEPT: u64 = 48 << 20;
/// What one takes beside its JSON.
const OVERHEAD: u64 = 64;
/// What one takes, roughly; only to set the cache up.
const TYPICAL: u64 = 600;

/// State events as JSON, as many as fit. One that was redacted is not taken from here, and goes when it is rewritten.
pub(crate) type FirstSights = Cache<EventNumber, Arc<RawValue>, ByLength>;

#[derive(Debug, Clone)]
pub(crate) struct ByLength;

impl Weighter<EventNumber, Arc<RawValue>> for ByLength {
    fn weight(&self, _: &EventNumber, json: &Arc<RawValue>) -> u64 {
        OVERHEAD + json.get().len() as u64
    }
}

/// An empty cache.
pub(crate) fn cache() -> FirstSights {
    let entries = usize::try_from(KEPT / TYPICAL).unwrap_or(usize::MAX);
    Cache::with_weighter(entries, KEPT, ByLength)
}

impl Rooms {
    /// A state event without its room's ID, for who gets the whole state of a room: without the event it took the
    /// place of and their membership at its time, which cost a walk through an old state each. Serialised once for
    /// all readers. A redacted event is shown redacted.
    /// Spec: client-server API, "Room event format": servers may leave out `membership` where it is expensive.
    pub async fn event_at_first_sight(
        &self,
        viewer: Viewer<'_>,
        number: EventNumber,
    ) -> Result<Arc<RawValue>, RoomError> {
        if self.store().redaction(number).await?.is_some() {
            let event = self.event(number).await?;
            return Ok(Arc::from(self.client_event(viewer, &event, EventShape::InRoom).await?));
        }
        if let Some(known) = self.first_sights().get(&number) {
            return Ok(known);
        }
        let rewrites = self.rewrites().load(Ordering::SeqCst);
        let event = self.event(number).await?;
        let json: Arc<RawValue> = Arc::from(serialise(&event.pdu, EventShape::InRoom, None)?);
        self.first_sights().insert(number, Arc::clone(&json));
        // As with the event itself: it may be what was rewritten meanwhile.
        if self.rewrites().load(Ordering::SeqCst) != rewrites {
            self.first_sights().remove(&number);
        }
        Ok(json)
    }
}

#[cfg(test)]
mod tests {
    use ruma::events::StateEventType;
    use serde_json::{Value, json};

    use super::*;
    use crate::create::raw;
    use crate::testing::{ada, public_room, rooms_on_memory_store};

    #[tokio::test]
    async fn a_state_event_is_shown_redacted_once_it_is() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let kind = StateEventType::RoomTopic;
        let content = raw(&json!({ "topic": "tea" }));
        let id = rooms.set_state(&room, ada(), &kind, "", content).await.unwrap();
        let number = rooms.number_of(&room).await.unwrap();
        let (index, _) = rooms.event_by_id(number, &id).await.unwrap();
        let viewer = Viewer { user_id: ada(), device_id: None };
        let shown = async || -> Value {
            let json = rooms.event_at_first_sight(viewer, index.number).await.unwrap();
            serde_json::from_str(json.get()).unwrap()
        };

        let first = shown().await;
        assert_eq!(first["content"]["topic"], "tea");
        assert!(first.get("room_id").is_none() && first.get("unsigned").is_none(), "{first}");
        assert_eq!(shown().await, first);

        let mut batch = store::Batch::new();
        batch.redact_event(index.number, index.number).unwrap();
        rooms.store().commit(batch).await.unwrap();
        assert_eq!(shown().await["content"], json!({}));
    }
}
