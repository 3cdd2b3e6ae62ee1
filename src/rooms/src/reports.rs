//! What users report to the server's administrators. Spec: client-server API, "Reporting Content".

use ruma::events::StateEventType;
use ruma::{EventId, OwnedRoomAliasId, RoomId, UserId};
use serde_json::{Map, Value};
use store::{Batch, Direction, ReportId, ReportKind, ReportRecord, ReportSubject, StoreError};

use crate::{RoomError, Rooms};

/// Bytes of the longest reason.
const MAX_REASON: usize = 16 * 1024;

/// How many reports are read at once.
const PAGE: usize = 500;

/// Which reports an administrator asks for; those that hold what is given.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReportFilter<'a> {
    /// A part of the reporter's ID.
    pub reporter: Option<&'a str>,
    /// A part of the room's ID.
    pub room: Option<&'a str>,
    /// The user who is reported, or sent what is reported.
    pub against: Option<&'a UserId>,
}

impl ReportFilter<'_> {
    fn covers(&self, report: &ReportRecord) -> bool {
        let (room, against) = match &report.subject {
            ReportSubject::Event { room_id, sender, .. } => (Some(room_id), Some(sender)),
            ReportSubject::Room(room_id) => (Some(room_id), None),
            ReportSubject::User(user_id) => (None, Some(user_id)),
        };
        self.reporter.is_none_or(|part| report.reporter.as_str().contains(part))
            && self.room.is_none_or(|part| room.is_some_and(|room| room.as_str().contains(part)))
            && self.against.is_none_or(|user| against.is_some_and(|against| against == user))
    }
}

/// Some of the entries of a list.
#[derive(Debug, Clone)]
pub struct Excerpt<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// How many entries the whole list has.
    pub total: usize,
}

/// What a room is called.
#[derive(Debug, Clone, Default)]
pub struct RoomTitle {
    /// Its name.
    pub name: Option<String>,
    /// Its canonical alias.
    pub canonical_alias: Option<OwnedRoomAliasId>,
}

impl Rooms {
    /// Reports an event. Fails with [`RoomError::UnknownEvent`] for one that the reporter does not see or whose room
    /// they are not in, there or not.
    #[tracing::instrument(skip_all, fields(%reporter, %room_id, %event_id))]
    pub async fn report_event(
        &self,
        reporter: &UserId,
        room_id: &RoomId,
        event_id: &EventId,
        reason: Option<String>,
    ) -> Result<(), RoomError> {
        let unknown = || RoomError::UnknownEvent(event_id.to_owned());
        let room = self.number_of_joined(reporter, room_id).await.map_err(|error| match error {
            RoomError::NotInRoom => unknown(),
            other => other,
        })?;
        let (_, event) = self.visible_event_of(reporter, room, event_id).await?;
        let subject = ReportSubject::Event {
            room_id: room_id.to_owned(),
            event_id: event_id.to_owned(),
            sender: event.pdu.sender.clone(),
        };
        self.keep_report(reporter, subject, reason).await
    }

    /// Reports a room, which the reporter need not be in. Of one that is not here nothing is kept, and nobody is
    /// told.
    #[tracing::instrument(skip_all, fields(%reporter, %room_id))]
    pub async fn report_room(
        &self,
        reporter: &UserId,
        room_id: &RoomId,
        reason: String,
    ) -> Result<(), RoomError> {
        check_reason(&reason)?;
        match self.number_of(room_id).await {
            Err(RoomError::UnknownRoom(_)) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => {
                let subject = ReportSubject::Room(room_id.to_owned());
                self.keep_report(reporter, subject, Some(reason)).await
            }
        }
    }

    /// Reports a user. Of one who is not of this server nothing is kept, and nobody is told.
    #[tracing::instrument(skip_all, fields(%reporter, %user_id))]
    pub async fn report_user(
        &self,
        reporter: &UserId,
        user_id: &UserId,
        reason: String,
    ) -> Result<(), RoomError> {
        check_reason(&reason)?;
        let Some(number) = self.store().user_number(user_id).await? else { return Ok(()) };
        if self.store().user(number).await?.is_none() {
            return Ok(());
        }
        self.keep_report(reporter, ReportSubject::User(user_id.to_owned()), Some(reason)).await
    }

    async fn keep_report(
        &self,
        reporter: &UserId,
        subject: ReportSubject,
        reason: Option<String>,
    ) -> Result<(), RoomError> {
        check_reason(reason.as_deref().unwrap_or_default())?;
        let reporter = reporter.to_owned();
        let report = ReportRecord { reporter, subject, reason, received_at: self.clock().now() };
        let mut batch = Batch::new();
        batch.create_report(self.store().new_report_id().await?, &report)?;
        self.store().commit(batch).await?;
        Ok(())
    }

    /// A report; `None` when there is none.
    pub async fn report(
        &self,
        kind: ReportKind,
        id: ReportId,
    ) -> Result<Option<ReportRecord>, RoomError> {
        Ok(self.store().report(kind, id).await?)
    }

