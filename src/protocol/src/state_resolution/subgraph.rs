//! The conflicted state subgraph of room version 12.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{EventId, OwnedEventId, state_res::utils::event_id_set::EventIdSet};

use crate::Pdu;

/// Every event on a way over auth events from one of `conflicted` to another, ends included.
///
/// Each event of their auth chains is looked at once: first to find those that can be reached, then, from the other end, to keep
/// those that lead somewhere.
/// Spec: room version 12, "Definitions", conflicted state subgraph.
pub(super) fn between<'a>(
    conflicted: impl Iterator<Item = &'a OwnedEventId> + Clone,
    fetch: &impl Fn(&EventId) -> Option<Arc<Pdu>>,
) -> EventIdSet<OwnedEventId> {
    let mut named_by: HashMap<OwnedEventId, Vec<OwnedEventId>> = HashMap::new();
    let mut seen: HashSet<OwnedEventId> = HashSet::new();
    let mut open: Vec<OwnedEventId> = conflicted.clone().cloned().collect();
    while let Some(id) = open.pop() {
        let Some(event) = fetch(&id).filter(|_| !seen.contains(&id)) else { continue };
        for auth_event in &event.auth_events {
            named_by.entry(auth_event.clone()).or_default().push(id.clone());
            open.push(auth_event.clone());
        }
        seen.insert(id);
    }

    let mut between = EventIdSet::new();
    let mut open: Vec<&OwnedEventId> = conflicted.collect();
    while let Some(id) = open.pop() {
        if between.insert(id.clone()) {
            open.extend(named_by.get(id).into_iter().flatten());
        }
    }
    between
}
