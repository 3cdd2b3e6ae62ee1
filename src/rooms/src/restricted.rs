//! Joining a room because one is in another.

use ruma::events::StateEventType;
use ruma::events::room::join_rules::{AllowRule, JoinRule, RoomJoinRulesEventContent};
use ruma::{OwnedUserId, RoomId, UserId};
use store::{Membership, RoomNumber, StateRoot};

use crate::{RoomError, Rooms};

/// How many members of a room are asked whether they may invite.
const MAX_ASKED: usize = 1_000;

impl Rooms {
    /// The local user in whose name `user` may join a room that is open to members of others. `None` when they need
    /// nobody: they are invited or in it, or the room is not of that kind, or they are in none of the others, so that
    /// the room's rules will refuse them.
    /// Spec: client-server API, "Restricted rooms".
    pub(crate) async fn authorising_user(
        &self,
        user: &UserId,
        room: RoomNumber,
        root: StateRoot,
        membership: Option<Membership>,
    ) -> Result<Option<OwnedUserId>, RoomError> {
        if matches!(membership, Some(Membership::Join | Membership::Invite)) {
            return Ok(None);
        }
        let rules = self.state_at(room, root, &StateEventType::RoomJoinRules, "").await?;
        let rules =
            rules.and_then(|event| event.pdu.content_as::<RoomJoinRulesEventContent>().ok());
        let allowed = match rules.map(|content| content.join_rule) {
            Some(JoinRule::Restricted(rule) | JoinRule::KnockRestricted(rule)) => rule.allow,
            _ => return Ok(None),
        };
        for rule in allowed {
            if let AllowRule::RoomMembership(condition) = rule
                && self.is_joined(user, &condition.room_id).await?
            {
                return self.somebody_who_may_invite(room, root).await;
            }
        }
        Ok(None)
    }

    /// What a user is in a state of a room.
    async fn membership_in(
        &self,
        room: RoomNumber,
        root: StateRoot,
        user: &UserId,
    ) -> Result<Option<Membership>, RoomError> {
        let kind = StateEventType::RoomMember;
        let event = self.state_at(room, root, &kind, user.as_str()).await?;
        Ok(event.and_then(|event| crate::membership::of(&event.pdu)))
    }

    pub(crate) async fn is_joined(
        &self,
        user: &UserId,
        room_id: &RoomId,
    ) -> Result<bool, RoomError> {
        match self.number_of_joined(user, room_id).await {
            Ok(_) => Ok(true),
            Err(RoomError::NotInRoom) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A local member with the power to invite: one of those with a level of their own, or else anybody.
    async fn somebody_who_may_invite(
        &self,
        room: RoomNumber,
        root: StateRoot,
    ) -> Result<Option<OwnedUserId>, RoomError> {
        let levels = self.power_levels_at(room, root).await?;
        for (user, _) in levels.users().take(MAX_ASKED) {
            if user.server_name() == self.server_name()
                && levels.can_invite(user)
                && self.membership_in(room, root, user).await? == Some(Membership::Join)
            {
                return Ok(Some(user.to_owned()));
            }
        }
        let members = self.store().room_members(room, Membership::Join, None, MAX_ASKED).await?;
        for member in members {
            let Some(member) = self.store().user_id(member.user).await? else { continue };
            if member.server_name() == self.server_name() && levels.can_invite(&member) {
                return Ok(Some(member));
            }
        }
        Ok(None)
    }
}
