//! Removing old events. Everything that makes up a room's state stays, all of it: what was so before some event is
//! asked for long after, and what others were allowed to do stands on it. Synapse keeps it for the same reason.

use std::collections::HashSet;

use ruma::events::TimelineEventType;
use ruma::{EventId, MilliSecondsSinceUnixEpoch, RoomId, UserId};
use store::{
    Batch, Direction, EventNumber, EventRecord, EventTransaction, Extremity, HistoryPurge,
    LocalEvents, RoomNumber, StateRoot, TaskRecord, TaskSubject, TimelineEntry, TimelinePosition,
    TransactionKey, Work,
};

use crate::relations::Relation;
use crate::send::transaction_path;
use crate::tasks::OpenTask;
use crate::{RoomError, Rooms, StoredEvent};

/// How many events are looked at, and at most removed in one commit, at a time.
const SLICE: usize = 64;

/// How many events are looked at at once to find what state they stand on.
const PAGE: usize = 1_000;

/// Up to where old events are removed.
#[derive(Debug, Clone, Copy)]
pub enum PurgeUntil<'a> {
    /// This event is the first that stays.
    Event(&'a EventId),
    /// Events that their senders' servers dated before this.
    Time(MilliSecondsSinceUnixEpoch),
}

impl Rooms {
    /// Orders that old events of a room are removed, and returns the task's ID.
    ///
    /// Fails with [`RoomError::UnknownRoom`], [`RoomError::UnknownEvent`] for an event of another room,
    /// [`RoomError::NothingToPurge`] when no event is that old, [`RoomError::TaskOpen`].
    pub async fn order_history_purge(
        &self,
        room_id: &RoomId,
        until: PurgeUntil<'_>,
        local: LocalEvents,
    ) -> Result<String, RoomError> {
        let room = self.number_of(room_id).await?;
        let before = match until {
            PurgeUntil::Event(event_id) => self.event_by_id(room, event_id).await?.0.position,
            PurgeUntil::Time(time) => {
                self.place_of_time(room, time).await?.ok_or(RoomError::NothingToPurge)?
            }
        };
        let purge = HistoryPurge { before, local, reached: TimelinePosition::MIN };
        self.order(TaskSubject::Room(room_id.to_owned()), Work::HistoryPurge(purge)).await
    }

    /// Where a room's events begin to be of a time or newer; `None` when its first event is. Timelines are mostly in the
    /// order of time, so halving the stretch finds a place that is right but for a few misdated events.
    async fn place_of_time(
        &self,
        room: RoomNumber,
        time: MilliSecondsSinceUnixEpoch,
    ) -> Result<Option<TimelinePosition>, RoomError> {
        let one = async |after: i64, before: i64, direction| {
            let (after, before) = (TimelinePosition(after), TimelinePosition(before));
            let found = self.store().timeline(room, after, before, direction, 1).await?;
            let Some(entry) = found.first() else { return Ok(None) };
            let event = self.event(entry.event).await?;
            Ok::<_, RoomError>(Some((entry.position.0, event.pdu.origin_server_ts < time)))
        };
        let first = one(i64::MIN, i64::MAX, Direction::Ascending).await?;
        let last = one(i64::MIN, i64::MAX, Direction::Descending).await?;
        let (Some((mut low, true)), Some((last, _))) = (first, last) else { return Ok(None) };
        // All up to `low` is older, all from `high` on is not, or is not there.
        let mut high = last.saturating_add(1);
        while high.abs_diff(low) > 1 {
            let middle = low.saturating_add_unsigned(high.abs_diff(low) / 2);
            match one(low, middle.saturating_add(1), Direction::Descending).await? {
                Some((position, false)) => high = position,
                _ => low = middle,
            }
        }
        Ok(Some(TimelinePosition(high)))
    }

