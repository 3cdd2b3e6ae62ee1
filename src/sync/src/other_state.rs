//! The state of rooms without their members, in memory: who loads members lazily is not to pay for all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use ruma::events::StateEventType;
use store::{EventNumber, RoomNumber, StateKeyNumber, StateRoot, Store, StoreError};

/// How many entries are kept, over all rooms.
const KEPT: u64 = 1_000_000;
/// How many rooms the cache makes room for at once; it grows as needed.
const TYPICAL_ROOMS: usize = 10_000;

/// The entries of one state that are no memberships.
#[derive(Debug)]
pub(crate) struct OtherState {
    root: StateRoot,
    pub(crate) entries: BTreeMap<StateKeyNumber, EventNumber>,
}

#[derive(Debug, Clone)]
struct ByLength;

impl Weighter<RoomNumber, Arc<OtherState>> for ByLength {
    fn weight(&self, _: &RoomNumber, state: &Arc<OtherState>) -> u64 {
        1 + state.entries.len() as u64
    }
}

/// Of each room the state that was last asked for.
#[derive(Debug)]
pub(crate) struct OtherStates(Cache<RoomNumber, Arc<OtherState>, ByLength>);

impl OtherStates {
    pub(crate) fn new() -> Self {
        Self(Cache::with_weighter(TYPICAL_ROOMS, KEPT, ByLength))
    }

    /// The entries of a state that are no memberships. Of a room that was asked for before, only what differs is
    /// looked at.
    pub(crate) async fn of(
        &self,
        store: &Store,
        room: RoomNumber,
        root: StateRoot,
    ) -> Result<Arc<OtherState>, StoreError> {
        let known = self.0.get(&room);
        if let Some(known) = known.as_ref().filter(|known| known.root == root) {
            return Ok(Arc::clone(known));
        }
        let entries = match known {
            Some(known) => match changed(store, room, &known, root).await {
                Ok(entries) => entries,
                // The other state may be gone with the events that had it.
                Err(_) => read(store, room, root).await?,
            },
            None => read(store, room, root).await?,
        };
        let state = Arc::new(OtherState { root, entries });
        self.0.insert(room, Arc::clone(&state));
        Ok(state)
    }
}

async fn read(
    store: &Store,
    room: RoomNumber,
    root: StateRoot,
) -> Result<BTreeMap<StateKeyNumber, EventNumber>, StoreError> {
    let mut entries = BTreeMap::new();
    for (key, event) in store.state_entries(room, root).await? {
        if !is_member(store, key).await? {
            entries.insert(key, event);
        }
    }
    Ok(entries)
}

async fn changed(
    store: &Store,
    room: RoomNumber,
    known: &OtherState,
    root: StateRoot,
) -> Result<BTreeMap<StateKeyNumber, EventNumber>, StoreError> {
    let mut entries = known.entries.clone();
    for change in store.state_difference(room, known.root, root).await? {
        if is_member(store, change.key).await? {
            continue;
        }
        match change.after {
            Some(event) => entries.insert(change.key, event),
            None => entries.remove(&change.key),
        };
    }
    Ok(entries)
}

/// Whether a state key is that of a membership.
pub(crate) async fn is_member(store: &Store, key: StateKeyNumber) -> Result<bool, StoreError> {
    store.is_state_key_of(key, &StateEventType::RoomMember).await
}

#[cfg(test)]
mod tests {
    use store::Batch;

    use super::*;

    const ROOM: RoomNumber = RoomNumber(7);

    async fn set(store: &Store, root: StateRoot, changes: &[(&str, &str, u64)]) -> StateRoot {
        let mut numbered = Vec::new();
        for (kind, key, event) in changes {
            let key = store.number_state_key(&StateEventType::from(*kind), key).await.unwrap();
            numbered.push((key, Some(EventNumber(*event))));
        }
        let mut batch = Batch::new();
        let after = store.set_state(&mut batch, ROOM, root, &numbered).await.unwrap();
        store.commit(batch).await.unwrap();
        after
    }

    async fn events(others: &OtherStates, store: &Store, root: StateRoot) -> Vec<u64> {
        let state = others.of(store, ROOM, root).await.unwrap();
        let mut events: Vec<_> = state.entries.values().map(|event| event.0).collect();
        events.sort_unstable();
        events
    }

    #[tokio::test]
    async fn a_state_without_members_follows_what_differs_both_ways() {
        let store = Store::in_memory().await;
        let first = [("m.room.create", "", 1), ("m.room.member", "@ada:hearth.test", 2)];
        let first = set(&store, StateRoot::EMPTY, &first).await;
        let second = [("m.room.topic", "", 3), ("m.room.member", "@bo:hearth.test", 4)];
        let second = set(&store, first, &second).await;
        let third = set(&store, second, &[("m.room.topic", "", 5)]).await;
        let others = OtherStates::new();

        for (root, wanted) in
            [(second, vec![1, 3]), (third, vec![1, 5]), (first, vec![1]), (third, vec![1, 5])]
        {
            assert_eq!(events(&others, &store, root).await, wanted);
            assert_eq!(events(&OtherStates::new(), &store, root).await, wanted);
        }
    }
}