    /// At most `limit` reports that `filter` covers, after the first `from` of them. Reads all of the kind: they are
    /// counted too.
    pub async fn reports(
        &self,
        kind: ReportKind,
        filter: ReportFilter<'_>,
        direction: Direction,
        (from, limit): (usize, usize),
    ) -> Result<Excerpt<(ReportId, ReportRecord)>, RoomError> {
        let mut excerpt = Excerpt { entries: Vec::new(), total: 0 };
        let mut last = None;
        loop {
            let page = self.store().reports(kind, last, direction, PAGE).await?;
            let is_last = page.len() < PAGE;
            last = page.last().map(|(id, _)| *id);
            for (id, report) in page.into_iter().filter(|(_, report)| filter.covers(report)) {
                if excerpt.total >= from && excerpt.entries.len() < limit {
                    excerpt.entries.push((id, report));
                }
                excerpt.total += 1;
            }
            if is_last {
                return Ok(excerpt);
            }
        }
    }

    /// Deletes a report; `false` when there was none.
    #[tracing::instrument(skip_all, fields(?kind, ?id))]
    pub async fn delete_report(&self, kind: ReportKind, id: ReportId) -> Result<bool, RoomError> {
        let Some(report) = self.store().report(kind, id).await? else { return Ok(false) };
        let mut batch = Batch::new();
        batch.delete_report(id, &report)?;
        match self.store().commit(batch).await {
            Ok(_) => Ok(true),
            // Another administrator was faster.
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The JSON of an event of a room as this server has it, whoever may see it and redacted or not; `None` when it is
    /// not here.
    pub async fn event_json(
        &self,
        room_id: &RoomId,
        event_id: &EventId,
    ) -> Result<Option<Map<String, Value>>, RoomError> {
        let Some(index) = self.store().event_index(event_id).await? else { return Ok(None) };
        let Some((record, json)) = self.store().event(index.number).await? else { return Ok(None) };
        if self.store().room_number(room_id).await? != Some(record.room) {
            return Ok(None);
        }
        let mut json: Map<String, Value> =
            serde_json::from_str(&json).map_err(|error| RoomError::Damaged(error.to_string()))?;
        json.entry("event_id").or_insert_with(|| record.event_id.as_str().into());
        json.entry("room_id").or_insert_with(|| room_id.as_str().into());
        Ok(Some(json))
    }

    /// What a room is called now; nothing for a room that is not here.
    pub async fn room_title(&self, room_id: &RoomId) -> Result<RoomTitle, RoomError> {
        let room = match self.number_of(room_id).await {
            Err(RoomError::UnknownRoom(_)) => return Ok(RoomTitle::default()),
            outcome => outcome?,
        };
        let root = self.current_state(room).await?;
        let text = async |kind: StateEventType, field: &str| {
            let content = self.content_at(room, root, &kind).await?;
            let text = content.and_then(|content| Some(content.get(field)?.as_str()?.to_owned()));
            Ok::<_, RoomError>(text)
        };
        let alias = text(StateEventType::RoomCanonicalAlias, "alias").await?;
        Ok(RoomTitle {
            name: text(StateEventType::RoomName, "name").await?,
            canonical_alias: alias.and_then(|alias| alias.try_into().ok()),
        })
    }
}

fn check_reason(reason: &str) -> Result<(), RoomError> {
    if reason.len() > MAX_REASON {
        return Err(RoomError::TooLarge { field: "the reason", limit: MAX_REASON });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;
    use crate::testing::{ada, public_room, rooms_on_memory_store, say};

    #[tokio::test]
    async fn reports_are_listed_in_the_order_they_came_and_counted() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        for text in ["one", "two", "three"] {
            let event = say(&rooms, &room, text).await;
            rooms.report_event(ada(), &room, &event, Some(text.to_owned())).await.unwrap();
        }
        let reasons = async |direction, from, limit| {
            let kind = ReportKind::Event;
            let filter = ReportFilter { against: Some(ada()), ..ReportFilter::default() };
            let list = rooms.reports(kind, filter, direction, (from, limit)).await.unwrap();
            let reasons = list.entries.into_iter().filter_map(|(_, report)| report.reason);
            (reasons.collect::<Vec<_>>(), list.total)
        };

        let (newest, total) = reasons(Direction::Descending, 0, 2).await;
        assert_eq!((newest, total), (vec!["three".to_owned(), "two".to_owned()], 3));
        let (rest, _) = reasons(Direction::Ascending, 2, 5).await;
        assert_eq!(rest, ["three"]);
    }

    #[tokio::test]
    async fn who_is_not_in_the_room_reports_no_event_of_it() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let event = say(&rooms, &room, "tea").await;

        let outcome = rooms.report_event(user_id!("@cy:hearth.test"), &room, &event, None).await;

        assert!(matches!(outcome, Err(RoomError::UnknownEvent(_))));
    }
}
