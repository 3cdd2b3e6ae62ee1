//! Which state a room has after its history split: the state resolution algorithms of all room versions.

mod owned_state;
mod subgraph;
mod v1;

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use ruma::{
    EventId, OwnedEventId,
    events::TimelineEventType,
    room_version_rules::{EventIdFormatVersion, StateResolutionVersion},
    state_res::{self, StateMap, utils::event_id_set::EventIdSet},
};

use crate::{Pdu, auth::StateOwnership, room_version::Rules};

/// Why states cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolutionError {
    /// An event of one of the states, or of the auth chain of one, is not there.
    #[error("event {0} is missing")]
    Missing(OwnedEventId),
    /// The auth events of some events form a circle: possible only where servers choose the event ids.
    #[error("the auth events of {0} lead back to it")]
    Circle(OwnedEventId),
    /// There are two create events. The server that made the room can make a second, and outcomes would depend on chance.
    #[error("the room has two create events, {0} and {1}")]
    TwoCreateEvents(OwnedEventId, OwnedEventId),
    /// An event is not what its type prescribes; the authorisation rules should have rejected it.
    #[error("state resolution failed: {0}")]
    Failed(#[from] state_res::Error),
}

/// Resolves several states of one room to one.
///
/// `auth_chains` has, for each state in the same order, the auth chains of all its events. What is in every one of them may be
/// left out of all, as only the difference counts: an index of auth chains need not walk down to the create event. Room version
/// 1 does not look at them. `fetch` finds the room's events; rejected ones must not be in a state.
///
/// The outcome does not depend on the order of the states.
/// Spec: room versions 1, 2 and 12, "State resolution".
pub fn resolve(
    rules: &Rules,
    states: &[StateMap<OwnedEventId>],
    auth_chains: Vec<EventIdSet<OwnedEventId>>,
    fetch: impl Fn(&EventId) -> Option<Arc<Pdu>>,
) -> Result<StateMap<OwnedEventId>, ResolutionError> {
    match rules.state_ownership {
        StateOwnership::Strict => resolve_specified(rules, states, auth_chains, fetch),
        StateOwnership::Ranked => owned_state::resolve(rules, states, auth_chains, fetch),
    }
}

/// As [`resolve`], by the specification's rules.
fn resolve_specified(
    rules: &Rules,
    states: &[StateMap<OwnedEventId>],
    auth_chains: Vec<EventIdSet<OwnedEventId>>,
    fetch: impl Fn(&EventId) -> Option<Arc<Pdu>>,
) -> Result<StateMap<OwnedEventId>, ResolutionError> {
    // What sets no state has no place in a state or an auth chain; ruma's algorithm would fail on it as a whole.
    let fetch = |id: &EventId| fetch(id).filter(|event| event.state_key.is_some());
    let StateResolutionVersion::V2(algorithm) = &rules.state_res else {
        return v1::resolve(rules, states, fetch);
    };
    if rules.event_id_format == EventIdFormatVersion::V1 {
        let ids = states.iter().flat_map(StateMap::values);
        refuse_circles(ids.chain(auth_chains.iter().flat_map(EventIdSet::iter)), &fetch)?;
    }
    let creates = RefCell::new(BTreeSet::new());
    let fetch = |id: &EventId| {
        fetch(id).inspect(|event| {
            if event.is_state(&TimelineEventType::RoomCreate, "") {
                creates.borrow_mut().insert(event.event_id.clone());
            }
        })
    };
    let resolved = state_res::resolve(
        &rules.authorization,
        algorithm,
        states,
        auth_chains,
        &fetch,
        |conflicted| Some(subgraph::between(conflicted.values().flatten(), &fetch)),
    )?;
    let mut creates = creates.into_inner().into_iter();
    match (creates.next(), creates.next()) {
        (Some(one), Some(two)) => Err(ResolutionError::TwoCreateEvents(one, two)),
        _ => Ok(resolved),
    }
}

/// Fails if following the power levels event among the auth events, as the mainline does, would not end for one of `ids`.
fn refuse_circles<'a>(
    ids: impl Iterator<Item = &'a OwnedEventId>,
    fetch: &impl Fn(&EventId) -> Option<Arc<Pdu>>,
) -> Result<(), ResolutionError> {
    let mut ends = HashSet::new();
    for id in ids {
        let mut way = HashSet::new();
        let mut next = Some(id.clone());
        while let Some(id) = next.take().filter(|id| !ends.contains(id)) {
            let Some(event) = fetch(&id) else { break };
            if !way.insert(id.clone()) {
                return Err(ResolutionError::Circle(id));
            }
            let is_levels = |id: &&OwnedEventId| {
                fetch(id).is_some_and(|e| e.is_state(&TimelineEventType::RoomPowerLevels, ""))
            };
            next = event.auth_events.iter().find(is_levels).cloned();
        }
        ends.extend(way);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
