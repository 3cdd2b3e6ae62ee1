//! Listing a room's threads.

use std::collections::HashMap;

use ruma::{EventId, OwnedEventId, RoomId, UserId};
use serde_json::value::RawValue;
use store::{
    Batch, Direction, RelationKind, RelationRange, RoomNumber, ThreadRemoval, ThreadTally,
    TimelineEntry, TimelinePosition,
};

use crate::ignored::Ignored;
use crate::tokens::PaginationToken;
use crate::{EventShape, Page, Placed, RoomError, Rooms, Sight, StoredEvent, Viewer};

/// Which threads are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadsOf {
    /// All.
    Everybody,
    /// Those that the reader began or replied in.
    Reader,
}

/// How many rows of replies are read at once.
const PAGE: usize = 1_000;

/// How many replies are looked at for one page of threads.
const MAX_LOOKED_AT: usize = 20_000;

/// How many replies of ignored users are passed over to find the latest of somebody else.
const MAX_IGNORED: usize = 200;

/// How many removals are taken into account at once.
const MAX_REMOVALS: usize = 100_000;

/// From how many newly counted replies on a tally is left.
const WORTH_KEEPING: usize = 100;

impl Rooms {
    /// A page of the roots of a room's threads, that with the latest reply first, as `reader` may see them.
    ///
    /// Fails with [`RoomError::NotInRoom`]. Spec: client-server API, `GET /rooms/{roomId}/threads`.
    #[tracing::instrument(skip_all, fields(%room_id))]
    pub async fn threads(
        &self,
        reader: &UserId,
        room_id: &RoomId,
        of: ThreadsOf,
        from: Option<PaginationToken>,
        limit: usize,
    ) -> Result<Page, RoomError> {
        let room = self.number_of_seen(room_id).await?;
        let mut sight = self.sight(reader, room).await?;
        // A thread stands where its last reply does that the reader may see.
        let until = self.sees_until(reader, room).await?;
        let ignored = self.ignored_by(reader).await?;
        let mut before = from.map_or(above(until), |from| above(from.0).min(above(until)));
        let mut latest: HashMap<OwnedEventId, Option<TimelinePosition>> = HashMap::new();
        let mut page = Page { events: Vec::new(), next: None };
        let mut looked_at = 0;
        while looked_at < MAX_LOOKED_AT {
            let replies = self.store().thread_replies(room, before, PAGE).await?;
            let is_end = replies.len() < PAGE;
            looked_at += replies.len();
            for (position, root) in replies {
                if page.events.len() == limit {
                    page.next = Some(PaginationToken::before(before));
                    return Ok(page);
                }
                before = position;
                if !latest.contains_key(&root) {
                    let last = self.latest_reply(room, &root, until, &ignored).await?;
                    latest.insert(root.clone(), last);
                }
                if latest[&root] != Some(position) {
                    continue;
                }
                page.events.extend(self.wanted_root(reader, &mut sight, room, &root, of).await?);
            }
            if is_end {
                return Ok(page);
            }
        }
        page.next = Some(PaginationToken::before(before));
        Ok(page)
    }

    /// The root of a thread, if it is wanted and the reader may see it.
    async fn wanted_root(
        &self,
        reader: &UserId,
        sight: &mut Sight<'_>,
        room: RoomNumber,
        root: &EventId,
        of: ThreadsOf,
    ) -> Result<Option<Placed>, RoomError> {
        let (index, event) = match self.event_by_id(room, root).await {
            Err(RoomError::UnknownEvent(_)) => return Ok(None),
            outcome => outcome?,
        };
        if of == ThreadsOf::Reader && !self.takes_part(reader, &event).await? {
            return Ok(None);
        }
        let entry = TimelineEntry { position: index.position, event: index.number };
        Ok(sight.sees(&event, index.position).await?.then_some((entry, event)))
    }

    /// Roots of threads as `viewer` sees them: redacted, if they ignore who sent them.
    /// Spec: client-server API, `GET /rooms/{roomId}/threads`.
    pub async fn thread_roots(
        &self,
        viewer: Viewer<'_>,
        roots: &[Placed],
    ) -> Result<Vec<Box<RawValue>>, RoomError> {
        let ignored = self.ignored_by(viewer.user_id).await?;
        let mut shown = Vec::with_capacity(roots.len());
        for (_, root) in roots {
            let sender = self.store().number_user(&root.pdu.sender).await?;
            shown.push(if ignored.hides(sender, root) {
                self.pruned_event(viewer, root).await?
            } else {
                self.client_event(viewer, root, EventShape::Whole).await?
            });
        }
        Ok(shown)
    }

