//! Walking through a space. Spec: client-server API, "Discovering rooms within spaces".

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use protocol::room_version;
use ruma::room::{JoinRuleSummary, RoomSummary, RoomType};
use ruma::{OwnedRoomId, RoomId, UserId};
use serde_json::json;
use serde_json::value::RawValue;
use store::{Membership, RoomNumber, SpaceLink};

use crate::create::raw;
use crate::spaces::Linked;
use crate::tokens::InvalidToken;
use crate::{RoomError, Rooms};

/// Which children of a space are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    /// All.
    All,
    /// Those that the space suggests.
    Suggested,
}

/// What of a space is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Hierarchy<'a> {
    /// Who asks.
    pub user: &'a UserId,
    /// The space.
    pub root: &'a RoomId,
    /// Where to go on, and how deep.
    pub from: HierarchyToken,
    /// How many rooms at most.
    pub limit: usize,
}

/// A place in a walk through a space, with what the walk is: one of another depth is another walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HierarchyToken {
    /// How many rooms were shown.
    pub shown: usize,
    /// How far below the space to go.
    pub max_depth: usize,
    /// Which children are followed.
    pub children: Children,
}

/// A room of a space.
#[derive(Debug)]
pub struct HierarchyRoom {
    /// What is told of it.
    pub summary: RoomSummary,
    /// The events that name its children, in their order.
    pub children: Vec<Box<RawValue>>,
}

/// A part of a walk.
#[derive(Debug)]
pub struct HierarchyPage {
    /// The rooms, each once, a space before what is in it.
    pub rooms: Vec<HierarchyRoom>,
    /// Where to go on; `None` at the end.
    pub next: Option<HierarchyToken>,
}

/// How many rooms one walk looks at, from its beginning; what lies behind them is not shown.
const MAX_WALKED: usize = 2_000;

impl Rooms {
    /// A part of a space as far as a user may know of it. Each walk begins at the top: what was shown before is
    /// passed over.
    ///
    /// Fails with [`RoomError::NotInRoom`] when the user may know nothing of the space or is banned from it.
    /// Spec: client-server API, `GET /rooms/{roomId}/hierarchy`.
    #[tracing::instrument(skip_all, fields(room_id = %wanted.root))]
    pub async fn hierarchy(&self, wanted: Hierarchy<'_>) -> Result<HierarchyPage, RoomError> {
        let HierarchyToken { shown, max_depth, children } = wanted.from;
        self.check_not_banned(wanted.user, wanted.root).await?;
        let mut page = HierarchyPage { rooms: Vec::new(), next: None };
        let mut seen: HashSet<OwnedRoomId> = HashSet::new();
        let mut ahead = vec![(wanted.root.to_owned(), 0)];
        let (mut passed, mut walked) = (0, 0);
        while let Some((room_id, depth)) = ahead.pop() {
            if walked >= MAX_WALKED {
                break;
            }
            walked += 1;
            if !seen.insert(room_id.clone()) {
                continue;
            }
            let Some((room, summary)) = self.told_summary(Some(wanted.user), &room_id).await?
            else {
                if depth == 0 {
                    return Err(RoomError::NotInRoom);
                }
                continue;
            };
            let mut linked = Vec::new();
            if summary.room_type == Some(RoomType::Space) {
                linked = self.linked_rooms(room, SpaceLink::Child).await?;
                linked.retain(|child| is_followed(children, child));
            }
            if depth < max_depth {
                ahead.extend(linked.iter().rev().map(|child| (child.room_id.clone(), depth + 1)));
                // What is farther away than the walk may go is never looked at.
                ahead.drain(..ahead.len().saturating_sub(MAX_WALKED));
            }
            if page.rooms.len() == wanted.limit {
                page.next = Some(HierarchyToken { shown: passed, max_depth, children });
                break;
            }
            if passed >= shown {
                let children = linked.iter().map(child_event).collect();
                page.rooms.push(HierarchyRoom { summary, children });
            }
            passed += 1;
        }
        Ok(page)
    }

    /// Spec: client-server API, `GET /rooms/{roomId}/hierarchy`, 403: "The user has been banned from the room".
    async fn check_not_banned(&self, user: &UserId, room_id: &RoomId) -> Result<(), RoomError> {
        let room = self.number_of_seen(room_id).await?;
        match self.membership_of(user, room).await? {
            Some(known) if known.membership == Membership::Ban => Err(RoomError::NotInRoom),
            _ => Ok(()),
        }
    }

