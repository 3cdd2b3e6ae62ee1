//! The directory of rooms that this server lists to everybody.

use std::fmt;
use std::str::FromStr;

use ruma::directory::{PublicRoomsChunk, RoomTypeFilter};
use ruma::events::StateEventType;
use ruma::{RoomId, UserId};
use store::{Direction, DirectoryPlace, Publication, Role, RoomNumber};

use crate::tokens::InvalidToken;
use crate::{RoomError, Rooms};

/// Who may put rooms into the directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Publishers {
    /// Who may set a room's canonical alias.
    #[default]
    Moderators,
    /// Administrators of the server.
    Administrators,
}

/// Where in the directory a page begins, and which way it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryToken {
    /// It begins after this room.
    After(DirectoryPlace),
    /// It ends before this room.
    Before(DirectoryPlace),
}

/// Which rooms of the directory are wanted.
#[derive(Debug, Clone, Default)]
pub struct DirectorySearch {
    /// Words that a room's name, topic or alias must all have, in whatever case.
    pub term: Option<String>,
    /// Types of rooms; all if empty.
    pub room_types: Vec<RoomTypeFilter>,
    /// Where to begin; at the largest room if `None`.
    pub since: Option<DirectoryToken>,
    /// How many rooms at most.
    pub limit: usize,
}

/// A page of the directory.
#[derive(Debug, Default)]
pub struct DirectoryPage {
    /// Its rooms, those with the most members first.
    pub rooms: Vec<PublicRoomsChunk>,
    /// Where the rooms after these are.
    pub next: Option<DirectoryToken>,
    /// Where the rooms before these are.
    pub previous: Option<DirectoryToken>,
    /// How many rooms the directory has, if all were looked at.
    pub total: Option<usize>,
}

/// How many rooms are read from the store at once.
const PAGE: usize = 200;
/// How many rooms are looked at for one page when many are not wanted.
const MAX_LOOKED_AT: usize = 10_000;
/// How many words of a search are looked for.
const MAX_WORDS: usize = 16;

impl Rooms {
    /// A page of the directory. Spec: client-server API, `POST /publicRooms`.
    #[tracing::instrument(skip_all)]
    pub async fn directory(&self, search: &DirectorySearch) -> Result<DirectoryPage, RoomError> {
        let wanted = Wanted::new(search);
        let (direction, mut from) = match search.since {
            None => (Direction::Ascending, None),
            Some(DirectoryToken::After(place)) => (Direction::Ascending, Some(place)),
            Some(DirectoryToken::Before(place)) => (Direction::Descending, Some(place)),
        };
        let mut found: Vec<(DirectoryPlace, PublicRoomsChunk)> = Vec::new();
        let (mut looked_at, mut is_end) = (0, false);
        // One more than asked for tells whether there is a page beyond this one.
        while !is_end && found.len() <= search.limit && looked_at < MAX_LOOKED_AT {
            let rooms = self.store().published_rooms(from, direction, PAGE).await?;
            is_end = rooms.len() < PAGE;
            looked_at += rooms.len();
            from = rooms.last().map(|(place, _)| *place).or(from);
            found.extend(rooms.into_iter().filter(|(_, room)| wanted.has(room)));
        }
        let has_more = found.len() > search.limit;
        found.truncate(search.limit);
        let last = found.last().map(|(place, _)| *place);
        let first = found.first().map(|(place, _)| *place);
        let beyond = if has_more { last } else { from.filter(|_| !is_end) };
        let behind = search.since.and(first);
        let mut page = DirectoryPage {
            rooms: found.into_iter().map(|(_, room)| room).collect(),
            total: (is_end && search.since.is_none()).then_some(looked_at),
            ..DirectoryPage::default()
        };
        if direction == Direction::Ascending {
            page.next = beyond.map(DirectoryToken::After);
            page.previous = behind.map(DirectoryToken::Before);
        } else {
            page.rooms.reverse();
            page.next = behind.map(DirectoryToken::After);
            page.previous = beyond.map(DirectoryToken::Before);
        }
        Ok(page)
    }

    /// Whether a room is in the directory. Fails with [`RoomError::UnknownRoom`].
    /// Spec: client-server API, `GET /directory/list/room/{roomId}`.
    pub async fn publication(&self, room_id: &RoomId) -> Result<Publication, RoomError> {
        let room = self.number_of(room_id).await?;
        let head = self.store().room_head(room).await?;
        Ok(head.map_or(Publication::Private, |head| head.publication))
    }

