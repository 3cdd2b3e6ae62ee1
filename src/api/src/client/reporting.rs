//! Reports to the server's administrators. Spec: client-server API, "Reporting Content".

use rooms::Rooms;
use ruma::api::client::reporting::report_user;
use ruma::api::client::room::{report_content, report_room};

use crate::{EdgeBuilder, Endpoints, MatrixError, RateClass, Requester, Settings};

/// The endpoints of reports.
pub fn endpoints(all: EdgeBuilder, rooms: &Rooms) -> EdgeBuilder {
    let limited = Settings::default().class(RateClass::Default);
    let endpoints = Endpoints::new(rooms.clone())
        .at_with(limited, report_event)
        .at_with(limited, report_room)
        .at_with(limited, report_user);
    all.with(endpoints)
}

async fn report_event(
    rooms: Rooms,
    requester: Requester,
    request: report_content::v3::Request,
) -> Result<report_content::v3::Response, MatrixError> {
    let (room_id, event_id) = (&request.room_id, &request.event_id);
    rooms.report_event(requester.user_id(), room_id, event_id, request.reason).await?;
    Ok(report_content::v3::Response::new())
}

async fn report_room(
    rooms: Rooms,
    requester: Requester,
    request: report_room::v3::Request,
) -> Result<report_room::v3::Response, MatrixError> {
    rooms.report_room(requester.user_id(), &request.room_id, request.reason).await?;
    Ok(report_room::v3::Response::new())
}

async fn report_user(
    rooms: Rooms,
    requester: Requester,
    request: report_user::v3::Request,
) -> Result<report_user::v3::Response, MatrixError> {
    rooms.report_user(requester.user_id(), &request.user_id, request.reason).await?;
    Ok(report_user::v3::Response::new())
}
