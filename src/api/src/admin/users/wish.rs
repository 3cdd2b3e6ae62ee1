//! What accounts are to be: made and changed in one request.

use std::collections::BTreeSet;

use accounts::{
    AccountDetails, ExternalId, NewUser, PropagateProfile, Restrictions, Role, SentEvents,
};
use ruma::{UserId, api::error::ErrorKind, profile::ProfileFieldName};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{MemberField, UserStatus};

use super::{Users, devices, unknown_user};
use crate::admin::{Administrator, Answer, answer::endpoint};
use crate::{Endpoints, MatrixError};

endpoint!(put_user: PUT "/_synapse/admin/v2/users/{user_id}" {
    #[ruma_api(path)]
    pub(crate) user_id: ruma::OwnedUserId,
    #[ruma_api(body)]
    pub(crate) wish: super::Wish,
});

/// Who a user is to a provider.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct ExternalIdBody {
    auth_provider: String,
    external_id: String,
}

/// What an account is to be. What is missing stays as it is.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Wish {
    password: Option<String>,
    logout_devices: Option<bool>,
    displayname: Option<String>,
    avatar_url: Option<String>,
    admin: Option<bool>,
    deactivated: Option<bool>,
    locked: Option<bool>,
    external_ids: Option<Vec<ExternalIdBody>>,
}

impl Wish {
    /// Who the user is to be elsewhere.
    fn external_ids(&self) -> Option<BTreeSet<ExternalId>> {
        let id = |body: &ExternalIdBody| ExternalId {
            provider: body.auth_provider.clone(),
            subject: body.external_id.clone(),
        };
        self.external_ids.as_ref().map(|ids| ids.iter().map(id).collect())
    }
}

impl Users {
    /// Makes an account, or changes one.
    async fn put_user(
        self,
        admin: Administrator,
        request: put_user::Request,
    ) -> Result<Answer, MatrixError> {
        let (user_id, wish) = (&request.user_id, request.wish);
        self.check_local(user_id)?;
        let known = self.accounts.account_details(user_id).await;
        let known = known.map_err(|error| MatrixError::internal(&error))?;
        check_end(&wish, known.as_ref())?;
        if known.is_none() {
            self.create(user_id, &wish).await?;
            return Ok(self.whole(user_id).await?.created());
        }
        // First, as it can fail for what nobody sees in the request.
        if let Some(ids) = wish.external_ids() {
            self.accounts.set_external_ids(user_id, &ids).await?;
        }
        if let Some(password) = &wish.password {
            if wish.deactivated == Some(false) {
                self.accounts.reactivate(user_id, password).await?;
            }
            let devices = devices(wish.logout_devices);
            self.accounts.reset_password(user_id, password, devices).await?;
        }
        if let Some(is_admin) = wish.admin {
            let role = if is_admin { Role::Admin } else { Role::User };
            self.change_role(&admin, user_id, role).await?;
        }
        self.change_profile(user_id, ProfileFieldName::DisplayName, wish.displayname).await?;
        self.change_profile(user_id, ProfileFieldName::AvatarUrl, wish.avatar_url).await?;
        if let Some(locked) = wish.locked {
            let change = |before| Restrictions { locked, ..before };
            self.accounts.restrict(admin.session(), user_id, change).await?;
        }
        if wish.deactivated == Some(true) {
            self.accounts.deactivate(user_id, SentEvents::Keep).await?;
        }
        self.whole(user_id).await
    }

    async fn create(&self, user_id: &UserId, wish: &Wish) -> Result<(), MatrixError> {
        let mut user = NewUser::new(user_id.localpart());
        if let Some(password) = &wish.password {
            user = user.password(password);
        }
        if let Some(name) = &wish.displayname {
            user = user.display_name(name);
        }
        if wish.admin == Some(true) {
            user = user.role(Role::Admin);
        }
        if let Some(ids) = wish.external_ids() {
            user = user.external_ids(ids);
        }
        self.accounts.create_user(user).await?;
        let avatar_url = wish.avatar_url.clone();
        self.change_profile(user_id, ProfileFieldName::AvatarUrl, avatar_url).await
    }

    async fn change_profile(
        &self,
        user_id: &UserId,
        field: ProfileFieldName,
        value: Option<String>,
    ) -> Result<(), MatrixError> {
        let Some(value) = value else { return Ok(()) };
        let session = self.accounts.acting_for(user_id).await;
        let session = session.map_err(|error| MatrixError::internal(&error))?;
        let session = session.ok_or_else(unknown_user)?;
        let everywhere = PropagateProfile::Everywhere;
        self.accounts.set_profile_field(&session, &field, json!(value), everywhere).await?;
        if let Some(field) = MemberField::named(field.as_str()) {
            self.rooms.propagate_profile(user_id, field).await?;
        }
        Ok(())
    }
}

/// Fails for what would open a closed account without a password, or lock one that is being closed.
fn check_end(wish: &Wish, known: Option<&AccountDetails>) -> Result<(), MatrixError> {
    let refuse = |message| Err(MatrixError::bad_request(ErrorKind::Unknown, message));
    if wish.deactivated == Some(true) && wish.locked == Some(true) {
        return refuse("an account cannot be both deactivated and locked");
    }
    let is_closed = known.is_some_and(|known| known.record.status == UserStatus::Deactivated);
    if is_closed && wish.deactivated == Some(false) && wish.password.is_none() {
        return refuse("an account is opened again with a password");
    }
    Ok(())
}

pub(super) fn endpoints(users: Endpoints<Users>) -> Endpoints<Users> {
    users.at(Users::put_user)
}
