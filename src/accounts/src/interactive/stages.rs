//! What a client shows in one stage of an authentication.

use ruma::{
    UserId,
    api::client::uiaa::{AuthData, AuthFlow, AuthType, UserIdentifier},
};
use store::StoreError;

use super::{InteractiveAuthError, Passed};
use crate::{Accounts, LoginError, Session, login::Owner, usernames::existing_user_id};

/// What became of one stage.
pub(super) enum Stage {
    Completed(AuthType, Passed),
    Failed(&'static str),
}

impl Accounts {
    /// The ways in which somebody can show whose account it is. An account that has none is asked for a password.
    pub(super) async fn owner_flows(
        &self,
        session: Option<&Session>,
    ) -> Result<Vec<AuthFlow>, StoreError> {
        let mut stages = vec![AuthType::Password];
        if let Some(session) = session
            && !self.linked_providers(session.user).await?.is_empty()
        {
            let record = self.store().user(session.user).await?;
            if record.is_some_and(|record| record.password_hash.is_none()) {
                stages.clear();
            }
            stages.push(AuthType::Sso);
        }
        Ok(stages.into_iter().map(|stage| AuthFlow::new(vec![stage])).collect())
    }

    /// Checks what the client sent for one stage; `None` when it only asks how far it is.
    pub(super) async fn check_stage(
        &self,
        flows: &[AuthFlow],
        requester: Option<&Session>,
        auth: &AuthData,
    ) -> Result<Option<Stage>, InteractiveAuthError> {
        let Some(kind) = auth.auth_type() else { return Ok(None) };
        if !flows.iter().any(|flow| flow.stages.contains(&kind)) {
            return Ok(Some(Stage::Failed("this kind of authentication is not offered")));
        }
        // It is completed in a browser, apart from the request.
        if kind == AuthType::Sso {
            return Ok(None);
        }
        let mut found = Passed::default();
        let failure = match auth {
            AuthData::Dummy(_) => None,
            AuthData::RegistrationToken(shown) => {
                if self.registration_token_is_valid(&shown.token).await? {
                    found.registration_token = Some(shown.token.clone());
                    None
                } else {
                    Some("the registration token is not valid")
                }
            }
            AuthData::Password(shown) => {
                let (identifier, password) = (&shown.identifier, &shown.password);
                match self.check_own_password(requester, identifier, password).await? {
                    Ok(owner) => {
                        found.owner = Some(owner);
                        None
                    }
                    Err(reason) => Some(reason),
                }
            }
            _ => Some("this kind of authentication is not offered"),
        };
        Ok(Some(failure.map_or(Stage::Completed(kind, found), Stage::Failed)))
    }

    /// Whose password this is, or why it is nobody's. With a requester, it must be theirs.
    async fn check_own_password(
        &self,
        requester: Option<&Session>,
        identifier: &UserIdentifier,
        password: &str,
    ) -> Result<Result<Owner, &'static str>, InteractiveAuthError> {
        let UserIdentifier::Matrix(user) = identifier else {
            return Err(InteractiveAuthError::UnknownIdentifier);
        };
        let named = existing_user_id(&user.user, self.server_name());
        if let Some(requester) = requester {
            let same =
                |named: &UserId| named.as_str().eq_ignore_ascii_case(requester.user_id.as_str());
            if !named.as_deref().is_some_and(same) {
                return Err(InteractiveAuthError::OtherUser);
            }
        }
        let wanted = requester.map(|requester| &*requester.user_id).or(named.as_deref());
        match self.check_password(wanted, password).await {
            Ok(owner) => Ok(Ok(owner)),
            Err(LoginError::WrongPassword | LoginError::WrongToken) => {
                Ok(Err("the password is wrong"))
            }
            Err(LoginError::Deactivated) => Err(InteractiveAuthError::Deactivated),
            Err(LoginError::Locked) => Err(InteractiveAuthError::Locked),
            Err(LoginError::Password(error)) => Err(error.into()),
            Err(LoginError::Store(error)) => Err(error.into()),
        }
    }
}
