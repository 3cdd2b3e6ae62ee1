//! Replacing a room by one of another version. Spec: client-server API, "Room upgrades".

mod completion;
mod power_levels;
#[cfg(test)]
mod tests;

use protocol::power_levels::PowerLevels;
use protocol::room_version::{self, Rules};
use ruma::events::{StateEventType, TimelineEventType};
use ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomId, RoomVersionId, UserId};
use serde_json::{Map, Value, json};
use store::{
    AliasRecord, Membership, OpenUpgrade, Publication, RoomHead, RoomNumber, SpaceLink, StoreError,
};

use crate::assembly::{Assembly, Draft};
use crate::cell::RoomCell;
use crate::create::raw;
use crate::founding::{Founded, Founding};
use crate::joining::member;
use crate::membership::member_content;
use crate::{RoomError, Rooms};
use power_levels::{Creators, carried_levels, closed_levels};

/// The state that goes along, beside power levels and the main alias.
const CARRIED: [StateEventType; 8] = [
    StateEventType::RoomServerAcl,
    StateEventType::RoomEncryption,
    StateEventType::RoomName,
    StateEventType::RoomAvatar,
    StateEventType::RoomTopic,
    StateEventType::RoomGuestAccess,
    StateEventType::RoomHistoryVisibility,
    StateEventType::RoomJoinRules,
];

/// How many bans and aliases go along.
const MAX_BANS: usize = 1_000;
const MAX_ALIASES: usize = 1_000;

/// How often an upgrade is tried again after others changed what it was built on.
const ATTEMPTS: usize = 16;

/// What is wanted of an upgrade.
struct Wish<'a> {
    user: &'a UserId,
    version: RoomVersionId,
    rules: Rules,
    additional_creators: &'a [OwnedUserId],
}

/// The room that is replaced, as it was when the upgrade began.
struct Old<'a> {
    room: RoomNumber,
    room_id: &'a RoomId,
    head: RoomHead,
    create: Value,
    levels: PowerLevels,
    aliases: Vec<(OwnedRoomAliasId, AliasRecord)>,
}

impl Rooms {
    /// Replaces a room by a new one, which gets its state, bans, aliases and place in the directory, and closes the
    /// old one; returns the new room's ID.
    ///
    /// Fails with [`RoomError::UnsupportedVersion`], with [`RoomError::NotInRoom`], and with [`RoomError::Forbidden`]
    /// for who may not send the room's tombstone. Spec: client-server API, `POST /rooms/{roomId}/upgrade`.
    #[tracing::instrument(skip_all, fields(%room_id, %version))]
    pub async fn upgrade(
        &self,
        user: &UserId,
        room_id: &RoomId,
        version: RoomVersionId,
        additional_creators: &[OwnedUserId],
    ) -> Result<OwnedRoomId, RoomError> {
        let rules = room_version::rules(&version)
            .ok_or_else(|| RoomError::UnsupportedVersion(version.clone()))?;
        self.number_of_joined(user, room_id).await?;
        let cell = self.cell_of(room_id).await?;
        let wish = Wish { user, version, rules, additional_creators };
        for _ in 0..ATTEMPTS {
            let old = self.old_room(&cell).await?;
            if let Some((new, open)) = self.try_upgrade(&cell, &old, &wish).await? {
                // The room is replaced whatever becomes of the rest; a second upgrade would be worse.
                if let Err(error) = self.complete_upgrade(open).await {
                    tracing::warn!(%new, %error, "an upgrade is not complete, trying again later");
                    self.upgrades_left().notify_one();
                }
                return Ok(new);
            }
        }
        Err(RoomError::Busy)
    }

