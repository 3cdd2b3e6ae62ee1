//! What users reported. Events' and users' reports have Synapse's paths and shapes, rooms' have the like.

use rooms::{ReportFilter, Rooms};
use ruma::{MilliSecondsSinceUnixEpoch, OwnedUserId, UInt, api::Direction};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::{ReportId, ReportKind, ReportRecord, ReportSubject};

use super::{
    Administrator, Answer,
    answer::{endpoint, number},
    paging::Page,
};
use crate::direction::direction_of;
use crate::{Endpoints, MatrixError};

endpoint!(event_reports: GET "/_synapse/admin/v1/event_reports" {
    #[ruma_api(query_all)]
    pub(crate) query: super::Query,
});
endpoint!(room_reports: GET "/_synapse/admin/v1/room_reports" {
    #[ruma_api(query_all)]
    pub(crate) query: super::Query,
});
endpoint!(user_reports: GET "/_synapse/admin/v1/user_reports" {
    #[ruma_api(query_all)]
    pub(crate) query: super::Query,
});
endpoint!(event_report: GET "/_synapse/admin/v1/event_reports/{report_id}" {
    #[ruma_api(path)]
    pub(crate) report_id: String,
});
endpoint!(room_report: GET "/_synapse/admin/v1/room_reports/{report_id}" {
    #[ruma_api(path)]
    pub(crate) report_id: String,
});
endpoint!(user_report: GET "/_synapse/admin/v1/user_reports/{report_id}" {
    #[ruma_api(path)]
    pub(crate) report_id: String,
});
endpoint!(delete_event_report: DELETE "/_synapse/admin/v1/event_reports/{report_id}" {
    #[ruma_api(path)]
    pub(crate) report_id: String,
});
endpoint!(delete_room_report: DELETE "/_synapse/admin/v1/room_reports/{report_id}" {
    #[ruma_api(path)]
    pub(crate) report_id: String,
});
endpoint!(delete_user_report: DELETE "/_synapse/admin/v1/user_reports/{report_id}" {
    #[ruma_api(path)]
    pub(crate) report_id: String,
});

/// What part of the reports is asked for; the newest first if `dir` is missing.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Query {
    from: Option<UInt>,
    limit: Option<UInt>,
    #[serde(default)]
    dir: Direction,
    user_id: Option<String>,
    room_id: Option<String>,
    event_sender_user_id: Option<OwnedUserId>,
    target_user_id: Option<OwnedUserId>,
}

/// A report as it stands in a list.
#[derive(Serialize)]
struct Row {
    id: u64,
    received_ts: MilliSecondsSinceUnixEpoch,
    user_id: OwnedUserId,
    reason: Option<String>,
    #[serde(flatten)]
    subject: Map<String, Value>,
}

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    endpoints
        .at(event_reports)
        .at(room_reports)
        .at(user_reports)
        .at(event_report)
        .at(room_report)
        .at(user_report)
        .at(delete_event_report)
        .at(delete_room_report)
        .at(delete_user_report)
}

async fn event_reports(
    rooms: Rooms,
    _: Administrator,
    request: event_reports::Request,
) -> Result<Answer, MatrixError> {
    list(&rooms, ReportKind::Event, request.query).await
}

async fn room_reports(
    rooms: Rooms,
    _: Administrator,
    request: room_reports::Request,
) -> Result<Answer, MatrixError> {
    list(&rooms, ReportKind::Room, request.query).await
}

async fn user_reports(
    rooms: Rooms,
    _: Administrator,
    request: user_reports::Request,
) -> Result<Answer, MatrixError> {
    list(&rooms, ReportKind::User, request.query).await
}

async fn event_report(
    rooms: Rooms,
    _: Administrator,
    request: event_report::Request,
) -> Result<Answer, MatrixError> {
    let (id, report) = report(&rooms, ReportKind::Event, &request.report_id).await?;
    let event = match &report.subject {
        ReportSubject::Event { room_id, event_id, .. } => {
            rooms.event_json(room_id, event_id).await?
        }
        ReportSubject::Room(_) | ReportSubject::User(_) => None,
    };
    let mut row = row(&rooms, id, report).await?;
    row.subject.insert("event_json".to_owned(), event.map_or(Value::Null, Value::Object));
    Answer::new(&row)
}

