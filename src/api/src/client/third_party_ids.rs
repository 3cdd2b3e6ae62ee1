//! Email addresses and phone numbers: this server keeps none, and says so where one would be added.
//! Spec: client-server API, "Adding Account Administrative Contact Information".

use http::StatusCode;
use ruma::api::{
    client::account::{
        ThirdPartyIdRemovalStatus, add_3pid, bind_3pid, delete_3pid, get_3pids,
        request_3pid_management_token_via_email, request_3pid_management_token_via_msisdn,
        request_password_change_token_via_email, request_password_change_token_via_msisdn,
        request_registration_token_via_email, request_registration_token_via_msisdn, unbind_3pid,
    },
    error::ErrorKind,
};

use crate::{Endpoints, MatrixError, Requester};

/// Third-party identifiers.
#[derive(Clone)]
pub struct ThirdPartyIds(());

type Answer<T> = Result<T, MatrixError>;

mod add_deprecated {
    //! `POST /account/3pid`, which ruma has no more.

    use ruma::api::{auth_scheme::AccessToken, metadata, request, response};
    use serde_json::{Map, Value};

    metadata! {
        method: POST,
        rate_limited: false,
        authentication: AccessToken,
        history: {
            1.0 => "/_matrix/client/r0/account/3pid",
            1.1 => "/_matrix/client/v3/account/3pid",
        }
    }

    #[request]
    pub(crate) struct Request {
        /// Where an identity server tells whose address it is: no such server is believed.
        pub(crate) three_pid_creds: Map<String, Value>,
    }

    #[response]
    pub(crate) struct Response {}
}

/// No address is used to register.
fn denied() -> MatrixError {
    let message = "this server registers nobody by email address or phone number";
    MatrixError::new(StatusCode::FORBIDDEN, ErrorKind::ThreepidDenied, message)
}

/// No account has an address.
fn not_found() -> MatrixError {
    let message = "no account has this email address or phone number";
    MatrixError::bad_request(ErrorKind::ThreepidNotFound, message)
}

/// No address can be added to an account.
fn not_supported() -> MatrixError {
    let message = "this server keeps no email addresses and phone numbers";
    MatrixError::bad_request(ErrorKind::ThreepidMediumNotSupported, message)
}

/// Nobody has shown that an address is theirs.
fn not_validated() -> MatrixError {
    let message = "the email address or phone number was not validated";
    MatrixError::new(StatusCode::FORBIDDEN, ErrorKind::ThreepidAuthFailed, message)
}

impl ThirdPartyIds {
    /// Those of the account: none can be added.
    async fn list(
        self,
        _: Requester,
        _: get_3pids::v3::Request,
    ) -> Answer<get_3pids::v3::Response> {
        Ok(get_3pids::v3::Response::new(Vec::new()))
    }

    async fn register_email(
        self,
        (): (),
        _: request_registration_token_via_email::v3::Request,
    ) -> Answer<request_registration_token_via_email::v3::Response> {
        Err(denied())
    }

    async fn register_phone(
        self,
        (): (),
        _: request_registration_token_via_msisdn::v3::Request,
    ) -> Answer<request_registration_token_via_msisdn::v3::Response> {
        Err(denied())
    }

    async fn password_by_email(
        self,
        (): (),
        _: request_password_change_token_via_email::v3::Request,
    ) -> Answer<request_password_change_token_via_email::v3::Response> {
        Err(not_found())
    }

    async fn password_by_phone(
        self,
        (): (),
        _: request_password_change_token_via_msisdn::v3::Request,
    ) -> Answer<request_password_change_token_via_msisdn::v3::Response> {
        Err(not_found())
    }

    async fn add_email(
        self,
        (): (),
        _: request_3pid_management_token_via_email::v3::Request,
    ) -> Answer<request_3pid_management_token_via_email::v3::Response> {
        Err(not_supported())
    }

    async fn add_phone(
        self,
        (): (),
        _: request_3pid_management_token_via_msisdn::v3::Request,
    ) -> Answer<request_3pid_management_token_via_msisdn::v3::Response> {
        Err(not_supported())
    }

    async fn add(self, _: Requester, _: add_3pid::v3::Request) -> Answer<add_3pid::v3::Response> {
        Err(not_validated())
    }

    async fn add_deprecated(
        self,
        _: Requester,
        request: add_deprecated::Request,
    ) -> Answer<add_deprecated::Response> {
        drop(request.three_pid_creds);
        Err(not_validated())
    }

    async fn bind(
        self,
        _: Requester,
        _: bind_3pid::v3::Request,
    ) -> Answer<bind_3pid::v3::Response> {
        Err(not_validated())
    }

    /// What is not there is removed, and bound to no identity server that is known here.
    async fn delete(
        self,
        _: Requester,
        _: delete_3pid::v3::Request,
    ) -> Answer<delete_3pid::v3::Response> {
        Ok(delete_3pid::v3::Response::new(ThirdPartyIdRemovalStatus::NoSupport))
    }

    async fn unbind(
        self,
        _: Requester,
        _: unbind_3pid::v3::Request,
    ) -> Answer<unbind_3pid::v3::Response> {
        Ok(unbind_3pid::v3::Response::new(ThirdPartyIdRemovalStatus::NoSupport))
    }
}

/// The endpoints of third-party identifiers.
pub fn endpoints() -> Endpoints<ThirdPartyIds> {
    Endpoints::new(ThirdPartyIds(()))
        .at(ThirdPartyIds::list)
        .at(ThirdPartyIds::register_email)
        .at(ThirdPartyIds::register_phone)
        .at(ThirdPartyIds::password_by_email)
        .at(ThirdPartyIds::password_by_phone)
        .at(ThirdPartyIds::add_email)
        .at(ThirdPartyIds::add_phone)
        .at(ThirdPartyIds::add)
        .at(ThirdPartyIds::add_deprecated)
        .at(ThirdPartyIds::bind)
        .at(ThirdPartyIds::delete)
        .at(ThirdPartyIds::unbind)
}
