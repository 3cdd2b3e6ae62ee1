//! What administrators' endpoints are made of.

use http::{StatusCode, header};
use ruma::api::{
    BytesBody, OutgoingResponse,
    error::{ErrorKind, IntoHttpError},
};
use serde::Serialize;

use crate::MatrixError;

/// Declares an endpoint for server administrators: the module `name` with its `Request`. All answer with [`Answer`].
macro_rules! endpoint {
    ($name:ident: $method:ident $path:literal { $($fields:tt)* }) => {
        mod $name {
            use ruma::api::{metadata, request};

            use crate::admin::{AdminToken, Answer as Response};

            metadata! {
                method: $method,
                rate_limited: false,
                authentication: AdminToken,
                path: $path,
            }

            #[request]
            pub(crate) struct Request { $($fields)* }
        }
    };
}

pub(crate) use endpoint;

/// An answer in JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    json: Vec<u8>,
}

impl Answer {
    /// A success.
    pub(crate) fn new(body: &impl Serialize) -> Result<Self, MatrixError> {
        let json = serde_json::to_vec(body).map_err(|error| MatrixError::internal(&error))?;
        Ok(Self { status: StatusCode::OK, json })
    }

    /// A success that has nothing to say.
    pub(crate) fn empty() -> Self {
        Self { status: StatusCode::OK, json: b"{}".to_vec() }
    }

    /// Something was made.
    pub(crate) fn created(self) -> Self {
        Self { status: StatusCode::CREATED, ..self }
    }
}

impl OutgoingResponse for Answer {
    type Body = BytesBody;

    fn try_into_http_response_inner(self) -> Result<http::Response<BytesBody>, IntoHttpError> {
        let response = http::Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, "application/json")
            .body(BytesBody(self.json))?;
        Ok(response)
    }
}

/// A number in a path.
pub(crate) fn number(text: &str) -> Result<u64, MatrixError> {
    let invalid = |_| MatrixError::bad_request(ErrorKind::InvalidParam, "this is no number");
    text.parse().map_err(invalid)
}
