//! Rooms that the reader is invited to, or asked to be let into. Spec: client-server API, "Stripped state".

use rooms::{EventShape, InvitePermission, RoomError, StoredEvent, Viewer};
use ruma::api::client::sync::sync_events::v3::{InviteState, InvitedRoom, KnockState, KnockedRoom};
use ruma::events::{AnyStrippedStateEvent, StateEventType};
use ruma::serde::Raw;
use serde::Deserialize;
use store::RoomMembership;

use crate::SyncError;
use crate::reader::Reader;

/// The state that tells somebody outside what a room is.
const TELLING: [StateEventType; 8] = [
    StateEventType::RoomCreate,
    StateEventType::RoomJoinRules,
    StateEventType::RoomName,
    StateEventType::RoomAvatar,
    StateEventType::RoomTopic,
    StateEventType::RoomCanonicalAlias,
    StateEventType::RoomEncryption,
    StateEventType::RoomHistoryVisibility,
];

/// What another server tells of its room with an invitation, or the answer to a knock.
#[derive(Default, Deserialize)]
struct Told {
    #[serde(default)]
    invite_room_state: Vec<Raw<AnyStrippedStateEvent>>,
    #[serde(default)]
    knock_room_state: Vec<Raw<AnyStrippedStateEvent>>,
}

impl Reader<'_> {
    /// A room that the reader is invited to; `None` when they ignore who invited them, or want no invitation of theirs.
    /// Spec: client-server API, "Invite permission".
    pub(crate) async fn invited_room(
        &self,
        membership: &RoomMembership,
    ) -> Result<Option<InvitedRoom>, SyncError> {
        let invitation = self.sync.0.rooms.event(membership.event).await?;
        if self.rules().await?.ignores(&invitation.pdu.sender) {
            return Ok(None);
        }
        let rooms = &self.sync.0.rooms;
        let permission =
            rooms.invite_permission(self.request.user_id, &invitation.pdu.sender).await?;
        if permission != InvitePermission::Allow {
            return Ok(None);
        }
        let mut state = InviteState::new();
        state.events = self.stripped_state(&invitation).await?;
        Ok(Some(InvitedRoom::from(state)))
    }

    /// A room that the reader has knocked on.
    pub(crate) async fn knocked_room(
        &self,
        membership: &RoomMembership,
    ) -> Result<KnockedRoom, SyncError> {
        let knock = self.sync.0.rooms.event(membership.event).await?;
        let mut state = KnockState::new();
        state.events = self.stripped_state(&knock).await?;
        Ok(KnockedRoom::from(state))
    }

    /// What the room looked like when the reader got their membership, and that membership.
    async fn stripped_state(
        &self,
        own: &StoredEvent,
    ) -> Result<Vec<Raw<AnyStrippedStateEvent>>, SyncError> {
        let rooms = &self.sync.0.rooms;
        let record = &own.record;
        let mut events = told_by_others(own);
        if events.is_empty() {
            for kind in &TELLING {
                let event = rooms.state_at(record.room, record.state_before, kind, "").await?;
                if let Some(event) = event {
                    events.push(self.stripped(&event).await?);
                }
            }
            let (kind, sender) = (StateEventType::RoomMember, own.pdu.sender.as_str());
            let inviter = rooms.state_at(record.room, record.state_before, &kind, sender).await?;
            if let Some(inviter) = inviter
                && own.pdu.sender != self.request.user_id
            {
                events.push(self.stripped(&inviter).await?);
            }
        }
        events.push(self.stripped(own).await?);
        Ok(events)
    }

    async fn stripped(&self, event: &StoredEvent) -> Result<Raw<AnyStrippedStateEvent>, RoomError> {
        let viewer = Viewer { user_id: self.request.user_id, device_id: None };
        let event = self.sync.0.rooms.client_event(viewer, event, EventShape::Stripped).await?;
        Ok(Raw::from_json(event))
    }
}

fn told_by_others(own: &StoredEvent) -> Vec<Raw<AnyStrippedStateEvent>> {
    let unsigned = own.pdu.unsigned.as_ref();
    let told = unsigned.and_then(|unsigned| serde_json::from_str::<Told>(unsigned.get()).ok());
    let told = told.unwrap_or_default();
    told.invite_room_state.into_iter().chain(told.knock_room_state).collect()
}