    /// Makes the new room and closes the old one, in one commit, so that no crash leaves one without the other. `None`
    /// when the old room or one of its aliases has changed meanwhile.
    async fn try_upgrade(
        &self,
        cell: &RoomCell,
        old: &Old<'_>,
        wish: &Wish<'_>,
    ) -> Result<Option<(OwnedRoomId, OpenUpgrade)>, RoomError> {
        let user = wish.user;
        if !old.levels.can_send_state(user, &StateEventType::RoomTombstone) {
            return Err(RoomError::Forbidden("you may not replace this room".to_owned()));
        }
        let privileged = wish.rules.authorization.explicitly_privilege_room_creators;
        let additional = if privileged { wish.additional_creators } else { &[] };
        let creators = Creators { user, additional, privileged };
        let founding = Founding {
            creator: user,
            version: wish.version.clone(),
            rules: wish.rules.clone(),
            create: old.successor_of(&creators),
            drafts: self.carried_state(user, old, &creators).await?,
            third_party: Vec::new(),
            publication: old.head.publication,
        };
        let Founded { mut batch, room, room_id } = self.assemble_room(founding).await?;
        let number = self.store().number_user(user).await?;
        let open = OpenUpgrade { old: old.room, new: room, user: number };
        batch.open_upgrade(open)?;
        for (alias, record) in &old.aliases {
            batch.delete_alias(alias, record)?;
            batch.repoint_alias(alias, &room_id, record)?;
        }
        let tombstone =
            json!({ "body": "This room has been replaced", "replacement_room": room_id });
        let tombstone = state(user, TimelineEventType::RoomTombstone, "", &tombstone);
        let closing = self.closing(user, old).await?;
        self.number_names(std::slice::from_ref(&tombstone)).await?;
        self.number_names(&closing).await?;

        let mut writer = cell.writer.lock().await;
        let (head, generation) = writer.current(self.store(), cell.number).await?;
        let assembly = Assembly::on(self, cell.number, cell.room_id.clone(), head)?;
        let mut assembly = assembly.along_with(batch);
        assembly.add(tombstone).await?;
        for draft in closing {
            may_be_forbidden(assembly.add(draft).await)?;
        }
        assembly.publish(Publication::Private);
        let (batch, head, _) = assembly.finish().await?;
        let ticket = self.store().submit(batch);
        writer.advance(head);
        drop(writer);
        match ticket.await {
            Ok(_) => {}
            Err(StoreError::Conflict) => {
                cell.writer.lock().await.refused(generation);
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Some((room_id, open)))
    }

    async fn old_room<'a>(&self, cell: &'a RoomCell) -> Result<Old<'a>, RoomError> {
        let (room, room_id) = (cell.number, &*cell.room_id);
        let head = self.store().room_head(room).await?;
        let head = head.ok_or_else(|| RoomError::Damaged(format!("room {room} has no head")))?;
        let create = self.shown_state(room, &head, &StateEventType::RoomCreate).await?;
        let levels = self.power_levels_at(room, head.state).await?;
        let mut aliases = Vec::new();
        for alias in self.store().aliases_of(room_id, MAX_ALIASES).await? {
            if let Some(record) = self.store().alias(&alias).await? {
                aliases.push((alias, record));
            }
        }
        Ok(Old { room, room_id, head, create, levels, aliases })
    }

    /// The new room's first events. The power levels come last: until then its creator has all power, so that
    /// whatever they could not set themselves goes along too.
    async fn carried_state(
        &self,
        user: &UserId,
        old: &Old<'_>,
        creators: &Creators<'_>,
    ) -> Result<Vec<Draft>, RoomError> {
        let profile = self.profile_of(user).await?;
        let mut drafts = vec![member(user, user, &member_content("join", &profile, None))];
        for kind in CARRIED {
            let content = self.shown_state(old.room, &old.head, &kind).await?;
            if content.as_object().is_some_and(|content| !content.is_empty()) {
                drafts.push(state(user, kind.to_string().into(), "", &content));
            }
        }
        let kind = StateEventType::RoomCanonicalAlias;
        let main = self.shown_state(old.room, &old.head, &kind).await?;
        if let Some(main) = old.moved_aliases(&main) {
            drafts.push(state(user, TimelineEventType::RoomCanonicalAlias, "", &main));
        }
        for (link, kind) in [
            (SpaceLink::Child, TimelineEventType::SpaceChild),
            (SpaceLink::Parent, TimelineEventType::SpaceParent),
        ] {
            for linked in self.linked_rooms(old.room, link).await? {
                drafts.push(state(user, kind.clone(), linked.room_id.as_str(), &linked.content));
            }
        }
        drafts.extend(self.carried_bans(user, old).await?);
        let kind = StateEventType::RoomPowerLevels;
        let levels = self.shown_state(old.room, &old.head, &kind).await?;
        let levels = carried_levels(&levels, &old.levels, creators);
        drafts.push(state(user, TimelineEventType::RoomPowerLevels, "", &levels));
        Ok(drafts)
    }

    async fn carried_bans(&self, user: &UserId, old: &Old<'_>) -> Result<Vec<Draft>, RoomError> {
        let mut drafts = Vec::new();
        let banned = self.store().room_members(old.room, Membership::Ban, None, MAX_BANS).await?;
        for banned in banned {
            let Some(banned) = self.store().user_id(banned.user).await? else { continue };
            let kind = StateEventType::RoomMember;
            let ban = self.state_at(old.room, old.head.state, &kind, banned.as_str()).await?;
            let Some(ban) = ban else { continue };
            let ban = self.after_redaction(&ban).await?.content_as::<Value>().unwrap_or_default();
            let reason = ban["reason"].as_str();
            let content =
                member_content("ban", &crate::membership::MemberProfile::default(), reason);
            drafts.push(member(user, &banned, &content));
        }
        Ok(drafts)
    }

    /// What takes the old room's aliases, and lets only those speak and invite there who have more power than others.
    /// What the user may not do stays undone.
    async fn closing(&self, user: &UserId, old: &Old<'_>) -> Result<Vec<Draft>, RoomError> {
        let kind = StateEventType::RoomCanonicalAlias;
        let main = self.shown_state(old.room, &old.head, &kind).await?;
        let mut drafts = Vec::new();
        if old.moved_aliases(&main).is_some() {
            drafts.push(state(user, TimelineEventType::RoomCanonicalAlias, "", &json!({})));
        }
        let kind = StateEventType::RoomPowerLevels;
        let levels = self.shown_state(old.room, &old.head, &kind).await?;
        if let Some(closed) = closed_levels(&levels) {
            drafts.push(state(user, TimelineEventType::RoomPowerLevels, "", &closed));
        }
        Ok(drafts)
    }
}