    /// Where the last reply of somebody who is not ignored stands; of a thread of ignored users only, the last one.
    async fn latest_reply(
        &self,
        room: RoomNumber,
        root: &EventId,
        until: TimelinePosition,
        ignored: &Ignored,
    ) -> Result<Option<TimelinePosition>, RoomError> {
        let (after, before) = (TimelinePosition::MIN, above(until));
        let (kind, direction) = (RelationKind::Thread, Direction::Descending);
        let limit = if ignored.is_empty() { 1 } else { MAX_IGNORED };
        let range = RelationRange { kind, after, before, direction, limit };
        let replies = self.store().relations(room, root, range).await?;
        let latest = replies.iter().find(|reply| !ignored.sent(reply)).or(replies.first());
        Ok(latest.map(|reply| reply.position))
    }

    /// Whether a user began a thread or replied in it.
    pub(crate) async fn takes_part(
        &self,
        user: &UserId,
        root: &StoredEvent,
    ) -> Result<bool, RoomError> {
        if root.pdu.sender == user {
            return Ok(true);
        }
        let Some(user) = self.store().user_number(user).await? else { return Ok(false) };
        let (room, root) = (root.record.room, &root.pdu.event_id);
        Ok(self.store().thread_replies_of(room, root, user, 1).await? > 0)
    }

    /// How many replies a thread has up to `until`. Costs what came since it was last counted, or for who sees only
    /// a part of it what they see, up to a bound.
    pub(crate) async fn thread_length(
        &self,
        room: RoomNumber,
        root: &EventId,
        until: TimelinePosition,
    ) -> Result<u64, RoomError> {
        if until < TimelinePosition::MAX {
            let (count, _) =
                self.count_replies(room, root, TimelinePosition::MIN, until, MAX_LOOKED_AT).await?;
            return Ok(count);
        }
        let known = self.store().thread_tally(room, root).await?;
        let as_of = self.store().position();
        let until = TimelinePosition::from(as_of);
        let (added, last) = self.count_replies(room, root, known.until, until, usize::MAX).await?;
        let removals = self.store().thread_removals(room, root, known.as_of, MAX_REMOVALS).await?;
        let is_known = |removal: &&ThreadRemoval| removal.at <= as_of;
        let was_counted = |removal: &&ThreadRemoval| removal.reply <= known.until;
        let removed = removals.iter().filter(is_known).filter(was_counted).count();
        let count =
            (known.count + added).saturating_sub(u64::try_from(removed).unwrap_or(u64::MAX));
        // A reply that went while it was counted: nobody knows whether it was.
        let is_exact = removals.iter().all(|removal| {
            removal.at <= as_of || removal.reply <= known.until || removal.reply > until
        });
        let is_much = usize::try_from(added).unwrap_or(usize::MAX).saturating_add(removed);
        if is_exact && is_much >= WORTH_KEEPING {
            let tally = ThreadTally { count, until: last.max(known.until), as_of };
            self.leave_tally(room, root, &tally)?;
        }
        Ok(count)
    }

