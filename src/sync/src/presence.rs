//! Who is online of those a reader shares rooms with. Spec: client-server API, "Presence".

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rooms::presence::{Change, PresencePosition, PresenceState, Seen, Status, share_a_room};
use ruma::UserId;
use ruma::api::client::sync::sync_events::v3::Response;
use ruma::events::presence::PresenceEvent;
use ruma::profile::UserProfile;
use ruma::serde::Raw;
use serde::Serialize;
use serde_json::{Value, value::to_raw_value};
use store::{Membership, RoomNumber, UserNumber};

use crate::filter::{covers_kind, covers_sender};
use crate::memberships::UserRooms;
use crate::reader::Reader;
use crate::{Inner, SyncError};

const KIND: &str = "m.presence";

#[derive(Serialize)]
struct Event<'a> {
    content: Content<'a>,
    sender: &'a UserId,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct Content<'a> {
    presence: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_active_ago: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_msg: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currently_active: Option<bool>,
    /// As they are called everywhere. Spec: client-server API, "Events on Change of Profile Information".
    #[serde(skip_serializing_if = "Option::is_none")]
    displayname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<&'a str>,
}

/// A user's presence as an event.
fn event(
    sender: &UserId,
    seen: &Seen,
    profile: &UserProfile,
) -> Result<Raw<PresenceEvent>, serde_json::Error> {
    let presence = match seen.status.state {
        PresenceState::Offline => "offline",
        PresenceState::Unavailable => "unavailable",
        PresenceState::Online => "online",
    };
    let milliseconds = |ago: Duration| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
    let field = |name: &str| profile.get(name).and_then(Value::as_str);
    let is_online = seen.status.state == PresenceState::Online;
    let content = Content {
        presence,
        last_active_ago: seen.last_active_ago.map(milliseconds),
        status_msg: seen.status.message.as_deref(),
        currently_active: is_online.then_some(seen.status.currently_active),
        displayname: field("displayname"),
        avatar_url: field("avatar_url"),
    };
    to_raw_value(&Event { content, sender, kind: KIND }).map(Raw::from_json)
}

