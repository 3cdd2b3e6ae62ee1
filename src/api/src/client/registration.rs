//! New accounts. Spec: client-server API, "Account registration and management".

use accounts::{
    Accounts, AfterRegistration, NewDevice, NewSession, RegistrationForm, Secret, Tokens,
};
use ruma::{
    OwnedDeviceId, OwnedUserId,
    api::{
        IncomingRequest,
        client::{
            account::{
                check_registration_token_validity, get_username_availability,
                register::{LoginType, RegistrationKind, v3 as register},
            },
            uiaa::UiaaResponse,
        },
        error::{DeserializationError, ErrorKind},
        response,
    },
};

use crate::{Endpoints, MatrixError, RateClass, Settings, stand_in::stand_in};

/// Registration.
#[derive(Clone)]
pub struct Registration {
    accounts: Accounts,
}

/// [`register::Request`], whose answer in ruma has a `device_id` of `null` where there is no device.
pub struct RegisterRequest(register::Request);

stand_in!(RegisterRequest, register::Request);

impl IncomingRequest for RegisterRequest {
    type EndpointError = UiaaResponse;
    type OutgoingResponse = Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        register::Request::try_from_http_request_inner(request, path_args).map(Self)
    }
}

/// The new user, and their session if they asked for one.
#[response(error = UiaaResponse)]
pub struct Response {
    user_id: OwnedUserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<OwnedDeviceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_ms: Option<u64>,
}

impl Response {
    fn new(user_id: OwnedUserId, session: Option<NewSession>) -> Self {
        let mut response = Self {
            user_id,
            access_token: None,
            device_id: None,
            refresh_token: None,
            expires_in_ms: None,
        };
        if let Some(session) = session {
            response.access_token = Some(session.access_token.into_exposed());
            response.device_id = Some(session.device_id);
            response.refresh_token = session.refresh_token.map(Secret::into_exposed);
            let millis = |span: std::time::Duration| u64::try_from(span.as_millis()).ok();
            response.expires_in_ms = session.expires_in.and_then(millis);
        }
        response
    }
}

impl Registration {
    /// Makes an account.
    async fn register(
        self,
        (): (),
        RegisterRequest(request): RegisterRequest,
    ) -> Result<Response, MatrixError> {
        refuse_application_services(&request)?;
        match request.kind {
            RegistrationKind::User => {}
            RegistrationKind::Guest => return self.register_guest(request).await,
            _ => {
                let message = "kind is neither user nor guest";
                return Err(MatrixError::bad_request(ErrorKind::InvalidParam, message));
            }
        }
        let tokens = if request.refresh_token { Tokens::Refreshable } else { Tokens::Lasting };
        let name = request.initial_device_display_name;
        let device = NewDevice::new(request.device_id, name, tokens)?;
        let then = if request.inhibit_login {
            AfterRegistration::Nothing
        } else {
            AfterRegistration::LogIn(device)
        };
        let form = RegistrationForm {
            username: request.username,
            password: request.password.map(Secret::new),
            auth: request.auth,
            guest_token: request.guest_access_token.map(Secret::new),
            then,
        };
        let registered = self.accounts.register(form).await?;
        Ok(Response::new(registered.user_id, registered.session))
    }

    /// Makes a guest's account. All they send but the name of their device is passed over, as the specification wants.
    async fn register_guest(self, request: register::Request) -> Result<Response, MatrixError> {
        let name = request.initial_device_display_name;
        let device = NewDevice::new(None, name, Tokens::Lasting)?;
        let session = self.accounts.create_guest(device).await?;
        Ok(Response::new(session.user_id.clone(), Some(session)))
    }

    /// Whether somebody could register with a name.
    async fn availability(
        self,
        (): (),
        request: get_username_availability::v3::Request,
    ) -> Result<get_username_availability::v3::Response, MatrixError> {
        self.accounts.check_username(&request.username).await?;
        Ok(get_username_availability::v3::Response::new(true))
    }

    /// Whether somebody could register with a token.
    async fn token_validity(
        self,
        (): (),
        request: check_registration_token_validity::v1::Request,
    ) -> Result<check_registration_token_validity::v1::Response, MatrixError> {
        let valid = self.accounts.check_registration_token(&request.token).await?;
        Ok(check_registration_token_validity::v1::Response::new(valid))
    }
}

fn refuse_application_services(request: &register::Request) -> Result<(), MatrixError> {
    if matches!(request.login_type, Some(LoginType::ApplicationService)) {
        return Err(MatrixError::forbidden("no application service has this token"));
    }
    Ok(())
}

/// Registration's endpoints.
pub fn endpoints(accounts: Accounts) -> Endpoints<Registration> {
    let limited = Settings::default().class(RateClass::Registration);
    Endpoints::new(Registration { accounts })
        .at_with(limited, Registration::register)
        .at(Registration::availability)
        .at(Registration::token_validity)
}
