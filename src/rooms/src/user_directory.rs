//! Searching for users. Spec: client-server API, "User Directory".
//!
//! Users are found by the words of what they call themselves everywhere; the names they have in single rooms are for
//! those rooms alone. What of it a searcher may see follows from the rooms of both.

use std::collections::HashSet;

use protocol::words::{folded, words};
use ruma::events::StateEventType;
use ruma::events::room::history_visibility::HistoryVisibility;
use ruma::events::room::join_rules::{JoinRule, RoomJoinRulesEventContent};
use ruma::{OwnedMxcUri, OwnedUserId, UserId};
use serde_json::Value;
use store::{Membership, RoomNumber, RoomOpenness, StateRoot, UserNumber, UserStatus, WordMatch};

use crate::assembly::Assembly;
use crate::visibility::visibility_in;
use crate::{RoomError, Rooms};

/// How many users are looked at for one search.
const MOST_LOOKED_AT: usize = 500;

/// How many of a user's rooms are read at once, and how many are looked at to see whether a searcher may see them.
const PAGE: usize = 200;
const MOST_ROOMS: usize = 2_000;

/// A user that a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundUser {
    /// The user.
    pub user_id: OwnedUserId,
    /// What they call themselves.
    pub display_name: Option<String>,
    /// Their picture.
    pub avatar_url: Option<OwnedMxcUri>,
}

/// What a search found.
#[derive(Debug, Default)]
pub struct FoundUsers {
    /// The users, the best match first.
    pub users: Vec<FoundUser>,
    /// Whether there may be more.
    pub is_limited: bool,
}

/// How well a user matches; the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The term is their name or their ID.
    Exact,
    /// All words of the term are words of theirs.
    Words,
    /// All words of the term begin words of theirs.
    Beginnings,
}

/// What is searched for.
struct Term {
    folded: String,
    words: Vec<String>,
}

impl Term {
    fn new(term: &str) -> Self {
        let term = term.trim();
        // Of an ID, the server's name says little; it is compared as a whole.
        let name = term.strip_prefix('@').and_then(|id| id.split(':').next()).unwrap_or(term);
        Self { folded: folded(term), words: words(name) }
    }

    /// How well a user matches; `None` if they do not.
    fn rank(&self, user: &FoundUser) -> Option<Rank> {
        let user_id = user.user_id.as_str().to_lowercase();
        if self.folded.starts_with('@') && !user_id.starts_with(&self.folded) {
            return None;
        }
        let name = user.display_name.as_deref().unwrap_or_default();
        let theirs = [words(user.user_id.localpart()), words(name)].concat();
        let begins = |word: &String| theirs.iter().any(|own| own.starts_with(word));
        if !self.words.iter().all(begins) {
            return None;
        }
        let localpart = user_id.trim_start_matches('@').split(':').next().unwrap_or_default();
        let is_exact =
            [folded(name).as_str(), user_id.as_str(), localpart].contains(&&*self.folded);
        Some(match self.words.iter().all(|word| theirs.contains(word)) {
            _ if is_exact => Rank::Exact,
            true => Rank::Words,
            false => Rank::Beginnings,
        })
    }
}

impl Assembly<'_> {
    /// Notes whether anybody may see who is in the room, as its new state says.
    pub(crate) async fn note_openness(&mut self, root: StateRoot) -> Result<(), RoomError> {
        let (rooms, room) = (self.rooms, self.room());
        let kind = StateEventType::RoomJoinRules;
        let rules = rooms.state_at(room, root, &kind, "").await?;
        let rules =
            rules.and_then(|event| event.pdu.content_as::<RoomJoinRulesEventContent>().ok());
        let kind = StateEventType::RoomHistoryVisibility;
        let visibility = rooms.state_at(room, root, &kind, "").await?;
        let visibility = visibility.map(|event| visibility_in(&event));
        let is_open = rules.is_some_and(|rules| rules.join_rule == JoinRule::Public)
            || visibility == Some(HistoryVisibility::WorldReadable);
        let openness = if is_open { RoomOpenness::Open } else { RoomOpenness::Closed };
        Ok(self.batch.set_room_openness(room, openness)?)
    }
}

