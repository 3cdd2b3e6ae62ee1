//! State that users own by rank (MSC3757), in the resolution of states. ruma's algorithm knows the specification's rule
//! for it only, by which nobody sets the state of another.

use std::sync::Arc;

use ruma::{
    EventId, OwnedEventId,
    events::{StateEventType, TimelineEventType},
    state_res::{StateMap, utils::event_id_set::EventIdSet},
};

use super::{ResolutionError, resolve_specified};
use crate::{
    Pdu,
    auth::{check_owner, is_owned},
    power_levels::PowerLevels,
    room_version::Rules,
};

/// What keys of owned state are marked with to stand outside of the specification's rule, and those that begin with it
/// anyway, so that every mark can be taken off.
const MARK: char = '\0';

type States = [StateMap<OwnedEventId>];

/// Resolves states of a room where rank decides on state that is owned.
///
/// No event is allowed or not because of such state, and it is looked at when the power levels are settled. So these are
/// resolved first; then all is resolved once more, with the state that they allow out of the specified rule's sight.
pub(super) fn resolve(
    rules: &Rules,
    states: &States,
    auth_chains: Vec<EventIdSet<OwnedEventId>>,
    fetch: impl Fn(&EventId) -> Option<Arc<Pdu>>,
) -> Result<StateMap<OwnedEventId>, ResolutionError> {
    let settled = resolve_specified(rules, states, auth_chains.clone(), &fetch)?;
    let settled_state = |kind: StateEventType| fetch(settled.get(&(kind, String::new()))?);
    let create = settled_state(StateEventType::RoomCreate);
    let levels = settled_state(StateEventType::RoomPowerLevels);
    let is_allowed = |event: &Pdu| {
        // Without levels in the room's state, those count that the event names.
        let named = || event.auth_events.iter().filter_map(|id| fetch(id)).find(is_levels);
        let levels = levels.clone().or_else(named);
        check_owner(event, &PowerLevels::new(levels.as_ref(), create.as_ref(), rules)).is_ok()
    };
    let judged = |id: &EventId| {
        let event = fetch(id)?;
        let (kind, key) = event.state_entry()?;
        if is_owned(&kind, key) && !is_allowed(&event) {
            return Some(event);
        }
        let state_key = Some(marked(&kind, key));
        Some(Arc::new(Pdu { state_key, ..(*event).clone() }))
    };
    let mark = |((kind, key), id): (&(StateEventType, String), &OwnedEventId)| {
        ((kind.clone(), marked(kind, key)), id.clone())
    };
    let states: Vec<_> = states.iter().map(|state| state.iter().map(mark).collect()).collect();
    let resolved = resolve_specified(rules, &states, auth_chains, judged)?;
    Ok(resolved.into_iter().map(|((kind, key), id)| ((kind, unmarked(key)), id)).collect())
}

fn is_levels(event: &Arc<Pdu>) -> bool {
    event.is_state(&TimelineEventType::RoomPowerLevels, "")
}

fn marked(kind: &StateEventType, key: &str) -> String {
    let takes_mark = is_owned(kind, key) || key.starts_with(MARK);
    if takes_mark { format!("{MARK}{key}") } else { key.to_owned() }
}

fn unmarked(key: String) -> String {
    key.strip_prefix(MARK).map(ToOwned::to_owned).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_can_be_taken_off() {
        for kind in [StateEventType::RoomTopic, StateEventType::RoomMember] {
            for key in ["", "x", "@bo:hearth.test", "\0", "\0@bo:hearth.test", "\0\0"] {
                assert_eq!(unmarked(marked(&kind, key)), key, "{kind} {key:?}");
            }
        }
    }
}
