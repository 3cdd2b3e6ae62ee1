//! Making a new event out of a draft: what it follows, what decides about it, and whether it is allowed.

use std::sync::Arc;

use protocol::event_builder::{EventTemplate, build};
use protocol::power_levels::PowerLevels;
use protocol::{Depth, Pdu, auth};
use ruma::UserId;
use ruma::events::room::power_levels::UserPowerLevel;
use ruma::events::{StateEventType, TimelineEventType};
use ruma::room_version_rules::EventIdFormatVersion;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use store::{EventNumber, Membership};

use super::{Assembly, AuthState, Draft, random_localpart};
use crate::{RoomError, membership};

impl Assembly<'_> {
    /// The current state, as far as it decides about the draft.
    pub(super) async fn auth_state(&self, draft: &Draft) -> Result<AuthState, RoomError> {
        let (sender, state_key) = (&draft.sender, draft.state_key.as_deref());
        let types = auth::auth_types(&draft.kind, sender, state_key, &draft.content, &self.rules)?;
        let mut state = AuthState::new();
        for (kind, state_key) in types {
            let found = self.rooms.state_at(self.room, self.head.state, &kind, &state_key).await?;
            if let Some(event) = found {
                state.insert((kind, state_key), event);
            }
        }
        self.add_implied_create(&mut state).await?;
        Ok(state)
    }

    /// From version 12 on the create event is no auth event, as the room's ID names it; the rules need it all the same.
    async fn add_implied_create(&self, state: &mut AuthState) -> Result<(), RoomError> {
        let key = (StateEventType::RoomCreate, String::new());
        if state.contains_key(&key) {
            return Ok(());
        }
        if let Some(event) = self.rooms.state_at(self.room, self.head.state, &key.0, "").await? {
            state.insert(key, event);
        }
        Ok(())
    }

    pub(super) async fn build(
        &self,
        draft: Draft,
        auth_state: &AuthState,
    ) -> Result<(Arc<Pdu>, String), RoomError> {
        let create_is_named = !self.rules.authorization.room_create_event_id_as_room_id;
        let mut template =
            EventTemplate::new(Some(self.room_id.clone()), draft.sender, draft.kind, draft.content);
        template.state_key = draft.state_key;
        template.redacts = draft.redacts;
        template.origin_server_ts = self.rooms.clock().now();
        let extremities = &self.head.extremities;
        template.prev_events = extremities.iter().map(|one| one.event_id.clone()).collect();
        template.depth = Depth::after(extremities.iter().map(|one| Depth::new(one.depth)));
        let mut auth_numbers: Vec<EventNumber> = Vec::new();
        for ((kind, _), event) in auth_state {
            if create_is_named || *kind != StateEventType::RoomCreate {
                template.auth_events.push(event.pdu.event_id.clone());
                auth_numbers.push(event.number);
            }
        }
        template.auth_events.sort();
        if self.rules.event_id_format == EventIdFormatVersion::V1 {
            let mut stored = auth_numbers;
            stored.extend(extremities.iter().map(|one| one.event));
            stored.retain(|number| !self.events.iter().any(|added| added.number == *number));
            template.reference_hashes = self.rooms.reference_hashes(&stored, &self.rules).await?;
            template.reference_hashes.extend(self.hashes.clone());
            template.id_localpart = Some(random_localpart());
        }
        let key_pair = self.rooms.signing_key().key_pair();
        Ok(build(template, &self.head.version, key_pair, self.rooms.server_name())?)
    }

    /// Power levels that list a creator who is above all levels are no request that somebody else could make either:
    /// they are malformed, not forbidden. Spec: room version 12, "Authorisation rules", `m.room.power_levels`.
    pub(super) fn check_creators(
        &self,
        pdu: &Pdu,
        auth_state: &AuthState,
    ) -> Result<(), RoomError> {
        #[derive(Deserialize)]
        struct Content {
            #[serde(default)]
            users: Map<String, Value>,
        }
        if !pdu.is_state(&TimelineEventType::RoomPowerLevels, "") {
            return Ok(());
        }
        let Ok(content) = pdu.content_as::<Content>() else { return Ok(()) };
        let levels = self.power_levels(auth_state);
        let listed = levels.users().find(|(user, level)| {
            *level == UserPowerLevel::Infinite && content.users.contains_key(user.as_str())
        });
        match listed {
            Some((user, _)) => {
                Err(RoomError::Malformed(format!("{user} is above all levels and can have none")))
            }
            None => Ok(()),
        }
    }

    pub(super) fn authorise(&self, pdu: &Pdu, auth_state: &AuthState) -> Result<(), RoomError> {
        let find = |kind: &StateEventType, state_key: &str| {
            let event = auth_state.get(&(kind.clone(), state_key.to_owned()))?;
            Some(Arc::clone(&event.pdu))
        };
        Ok(auth::authorise(pdu, find, &self.rules)?)
    }

    /// Fails with [`RoomError::Forbidden`] if a user may not invite by third-party id now.
    /// Spec: room versions, "Authorisation rules", `m.room.third_party_invite`.
    pub(crate) async fn check_inviter(&self, user: &UserId) -> Result<(), RoomError> {
        let kind = TimelineEventType::RoomThirdPartyInvite;
        let nothing = RawValue::NULL.to_owned();
        let draft = Draft::new(user.to_owned(), kind, Some(String::new()), nothing);
        let auth_state = self.auth_state(&draft).await?;
        let member = auth_state.get(&(StateEventType::RoomMember, user.to_string()));
        let membership = member.and_then(|event| membership::of(&event.pdu));
        if membership == Some(Membership::Join) && self.power_levels(&auth_state).can_invite(user) {
            return Ok(());
        }
        Err(RoomError::Forbidden("you may not invite anybody to this room".to_owned()))
    }

    /// The power levels in force, as far as `auth_state` has them.
    pub(super) fn power_levels(&self, auth_state: &AuthState) -> PowerLevels {
        let find = |kind| auth_state.get(&(kind, String::new())).map(|event| &event.pdu);
        PowerLevels::new(
            find(StateEventType::RoomPowerLevels),
            find(StateEventType::RoomCreate),
            &self.rules,
        )
    }
}
