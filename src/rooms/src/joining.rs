//! Coming into a room: by invitation, by the room's rules, or because a third party vouches for somebody.

use std::sync::Arc;

use ruma::api::client::membership::ThirdPartySigned as SignedByServer;
use ruma::events::room::member::MembershipState;
use ruma::events::{StateEventType, TimelineEventType};
use ruma::{OwnedUserId, RoomId, ServerSignatures, UserId};
use serde_json::{Map, Value, json};
use store::{Membership, RoomNumber, StateRoot};

use crate::assembly::Draft;
use crate::create::raw;
use crate::membership::{member_content, of};
use crate::{RoomError, Rooms, StoredEvent};

/// What a user says who joins.
#[derive(Debug, Clone, Default)]
pub struct JoinRequest {
    /// What the membership event shall hold beyond what the server writes: a reason, a name for this room.
    pub content: Map<String, Value>,
    /// What proves that an invitation by a third-party id is the user's.
    pub third_party: Option<ThirdPartySigned>,
}

/// An identity server's word that an invitation is a user's.
/// Spec: client-server API, "Third-party invites", `third_party_signed`.
#[derive(Debug, Clone)]
pub struct ThirdPartySigned {
    /// Who invited.
    pub sender: OwnedUserId,
    /// Who is invited.
    pub mxid: OwnedUserId,
    /// Which invitation it is.
    pub token: String,
    /// The identity server's signatures.
    pub signatures: ServerSignatures,
}

impl From<SignedByServer> for ThirdPartySigned {
    fn from(signed: SignedByServer) -> Self {
        let SignedByServer { sender, mxid, token, signatures, .. } = signed;
        Self { sender, mxid, token, signatures }
    }
}

/// What the server alone writes into a membership event.
pub(crate) const AUTHORISED_VIA: &str = "join_authorised_via_users_server";

impl Rooms {
    /// Has a user join a room, and returns when that is durable. Joining a room one is in changes nothing.
    ///
    /// Fails with [`RoomError::UnknownRoom`], and with [`RoomError::Forbidden`] when the room's rules say so.
    /// Spec: client-server API, `POST /join/{roomIdOrAlias}`.
    #[tracing::instrument(skip_all, fields(%room_id, %user))]
    pub async fn join(
        &self,
        room_id: &RoomId,
        user: &UserId,
        request: JoinRequest,
    ) -> Result<(), RoomError> {
        let cell = self.cell_of(room_id).await?;
        let room = cell.number;
        let root = self.current_state(room).await?;
        let before = self.state_at(room, root, &StateEventType::RoomMember, user.as_str()).await?;
        let mut membership = before.as_ref().and_then(|event| of(&event.pdu));
        if membership == Some(Membership::Join) {
            return Ok(());
        }
        let mut drafts = Vec::new();
        if let Some(signed) = request.third_party
            && membership != Some(Membership::Invite)
        {
            drafts.push(self.third_party_invitation(user, room, root, signed).await?);
            membership = Some(Membership::Invite);
        }
        let mut content = member_content("join", &self.profile_of(user).await?, None);
        for (key, value) in request.content {
            if !["membership", "third_party_signed", AUTHORISED_VIA].contains(&key.as_str()) {
                content[key] = value;
            }
        }
        if let Some(host) = self.authorising_user(user, room, root, membership).await? {
            content[AUTHORISED_VIA] = json!(host);
        }
        drafts.push(member(user, user, &content));
        self.append(&cell, &drafts).await?;
        self.settle_in(user, room).await;
        Ok(())
    }

    /// The invitation that was meant for whoever owns a third-party id, now that it is known who does.
    /// Spec: client-server API, "Third-party invites"; server-server API, "Third-party invites".
    async fn third_party_invitation(
        &self,
        user: &UserId,
        room: RoomNumber,
        root: StateRoot,
        signed: ThirdPartySigned,
    ) -> Result<Draft, RoomError> {
        let forbidden = |reason: &str| RoomError::Forbidden(reason.to_owned());
        if signed.mxid != user {
            return Err(forbidden("the invitation is another user's"));
        }
        if signed.sender.server_name() != self.server_name() {
            return Err(RoomError::Unreachable(signed.sender.server_name().to_owned()));
        }
        let kind = StateEventType::RoomThirdPartyInvite;
        let invite = self.state_at(room, root, &kind, &signed.token).await?;
        let invite = invite.ok_or_else(|| forbidden("there is no such invitation"))?;
        let invite = self.after_redaction(&invite).await?;
        let invite: Value =
            invite.content_as().map_err(|error| RoomError::Damaged(error.to_string()))?;
        let mut content = member_content("invite", &self.profile_of(user).await?, None);
        content["third_party_invite"] = json!({
            "display_name": invite["display_name"].as_str().unwrap_or_default(),
            // As it was signed, with the sender. Spec: `third_party_signed`, "a signature of the entire signed object".
            "signed": {
                "sender": signed.sender,
                "mxid": signed.mxid,
                "token": signed.token,
                "signatures": signed.signatures,
            },
        });
        Ok(member(&signed.sender, user, &content))
    }

    /// What follows from membership events that were set as any other state.
    pub(crate) async fn after_membership(&self, room: RoomNumber, events: &[Arc<StoredEvent>]) {
        for event in events {
            let user = event.pdu.state_key.as_deref().and_then(|user| UserId::parse(user).ok());
            match (user, of(&event.pdu)) {
                (Some(user), Some(Membership::Join)) => self.settle_in(&user, room).await,
                (Some(user), _) => self.typing().stop(room, &user),
                (None, _) => {}
            }
        }
    }

