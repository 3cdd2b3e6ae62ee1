//! Registration with the shared secret, as Synapse's `register_new_matrix_user` and Complement call it.

use accounts::{Accounts, Role, Secret, SharedSecretForm};

use crate::{Endpoints, MatrixError, RateClass, Settings};

/// Registration by whoever knows the secret.
#[derive(Clone)]
pub struct SharedSecret {
    accounts: Accounts,
}

mod nonce {
    use ruma::api::{auth_scheme::NoAuthentication, metadata, request, response};

    metadata! {
        method: GET,
        rate_limited: true,
        authentication: NoAuthentication,
        path: "/_synapse/admin/v1/register",
    }

    #[request]
    pub(crate) struct Request {}

    #[response]
    pub(crate) struct Response {
        pub(crate) nonce: String,
    }
}

mod register {
    use ruma::{
        OwnedDeviceId, OwnedServerName, OwnedUserId,
        api::{auth_scheme::NoAuthentication, metadata, request, response},
    };

    metadata! {
        method: POST,
        rate_limited: true,
        authentication: NoAuthentication,
        path: "/_synapse/admin/v1/register",
    }

    #[request]
    pub(crate) struct Request {
        pub(crate) nonce: String,
        pub(crate) username: String,
        pub(crate) password: String,
        pub(crate) mac: String,
        #[serde(default)]
        pub(crate) admin: bool,
        pub(crate) user_type: Option<String>,
        pub(crate) displayname: Option<String>,
    }

    #[response]
    pub(crate) struct Response {
        pub(crate) user_id: OwnedUserId,
        pub(crate) home_server: OwnedServerName,
        pub(crate) access_token: Option<String>,
        pub(crate) device_id: Option<OwnedDeviceId>,
    }
}

impl SharedSecret {
    /// What is to be signed with the secret.
    async fn nonce(self, (): (), _: nonce::Request) -> Result<nonce::Response, MatrixError> {
        Ok(nonce::Response { nonce: self.accounts.shared_secret_nonce()? })
    }

    /// Registers and logs in.
    async fn register(
        self,
        (): (),
        request: register::Request,
    ) -> Result<register::Response, MatrixError> {
        let form = SharedSecretForm {
            nonce: request.nonce,
            username: request.username,
            password: Secret::new(request.password),
            role: if request.admin { Role::Admin } else { Role::User },
            user_type: request.user_type,
            display_name: request.displayname,
            mac: request.mac,
        };
        let registered = self.accounts.register_with_shared_secret(form).await?;
        let (access_token, device_id) = registered
            .session
            .map(|session| (session.access_token.into_exposed(), session.device_id))
            .unzip();
        Ok(register::Response {
            home_server: registered.user_id.server_name().to_owned(),
            user_id: registered.user_id,
            access_token,
            device_id,
        })
    }
}

/// The endpoints of registration with the shared secret.
pub fn endpoints(accounts: Accounts) -> Endpoints<SharedSecret> {
    let limited = Settings::default().class(RateClass::Registration);
    Endpoints::new(SharedSecret { accounts })
        .at(SharedSecret::nonce)
        .at_with(limited, SharedSecret::register)
}