    /// What may be told of a room to a user, or to a stranger, and what the user is to it. `leave` for who never was
    /// anything.
    ///
    /// Fails with [`RoomError::UnknownRoom`] when that is nothing.
    /// Spec: client-server API, `GET /room_summary/{roomIdOrAlias}`.
    #[tracing::instrument(skip_all, fields(%room_id))]
    pub async fn summary(
        &self,
        user: Option<&UserId>,
        room_id: &RoomId,
    ) -> Result<(RoomSummary, Option<Membership>), RoomError> {
        let told = self.told_summary(user, room_id).await?;
        let (room, summary) = told.ok_or_else(|| RoomError::UnknownRoom(room_id.to_owned()))?;
        let membership = match user {
            Some(user) => {
                let known = self.membership_of(user, room).await?;
                Some(known.map_or(Membership::Leave, |known| known.membership))
            }
            None => None,
        };
        Ok((summary, membership))
    }

    /// A room's summary, for who may know it: `None` for others, and when the room is not on this server.
    async fn told_summary(
        &self,
        user: Option<&UserId>,
        room_id: &RoomId,
    ) -> Result<Option<(RoomNumber, RoomSummary)>, RoomError> {
        let Some(room) = self.store().room_number(room_id).await? else { return Ok(None) };
        let Some(head) = self.store().room_head(room).await? else { return Ok(None) };
        let summary = self.summary_at(room, room_id, &head, &[]).await?;
        let is_open = summary.world_readable || is_open(&summary);
        let is_told = is_open
            || match user {
                Some(user) => self.is_let_in(user, room, &summary).await?,
                None => false,
            };
        Ok(is_told.then_some((room, summary)))
    }

    /// Whether a user is in a room, invited, or may join it as a member of another.
    async fn is_let_in(
        &self,
        user: &UserId,
        room: RoomNumber,
        summary: &RoomSummary,
    ) -> Result<bool, RoomError> {
        let known = self.membership_of(user, room).await?.map(|known| known.membership);
        if matches!(known, Some(Membership::Join | Membership::Invite)) {
            return Ok(true);
        }
        let (JoinRuleSummary::Restricted(rule) | JoinRuleSummary::KnockRestricted(rule)) =
            &summary.join_rule
        else {
            return Ok(false);
        };
        for allowed in &rule.allowed_room_ids {
            if self.is_joined(user, allowed).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether everybody may join a room or knock on it, as far as its version knows knocking.
fn is_open(summary: &RoomSummary) -> bool {
    let version = summary.room_version.as_ref();
    let rules = version.and_then(room_version::rules);
    match summary.join_rule {
        JoinRuleSummary::Public => true,
        JoinRuleSummary::Knock => rules.is_some_and(|rules| rules.authorization.knocking),
        JoinRuleSummary::KnockRestricted(_) => {
            rules.is_some_and(|rules| rules.authorization.knock_restricted_join_rule)
        }
        _ => false,
    }
}

fn is_followed(children: Children, child: &Linked) -> bool {
    children == Children::All || child.content["suggested"] == true
}

/// A child event as it is shown: stripped, with its time.
fn child_event(child: &Linked) -> Box<RawValue> {
    raw(&json!({
        "type": "m.space.child",
        "state_key": child.room_id,
        "sender": child.event.pdu.sender,
        "content": child.content,
        "origin_server_ts": child.event.pdu.origin_server_ts,
    }))
}

impl fmt::Display for HierarchyToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let children = match self.children {
            Children::All => 'a',
            Children::Suggested => 's',
        };
        write!(formatter, "{children}{}_{}", self.max_depth, self.shown)
    }
}

impl FromStr for HierarchyToken {
    type Err = InvalidToken;

    fn from_str(token: &str) -> Result<Self, InvalidToken> {
        let (children, rest) = token.split_at_checked(1).ok_or(InvalidToken)?;
        let children = match children {
            "a" => Children::All,
            "s" => Children::Suggested,
            _ => return Err(InvalidToken),
        };
        let (max_depth, shown) = rest.split_once('_').ok_or(InvalidToken)?;
        let number = |text: &str| text.parse().map_err(|_| InvalidToken);
        Ok(Self { shown: number(shown)?, max_depth: number(max_depth)?, children })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        for children in [Children::All, Children::Suggested] {
            let token = HierarchyToken { shown: 50, max_depth: 3, children };
            assert_eq!(token.to_string().parse(), Ok(token));
        }
        for odd in ["", "a", "a1", "x1_1", "é1_1", "a1_x", "a-1_1"] {
            assert_eq!(odd.parse::<HierarchyToken>(), Err(InvalidToken), "{odd}");
        }
    }
}
