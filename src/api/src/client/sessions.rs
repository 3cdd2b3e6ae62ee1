//! Logging in and out. Spec: client-server API, "Legacy login" and "Refreshing access tokens".

use accounts::{Accounts, NewDevice, Tokens};
use ruma::api::{
    client::{
        session::{
            get_login_token,
            login::{self, v3::LoginInfo},
            logout, logout_all, refresh_token,
        },
        uiaa::UserIdentifier,
    },
    error::ErrorKind,
};

use super::login_types::{LoginType, LoginTypes, LoginTypesRequest};
use crate::{Endpoints, MatrixError, RateClass, Requester, Settings, client::LoginRequest};

/// Sessions.
#[derive(Clone)]
pub struct Sessions {
    accounts: Accounts,
}

impl Sessions {
    /// How one may log in.
    async fn login_types(self, (): (), _: LoginTypesRequest) -> Result<LoginTypes, MatrixError> {
        let get_login_token = self.accounts.gives_out_login_tokens();
        let providers = self.accounts.identity_providers();
        let mut flows = vec![LoginType::Password];
        if !providers.is_empty() {
            let identity_providers = providers.iter().map(Into::into).collect();
            flows.push(LoginType::SingleSignOn { identity_providers });
        }
        if get_login_token || !providers.is_empty() {
            flows.push(LoginType::Token { get_login_token });
        }
        Ok(LoginTypes { flows })
    }

    /// Logs a device in.
    async fn login(
        self,
        (): (),
        LoginRequest(request): LoginRequest,
    ) -> Result<login::v3::Response, MatrixError> {
        let tokens = if request.refresh_token { Tokens::Refreshable } else { Tokens::Lasting };
        let name = request.initial_device_display_name;
        let device = NewDevice::new(request.device_id, name, tokens)?;
        let session = match request.login_info {
            LoginInfo::Password(info) => {
                self.accounts.log_in(user_name(&info)?, &info.password, device).await?
            }
            LoginInfo::Token(info) => self.accounts.log_in_with_token(&info.token, device).await?,
            _ => {
                let message = "this type of login is not offered";
                return Err(MatrixError::bad_request(ErrorKind::Unknown, message));
            }
        };
        let access_token = session.access_token.into_exposed();
        let mut response =
            login::v3::Response::new(session.user_id, access_token, session.device_id);
        response.refresh_token = session.refresh_token.map(accounts::Secret::into_exposed);
        response.expires_in = session.expires_in;
        Ok(response)
    }

    /// A token for another device of the requester.
    async fn login_token(
        self,
        requester: Requester,
        request: get_login_token::v1::Request,
    ) -> Result<get_login_token::v1::Response, MatrixError> {
        let (session, auth) = (requester.session(), request.auth.as_ref());
        let (token, lifetime) = self.accounts.create_login_token(session, auth).await?;
        Ok(get_login_token::v1::Response::new(lifetime, token.into_exposed()))
    }

    /// New tokens for old.
    async fn refresh(
        self,
        (): (),
        request: refresh_token::v3::Request,
    ) -> Result<refresh_token::v3::Response, MatrixError> {
        let session = self.accounts.refresh(&request.refresh_token).await?;
        let mut response = refresh_token::v3::Response::new(session.access_token.into_exposed());
        response.refresh_token = session.refresh_token.map(accounts::Secret::into_exposed);
        response.expires_in_ms = session.expires_in;
        Ok(response)
    }

    /// Ends this session.
    async fn logout(
        self,
        requester: Requester,
        _: logout::v3::Request,
    ) -> Result<logout::v3::Response, MatrixError> {
        let done = self.accounts.log_out(requester.session()).await;
        done.map_err(|error| MatrixError::internal(&error))?;
        Ok(logout::v3::Response::new())
    }

    /// Ends all sessions of the user.
    async fn logout_all(
        self,
        requester: Requester,
        _: logout_all::v3::Request,
    ) -> Result<logout_all::v3::Response, MatrixError> {
        let done = self.accounts.log_out_everywhere(requester.session()).await;
        done.map_err(|error| MatrixError::internal(&error))?;
        Ok(logout_all::v3::Response::new())
    }
}

/// The name of whoever wants to log in, which old clients send beside the identifier's place.
#[expect(deprecated, reason = "some clients and tools still send `user` or `address`")]
fn user_name(info: &login::v3::Password) -> Result<&str, MatrixError> {
    match (&info.identifier, &info.user, &info.address) {
        (Some(UserIdentifier::Matrix(identifier)), ..) => Ok(&identifier.user),
        (None, Some(user), _) => Ok(user),
        (None, None, None) => {
            let message = "the identifier is missing";
            Err(MatrixError::bad_request(ErrorKind::MissingParam, message))
        }
        // Nobody's: "the homeserver must respond with 403 Forbidden".
        (Some(_), ..) | (None, None, Some(_)) => {
            Err(MatrixError::forbidden("users are known by their user ID only"))
        }
    }
}

/// The endpoints of sessions.
pub fn endpoints(accounts: Accounts) -> Endpoints<Sessions> {
    let limited = Settings::default().class(RateClass::Login);
    Endpoints::new(Sessions { accounts })
        .at(Sessions::login_types)
        .at_with(limited, Sessions::login)
        .at_with(limited, Sessions::login_token)
        .at(Sessions::refresh)
        .at(Sessions::logout)
        .at(Sessions::logout_all)
}