    /// The content of a membership that is set as any other state, so that all rules are the room's own, with what the
    /// server alone answers for.
    pub(crate) async fn checked_member_content(
        &self,
        room: RoomNumber,
        root: StateRoot,
        sender: &UserId,
        state_key: &str,
        content: &serde_json::value::RawValue,
    ) -> Result<Value, RoomError> {
        let malformed = |error: serde_json::Error| RoomError::Malformed(error.to_string());
        let mut content: Map<String, Value> =
            serde_json::from_str(content.get()).map_err(malformed)?;
        content.remove(AUTHORISED_VIA);
        let target: OwnedUserId = state_key
            .try_into()
            .map_err(|_| RoomError::Malformed(format!("{state_key} is no user id")))?;
        let wanted = content.get("membership").and_then(Value::as_str).map(MembershipState::from);
        match wanted {
            Some(MembershipState::Invite) => self.check_invite(&target, sender).await?,
            Some(MembershipState::Join) if target == sender => {
                let kind = StateEventType::RoomMember;
                let before = self.state_at(room, root, &kind, state_key).await?;
                let before = before.and_then(|event| of(&event.pdu));
                if let Some(host) = self.authorising_user(sender, room, root, before).await? {
                    content.insert(AUTHORISED_VIA.to_owned(), json!(host));
                }
            }
            Some(MembershipState::Leave) if target == sender => {
                let kind = StateEventType::RoomMember;
                let before = self.state_at(room, root, &kind, state_key).await?;
                self.check_refusal(before.as_deref(), sender).await?;
            }
            _ => {}
        }
        Ok(Value::Object(content))
    }
}

/// A membership event.
pub(crate) fn member(sender: &UserId, target: &UserId, content: &Value) -> Draft {
    let state_key = Some(target.to_string());
    Draft::new(sender.to_owned(), TimelineEventType::RoomMember, state_key, raw(content))
}

#[cfg(test)]
mod tests {
    use ruma::events::StateEventType;
    use ruma::signatures::sign_json;
    use ruma::{CanonicalJsonObject, RoomVersionId, user_id};

    use super::*;
    use crate::testing::{ada, bo, rooms_on_memory_store, wish};
    use crate::{MembershipChange, Preset};

    /// What an identity server with the key of the tests signs.
    fn signed(mxid: &UserId, token: &str) -> ThirdPartySigned {
        let key = protocol::SigningKey::from_seed([9; 32], "0".to_owned()).unwrap();
        let object = json!({ "sender": ada(), "mxid": mxid, "token": token });
        let mut object: CanonicalJsonObject = serde_json::from_value(object).unwrap();
        sign_json("id.test", key.key_pair(), &mut object).unwrap();
        let signatures = serde_json::to_value(&object["signatures"]).unwrap();
        ThirdPartySigned {
            sender: ada().to_owned(),
            mxid: mxid.to_owned(),
            token: token.to_owned(),
            signatures: serde_json::from_value(signatures).unwrap(),
        }
    }

    fn public_key() -> String {
        protocol::SigningKey::from_seed([9; 32], "0".to_owned()).unwrap().public_key()
    }

    async fn private_room(rooms: &Rooms) -> ruma::OwnedRoomId {
        let room =
            rooms.create_room(ada(), wish(Preset::PrivateChat, RoomVersionId::V12)).await.unwrap();
        let content = raw(&json!({
            "display_name": "b...@example.org", "public_key": public_key(),
            "key_validity_url": "https://id.test/valid",
            "public_keys": [{ "public_key": public_key() }],
        }));
        let kind = StateEventType::RoomThirdPartyInvite;
        rooms.set_state(&room, ada(), &kind, "token", content).await.unwrap();
        room
    }

    #[tokio::test]
    async fn who_is_vouched_for_by_the_invitations_key_comes_in() {
        let rooms = rooms_on_memory_store().await;
        let room = private_room(&rooms).await;
        let request =
            JoinRequest { third_party: Some(signed(bo(), "token")), ..JoinRequest::default() };
        rooms.join(&room, bo(), request).await.unwrap();
        assert!(rooms.number_of_joined(bo(), &room).await.is_ok());
    }

    #[tokio::test]
    async fn who_is_not_vouched_for_stays_outside() {
        let rooms = rooms_on_memory_store().await;
        let room = private_room(&rooms).await;
        let mut forged = signed(bo(), "token");
        forged.signatures = signed(ada(), "token").signatures;
        let mut of_another = signed(bo(), "token");
        of_another.sender = user_id!("@cy:hearth.test").to_owned();
        for wrong in [forged, of_another, signed(ada(), "token"), signed(bo(), "another")] {
            let request = JoinRequest { third_party: Some(wrong), ..JoinRequest::default() };
            let refused = rooms.join(&room, bo(), request).await;
            assert!(matches!(refused, Err(RoomError::Forbidden(_))), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn a_join_says_what_its_user_says_but_for_what_is_the_servers() {
        let rooms = rooms_on_memory_store().await;
        let room = crate::testing::public_room(&rooms).await;
        let said = json!({
            "foo": "bar", "displayname": "Bo the cook", "membership": "ban", AUTHORISED_VIA: "x",
        });
        let Value::Object(content) = said else { unreachable!() };
        let request = JoinRequest { content, third_party: None };
        rooms.join(&room, bo(), request).await.unwrap();
        let (number, root) = rooms.visible_state(bo(), &room).await.unwrap();
        let kind = StateEventType::RoomMember;
        let event = rooms.state_at(number, root, &kind, bo().as_str()).await.unwrap().unwrap();
        let content: Value = event.pdu.content_as().unwrap();
        let expected = json!({ "membership": "join", "foo": "bar", "displayname": "Bo the cook" });
        assert_eq!(content, expected);
        let leave = MembershipChange::Leave;
        rooms.change_membership(&room, bo(), bo(), leave, None).await.unwrap();
    }
}