    /// Does the work of a history purge, and notes in the task how far it is.
    pub(crate) async fn purge_history(&self, task: &mut OpenTask) -> Result<(), RoomError> {
        let Some(room_id) = task.record.subject.room_id() else { return Ok(()) };
        let Some(room) = self.store().room_number(room_id).await? else { return Ok(()) };
        loop {
            let Work::HistoryPurge(purge) = task.record.work.clone() else { return Ok(()) };
            let Some(head) = self.store().room_head(room).await? else { return Ok(()) };
            let direction = Direction::Ascending;
            let entries =
                self.store().timeline(room, purge.reached, purge.before, direction, SLICE).await?;
            let Some(last) = entries.last().map(|entry| entry.position) else { break };
            let mut batch = Batch::new();
            let mut removed = Vec::new();
            for entry in entries {
                let event = self.event(entry.event).await?;
                if self.stays(&event, purge.local, &head.extremities, &removed).await? {
                    continue;
                }
                self.put_removal(&mut batch, &event, entry.position).await?;
                removed.push(entry.event);
            }
            let work = Work::HistoryPurge(HistoryPurge { reached: last, ..purge });
            let record = TaskRecord { work, ..task.record.clone() };
            batch.change_task(&task.id, &record)?;
            self.store().commit(batch).await?;
            task.record = record;
            self.forget_events(removed);
        }
        self.collect_states(room).await
    }

    /// Whether an old event is needed for more than to be read.
    async fn stays(
        &self,
        event: &StoredEvent,
        local: LocalEvents,
        extremities: &[Extremity],
        removed: &[EventNumber],
    ) -> Result<bool, RoomError> {
        let is_local = event.pdu.sender.server_name() == self.server_name();
        if event.pdu.state_key.is_some()
            || (is_local && local == LocalEvents::Keep)
            || extremities.iter().any(|one| one.event == event.number)
        {
            return Ok(true);
        }
        if event.pdu.kind != TimelineEventType::RoomRedaction {
            return Ok(false);
        }
        // It is shown with what it redacted.
        let Some(target) = &event.pdu.redacts else { return Ok(false) };
        let target = self.store().event_index(target).await?;
        Ok(target.is_some_and(|target| !removed.contains(&target.number)))
    }

    async fn put_removal(
        &self,
        batch: &mut Batch,
        event: &StoredEvent,
        position: TimelinePosition,
    ) -> Result<(), RoomError> {
        let room = event.record.room;
        // What is redacted relates to nothing any more.
        let is_redacted = self.store().redaction(event.number).await?.is_some();
        if let Some(relation) = Relation::of(&event.pdu).filter(|_| !is_redacted) {
            let sender = self.store().number_user(&event.pdu.sender).await?;
            let slot = batch.slot();
            relation.remove(batch, room, (sender, position), slot)?;
        }
        batch.remove_event_time(room, event.pdu.origin_server_ts, position);
        let entry = TimelineEntry { position, event: event.number };
        let path = transaction_path(&event.pdu.kind, event.pdu.redacts.as_deref());
        self.put_event_removal(batch, entry, &event.record, (&event.pdu.sender, &path)).await
    }

    /// Puts the removal of an event, its place and its transaction into a batch; the sender and the path are those of
    /// the request that made it.
    pub(crate) async fn put_event_removal(
        &self,
        batch: &mut Batch,
        entry: TimelineEntry,
        record: &EventRecord,
        (sender, path): (&UserId, &str),
    ) -> Result<(), RoomError> {
        let room = record.room;
        if let Some(EventTransaction { device_id, transaction_id }) = &record.transaction {
            let user = self.store().number_user(sender).await?;
            let key = TransactionKey { user, device_id, room, path, transaction_id };
            batch.remove_transaction(key);
        }
        batch.remove_event(entry.event, &record.event_id)?;
        batch.remove_from_timeline(room, entry.position);
        Ok(())
    }

