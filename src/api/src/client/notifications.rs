//! What users were notified of. Spec: client-server API, "Listing Notifications".

use ruma::{
    api::{
        client::push::get_notifications::v3::{Notification, Request, Response},
        error::ErrorKind,
    },
    serde::Raw,
};
use store::StreamPosition;
use sync::{NotificationsWanted, Only, Sync};

use crate::{Endpoints, MatrixError, Requester};

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;

/// What the requester was notified of, the newest first.
async fn notifications(
    sync: Sync,
    requester: Requester,
    request: Request,
) -> Result<Response, MatrixError> {
    let before = request.from.as_deref().map(str::parse).transpose();
    let before = before.map_err(|_| {
        MatrixError::bad_request(ErrorKind::InvalidParam, "from is not a token of this server")
    })?;
    let limit = request.limit.and_then(|limit| usize::try_from(limit).ok());
    let wanted = NotificationsWanted {
        user_id: requester.user_id(),
        device_id: requester.device_id(),
        before: before.map(StreamPosition),
        limit: limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT),
        only: match request.only.as_deref() {
            Some("highlight") => Only::Highlights,
            _ => Only::Anything,
        },
    };
    let page = sync.notifications(wanted).await?;
    let notifications = page.notifications.into_iter().map(|found| {
        let event = Raw::from_json(found.event);
        let (room_id, sent_at) = (found.room_id, found.sent_at);
        Notification::new(found.actions, event, found.is_read, room_id, sent_at)
    });
    let mut response = Response::new(notifications.collect());
    response.next_token = page.next.map(|next| next.to_string());
    Ok(response)
}

/// The list of notifications.
pub fn endpoints(sync: Sync) -> Endpoints<Sync> {
    Endpoints::new(sync).at(notifications)
}
