//! Sending events and setting state, now or later: ruma's requests with the delay that MSC4140 adds to them.

use std::time::Duration;

use ruma::api::IncomingRequest;
use ruma::api::client::message::send_message_event::v3::Request as SendMessage;
use ruma::api::client::state::send_state_event::v3::Request as SetState;
use ruma::api::error::DeserializationError;
use ruma::{OwnedRoomId, OwnedTransactionId};
use serde_json::value::RawValue;

use crate::MatrixError;
use crate::stand_in::stand_in;

/// A body that may be missing, as it may when the transaction is known.
pub(in crate::client) struct Content(Option<Box<RawValue>>);

impl Content {
    fn of(body: &[u8]) -> Result<Self, DeserializationError> {
        if body.is_empty() {
            return Ok(Self(None));
        }
        Ok(Self(Some(serde_json::from_slice(body)?)))
    }

    /// The content of the event.
    pub(in crate::client) fn required(self) -> Result<Box<RawValue>, MatrixError> {
        let content = self.0.ok_or_else(MatrixError::not_json)?;
        if content.get().starts_with('{') {
            return Ok(content);
        }
        Err(MatrixError::not_an_object(content.get().as_bytes()))
    }
}

/// `PUT /rooms/{roomId}/send/{eventType}/{txnId}`.
pub(in crate::client) struct SendRequest {
    pub(in crate::client) room_id: OwnedRoomId,
    pub(in crate::client) event_type: String,
    pub(in crate::client) transaction_id: OwnedTransactionId,
    pub(in crate::client) delay: Option<Duration>,
    pub(in crate::client) content: Content,
}

/// `PUT /rooms/{roomId}/state/{eventType}/{stateKey}`.
pub(in crate::client) struct SetStateRequest {
    pub(in crate::client) room_id: OwnedRoomId,
    pub(in crate::client) event_type: String,
    pub(in crate::client) state_key: String,
    pub(in crate::client) delay: Option<Duration>,
    pub(in crate::client) content: Content,
}

/// What a request that sends an event is answered: one of the two.
#[ruma::api::response]
pub(in crate::client) struct Response {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::client) event_id: Option<ruma::OwnedEventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::client) delay_id: Option<String>,
}

impl Response {
    pub(in crate::client) fn sent(event_id: ruma::OwnedEventId) -> Self {
        Self { event_id: Some(event_id), delay_id: None }
    }

    pub(in crate::client) fn delayed(delay_id: String) -> Self {
        Self { event_id: None, delay_id: Some(delay_id) }
    }
}

mod send {
    use ruma::{OwnedRoomId, OwnedTransactionId};

    use super::{Response, SendMessage, stand_in};

    #[ruma::api::request]
    pub(super) struct Parts {
        #[ruma_api(path)]
        pub(super) room_id: OwnedRoomId,
        #[ruma_api(path)]
        pub(super) event_type: String,
        #[ruma_api(path)]
        pub(super) txn_id: OwnedTransactionId,
        #[ruma_api(query)]
        #[serde(rename = "org.matrix.msc4140.delay")]
        pub(super) delay: Option<u64>,
    }

    stand_in!(Parts, SendMessage);
}

mod state {
    use ruma::OwnedRoomId;

    use super::{Response, SetState, stand_in};

    #[ruma::api::request]
    pub(super) struct Parts {
        #[ruma_api(path)]
        pub(super) room_id: OwnedRoomId,
        #[ruma_api(path)]
        pub(super) event_type: String,
        #[ruma_api(path)]
        pub(super) state_key: String,
        #[ruma_api(query)]
        #[serde(rename = "org.matrix.msc4140.delay")]
        pub(super) delay: Option<u64>,
    }

    stand_in!(Parts, SetState);
}

stand_in!(SendRequest, SendMessage);
stand_in!(SetStateRequest, SetState);

impl IncomingRequest for SendRequest {
    type EndpointError = <SendMessage as IncomingRequest>::EndpointError;
    type OutgoingResponse = Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let content = Content::of(request.body())?;
        let parts = send::Parts::try_from_http_request_inner(request, path_args)?;
        Ok(Self {
            room_id: parts.room_id,
            event_type: parts.event_type,
            transaction_id: parts.txn_id,
            delay: parts.delay.map(Duration::from_millis),
            content,
        })
    }
}

impl IncomingRequest for SetStateRequest {
    type EndpointError = <SetState as IncomingRequest>::EndpointError;
    type OutgoingResponse = Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let content = Content::of(request.body())?;
        // The state key may be left out of the path.
        let path_args = [path_args, &[""]].concat();
        let path_args = path_args.get(..3).unwrap_or(&path_args);
        let parts = state::Parts::try_from_http_request_inner(request, path_args)?;
        Ok(Self {
            room_id: parts.room_id,
            event_type: parts.event_type,
            state_key: parts.state_key,
            delay: parts.delay.map(Duration::from_millis),
            content,
        })
    }
}
