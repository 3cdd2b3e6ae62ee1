//! Inviting whoever has an email address or a telephone number.
//! Spec: client-server API, "Third-party invites".

use federation::identity::{AccessToken, IdentityServer, StoredInvite, WantedInvite};
use futures_util::future::try_join_all;
use protocol::ThirdPartyId;
use ruma::events::TimelineEventType;
use ruma::room::RoomSummary;
use ruma::thirdparty::Medium;
use ruma::{OwnedUserId, RoomId, UserId};
use serde_json::{Value, json};
use store::MemberField;

use crate::assembly::{Assembly, Draft};
use crate::create::raw;
use crate::membership::MemberProfile;
use crate::{MembershipChange, RoomError, Rooms};

/// Who is to be invited, and who knows whether they have a user.
#[derive(Debug, Clone)]
pub struct ThirdPartyInvite {
    /// The identity server to ask: its host name, with a port where it needs one.
    pub id_server: String,
    /// What lets the inviter ask it.
    pub id_access_token: AccessToken,
    /// What kind of address it is.
    pub medium: Medium,
    /// The address.
    pub address: String,
}

/// An invitation whose address is valid and whose identity server is trusted.
#[derive(Debug)]
pub(crate) struct Addressee {
    id: ThirdPartyId,
    server: IdentityServer,
    token: AccessToken,
}

impl Addressee {
    /// The user who has the address.
    pub(crate) async fn user(&self) -> Result<Option<OwnedUserId>, RoomError> {
        Ok(self.server.look_up(&self.token, &self.id).await?)
    }

    /// Has the identity server tell them of the invitation and keep it.
    async fn store(
        &self,
        room: &RoomSummary,
        sender: &UserId,
        profile: &MemberProfile,
    ) -> Result<StoredInvite, RoomError> {
        let text = |field| profile.field(field).and_then(Value::as_str);
        let wanted = WantedInvite {
            id: &self.id,
            room,
            sender,
            sender_display_name: text(MemberField::DisplayName),
            sender_avatar_url: text(MemberField::AvatarUrl),
        };
        Ok(self.server.store_invite(&self.token, wanted).await?)
    }
}

impl Rooms {
    /// Invites whoever has an address: the user, if there is one, or else whoever will show the identity server's signature. The
    /// identity server is asked for the latter only where the inviter may invite, as it sends mail.
    ///
    /// Fails with [`RoomError::IdentityServerNotTrusted`], [`RoomError::ThirdPartyId`] and [`RoomError::Identity`], with
    /// [`RoomError::Forbidden`] when the room's rules say so, and as an invitation of the user would.
    /// Spec: client-server API, `POST /rooms/{roomId}/invite` by third-party id.
    #[tracing::instrument(skip_all, fields(%room_id, id_server = invite.id_server))]
    pub async fn invite_third_party(
        &self,
        room_id: &RoomId,
        sender: &UserId,
        invite: &ThirdPartyInvite,
    ) -> Result<(), RoomError> {
        let addressee = self.addressee(invite)?;
        let cell = self.cell_of(room_id).await?;
        self.as_it_is(cell.number, room_id).await?.check_inviter(sender).await?;
        if let Some(user) = addressee.user().await? {
            let change = MembershipChange::Invite;
            return self.change_membership(room_id, sender, &user, change, None).await;
        }
        let room = self.as_it_is(cell.number, room_id).await?;
        let drafts = self.stored_invites(&room, sender, &[addressee]).await?;
        self.append(&cell, &drafts).await?;
        Ok(())
    }

    /// Whom an invitation is for, as far as that can be said without asking anybody.
    pub(crate) fn addressee(&self, invite: &ThirdPartyInvite) -> Result<Addressee, RoomError> {
        let server = self.settings().identity_servers.get(&invite.id_server);
        let not_trusted = || RoomError::IdentityServerNotTrusted(invite.id_server.clone());
        let server = server.ok_or_else(not_trusted)?.clone();
        let id = ThirdPartyId::new(&invite.medium, &invite.address)?;
        Ok(Addressee { id, server, token: invite.id_access_token.clone() })
    }

    /// The invitations of those who have no user, each stored by its identity server. Fails with [`RoomError::Forbidden`],
    /// before any server is asked, if the sender may not invite.
    pub(crate) async fn stored_invites(
        &self,
        room: &Assembly<'_>,
        sender: &UserId,
        addressees: &[Addressee],
    ) -> Result<Vec<Draft>, RoomError> {
        if addressees.is_empty() {
            return Ok(Vec::new());
        }
        room.check_inviter(sender).await?;
        let (room, profile) = (room.summary().await?, self.profile_of(sender).await?);
        let stored = addressees.iter().map(|addressee| addressee.store(&room, sender, &profile));
        let stored = try_join_all(stored).await?;
        Ok(stored.into_iter().map(|stored| draft(sender, stored)).collect())
    }

    /// A room as it is now, not to be written to.
    async fn as_it_is(
        &self,
        room: store::RoomNumber,
        room_id: &RoomId,
    ) -> Result<Assembly<'_>, RoomError> {
        let head = self.store().room_head(room).await?;
        let head = head.ok_or_else(|| RoomError::Damaged(format!("room {room} has no head")))?;
        Assembly::on(self, room, room_id.to_owned(), head)
    }
}

/// The state event of an invitation. Spec: client-server API, `m.room.third_party_invite`.
fn draft(sender: &UserId, stored: StoredInvite) -> Draft {
    let StoredInvite { token, public_keys, display_name } = stored;
    let mut content = json!({ "display_name": display_name, "public_keys": public_keys });
    // What those who know of one key only look for.
    if let Some(first) = public_keys.into_iter().next() {
        content["public_key"] = json!(first.public_key);
        content["key_validity_url"] = json!(first.key_validity_url);
    }
    let kind = TimelineEventType::RoomThirdPartyInvite;
    Draft::new(sender.to_owned(), kind, Some(token), raw(&content))
}