    /// Puts a room into the directory or takes it out.
    ///
    /// Fails with [`RoomError::UnknownRoom`], and with [`RoomError::Forbidden`] for who may not: see [`Publishers`].
    /// Whoever moderates a room may always take it out.
    /// Spec: client-server API, `PUT /directory/list/room/{roomId}`.
    #[tracing::instrument(skip_all, fields(%room_id, ?publication))]
    pub async fn publish(
        &self,
        user: &UserId,
        room_id: &RoomId,
        publication: Publication,
    ) -> Result<(), RoomError> {
        let cell = self.cell_of(room_id).await?;
        if !self.is_administrator(user).await? {
            if publication == Publication::Published {
                self.check_publisher(user).await?;
            }
            if !self.moderates_aliases(user, cell.number).await? {
                let reason = "you may not change whether this room is listed";
                return Err(RoomError::Forbidden(reason.to_owned()));
            }
        }
        let publish = |assembly: &mut crate::assembly::Assembly<'_>| {
            assembly.publish(publication);
            Ok(())
        };
        self.append_with(&cell, &[], publish).await.map(drop)
    }

    /// Fails with [`RoomError::Forbidden`] for who may put no rooms into the directory, not even their own.
    pub(crate) async fn check_publisher(&self, user: &UserId) -> Result<(), RoomError> {
        match self.settings().publishers {
            Publishers::Moderators => Ok(()),
            Publishers::Administrators if self.is_administrator(user).await? => Ok(()),
            Publishers::Administrators => {
                Err(RoomError::Forbidden("only administrators list rooms here".to_owned()))
            }
        }
    }

    /// Whether a user administers this server.
    pub(crate) async fn is_administrator(&self, user: &UserId) -> Result<bool, RoomError> {
        let Some(number) = self.store().user_number(user).await? else { return Ok(false) };
        let account = self.store().user(number).await?;
        Ok(account.is_some_and(|account| account.role == Role::Admin))
    }

    /// Whether a user is in a room and may set its canonical alias.
    pub(crate) async fn moderates_aliases(
        &self,
        user: &UserId,
        room: RoomNumber,
    ) -> Result<bool, RoomError> {
        let levels = self.power_levels(room).await?;
        let is_joined = self.membership_of(user, room).await?;
        let is_joined = is_joined.is_some_and(|known| known.membership == store::Membership::Join);
        Ok(is_joined && levels.can_send_state(user, &StateEventType::RoomCanonicalAlias))
    }
}

/// A search, made ready to look at many rooms.
struct Wanted<'a> {
    words: Vec<String>,
    room_types: &'a [RoomTypeFilter],
}

impl<'a> Wanted<'a> {
    fn new(search: &'a DirectorySearch) -> Self {
        let term = search.term.as_deref().unwrap_or_default().to_lowercase();
        let words = term.split_whitespace().take(MAX_WORDS).map(ToOwned::to_owned).collect();
        Self { words, room_types: &search.room_types }
    }

    fn has(&self, room: &PublicRoomsChunk) -> bool {
        let room_type = RoomTypeFilter::from(room.room_type.clone());
        (self.room_types.is_empty() || self.room_types.contains(&room_type)) && self.finds(room)
    }

    fn finds(&self, room: &PublicRoomsChunk) -> bool {
        if self.words.is_empty() {
            return true;
        }
        let alias = room.canonical_alias.as_ref().map(|alias| alias.as_str());
        let texts = [room.name.as_deref(), room.topic.as_deref(), alias];
        let texts: Vec<_> = texts.into_iter().flatten().map(str::to_lowercase).collect();
        self.words.iter().all(|word| texts.iter().any(|text| text.contains(word.as_str())))
    }
}

impl fmt::Display for DirectoryToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (way, place) = match self {
            Self::After(place) => ('a', place),
            Self::Before(place) => ('b', place),
        };
        write!(formatter, "{way}{}_{}", place.joined, place.room)
    }
}

impl FromStr for DirectoryToken {
    type Err = InvalidToken;

