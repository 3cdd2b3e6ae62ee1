//! What the server says to its users, on behalf of an administrator: Synapse's API.

use accounts::Accounts;
use rooms::{Notice, Recipient, Rooms};
use ruma::{
    OwnedUserId,
    api::error::ErrorKind,
    events::{
        TimelineEventType,
        tag::{TagInfo, TagName},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};

use super::{Administrator, Answer, answer::endpoint};
use crate::{Endpoints, MatrixError};

endpoint!(send: POST "/_synapse/admin/v1/send_server_notice" {
    #[ruma_api(body)]
    pub(crate) wish: super::Wish,
});
endpoint!(send_once: PUT "/_synapse/admin/v1/send_server_notice/{transaction_id}" {
    #[ruma_api(path)]
    pub(crate) transaction_id: String,
    #[ruma_api(body)]
    pub(crate) wish: super::Wish,
});

/// What is to be said to whom.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Wish {
    user_id: Option<OwnedUserId>,
    content: Option<Box<RawValue>>,
    #[serde(rename = "type")]
    kind: Option<TimelineEventType>,
    state_key: Option<String>,
}

/// The services of server notices.
#[derive(Clone)]
pub(super) struct ServerNotices {
    pub(super) accounts: Accounts,
    pub(super) rooms: Rooms,
    /// What the user who sends notices is called.
    pub(super) display_name: String,
}

impl ServerNotices {
    async fn send(self, _: Administrator, request: send::Request) -> Result<Answer, MatrixError> {
        let transaction_id = rooms::unique_transaction_id();
        self.notify(request.wish, &transaction_id).await
    }

    /// Sends a notice if it was not sent before.
    async fn send_once(
        self,
        admin: Administrator,
        request: send_once::Request,
    ) -> Result<Answer, MatrixError> {
        let session = admin.session();
        let (user_id, device_id) = (&session.user_id, &session.device_id);
        let transaction_id = format!("{user_id}/{device_id}/{}", request.transaction_id);
        self.notify(request.wish, &transaction_id).await
    }

    async fn notify(&self, wish: Wish, transaction_id: &str) -> Result<Answer, MatrixError> {
        let missing = |key: &str| {
            MatrixError::bad_request(ErrorKind::MissingParam, format!("{key} is missing"))
        };
        let user_id = wish.user_id.ok_or_else(|| missing("user_id"))?;
        let content = wish.content.ok_or_else(|| missing("content"))?;
        let Some(settings) = &self.rooms.settings().server_notices else {
            return Err(rooms::RoomError::NoServerNotices.into());
        };
        if user_id.server_name() != self.rooms.server_name() {
            let message = "notices are for users of this server";
            return Err(MatrixError::bad_request(ErrorKind::Unknown, message));
        }
        let session = self.accounts.acting_for(&user_id).await;
        let session = session.map_err(|error| MatrixError::internal(&error))?;
        let session = session.ok_or_else(|| MatrixError::not_found("the user is unknown"))?;
        self.accounts.create_server_user(&settings.sender, &self.display_name).await?;
        let notice = Notice {
            kind: &wish.kind.unwrap_or(TimelineEventType::RoomMessage),
            state_key: wish.state_key.as_deref(),
            content: &content,
            transaction_id,
        };
        let sent = self.rooms.send_server_notice(&user_id, notice).await?;
        if sent.recipient == Recipient::Invited {
            let (tag, info) = (TagName::ServerNotice, TagInfo::new());
            self.accounts.set_tag(&session, &sent.room_id, &tag, &info).await?;
        }
        Answer::new(&json!({ "event_id": sent.event_id }))
    }
}

pub(super) fn endpoints(notices: ServerNotices) -> Endpoints<ServerNotices> {
    Endpoints::new(notices).at(ServerNotices::send).at(ServerNotices::send_once)
}
