//! Whether an event is allowed: the authorisation rules of each room version.
//!
//! ruma's implementation decides; this module adds what it leaves to its caller. The checks of an incoming event are
//! [`check_auth_events`] once, then [`authorise`] against the state its auth events name, the state before it, and the room's
//! current state.
//! Spec: server-server API, "Authorisation rules"; room versions, "Authorisation rules".

mod owned_state;

use std::{collections::HashMap, sync::Arc};

use ruma::{
    EventId, RoomVersionId, UserId,
    events::{StateEventType, TimelineEventType},
    room_version_rules::RoomVersionRules,
    state_res::{
        auth_types_for_event, check_state_dependent_auth_rules, check_state_independent_auth_rules,
    },
};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

pub(crate) use self::owned_state::{StateOwnership, check_owner, is_owned};
use crate::{Pdu, room_version, room_version::Rules};

/// How many pairs of a third party's signature and key are tried for one invitation.
const MAX_THIRD_PARTY_PAIRS: usize = 100;

/// Why an event is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The event is not what its type prescribes, so that no state would allow it.
    #[error("malformed event: {0}")]
    Malformed(String),
    /// The state does not allow it.
    #[error("not allowed: {0}")]
    NotAllowed(String),
}

/// Which state an event like this must name in its `auth_events`, as far as the room has it.
///
/// Fails with [`AuthError::Malformed`] if a membership event does not say what is needed to know.
/// Spec: server-server API, "Auth events selection".
pub fn auth_types(
    kind: &TimelineEventType,
    sender: &UserId,
    state_key: Option<&str>,
    content: &RawValue,
    rules: &RoomVersionRules,
) -> Result<Vec<(StateEventType, String)>, AuthError> {
    auth_types_for_event(kind, sender, state_key, content, &rules.authorization)
        .map_err(AuthError::Malformed)
}

/// Checks an event as far as no state is needed: a create event wholly, any other by its auth events, which `fetch` finds.
///
/// An auth event that `fetch` does not find is an error; look for it first.
pub fn check_auth_events(
    event: &Pdu,
    fetch: impl Fn(&EventId) -> Option<Arc<Pdu>>,
    rules: &RoomVersionRules,
) -> Result<(), AuthError> {
    check_state_independent_auth_rules(&rules.authorization, event, &fetch)
        .map_err(AuthError::NotAllowed)?;
    if event.kind == TimelineEventType::RoomCreate {
        return check_room_version(event);
    }
    if rules.authorization.room_create_event_id_as_room_id {
        let id = event.room_id.as_str().replacen('!', "$", 1);
        let create = EventId::parse(id).ok().and_then(|id| fetch(&id));
        // Room version 12, rule 2. ruma finds the event and does not ask what it is.
        if !create.is_some_and(|create| create.is_state(&TimelineEventType::RoomCreate, "")) {
            return Err(AuthError::NotAllowed(
                "the room id is not that of a create event".to_owned(),
            ));
        }
    }
    Ok(())
}

/// Rule 1.3 of room version 1: a create event names no room version, or one that is known.
fn check_room_version(create: &Pdu) -> Result<(), AuthError> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(default = "version_1")]
        room_version: RoomVersionId,
    }
    fn version_1() -> RoomVersionId {
        RoomVersionId::V1
    }
    let content: Content =
        create.content_as().map_err(|error| AuthError::Malformed(error.to_string()))?;
    if room_version::supported().contains(&content.room_version) {
        Ok(())
    } else {
        Err(AuthError::NotAllowed(format!("room version {} is not known", content.room_version)))
    }
}

/// Checks an event against a state of its room, which `state` looks up.
///
/// It must have passed [`check_auth_events`] and the signature checks before: a restricted join is believed to be signed by the
/// server of the user it names.
pub fn authorise(
    event: &Pdu,
    state: impl Fn(&StateEventType, &str) -> Option<Arc<Pdu>>,
    rules: &Rules,
) -> Result<(), AuthError> {
    bound_third_party_signatures(event, &state)?;
    let specified = owned_state::as_specified(event, &state, rules)?;
    check_state_dependent_auth_rules(&rules.authorization, &*specified, state)
        .map_err(AuthError::NotAllowed)
}

/// Refuses an invitation by a third party with more pairs of signature and key than anyone means: each pair would be tried, and two
/// events of full size hold enough of them for half a minute. An identity server makes one signature and gives one or two keys.
fn bound_third_party_signatures(
    event: &Pdu,
    state: impl Fn(&StateEventType, &str) -> Option<Arc<Pdu>>,
) -> Result<(), AuthError> {
    if event.kind != TimelineEventType::RoomMember {
        return Ok(());
    }
    // What is not shaped like this is refused by the rules before any signature is tried.
    let Ok(content) = event.content_as::<Value>() else { return Ok(()) };
    let signed = &content["third_party_invite"]["signed"];
    let Some(token) = signed["token"].as_str() else { return Ok(()) };
    let by_server = signed["signatures"].as_object().into_iter().flatten();
    let signatures: usize =
        by_server.map(|(_, by_key)| by_key.as_object().map_or(0, Map::len)).sum();
    let invite = state(&StateEventType::RoomThirdPartyInvite, token);
    let keys = invite.and_then(|invite| invite.content_as::<Value>().ok());
    let keys = keys.and_then(|keys| keys["public_keys"].as_array().map(Vec::len)).unwrap_or(0) + 1;
    if signatures.saturating_mul(keys) > MAX_THIRD_PARTY_PAIRS {
        return Err(AuthError::NotAllowed("too many third-party signatures and keys".to_owned()));
    }
    Ok(())
}

/// Checks an event against the state that its own auth events make up: step 4 of the checks on receipt.
///
/// `fetch` finds events by id; what it does not find is taken as not in the state.
pub fn authorise_by_auth_events(
    event: &Pdu,
    fetch: impl Fn(&EventId) -> Option<Arc<Pdu>>,
    rules: &Rules,
) -> Result<(), AuthError> {
    let mut state: HashMap<(StateEventType, String), Arc<Pdu>> = HashMap::new();
    let create = rules
        .authorization
        .room_create_event_id_as_room_id
        .then(|| EventId::parse(event.room_id.as_str().replacen('!', "$", 1)).ok())
        .flatten();
    for id in event.auth_events.iter().chain(&create) {
        if let Some(auth_event) = fetch(id)
            && let Some((kind, state_key)) = auth_event.state_entry()
        {
            state.insert((kind, state_key.to_owned()), auth_event.clone());
        }
    }
    authorise(
        event,
        |kind, state_key| state.get(&(kind.clone(), state_key.to_owned())).cloned(),
        rules,
    )
}

#[cfg(test)]
mod tests;
