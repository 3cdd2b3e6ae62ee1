//! The login request, as ruma has it but for one check.

use ruma::api::{
    IncomingRequest, client::session::login::v3 as login, error::DeserializationError,
};
use serde::{Deserialize, de::Error, de::IgnoredAny};

use crate::stand_in::stand_in;

/// [`login::Request`], whose parser in ruma 0.17 panics on a body without a `type`.
#[derive(Debug)]
pub struct LoginRequest(pub login::Request);

stand_in!(LoginRequest, login::Request);

impl IncomingRequest for LoginRequest {
    type EndpointError = <login::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = login::Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        #[derive(Deserialize)]
        struct Type {
            r#type: Option<IgnoredAny>,
        }

        let given: Option<Type> = match *request.body() {
            [] => None,
            body => Some(serde_json::from_slice(body)?),
        };
        if given.and_then(|body| body.r#type).is_none() {
            return Err(serde_json::Error::missing_field("type").into());
        }
        login::Request::try_from_http_request_inner(request, path_args).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<LoginRequest, DeserializationError> {
        LoginRequest::try_from_http_request_inner(http::Request::new(body.as_bytes()), &[])
    }

    #[test]
    fn a_login_without_a_type_is_an_error_and_no_panic() {
        for body in ["", "{}", r#"{"type":null}"#, r#"{"password":"x"}"#, r#"{"type":5}"#] {
            assert!(parse(body).is_err(), "{body}");
        }
    }

    #[test]
    fn a_login_with_a_type_is_ruma_s() {
        let LoginRequest(request) = parse(r#"{"type":"org.example.other","x":1}"#).unwrap();
        assert_eq!(request.login_info.login_type(), "org.example.other");
    }
}