    /// Takes away the states that no event stands on any more.
    async fn collect_states(&self, room: RoomNumber) -> Result<(), RoomError> {
        let Some(collection) = self.store().collect_state_nodes(room) else { return Ok(()) };
        // The current state comes first: events that are appended meanwhile stand on it, or are pinned.
        let current = self.current_state(room).await?;
        let mut kept: HashSet<StateRoot> = HashSet::from([current]);
        let mut collection = collection.keep(&[current]).await?;
        let mut after = TimelinePosition::MIN;
        loop {
            let direction = Direction::Ascending;
            let max = TimelinePosition::MAX;
            let entries = self.store().timeline(room, after, max, direction, PAGE).await?;
            let Some(last) = entries.last() else { break };
            after = last.position;
            let mut roots = Vec::new();
            for entry in &entries {
                if let Some((record, _)) = self.store().event(entry.event).await?
                    && kept.insert(record.state_before)
                {
                    roots.push(record.state_before);
                }
            }
            collection = collection.keep(&roots).await?;
        }
        let collected = collection.sweep().await?;
        tracing::info!(%room, deleted = collected.deleted, "state collected");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ruma::uint;
    use serde_json::json;
    use store::TaskState;

    use super::*;
    use crate::testing::{ada, public_room, rooms_on_memory_store, say, send};

    async fn purge(rooms: &Rooms, room: &RoomId, until: PurgeUntil<'_>) -> TaskState {
        let id = rooms.order_history_purge(room, until, LocalEvents::Remove).await.unwrap();
        let worker = tokio::spawn({
            let rooms = rooms.clone();
            async move { rooms.work().await }
        });
        let state = rooms.task_ended(&id).await.unwrap().unwrap().state;
        worker.abort();
        state
    }

    #[tokio::test]
    async fn a_purge_removes_old_messages_and_no_state() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let mut events = Vec::new();
        for number in 0..150 {
            events.push(say(&rooms, &room, &number.to_string()).await);
        }
        let number = rooms.number_of(&room).await.unwrap();
        let before = rooms.current_state(number).await.unwrap();
        let state = rooms.state_events_at(number, before).await.unwrap().len();

        let outcome = purge(&rooms, &room, PurgeUntil::Event(&events[100])).await;

        assert_eq!(outcome, TaskState::Complete);
        for gone in &events[..100] {
            let found = rooms.event_by_id(number, gone).await;
            assert!(matches!(found, Err(RoomError::UnknownEvent(_))));
        }
        for kept in &events[100..] {
            rooms.event_by_id(number, kept).await.unwrap();
        }
        let after = rooms.current_state(number).await.unwrap();
        assert_eq!(after, before);
        assert_eq!(rooms.state_events_at(number, after).await.unwrap().len(), state);
        say(&rooms, &room, "more").await;
    }

    #[tokio::test]
    async fn the_last_event_stays_and_what_relates_to_it_goes() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let parent = say(&rooms, &room, "tea").await;
        let content = json!({
            "msgtype": "m.text", "body": "more",
            "m.relates_to": { "rel_type": "m.thread", "event_id": parent },
        });
        send(&rooms, &room, ada(), "reply", content).await.unwrap();
        let last = say(&rooms, &room, "last").await;

        let time = MilliSecondsSinceUnixEpoch(uint!(2_000));
        let outcome = purge(&rooms, &room, PurgeUntil::Time(time)).await;

        assert_eq!(outcome, TaskState::Complete);
        let number = rooms.number_of(&room).await.unwrap();
        rooms.event_by_id(number, &last).await.unwrap();
        assert!(rooms.event_by_id(number, &parent).await.is_err());
        assert!(!rooms.store().has_relations(number, &parent).await.unwrap());
        let early = MilliSecondsSinceUnixEpoch(uint!(500));
        let none =
            rooms.order_history_purge(&room, PurgeUntil::Time(early), LocalEvents::Remove).await;
        assert!(matches!(none, Err(RoomError::NothingToPurge)));
    }
}