impl Old<'_> {
    /// What the create event of the room says that takes this one's place.
    fn successor_of(&self, creators: &Creators<'_>) -> Map<String, Value> {
        let mut predecessor = json!({ "room_id": self.room_id });
        // From version 12 on it may be left out: an event that comes before the create event says nothing there.
        if !creators.privileged
            && let Some(last) = self.head.extremities.first()
        {
            predecessor["event_id"] = json!(last.event_id);
        }
        let mut content = Map::new();
        content.insert("predecessor".to_owned(), predecessor);
        for key in ["type", "m.federate"] {
            if let Some(value) = self.create.get(key) {
                content.insert(key.to_owned(), value.clone());
            }
        }
        if !creators.additional.is_empty() {
            content.insert("additional_creators".to_owned(), json!(creators.additional));
        }
        content
    }

    /// The part of a canonical alias event that names aliases which move; `None` if there is none.
    fn moved_aliases(&self, main: &Value) -> Option<Value> {
        let moves = |alias: &&Value| {
            self.aliases.iter().any(|(moved, _)| alias.as_str() == Some(moved.as_str()))
        };
        let alias = main.get("alias").filter(moves);
        let others = main["alt_aliases"].as_array().into_iter().flatten();
        let others: Vec<&Value> = others.filter(moves).collect();
        let mut content = Map::new();
        if let Some(alias) = alias {
            content.insert("alias".to_owned(), alias.clone());
        }
        if !others.is_empty() {
            content.insert("alt_aliases".to_owned(), json!(others));
        }
        (!content.is_empty()).then_some(Value::Object(content))
    }
}

fn state(sender: &UserId, kind: TimelineEventType, state_key: &str, content: &Value) -> Draft {
    Draft::new(sender.to_owned(), kind, Some(state_key.to_owned()), raw(content))
}

/// What was done, if it was allowed.
fn may_be_forbidden<T>(outcome: Result<T, RoomError>) -> Result<Option<T>, RoomError> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(RoomError::Forbidden(_) | RoomError::NotInRoom) => Ok(None),
        Err(error) => Err(error),
    }
}