impl Reader<'_> {
    /// Adds the presence of those the reader shares a room with: what changed, and all of those in rooms that are
    /// new to the reader. The cost follows how many users' presence changed on the whole server, and for rooms that are new
    /// how many are in them, or how many users are remembered, whichever is less.
    pub(crate) async fn add_presence(
        &self,
        rooms: &UserRooms,
        response: &mut Response,
    ) -> Result<(), SyncError> {
        let filter = &self.request.filter.presence;
        if !covers_kind(filter, KIND) {
            return Ok(());
        }
        let presence = self.sync.0.rooms.presence();
        let since = self.seen_in_memory().map(|seen| seen.presence);
        let new_rooms = self.new_rooms(rooms);
        let limit = filter.limit.and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.unwrap_or(usize::MAX);
        for change in self.presence_to_look_at(rooms, &new_rooms).await? {
            let user = change.user;
            if response.presence.events.len() >= limit {
                break;
            }
            // One need not be introduced to oneself.
            let news = if user == self.user { change.changed } else { change.position };
            let is_news = since.is_none_or(|since| news > since);
            let seen = presence.of(user, Instant::now());
            // Who starts anew takes everybody for offline.
            let is_assumed = self.since.is_none() && seen.status == Status::default();
            let is_known = if is_news {
                self.shares_a_room(user, rooms).await?
            } else {
                self.is_in_one_of(&new_rooms, user).await?
            };
            if is_assumed || !is_known {
                continue;
            }
            let store = self.sync.0.rooms.store();
            let Some(name) = store.user_id(user).await? else { continue };
            if covers_sender(filter, &name) && !self.rules().await?.ignores(&name) {
                let profile = store.profile(user).await?;
                response.presence.events.push(event(&name, &seen, &profile)?);
            }
        }
        Ok(())
    }

    /// The users among whom those are that the reader is to be told of, and maybe others; the latest change first.
    async fn presence_to_look_at(
        &self,
        rooms: &UserRooms,
        new_rooms: &HashSet<RoomNumber>,
    ) -> Result<Vec<Change>, SyncError> {
        let presence = self.sync.0.rooms.presence();
        let since = self.seen_in_memory().map(|seen| seen.presence);
        // Who changes meanwhile is told of next time. A first answer leaves nobody out for that: better twice.
        let until = since.map_or(PresencePosition(u64::MAX), |_| self.memory.presence);
        if since.is_some() && new_rooms.is_empty() {
            return Ok(presence.changes(since, until));
        }
        let joined = rooms.rooms.iter().filter(|known| known.membership == Membership::Join);
        let is_asked = |room: &RoomNumber| since.is_none() || new_rooms.contains(room);
        let asked = joined.map(|known| known.room).filter(is_asked);
        let Some(mut users) = self.members_of(asked, presence.remembered()).await? else {
            return Ok(presence.changes(None, until));
        };
        users.insert(self.user);
        if since.is_some() {
            users.extend(presence.changes(since, until).iter().map(|change| change.user));
        }
        let users: Vec<_> = users.into_iter().collect();
        Ok(presence.changes_of(&users, until))
    }

    /// Who is in some rooms; `None` when one has more than `most` members, or all together have.
    async fn members_of(
        &self,
        rooms: impl Iterator<Item = RoomNumber>,
        most: usize,
    ) -> Result<Option<HashSet<UserNumber>>, SyncError> {
        let Inner { memberships, feed, rooms: service, .. } = &*self.sync.0;
        let (mut users, mut left) = (HashSet::new(), most);
        for room in rooms {
            let members = memberships.of_room(service.store(), &feed.heads, room, left).await?;
            let Some(members) = members else { return Ok(None) };
            left -= members.users().len();
            users.extend(members.users());
        }
        Ok(Some(users))
    }

    /// The rooms that the reader joined after `since`; of a first answer none, because it tells of all users.
    fn new_rooms(&self, rooms: &UserRooms) -> HashSet<RoomNumber> {
        let joined = rooms.rooms.iter().filter(|known| known.membership == Membership::Join);
        let new = joined.filter(|known| self.since.is_some() && self.is_new(known.since));
        new.map(|known| known.room).collect()
    }

    async fn shares_a_room(&self, user: UserNumber, rooms: &UserRooms) -> Result<bool, SyncError> {
        Ok(user == self.user || share_a_room(&rooms.rooms, &self.rooms_of(user).await?.rooms))
    }

    async fn is_in_one_of(
        &self,
        rooms: &HashSet<RoomNumber>,
        user: UserNumber,
    ) -> Result<bool, SyncError> {
        let theirs = self.rooms_of(user).await?;
        let mut joined = theirs.rooms.iter().filter(|known| known.membership == Membership::Join);
        Ok(user != self.user && joined.any(|known| rooms.contains(&known.room)))
    }

    async fn rooms_of(&self, user: UserNumber) -> Result<Arc<UserRooms>, SyncError> {
        let inner = &self.sync.0;
        Ok(inner.memberships.of_user(inner.rooms.store(), &inner.feed.heads, user).await?)
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_says_what_is_known() {
        let seen = Seen {
            status: Status {
                state: PresenceState::Online,
                message: Some("at tea".to_owned()),
                currently_active: true,
            },
            last_active_ago: Some(Duration::from_secs(2)),
        };
        let mut profile = UserProfile::new();
        profile.set("displayname".to_owned(), "Ada".into());
        profile.set("org.example.pets".to_owned(), "cat".into());
        let event = event(user_id!("@ada:hearth.test"), &seen, &profile).unwrap();
        let expected = json!({
            "type": "m.presence", "sender": "@ada:hearth.test",
            "content": {
                "displayname": "Ada",
                "presence": "online", "status_msg": "at tea",
                "currently_active": true, "last_active_ago": 2_000,
            },
        });
        assert_eq!(event.deserialize_as_unchecked::<Value>().unwrap(), expected);
    }

    #[test]
    fn of_who_was_never_seen_only_that_is_said() {
        let event =
            event(user_id!("@ada:hearth.test"), &Seen::default(), &UserProfile::new()).unwrap();
        let content: Value = event.get_field("content").unwrap().unwrap();
        assert_eq!(content, json!({ "presence": "offline" }));
    }
}
