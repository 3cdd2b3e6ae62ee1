//! Table of what users reported to the server's administrators.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `report` | kind, report ID | [`ReportRecord`] |
//!
//! IDs grow with time, so the order of keys is the order in which reports of a kind came.
//! Spec: client-server API, "Reporting Content".

use ruma::{MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};

use crate::key::{Key, KeyReader};
use crate::store::decode;
use crate::{Batch, Direction, KeyRange, Store, StoreError, Table};

const REPORT: Table = Table::new(33, "report");

/// What names a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReportId(pub u64);

/// What kind of thing is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// An event.
    Event,
    /// A whole room.
    Room,
    /// A user.
    User,
}

impl ReportKind {
    fn byte(self) -> u8 {
        match self {
            Self::Event => 0,
            Self::Room => 1,
            Self::User => 2,
        }
    }
}

/// What is reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportSubject {
    /// An event.
    Event {
        /// Its room.
        room_id: OwnedRoomId,
        /// The event.
        event_id: OwnedEventId,
        /// Who sent it.
        sender: OwnedUserId,
    },
    /// A whole room.
    Room(OwnedRoomId),
    /// A user.
    User(OwnedUserId),
}

impl ReportSubject {
    /// Its kind.
    pub fn kind(&self) -> ReportKind {
        match self {
            Self::Event { .. } => ReportKind::Event,
            Self::Room(_) => ReportKind::Room,
            Self::User(_) => ReportKind::User,
        }
    }
}

/// A report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRecord {
    /// Who reported.
    pub reporter: OwnedUserId,
    /// What.
    pub subject: ReportSubject,
    /// Why, in their words.
    pub reason: Option<String>,
    /// When the report came.
    pub received_at: MilliSecondsSinceUnixEpoch,
}

fn key(kind: ReportKind, id: ReportId) -> Vec<u8> {
    Key::new().raw(&[kind.byte()]).u64(id.0).into_bytes()
}

impl Store {
    /// An ID for a new report.
    pub async fn new_report_id(&self) -> Result<ReportId, StoreError> {
        self.new_number().await.map(ReportId)
    }

    /// A report; `None` when there is none of this kind with this ID.
    pub async fn report(
        &self,
        kind: ReportKind,
        id: ReportId,
    ) -> Result<Option<ReportRecord>, StoreError> {
        self.get(REPORT, key(kind, id)).await
    }

    /// At most `limit` reports of a kind, those beyond `beyond` in the given direction.
    pub async fn reports(
        &self,
        kind: ReportKind,
        beyond: Option<ReportId>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(ReportId, ReportRecord)>, StoreError> {
        let mut range = KeyRange::prefix([kind.byte()]);
        if let Some(beyond) = beyond {
            range.continue_after(key(kind, beyond), direction);
        }
        let report = |(key, value): (Vec<u8>, Vec<u8>)| {
            let id = key.last_chunk::<8>().and_then(|last| KeyReader::new(last).u64());
            let id = id.ok_or_else(|| StoreError::Undecodable {
                table: REPORT.name(),
                reason: "key too short".to_owned(),
            })?;
            Ok((ReportId(id), decode(REPORT, &value)?))
        };
        self.scan(REPORT, range, direction, limit).await?.into_iter().map(report).collect()
    }
}

impl Batch {
    /// Notes a report.
    pub fn create_report(&mut self, id: ReportId, report: &ReportRecord) -> Result<(), StoreError> {
        self.insert_new(REPORT, key(report.subject.kind(), id), report)
    }

    /// Deletes a report. Committing fails with [`StoreError::Conflict`] when it is not `report` any more.
    pub fn delete_report(&mut self, id: ReportId, report: &ReportRecord) -> Result<(), StoreError> {
        let key = key(report.subject.kind(), id);
        self.expect(REPORT, key.clone(), Some(report))?;
        self.remove(REPORT, key);
        Ok(())
    }
}
