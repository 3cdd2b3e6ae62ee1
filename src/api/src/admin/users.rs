//! Accounts: Synapse's user API.

mod list;
mod wish;

use accounts::{
    AccountDetails, Accounts, ExternalId, OtherDevices, Restrictions, Role, SentEvents,
};
use rooms::Rooms;
use ruma::{UserId, api::error::ErrorKind};
use serde_json::{Value, json};

use self::list::row;
use super::{Administrator, Answer, answer::endpoint};
use crate::{Endpoints, MatrixError};

endpoint!(user: GET "/_synapse/admin/v2/users/{user_id}" {
    #[ruma_api(path)]
    pub(crate) user_id: ruma::OwnedUserId,
});
endpoint!(role: GET "/_synapse/admin/v1/users/{user_id}/admin" {
    #[ruma_api(path)]
    pub(crate) user_id: ruma::OwnedUserId,
});
endpoint!(set_admin: PUT "/_synapse/admin/v1/users/{user_id}/admin" {
    #[ruma_api(path)]
    pub(crate) user_id: ruma::OwnedUserId,
    pub(crate) admin: bool,
});
endpoint!(reset_password: POST "/_synapse/admin/v1/reset_password/{user_id}" {
    #[ruma_api(path)]
    pub(crate) user_id: ruma::OwnedUserId,
    pub(crate) new_password: Option<String>,
    pub(crate) logout_devices: Option<bool>,
});
endpoint!(deactivate: POST "/_synapse/admin/v1/deactivate/{user_id}" {
    #[ruma_api(path)]
    pub(crate) user_id: ruma::OwnedUserId,
    pub(crate) erase: Option<bool>,
});
endpoint!(suspend: PUT "/_synapse/admin/v1/suspend/{user_id}" {
    #[ruma_api(path)]
    pub(crate) user_id: ruma::OwnedUserId,
    pub(crate) suspend: bool,
});
endpoint!(username_available: GET "/_synapse/admin/v1/username_available" {
    #[ruma_api(query)]
    pub(crate) username: String,
});
endpoint!(log_in: POST "/_synapse/admin/v1/users/{user_id}/login" {
    #[ruma_api(path)]
    pub(crate) user_id: ruma::OwnedUserId,
    pub(crate) valid_until_ms: Option<ruma::MilliSecondsSinceUnixEpoch>,
});

endpoint!(user_of_external_id: GET "/_synapse/admin/v1/auth_providers/{provider}/users/{external_id}" {
    #[ruma_api(path)]
    pub(crate) provider: String,
    #[ruma_api(path)]
    pub(crate) external_id: String,
});

/// An account as it is shown alone.
fn whole(account: &AccountDetails, external_ids: &[ExternalId]) -> Value {
    let mut whole = row(account);
    whole["threepids"] = json!([]);
    let id = |id: &ExternalId| json!({ "auth_provider": id.provider, "external_id": id.subject });
    whole["external_ids"] = external_ids.iter().map(id).collect();
    let absent = ["appservice_id", "consent_server_notice_sent", "consent_version", "consent_ts"];
    for key in absent {
        whole[key] = Value::Null;
    }
    whole
}

/// The services of the user API.
#[derive(Clone)]
pub(super) struct Users {
    pub(super) accounts: Accounts,
    pub(super) rooms: Rooms,
}

impl Users {
    async fn user(self, _: Administrator, request: user::Request) -> Result<Answer, MatrixError> {
        self.check_local(&request.user_id)?;
        self.whole(&request.user_id).await
    }

    /// An account as it is shown alone.
    async fn whole(&self, user_id: &UserId) -> Result<Answer, MatrixError> {
        let ids = self.accounts.external_ids(user_id).await;
        let ids = ids.map_err(|error| MatrixError::internal(&error))?;
        Answer::new(&whole(&self.account(user_id).await?, &ids))
    }

    async fn account(&self, user_id: &UserId) -> Result<AccountDetails, MatrixError> {
        let account = self.accounts.account_details(user_id).await;
        let account = account.map_err(|error| MatrixError::internal(&error))?;
        account.ok_or_else(unknown_user)
    }

    async fn role(self, _: Administrator, request: role::Request) -> Result<Answer, MatrixError> {
        self.check_local(&request.user_id)?;
        let account = self.account(&request.user_id).await?;
        Answer::new(&json!({ "admin": account.record.role == Role::Admin }))
    }

