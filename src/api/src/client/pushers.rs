//! Where users are told of notifications. Spec: client-server API, "Push Notifications".

use accounts::{Accounts, OtherPushers};
use ruma::api::{
    IncomingRequest,
    client::push::{get_pushers, set_pusher},
    error::{DeserializationError, Error, ErrorKind},
};
use serde_json::{Map, Value};
use set_pusher::v3::PusherAction;

use crate::{Endpoints, MatrixError, Requester, stand_in::stand_in};

/// Pushers.
#[derive(Clone)]
pub struct Pushers {
    accounts: Accounts,
}

/// [`set_pusher::v3::Request`], of which clients are to be told what they forgot.
pub struct SetPusher(Map<String, Value>);

stand_in!(SetPusher, set_pusher::v3::Request);

impl IncomingRequest for SetPusher {
    type EndpointError = Error;
    type OutgoingResponse = set_pusher::v3::Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        _: &[&str],
    ) -> Result<Self, DeserializationError> {
        Ok(Self(serde_json::from_slice(request.body())?))
    }
}

/// What every request has, and what it has besides unless it deletes a pusher.
const REQUIRED: [&str; 3] = ["kind", "app_id", "pushkey"];
const REQUIRED_TO_SET: [&str; 4] = ["app_display_name", "device_display_name", "lang", "data"];

impl SetPusher {
    fn action(self) -> Result<PusherAction, MatrixError> {
        let Self(body) = self;
        let is_deletion = body.get("kind").is_some_and(Value::is_null);
        let more = if is_deletion { &[][..] } else { &REQUIRED_TO_SET };
        let required = REQUIRED.iter().chain(more);
        let missing: Vec<_> = required.copied().filter(|name| !body.contains_key(*name)).collect();
        if !missing.is_empty() {
            let message = format!("Missing parameters: {}", missing.join(", "));
            return Err(MatrixError::bad_request(ErrorKind::MissingParam, message));
        }
        let action = serde_json::from_value(Value::Object(body));
        action.map_err(|error| MatrixError::bad_request(ErrorKind::BadJson, error.to_string()))
    }
}

impl Pushers {
    /// The requester's pushers.
    async fn list(
        self,
        requester: Requester,
        _: get_pushers::v3::Request,
    ) -> Result<get_pushers::v3::Response, MatrixError> {
        let pushers = self.accounts.pushers(requester.session()).await?;
        Ok(get_pushers::v3::Response::new(pushers))
    }

    /// Makes, changes or deletes a pusher.
    async fn set(
        self,
        requester: Requester,
        request: SetPusher,
    ) -> Result<set_pusher::v3::Response, MatrixError> {
        let session = requester.session();
        match request.action()? {
            PusherAction::Post(new) => {
                let others = if new.append { OtherPushers::Kept } else { OtherPushers::Removed };
                self.accounts.set_pusher(session, &new.pusher, others).await?;
            }
            PusherAction::Delete(ids) => self.accounts.delete_pusher(session, &ids).await?,
            _ => {
                let message = "a pusher is set or deleted";
                return Err(MatrixError::bad_request(ErrorKind::InvalidParam, message));
            }
        }
        Ok(set_pusher::v3::Response::new())
    }
}

/// The endpoints of pushers.
pub fn endpoints(accounts: Accounts) -> Endpoints<Pushers> {
    Endpoints::new(Pushers { accounts }).at(Pushers::list).at(Pushers::set)
}