    fn from_str(token: &str) -> Result<Self, InvalidToken> {
        let (way, place) = token.split_at_checked(1).ok_or(InvalidToken)?;
        let (joined, room) = place.split_once('_').ok_or(InvalidToken)?;
        let joined = joined.parse().map_err(|_| InvalidToken)?;
        let room = RoomNumber(room.parse().map_err(|_| InvalidToken)?);
        let place = DirectoryPlace { joined, room };
        match way {
            "a" => Ok(Self::After(place)),
            "b" => Ok(Self::Before(place)),
            _ => Err(InvalidToken),
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::{RoomVersionId, room_alias_id};

    use super::*;
    use crate::testing::{ada, bo, rooms_on_memory_store, wish};
    use crate::{MembershipChange, Preset};

    async fn published(rooms: &Rooms, name: &str) -> ruma::OwnedRoomId {
        let mut wish = wish(Preset::PublicChat, RoomVersionId::V12);
        wish.name = Some(name.to_owned());
        wish.publication = Publication::Published;
        rooms.create_room(ada(), wish).await.unwrap()
    }

    async fn names(rooms: &Rooms, search: &DirectorySearch) -> (Vec<String>, DirectoryPage) {
        let page = rooms.directory(search).await.unwrap();
        let names = page.rooms.iter().map(|room| room.name.clone().unwrap_or_default());
        (names.collect(), page)
    }

    #[tokio::test]
    async fn the_directory_follows_the_rooms() {
        let rooms = rooms_on_memory_store().await;
        let (tea, milk) = (published(&rooms, "Tea").await, published(&rooms, "Milk").await);
        let all = DirectorySearch { limit: 10, ..DirectorySearch::default() };
        assert_eq!(names(&rooms, &all).await.0, ["Tea", "Milk"]);

        let join = MembershipChange::Join;
        rooms.change_membership(&milk, bo(), bo(), join, None).await.unwrap();
        let content = crate::create::raw(&serde_json::json!({ "name": "Cream" }));
        rooms.set_state(&milk, ada(), &StateEventType::RoomName, "", content).await.unwrap();
        assert_eq!(names(&rooms, &all).await.0, ["Cream", "Tea"]);

        let content = crate::create::raw(&serde_json::json!({ "join_rule": "invite" }));
        rooms.set_state(&tea, ada(), &StateEventType::RoomJoinRules, "", content).await.unwrap();
        assert_eq!(names(&rooms, &all).await.0, ["Cream"]);
        rooms.publish(ada(), &milk, Publication::Private).await.unwrap();
        let leave = MembershipChange::Leave;
        rooms.change_membership(&milk, bo(), bo(), leave, None).await.unwrap();
        assert!(names(&rooms, &all).await.0.is_empty());
    }

    #[tokio::test]
    async fn pages_follow_each_other_both_ways() {
        let rooms = rooms_on_memory_store().await;
        for name in ["a", "b", "c", "d", "e"] {
            published(&rooms, name).await;
        }
        let mut search = DirectorySearch { limit: 2, ..DirectorySearch::default() };
        let (first, page) = names(&rooms, &search).await;
        assert_eq!(
            (first, page.previous, page.total),
            (vec!["a".into(), "b".into()], None, Some(5))
        );
        search.since = page.next;
        let (second, page) = names(&rooms, &search).await;
        assert_eq!(second, ["c", "d"]);
        let back = page.previous;
        search.since = page.next;
        let (third, page) = names(&rooms, &search).await;
        assert_eq!((third, page.next), (vec!["e".into()], None));
        search.since = back;
        let (again, page) = names(&rooms, &search).await;
        assert_eq!((again, page.previous), (vec!["a".into(), "b".into()], None));
        search.since = page.next;
        assert_eq!(names(&rooms, &search).await.0, ["c", "d"]);
    }

    #[test]
    fn all_words_of_a_search_are_found_in_any_case_anywhere() {
        let place = DirectoryPlace { joined: 1, room: RoomNumber(1) };
        let mut room: PublicRoomsChunk = ruma::directory::PublicRoomsChunkInit {
            num_joined_members: ruma::uint!(1),
            room_id: ruma::owned_room_id!("!tea:hearth.test"),
            world_readable: false,
            guest_can_join: false,
        }
        .into();
        room.name = Some("Thé À La Française".to_owned());
        room.canonical_alias = Some(room_alias_id!("#tea:hearth.test").to_owned());
        for (term, expected) in
            [("thé", true), ("FRANÇAISE #Tea", true), ("", true), ("thé coffee", false)]
        {
            let search =
                DirectorySearch { term: Some(term.to_owned()), ..DirectorySearch::default() };
            assert_eq!(Wanted::new(&search).has(&room), expected, "{term}");
        }
        let token = DirectoryToken::Before(place);
        assert_eq!(token.to_string().parse(), Ok(token));
        for odd in ["", "a", "a1", "c1_1", "ä1_1", "a1_x", "a-1_1"] {
            assert_eq!(odd.parse::<DirectoryToken>(), Err(InvalidToken), "{odd}");
        }
    }
}
