//! State resolution of room version 1.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma::{EventId, OwnedEventId, events::StateEventType, state_res::StateMap};
use sha1::{Digest, Sha1};

use super::ResolutionError;
use crate::{Pdu, auth::authorise, room_version::Rules};

/// The kinds of state that decide what is allowed, in the order in which conflicts between them are settled.
const DECISIVE: [StateEventType; 3] =
    [StateEventType::RoomPowerLevels, StateEventType::RoomJoinRules, StateEventType::RoomMember];

type Key = (StateEventType, String);

/// Resolves several states to one. A key that only some states have is no conflict.
///
/// Conflicts of one kind are settled without looking at each other's outcome, as Synapse does: the specification leaves it open,
/// and so their order does not matter.
/// Spec: room version 1, "State resolution".
pub(super) fn resolve(
    rules: &Rules,
    states: &[StateMap<OwnedEventId>],
    fetch: impl Fn(&EventId) -> Option<Arc<Pdu>>,
) -> Result<StateMap<OwnedEventId>, ResolutionError> {
    let mut candidates: BTreeMap<&Key, BTreeSet<&OwnedEventId>> = BTreeMap::new();
    for (key, id) in states.iter().flatten() {
        candidates.entry(key).or_default().insert(id);
    }
    let mut resolved = StateMap::new();
    let mut conflicts: BTreeMap<&Key, Vec<Arc<Pdu>>> = BTreeMap::new();
    for (key, ids) in candidates {
        if let (1, Some(only)) = (ids.len(), ids.first()) {
            resolved.insert(key.clone(), (*only).clone());
            continue;
        }
        let event =
            |id: &&OwnedEventId| fetch(id).ok_or_else(|| ResolutionError::Missing((*id).clone()));
        let mut events = ids.iter().map(event).collect::<Result<Vec<_>, _>>()?;
        events.sort_by_cached_key(|event| {
            (event.depth, Reverse(Sha1::digest(event.event_id.as_str())))
        });
        conflicts.insert(key, events);
    }

    for kind in DECISIVE {
        let settled: Vec<_> = conflicts
            .extract_if(.., |key, _| key.0 == kind)
            .map(|(key, events)| {
                (key.clone(), last_of_allowed_run(key, &events, &resolved, rules, &fetch))
            })
            .collect();
        resolved.extend(settled);
    }
    let settled: Vec<_> = conflicts
        .iter()
        .map(|(key, events)| ((*key).clone(), latest_allowed(events, &resolved, rules, &fetch)))
        .collect();
    resolved.extend(settled.into_iter().filter_map(|(key, id)| Some((key, id?))));
    Ok(resolved)
}

/// Takes the first event and then each next one, as long as the state with the one before it allows it.
fn last_of_allowed_run(
    key: &Key,
    events: &[Arc<Pdu>],
    state: &StateMap<OwnedEventId>,
    rules: &Rules,
    fetch: &impl Fn(&EventId) -> Option<Arc<Pdu>>,
) -> OwnedEventId {
    let mut chosen = &events[0];
    for event in &events[1..] {
        let lookup = |kind: &StateEventType, state_key: &str| {
            if (kind, state_key) == (&key.0, key.1.as_str()) {
                return Some(chosen.clone());
            }
            fetch(state.get(&(kind.clone(), state_key.to_owned()))?)
        };
        if authorise(event, lookup, rules).is_err() {
            break;
        }
        chosen = event;
    }
    chosen.event_id.clone()
}

/// The deepest event that the state allows; if it allows none, the least deep.
fn latest_allowed(
    events: &[Arc<Pdu>],
    state: &StateMap<OwnedEventId>,
    rules: &Rules,
    fetch: &impl Fn(&EventId) -> Option<Arc<Pdu>>,
) -> Option<OwnedEventId> {
    let lookup = |kind: &StateEventType, state_key: &str| {
        fetch(state.get(&(kind.clone(), state_key.to_owned()))?)
    };
    let allowed = events.iter().rev().find(|event| authorise(event, lookup, rules).is_ok());
    Some(allowed.or(events.first())?.event_id.clone())
}