    /// How many replies in a thread are of users whom its reader ignores.
    pub(crate) async fn ignored_replies(
        &self,
        room: RoomNumber,
        root: &EventId,
        ignored: &Ignored,
    ) -> Result<u64, RoomError> {
        let mut count = 0;
        for user in ignored.iter() {
            count += self.store().thread_replies_of(room, root, user, MAX_LOOKED_AT).await?;
        }
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// How many replies there are after `after` up to `until`, and where the last of them stands.
    async fn count_replies(
        &self,
        room: RoomNumber,
        root: &EventId,
        after: TimelinePosition,
        until: TimelinePosition,
        limit: usize,
    ) -> Result<(u64, TimelinePosition), RoomError> {
        let (mut count, mut last) = (0, after);
        loop {
            let (kind, direction) = (RelationKind::Thread, Direction::Ascending);
            let before = above(until);
            let range = RelationRange { kind, after: last, before, direction, limit: PAGE };
            let replies = self.store().relations(room, root, range).await?;
            last = replies.last().map_or(last, |reply| reply.position);
            count += replies.len();
            if replies.len() < PAGE || count >= limit {
                return Ok((u64::try_from(count).unwrap_or(u64::MAX), last));
            }
        }
    }

    /// Leaves a tally without waiting until it is durable: one that is lost costs a count.
    fn leave_tally(
        &self,
        room: RoomNumber,
        root: &EventId,
        tally: &ThreadTally,
    ) -> Result<(), RoomError> {
        let mut batch = Batch::new();
        batch.keep_thread_tally(room, root, tally)?;
        drop(self.store().submit(batch));
        Ok(())
    }
}

fn above(position: TimelinePosition) -> TimelinePosition {
    TimelinePosition(position.0.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::create::raw;
    use crate::testing::{ada, bo, public_room, rooms_on_memory_store, say, send};

    async fn reply(
        rooms: &Rooms,
        room: &ruma::OwnedRoomId,
        root: &EventId,
        number: usize,
    ) -> OwnedEventId {
        let relation = json!({ "rel_type": "m.thread", "event_id": root });
        let content = json!({ "body": "reply", "m.relates_to": relation });
        send(rooms, room, ada(), &format!("reply {number}"), content).await.unwrap()
    }

    async fn redact(rooms: &Rooms, room: &ruma::OwnedRoomId, event: &EventId, number: usize) {
        let message = crate::Message {
            sender: ada(),
            device_id: <&ruma::DeviceId>::from("PHONE"),
            transaction_id: &format!("redact {number}"),
            kind: &ruma::events::TimelineEventType::RoomRedaction,
            content: &raw(&json!({})),
            redacts: Some(event),
        };
        rooms.send_message(room, message).await.unwrap();
    }

    #[tokio::test]
    async fn the_length_of_a_thread_is_that_of_a_recount() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let root = say(&rooms, &room, "root").await;
        let number = rooms.number_of(&room).await.unwrap();
        let length = || rooms.thread_length(number, &root, TimelinePosition::MAX);
        let mut replies = Vec::new();
        for round in 0..3 {
            for _ in 0..WORTH_KEEPING {
                replies.push(reply(&rooms, &room, &root, replies.len()).await);
            }
            assert_eq!(length().await.unwrap(), replies.len() as u64 - round);
            redact(
                &rooms,
                &room,
                &replies[usize::try_from(round).unwrap()].clone(),
                2 * replies.len(),
            )
            .await;
            redact(
                &rooms,
                &room,
                &replies[usize::try_from(round).unwrap()].clone(),
                2 * replies.len() + 1,
            )
            .await;
            assert_eq!(length().await.unwrap(), replies.len() as u64 - round - 1);
            // Whatever the store has been told by now.
            rooms.store().commit(Batch::new()).await.unwrap();
            assert_eq!(length().await.unwrap(), replies.len() as u64 - round - 1);
        }
        let tally = rooms.store().thread_tally(number, &root).await.unwrap();
        assert!(tally.count >= 100, "{tally:?}");
    }

    #[tokio::test]
    async fn who_replied_takes_part_until_all_their_replies_are_redacted() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let join = crate::MembershipChange::Join;
        rooms.change_membership(&room, bo(), bo(), join, None).await.unwrap();
        let content = json!({ "body": "root" });
        let root = send(&rooms, &room, bo(), "root", content).await.unwrap();
        let number = rooms.number_of(&room).await.unwrap();
        let (_, event) = rooms.event_by_id(number, &root).await.unwrap();

        let one = reply(&rooms, &room, &root, 1).await;
        let two = reply(&rooms, &room, &root, 2).await;
        assert!(rooms.takes_part(ada(), &event).await.unwrap());
        redact(&rooms, &room, &one, 1).await;
        assert!(rooms.takes_part(ada(), &event).await.unwrap());
        redact(&rooms, &room, &two, 2).await;
        assert!(!rooms.takes_part(ada(), &event).await.unwrap());
        assert!(rooms.takes_part(bo(), &event).await.unwrap());
    }
}