    async fn set_admin(
        self,
        admin: Administrator,
        request: set_admin::Request,
    ) -> Result<Answer, MatrixError> {
        self.check_local(&request.user_id)?;
        let role = if request.admin { Role::Admin } else { Role::User };
        self.change_role(&admin, &request.user_id, role).await?;
        Ok(Answer::empty())
    }

    async fn change_role(
        &self,
        admin: &Administrator,
        user_id: &UserId,
        role: Role,
    ) -> Result<(), MatrixError> {
        // Somebody is left who can undo it.
        if role == Role::User && user_id == admin.user_id() {
            let message = "you may not demote yourself";
            return Err(MatrixError::bad_request(ErrorKind::Unknown, message));
        }
        Ok(self.accounts.set_role(user_id, role).await?)
    }

    async fn reset_password(
        self,
        _: Administrator,
        request: reset_password::Request,
    ) -> Result<Answer, MatrixError> {
        self.check_local(&request.user_id)?;
        let password = request.new_password.ok_or_else(|| {
            MatrixError::bad_request(ErrorKind::MissingParam, "new_password is missing")
        })?;
        let devices = devices(request.logout_devices);
        self.accounts.reset_password(&request.user_id, &password, devices).await?;
        Ok(Answer::empty())
    }

    async fn deactivate(
        self,
        _: Administrator,
        request: deactivate::Request,
    ) -> Result<Answer, MatrixError> {
        self.check_local(&request.user_id)?;
        let erase = request.erase == Some(true);
        let sent = if erase { SentEvents::Erase } else { SentEvents::Keep };
        self.accounts.deactivate(&request.user_id, sent).await?;
        // There are no third-party identifiers here, and so none that are bound elsewhere.
        Answer::new(&json!({ "id_server_unbind_result": "success" }))
    }

    async fn suspend(
        self,
        admin: Administrator,
        request: suspend::Request,
    ) -> Result<Answer, MatrixError> {
        let suspended = request.suspend;
        let change = |before| Restrictions { suspended, ..before };
        self.accounts.restrict(admin.session(), &request.user_id, change).await?;
        Answer::new(&json!({ format!("user_{}_suspended", request.user_id): suspended }))
    }

    async fn username_available(
        self,
        _: Administrator,
        request: username_available::Request,
    ) -> Result<Answer, MatrixError> {
        self.accounts.check_available(&request.username).await?;
        Answer::new(&json!({ "available": true }))
    }

    async fn user_of_external_id(
        self,
        _: Administrator,
        request: user_of_external_id::Request,
    ) -> Result<Answer, MatrixError> {
        let id = ExternalId { provider: request.provider, subject: request.external_id };
        let user_id = self.accounts.user_of_external_id(&id).await;
        let user_id = user_id.map_err(|error| MatrixError::internal(&error))?;
        Answer::new(&json!({ "user_id": user_id.ok_or_else(unknown_user)? }))
    }

    async fn log_in(
        self,
        admin: Administrator,
        request: log_in::Request,
    ) -> Result<Answer, MatrixError> {
        self.check_local(&request.user_id)?;
        if request.user_id == admin.user_id() {
            let message = "you are logged in as yourself already";
            return Err(MatrixError::bad_request(ErrorKind::Unknown, message));
        }
        let session = self.accounts.log_in_as(&request.user_id, request.valid_until_ms).await?;
        Answer::new(&json!({ "access_token": session.access_token.into_exposed() }))
    }

    /// Users of other servers are not administrated here.
    fn check_local(&self, user_id: &UserId) -> Result<(), MatrixError> {
        if user_id.server_name() == self.rooms.server_name() {
            return Ok(());
        }
        let message = "the user belongs to another server";
        Err(MatrixError::bad_request(ErrorKind::Unknown, message))
    }
}

fn devices(log_out: Option<bool>) -> OtherDevices {
    if log_out.unwrap_or(true) { OtherDevices::LogOut } else { OtherDevices::Keep }
}

fn unknown_user() -> MatrixError {
    MatrixError::not_found("the user is unknown")
}

pub(super) fn endpoints(users: Users) -> Endpoints<Users> {
    wish::endpoints(list::endpoints(Endpoints::new(users)))
        .at(Users::user)
        .at(Users::role)
        .at(Users::set_admin)
        .at(Users::reset_password)
        .at(Users::deactivate)
        .at(Users::suspend)
        .at(Users::username_available)
        .at(Users::user_of_external_id)
        .at(Users::log_in)
}
