//! What administrators of the server do in rooms without the rooms' leave.

use protocol::power_levels::PowerLevels;
use ruma::events::StateEventType;
use ruma::events::room::power_levels::UserPowerLevel;
use ruma::{Int, OwnedUserId, RoomId, UserId, int};
use serde_json::{Map, Value, json};
use store::{Membership, RoomNumber};

use crate::create::raw;
use crate::{MembershipChange, RoomError, Rooms};

/// How many members of a room are looked at at once.
const PAGE: usize = 500;

impl Rooms {
    /// Has a user of this server join a room. Where that takes an invitation, `admin` gives it, who must be able to.
    #[tracing::instrument(skip_all, fields(%admin, %user, %room_id))]
    pub async fn join_for(
        &self,
        admin: &UserId,
        user: &UserId,
        room_id: &RoomId,
    ) -> Result<(), RoomError> {
        let room = self.number_of(room_id).await?;
        let known = self.membership_of(user, room).await?.map(|known| known.membership);
        let is_in = matches!(known, Some(Membership::Join | Membership::Invite));
        if !is_in && !self.is_public(room).await? {
            let change = MembershipChange::Invite;
            self.change_membership(room_id, admin, user, change, None).await?;
        }
        self.change_membership(room_id, user, user, MembershipChange::Join, None).await
    }

    /// Gives a user the most power that a member of this server can give, in that member's name, and invites them if
    /// they are not in the room and need it.
    ///
    /// Fails with [`RoomError::Forbidden`] when no member of this server may change the room's power levels.
    #[tracing::instrument(skip_all, fields(%user, %room_id))]
    pub async fn make_room_admin(&self, user: &UserId, room_id: &RoomId) -> Result<(), RoomError> {
        let room = self.number_of(room_id).await?;
        let root = self.current_state(room).await?;
        let levels = self.power_levels_at(room, root).await?;
        let giver = self.strongest_local(room, &levels).await?.ok_or_else(|| {
            let reason = "no member of this server may change the power levels of the room";
            RoomError::Forbidden(reason.to_owned())
        })?;
        let kind = StateEventType::RoomPowerLevels;
        let mut content = self.content_at(room, root, &kind).await?.unwrap_or_default();
        let given = match levels.of(&giver) {
            UserPowerLevel::Int(level) => level,
            _ => highest_needed(&content),
        };
        if levels.of(user) < UserPowerLevel::Int(given) {
            let users = content.entry("users").or_insert_with(|| json!({}));
            if let Value::Object(users) = users {
                users.insert(user.to_string(), json!(given));
            }
            let content = raw(&Value::Object(content));
            self.set_state(room_id, &giver, &kind, "", content).await?;
        }
        let known = self.membership_of(user, room).await?.map(|known| known.membership);
        if matches!(known, Some(Membership::Join | Membership::Invite))
            || self.is_public(room).await?
        {
            return Ok(());
        }
        self.change_membership(room_id, &giver, user, MembershipChange::Invite, None).await
    }

    /// The member of this server with the most power, if it is enough to change the power levels.
    async fn strongest_local(
        &self,
        room: RoomNumber,
        levels: &PowerLevels,
    ) -> Result<Option<OwnedUserId>, RoomError> {
        let mut strongest: Option<OwnedUserId> = None;
        let mut last = None;
        loop {
            let members = self.store().room_members(room, Membership::Join, last, PAGE).await?;
            let Some(member) = members.last() else { return Ok(strongest) };
            last = Some(*member);
            for member in members {
                let Some(member) = self.store().user_id(member.user).await? else { continue };
                if member.server_name() == self.server_name()
                    && levels.can_send_state(&member, &StateEventType::RoomPowerLevels)
                    && strongest.as_ref().is_none_or(|best| levels.of(best) < levels.of(&member))
                {
                    strongest = Some(member);
                }
            }
        }
    }

    async fn is_public(&self, room: RoomNumber) -> Result<bool, RoomError> {
        let root = self.current_state(room).await?;
        let content = self.content_at(room, root, &StateEventType::RoomJoinRules).await?;
        Ok(content.is_some_and(|content| content.get("join_rule") == Some(&json!("public"))))
    }
}

/// The highest level that the room asks for anything: who has it may do all that levels decide.
fn highest_needed(levels: &Map<String, Value>) -> Int {
    let named = levels.values().filter_map(Value::as_i64);
    let events = levels.get("events").and_then(Value::as_object);
    let events = events.into_iter().flat_map(Map::values).filter_map(Value::as_i64);
    let highest = named.chain(events).max().and_then(|level| Int::try_from(level).ok());
    highest.unwrap_or(int!(100)).max(int!(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_level_is_at_least_a_hundred() {
        let level = |content: Value| highest_needed(content.as_object().unwrap());
        assert_eq!(level(json!({})), int!(100));
        assert_eq!(level(json!({ "ban": 50, "events": { "m.room.tombstone": 150 } })), int!(150));
        assert_eq!(level(json!({ "users": { "@ada:hearth.test": 900 }, "ban": 120 })), int!(120));
    }
}
