//! Joining, leaving, inviting, kicking, banning.

use protocol::Pdu;
use ruma::events::StateEventType;
use ruma::events::room::member::MembershipState;
use ruma::{RoomId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use store::{MemberField, Membership};

use crate::joining::{JoinRequest, member};
use crate::{RoomError, Rooms};

/// A change that one user makes to their own or another's membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The user comes in.
    Join,
    /// The user goes, refuses an invitation, or takes a knock back.
    Leave,
    /// The user asks to be let in.
    Knock,
    /// Somebody asks them in.
    Invite,
    /// Somebody puts them out, or takes an invitation back.
    Kick,
    /// Somebody puts them out for good.
    Ban,
    /// Somebody lifts a ban.
    Unban,
}

impl Change {
    fn membership(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Knock => "knock",
            Self::Invite => "invite",
            Self::Ban => "ban",
            Self::Leave | Self::Kick | Self::Unban => "leave",
        }
    }

    /// Whether a membership event of this kind carries its subject's name and picture.
    fn shows_profile(self) -> bool {
        matches!(self, Self::Join | Self::Knock | Self::Invite)
    }
}

/// The membership that an `m.room.member` event states; `None` when it states none.
pub(crate) fn of(event: &Pdu) -> Option<Membership> {
    stated(&event.content)
}

/// The membership that the content of an `m.room.member` event states; `None` when it states none.
pub(crate) fn stated(content: &RawValue) -> Option<Membership> {
    #[derive(Deserialize)]
    struct Content {
        membership: MembershipState,
    }
    let content: Content = serde_json::from_str(content.get()).ok()?;
    Some(Membership::from(&content.membership))
}

/// What of a user's profile stands in their membership events.
#[derive(Debug, Default)]
pub(crate) struct MemberProfile {
    displayname: Option<Value>,
    avatar_url: Option<Value>,
}

impl MemberProfile {
    /// One of the two.
    pub(crate) fn field(&self, field: MemberField) -> Option<&Value> {
        match field {
            MemberField::DisplayName => self.displayname.as_ref(),
            MemberField::AvatarUrl => self.avatar_url.as_ref(),
        }
    }
}

/// The content of a membership event.
pub(crate) fn member_content(
    membership: &str,
    profile: &MemberProfile,
    reason: Option<&str>,
) -> Value {
    let mut content = Map::new();
    content.insert("membership".to_owned(), json!(membership));
    if let Some(displayname) = &profile.displayname {
        content.insert("displayname".to_owned(), displayname.clone());
    }
    if let Some(avatar_url) = &profile.avatar_url {
        content.insert("avatar_url".to_owned(), avatar_url.clone());
    }
    if let Some(reason) = reason {
        content.insert("reason".to_owned(), json!(reason));
    }
    Value::Object(content)
}

/// Whether nothing is to be done, or, as an error, nothing can be.
fn is_settled(change: Change, membership: Option<Membership>) -> Result<bool, RoomError> {
    let forbidden = |reason: &str| Err(RoomError::Forbidden(reason.to_owned()));
    match (change, membership) {
        (Change::Leave, Some(Membership::Leave)) => Ok(true),
        (Change::Leave, None) => Err(RoomError::NotInRoom),
        (Change::Leave, Some(Membership::Ban)) => forbidden("you are banned from this room"),
        (Change::Kick, None | Some(Membership::Leave | Membership::Ban)) => {
            forbidden("the user is not in the room")
        }
        (Change::Unban, Some(Membership::Ban)) => Ok(false),
        (Change::Unban, _) => forbidden("the user is not banned"),
        (Change::Invite, Some(Membership::Join)) => forbidden("the user is in the room already"),
        (Change::Invite, Some(Membership::Ban)) => forbidden("the user is banned"),
        _ => Ok(false),
    }
}

impl Rooms {
    /// Changes `target`'s membership on behalf of `sender`, and returns when that is durable. Joining a room one is
    /// in, and leaving a room one is not in any more, changes nothing.
    ///
    /// Fails with [`RoomError::UnknownRoom`], with [`RoomError::Forbidden`] when the room's rules say so, and with
    /// [`RoomError::InviteBlocked`] when who is invited does.
    /// Spec: client-server API, "Room membership".
    #[tracing::instrument(skip_all, fields(%room_id, %target, ?change))]
    pub async fn change_membership(
        &self,
        room_id: &RoomId,
        sender: &UserId,
        target: &UserId,
        change: Change,
        reason: Option<&str>,
    ) -> Result<(), RoomError> {
        if change == Change::Join {
            let reason = reason.map(|reason| ("reason".to_owned(), json!(reason)));
            let content = reason.into_iter().collect();
            return self.join(room_id, target, JoinRequest { content, third_party: None }).await;
        }
        let cell = self.cell_of(room_id).await?;
        let room = cell.number;
        let kind = StateEventType::RoomMember;
        let root = self.current_state(room).await?;
        let before = self.state_at(room, root, &kind, target.as_str()).await?;
        let membership = before.as_ref().and_then(|event| of(&event.pdu));
        if is_settled(change, membership)? {
            return Ok(());
        }
        if change == Change::Leave {
            self.check_refusal(before.as_deref(), target).await?;
        }
        if change == Change::Invite {
            self.check_invite(target, sender).await?;
        }
        let profile = if change.shows_profile() {
            self.profile_of(target).await?
        } else {
            MemberProfile::default()
        };
        let content = member_content(change.membership(), &profile, reason);
        self.append(&cell, &[member(sender, target, &content)]).await?;
        self.typing().stop(room, target);
        Ok(())
    }

    /// The name and picture of a user, as this server knows them.
    pub(crate) async fn profile_of(&self, user: &UserId) -> Result<MemberProfile, RoomError> {
        let Some(number) = self.store().user_number(user).await? else {
            return Ok(MemberProfile::default());
        };
        let profile = self.store().profile(number).await?;
        let field = |name| profile.get(name).filter(|value| value.is_string()).cloned();
        Ok(MemberProfile { displayname: field("displayname"), avatar_url: field("avatar_url") })
    }
}
