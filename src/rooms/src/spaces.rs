//! Which rooms belong to a space. Spec: client-server API, "Spaces".

use std::cmp::Ordering;
use std::sync::Arc;

use ruma::{MilliSecondsSinceUnixEpoch, OwnedRoomId};
use serde_json::Value;
use store::{RoomNumber, SpaceLink};

use crate::{RoomError, Rooms, StoredEvent};

/// How many links of one room are looked at.
const MAX_LINKS: usize = 1_000;

/// A room that another names as its child or parent.
#[derive(Debug)]
pub(crate) struct Linked {
    /// The room named.
    pub(crate) room_id: OwnedRoomId,
    /// The event that names it.
    pub(crate) event: Arc<StoredEvent>,
    /// What that says.
    pub(crate) content: Value,
}

impl Rooms {
    /// The rooms that a room names now, of children in the order in which they are to be shown.
    pub(crate) async fn linked_rooms(
        &self,
        room: RoomNumber,
        link: SpaceLink,
    ) -> Result<Vec<Linked>, RoomError> {
        let mut linked = Vec::new();
        for (room_id, event) in self.store().space_links(room, link, MAX_LINKS).await? {
            if self.store().redaction(event).await?.is_some() {
                continue;
            }
            let event = self.event(event).await?;
            let content: Value =
                event.pdu.content_as().map_err(|error| RoomError::Damaged(error.to_string()))?;
            if content["via"].as_array().is_some_and(|via| !via.is_empty()) {
                linked.push(Linked { room_id, event, content });
            }
        }
        linked.sort_by(|one, other| one.place().cmp(&other.place()));
        Ok(linked)
    }
}

impl Rooms {
    /// The rooms that a space names as its children now.
    pub async fn children_of(&self, space: RoomNumber) -> Result<Vec<OwnedRoomId>, RoomError> {
        let linked = self.linked_rooms(space, SpaceLink::Child).await?;
        Ok(linked.into_iter().map(|linked| linked.room_id).collect())
    }
}

impl Linked {
    fn place(&self) -> Place<'_> {
        Place {
            order: order(&self.content),
            named_at: self.event.pdu.origin_server_ts,
            room_id: self.room_id.as_str(),
        }
    }
}

/// Where a child stands among the others. Spec: client-server API, "Ordering of children within a space".
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    order: Option<&'a str>,
    named_at: MilliSecondsSinceUnixEpoch,
    room_id: &'a str,
}

impl Place<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        // Those without an order come last, and `None` would come first.
        let by_order =
            (self.order.is_none(), self.order).cmp(&(other.order.is_none(), other.order));
        by_order
            .then(self.named_at.cmp(&other.named_at))
            .then_with(|| self.room_id.cmp(other.room_id))
    }
}

/// The order that a child event gives, if it is a valid one.
fn order(content: &Value) -> Option<&str> {
    let order = content["order"].as_str()?;
    let is_valid = order.len() <= 50 && order.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    is_valid.then_some(order)
}

#[cfg(test)]
mod tests {
    use ruma::UInt;
    use serde_json::json;

    use super::*;

    #[test]
    fn children_stand_by_order_then_age_then_id() {
        let place = |order, at: u32, room_id| Place {
            order,
            named_at: MilliSecondsSinceUnixEpoch(UInt::from(at)),
            room_id,
        };
        let expected = [
            place(Some(" "), 5, "!b"),
            place(Some("aaaa"), 1, "!a"),
            place(Some("first"), 8, "!c"),
            place(None, 6, "!e"),
            place(None, 7, "!d"),
            place(None, 7, "!f"),
        ];
        for (at, one) in expected.iter().enumerate() {
            for (then, other) in expected.iter().enumerate() {
                assert_eq!(one.cmp(other), at.cmp(&then), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn an_order_is_short_and_printable_ascii() {
        assert_eq!(order(&json!({ "order": "a b~" })), Some("a b~"));
        for wrong in [json!("é"), json!("a\n"), json!("x".repeat(51)), json!(5), json!(null)] {
            assert_eq!(order(&json!({ "order": wrong })), None, "{wrong}");
        }
    }
}
