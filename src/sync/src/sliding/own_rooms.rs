//! What a user says of their rooms in account data. Spec: client-server API, "Direct Messaging" and "Room Tagging".

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use quick_cache::sync::Cache;
use ruma::OwnedRoomId;
use serde::Deserialize;
use store::{RoomNumber, Store, StoreError, StreamPosition, UserNumber};

use crate::heads::Heads;

/// How many users are remembered.
const KEPT: usize = 10_000;
const DIRECT: &str = "m.direct";
const TAG: &str = "m.tag";

/// What a user says of their rooms, as of a position.
#[derive(Debug)]
struct Known<T> {
    as_of: StreamPosition,
    rooms: Arc<T>,
}

impl<T> Clone for Known<T> {
    fn clone(&self) -> Self {
        Self { as_of: self.as_of, rooms: Arc::clone(&self.rooms) }
    }
}

/// The rooms that a user means for direct messages.
pub(crate) type DirectRooms = HashSet<RoomNumber>;
/// The tags of rooms.
pub(crate) type Tags = HashMap<RoomNumber, Vec<String>>;

/// What was last known of users. An entry is used only while their account data stays the same.
#[derive(Debug)]
pub(crate) struct OwnRooms {
    direct: Cache<UserNumber, Known<DirectRooms>>,
    tags: Cache<UserNumber, Known<Tags>>,
}

impl OwnRooms {
    pub(crate) fn new() -> Self {
        Self { direct: Cache::new(KEPT), tags: Cache::new(KEPT) }
    }

    /// The rooms that a user means for direct messages.
    pub(crate) async fn direct(
        &self,
        store: &Store,
        heads: &Heads,
        user: UserNumber,
    ) -> Result<Arc<DirectRooms>, StoreError> {
        let known = self.direct.get(&user);
        if let Some(known) = known.filter(|known| heads.user(user).account_data <= known.as_of) {
            return Ok(known.rooms);
        }
        let as_of = store.position();
        let stored = store.account_data(user, None, DIRECT).await?;
        let mut rooms = DirectRooms::new();
        for room in stored.map(|stored| rooms_in(stored.content.get())).unwrap_or_default() {
            rooms.extend(store.room_number(&room).await?);
        }
        let rooms = Arc::new(rooms);
        self.direct.insert(user, Known { as_of, rooms: Arc::clone(&rooms) });
        Ok(rooms)
    }

    /// The tags that a user gave to rooms.
    pub(crate) async fn tags(
        &self,
        store: &Store,
        heads: &Heads,
        user: UserNumber,
    ) -> Result<Arc<Tags>, StoreError> {
        #[derive(Deserialize)]
        struct Content {
            tags: serde_json::Map<String, serde_json::Value>,
        }
        let known = self.tags.get(&user);
        if let Some(known) = known.filter(|known| heads.user(user).account_data <= known.as_of) {
            return Ok(known.rooms);
        }
        let as_of = store.position();
        let mut tags = Tags::new();
        for entry in store.all_account_data(user).await? {
            let Some(room) = entry.room.filter(|_| entry.kind == TAG) else { continue };
            if let Ok(content) = serde_json::from_str::<Content>(entry.content.get()) {
                tags.insert(room, content.tags.into_iter().map(|(tag, _)| tag).collect());
            }
        }
        let rooms = Arc::new(tags);
        self.tags.insert(user, Known { as_of, rooms: Arc::clone(&rooms) });
        Ok(rooms)
    }
}

/// The rooms that a content of `m.direct` names. What is no list of rooms names none.
fn rooms_in(content: &str) -> Vec<OwnedRoomId> {
    let content = serde_json::from_str::<BTreeMap<String, serde_json::Value>>(content);
    let lists = content.unwrap_or_default().into_values();
    let rooms = lists.filter_map(|rooms| match rooms {
        serde_json::Value::Array(rooms) => Some(rooms),
        _ => None,
    });
    rooms.flatten().filter_map(|room| room.as_str()?.try_into().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_found_whatever_else_clients_wrote() {
        let content = r#"{ "@bo:x.test": ["!a:x.test", 5, "b"], "@cy:x.test": null, "mail": [] }"#;
        assert_eq!(rooms_in(content), ["!a:x.test"]);
        assert!(rooms_in("[]").is_empty() && rooms_in("{}").is_empty());
    }
}