impl Rooms {
    /// Searches the users of this server for whom `searcher` may see: those who share a room with them or are in a room
    /// that is open to all; all, if the administrator says so. Finds at most `limit`.
    ///
    /// Spec: client-server API, `POST /user_directory/search`.
    #[tracing::instrument(skip_all, fields(%searcher))]
    pub async fn search_users(
        &self,
        searcher: &UserId,
        term: &str,
        limit: usize,
    ) -> Result<FoundUsers, RoomError> {
        let term = Term::new(term);
        // The longest word is likely to be the rarest.
        let Some(word) = term.words.iter().max_by_key(|word| word.len()) else {
            return Ok(FoundUsers::default());
        };
        let store = self.store();
        let mut numbers = store.users_with_word(word, WordMatch::Whole, MOST_LOOKED_AT).await?;
        let more = store.users_with_word(word, WordMatch::Beginning, MOST_LOOKED_AT).await?;
        let mut found = FoundUsers { users: Vec::new(), is_limited: more.len() == MOST_LOOKED_AT };
        let known: HashSet<_> = numbers.iter().copied().collect();
        numbers.extend(more.into_iter().filter(|number| !known.contains(number)));
        numbers.truncate(MOST_LOOKED_AT);
        let mut matching = Vec::new();
        for number in numbers {
            let Some(user) = self.directory_user(number).await? else { continue };
            let rank = term.rank(&user).filter(|_| user.user_id != searcher);
            matching.extend(rank.map(|rank| (rank, user, number)));
        }
        matching.sort_by(|one, other| (one.0, &one.1.user_id).cmp(&(other.0, &other.1.user_id)));
        matching.dedup_by(|one, other| one.2 == other.2);
        let own = self.rooms_joined_by(searcher).await?;
        for (_, user, number) in matching {
            if !self.is_visible(number, &own).await? {
                continue;
            }
            if found.users.len() == limit {
                found.is_limited = true;
                break;
            }
            found.users.push(user);
        }
        Ok(found)
    }

    /// An active user of this server, with what they say of themselves.
    async fn directory_user(&self, number: UserNumber) -> Result<Option<FoundUser>, RoomError> {
        let record = self.store().user(number).await?;
        let is_active = record.is_some_and(|record| record.status == UserStatus::Active);
        let user_id = if is_active { self.store().user_id(number).await? } else { None };
        let Some(user_id) = user_id else { return Ok(None) };
        let profile = self.store().profile(number).await?;
        let text = |name| profile.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        let avatar_url = text("avatar_url").map(OwnedMxcUri::from);
        Ok(Some(FoundUser { user_id, display_name: text("displayname"), avatar_url }))
    }

    async fn rooms_joined_by(&self, user: &UserId) -> Result<HashSet<RoomNumber>, RoomError> {
        let Some(number) = self.store().user_number(user).await? else { return Ok(HashSet::new()) };
        let all = self.store().memberships(number).await?;
        let joined = all.into_iter().filter(|known| known.membership == Membership::Join);
        Ok(joined.map(|known| known.room).collect())
    }

    /// Whether a user may be seen by somebody who is in the rooms `own`.
    async fn is_visible(
        &self,
        user: UserNumber,
        own: &HashSet<RoomNumber>,
    ) -> Result<bool, RoomError> {
        if self.settings().searchable_users == SearchableUsers::All {
            return Ok(true);
        }
        let (mut done, mut looked_at) = (RoomNumber(0), 0);
        while looked_at < MOST_ROOMS {
            let page = self.store().memberships_after(user, done, PAGE).await?;
            let joined = page.iter().filter(|known| known.membership == Membership::Join);
            let joined: Vec<_> = joined.map(|known| known.room).collect();
            let is_shared = joined.iter().any(|room| own.contains(room));
            if is_shared || self.store().is_any_open(&joined).await? {
                return Ok(true);
            }
            match page.last() {
                Some(last) if page.len() == PAGE => done = last.room,
                _ => break,
            }
            looked_at += page.len();
        }
        Ok(false)
    }
}

/// Whom a search for users may find.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SearchableUsers {
    /// Those whom the searcher can see in rooms.
    #[default]
    Visible,
    /// Everybody on this server.
    All,
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    fn rank(term: &str, name: Option<&str>) -> Option<Rank> {
        let user = FoundUser {
            user_id: user_id!("@user-1-alice:hearth.test").to_owned(),
            display_name: name.map(ToOwned::to_owned),
            avatar_url: None,
        };
        Term::new(term).rank(&user)
    }

    #[test]
    fn the_closer_a_term_is_the_better_it_ranks() {
        let name = Some("Ren\u{e9}e Cooper");
        for (term, expected) in [
            ("renee cooper", Some(Rank::Exact)),
            ("@user-1-alice:hearth.test", Some(Rank::Exact)),
            ("user-1-alice", Some(Rank::Exact)),
            ("Cooper REN\u{c9}E", Some(Rank::Words)),
            ("cooper alice", Some(Rank::Words)),
            ("coop", Some(Rank::Beginnings)),
            ("ren al", Some(Rank::Beginnings)),
            ("@user", Some(Rank::Words)),
            ("@user-1-al", Some(Rank::Beginnings)),
            ("@alice", None),
            ("@user-1-alice:elsewhere.test", None),
            ("ooper", None),
            ("renee smith", None),
        ] {
            assert_eq!(rank(term, name), expected, "{term}");
        }
        assert_eq!(rank("alice", None), Some(Rank::Words));
    }
}