async fn room_report(
    rooms: Rooms,
    _: Administrator,
    request: room_report::Request,
) -> Result<Answer, MatrixError> {
    let (id, report) = report(&rooms, ReportKind::Room, &request.report_id).await?;
    Answer::new(&row(&rooms, id, report).await?)
}

async fn user_report(
    rooms: Rooms,
    _: Administrator,
    request: user_report::Request,
) -> Result<Answer, MatrixError> {
    let (id, report) = report(&rooms, ReportKind::User, &request.report_id).await?;
    Answer::new(&row(&rooms, id, report).await?)
}

async fn delete_event_report(
    rooms: Rooms,
    _: Administrator,
    request: delete_event_report::Request,
) -> Result<Answer, MatrixError> {
    delete(&rooms, ReportKind::Event, &request.report_id).await
}

async fn delete_room_report(
    rooms: Rooms,
    _: Administrator,
    request: delete_room_report::Request,
) -> Result<Answer, MatrixError> {
    delete(&rooms, ReportKind::Room, &request.report_id).await
}

async fn delete_user_report(
    rooms: Rooms,
    _: Administrator,
    request: delete_user_report::Request,
) -> Result<Answer, MatrixError> {
    delete(&rooms, ReportKind::User, &request.report_id).await
}

async fn list(rooms: &Rooms, kind: ReportKind, query: Query) -> Result<Answer, MatrixError> {
    let filter = ReportFilter {
        reporter: query.user_id.as_deref(),
        room: query.room_id.as_deref(),
        against: query.event_sender_user_id.as_deref().or(query.target_user_id.as_deref()),
    };
    let page = Page::new(query.from, query.limit);
    let direction = direction_of(query.dir);
    let found = rooms.reports(kind, filter, direction, (page.from, page.limit)).await?;
    let mut rows = Vec::with_capacity(found.entries.len());
    for (id, report) in found.entries {
        rows.push(row(rooms, id, report).await?);
    }
    let name = match kind {
        ReportKind::Event => "event_reports",
        ReportKind::Room => "room_reports",
        ReportKind::User => "user_reports",
    };
    let mut answer = json!({ name: rows, "total": found.total });
    if let Some(next) = page.next(found.total) {
        answer["next_token"] = json!(next);
    }
    Answer::new(&answer)
}

async fn report(
    rooms: &Rooms,
    kind: ReportKind,
    id: &str,
) -> Result<(ReportId, ReportRecord), MatrixError> {
    let id = ReportId(number(id)?);
    let report = rooms.report(kind, id).await?;
    Ok((id, report.ok_or_else(not_found)?))
}

async fn delete(rooms: &Rooms, kind: ReportKind, id: &str) -> Result<Answer, MatrixError> {
    if rooms.delete_report(kind, ReportId(number(id)?)).await? {
        return Ok(Answer::empty());
    }
    Err(not_found())
}

fn not_found() -> MatrixError {
    MatrixError::not_found("there is no such report")
}

async fn row(rooms: &Rooms, id: ReportId, report: ReportRecord) -> Result<Row, MatrixError> {
    let subject = match &report.subject {
        ReportSubject::Event { room_id, event_id, sender } => {
            let title = rooms.room_title(room_id).await?;
            json!({
                "room_id": room_id, "event_id": event_id, "sender": sender, "score": null,
                "name": title.name, "canonical_alias": title.canonical_alias,
            })
        }
        ReportSubject::Room(room_id) => {
            let title = rooms.room_title(room_id).await?;
            json!({
                "room_id": room_id, "name": title.name, "canonical_alias": title.canonical_alias,
            })
        }
        ReportSubject::User(user_id) => json!({ "target_user_id": user_id }),
    };
    let Value::Object(subject) = subject else { return Err(MatrixError::concealed()) };
    Ok(Row {
        id: id.0,
        received_ts: report.received_at,
        user_id: report.reporter,
        reason: report.reason,
        subject,
    })
}
