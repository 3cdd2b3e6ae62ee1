//! Making accounts. Spec: client-server API, "Account registration and management".

use std::collections::BTreeSet;

use ruma::{
    OwnedUserId, UserId,
    api::client::uiaa::{AuthData, AuthFlow, AuthType},
};
use store::{Batch, ExternalId, Restrictions, Role, StoreError, UserKind, UserRecord, UserStatus};

use crate::{
    ATTEMPTS, Accounts, ExternalIdError, InteractiveAuthError, NewDevice, NewSession, Operation,
    PasswordError, Registration, Secret, UsernameError, external_ids::check_external_ids,
    interactive::Passed, secret::random_name, usernames::new_user_id,
};

/// What somebody who registers sends.
#[derive(Debug, Clone)]
pub struct RegistrationForm {
    /// The wished name; `None`: the server makes one up.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// How they authenticate.
    pub auth: Option<AuthData>,
    /// The access token of the guest whose account it is to become.
    pub guest_token: Option<Secret>,
    /// What to do next.
    pub then: AfterRegistration,
}

/// What happens once an account is made.
#[derive(Debug, Clone)]
pub enum AfterRegistration {
    /// A device is logged in.
    LogIn(NewDevice),
    /// Nothing.
    Nothing,
}

/// An account that was made.
#[derive(Debug)]
pub struct Registered {
    /// Its user.
    pub user_id: OwnedUserId,
    /// The session, if one was asked for.
    pub session: Option<NewSession>,
}

/// Why somebody was not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// Nobody may register by themselves.
    #[error("registration is disabled")]
    Disabled,
    /// No guests may come.
    #[error("guests are not allowed")]
    NoGuests,
    /// The name cannot be had by anybody.
    #[error("{0}")]
    Username(#[from] UsernameError),
    /// Somebody has the name, or had it.
    #[error("{0} is taken")]
    Taken(OwnedUserId),
    /// The token is no guest's whose user name was given.
    #[error("the guest's access token is not that of this user name")]
    NotThatGuest,
    /// The password is missing.
    #[error("a password is required")]
    NoPassword,
    /// The password cannot be had.
    #[error("{0}")]
    Password(#[from] PasswordError),
    /// The registration token was used up while its holder registered.
    #[error("the registration token is not valid any more")]
    TokenUsedUp,
    /// They cannot be who they are elsewhere.
    #[error("{0}")]
    ExternalId(#[from] ExternalIdError),
    /// They are to authenticate first.
    #[error("{0}")]
    Auth(#[from] InteractiveAuthError),
    /// The store failed.
    #[error("account store failed")]
    Store(#[from] StoreError),
}

/// An account that is to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    username: String,
    password: Option<Secret>,
    role: Role,
    kind: UserKind,
    display_name: Option<String>,
    registration_token: Option<String>,
    external_ids: BTreeSet<ExternalId>,
    then: AfterRegistration,
}

impl NewUser {
    /// A user without a password, who is no admin and has no device.
    pub fn new(username: impl Into<String>) -> Self {
        Self {
            username: username.into(),
            password: None,
            role: Role::User,
            kind: UserKind::Registered,
            display_name: None,
            registration_token: None,
            external_ids: BTreeSet::new(),
            then: AfterRegistration::Nothing,
        }
    }

    /// With a password.
    #[must_use]
    pub fn password(self, password: impl Into<String>) -> Self {
        Self { password: Some(Secret::new(password)), ..self }
    }

    /// With a role.
    #[must_use]
    pub fn role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// Who is a guest.
    pub(crate) fn guest(self) -> Self {
        Self { kind: UserKind::Guest, ..self }
    }

    /// With a display name, instead of the user name.
    #[must_use]
    pub fn display_name(self, display_name: impl Into<String>) -> Self {
        Self { display_name: Some(display_name.into()), ..self }
    }

    /// Who signs on elsewhere, too.
    #[must_use]
    pub fn external_ids(self, ids: impl IntoIterator<Item = ExternalId>) -> Self {
        Self { external_ids: ids.into_iter().collect(), ..self }
    }

    /// Who logs in at once.
    #[must_use]
    pub fn log_in(self, device: NewDevice) -> Self {
        Self { then: AfterRegistration::LogIn(device), ..self }
    }
}

impl Accounts {
    /// Registers somebody who came by themselves.
    pub async fn register(&self, form: RegistrationForm) -> Result<Registered, RegistrationError> {
        let stage = match self.settings().registration {
            Registration::Closed => return Err(RegistrationError::Disabled),
            Registration::WithToken => AuthType::RegistrationToken,
            Registration::Open => AuthType::Dummy,
        };
        // Before the authentication, which may be laborious: clients tell their user at once.
        let guest = match (&form.username, &form.guest_token) {
            (username, Some(token)) => {
                Some(self.guest_to_register(username.as_deref(), token).await?)
            }
            (Some(username), None) => {
                self.check_available(username).await?;
                None
            }
            (None, None) => None,
        };
        let operation = Operation::new("register", []);
        let flows = [AuthFlow::new(vec![stage])];
        let passed =
            self.authenticate_interactively(operation, &flows, None, form.auth.as_ref()).await?;
        let Passed { registration_token, .. } = passed;
        let password = form.password.ok_or(RegistrationError::NoPassword)?;
        if let Some(guest) = guest {
            return self.register_guest(&guest, password, registration_token, form.then).await;
        }
        let username = form.username.unwrap_or_else(new_username);
        let user = NewUser::new(username).password(password.into_exposed());
        self.create_user(NewUser { registration_token, then: form.then, ..user }).await
    }

    /// Whether somebody could register with a name now. Fails when they could not.
    pub async fn check_username(&self, username: &str) -> Result<(), RegistrationError> {
        // Where nobody registers, the question has no other use than to find out who is here.
        if self.settings().registration == Registration::Closed {
            return Err(RegistrationError::Disabled);
        }
        self.check_available(username).await.map(drop)
    }

    /// Whether somebody could register with a registration token now. Fails where nobody registers.
    /// Spec: client-server API, `GET /register/m.login.registration_token/validity`.
    pub async fn check_registration_token(&self, token: &str) -> Result<bool, RegistrationError> {
        if self.settings().registration == Registration::Closed {
            return Err(RegistrationError::Disabled);
        }
        Ok(self.registration_token_is_valid(token).await?)
    }

    /// The user ID that somebody with this name would get. Fails when the name cannot be had.
    pub async fn check_available(&self, username: &str) -> Result<OwnedUserId, RegistrationError> {
        let user_id = new_user_id(username, self.server_name())?;
        if self.account(&user_id).await?.is_some() {
            return Err(RegistrationError::Taken(user_id));
        }
        Ok(user_id)
    }

    /// Makes an account: user, push rules, profile and first device in one commit. Of two who want the same name,
    /// one gets it.
    #[tracing::instrument(skip_all, fields(username = %user.username))]
    pub async fn create_user(&self, user: NewUser) -> Result<Registered, RegistrationError> {
        let user_id = self.check_available(&user.username).await?;
        check_external_ids(&user.external_ids)?;
        let password_hash = match &user.password {
            Some(password) => Some(self.0.passwords.hash(password.expose()).await?),
            None => None,
        };
        let record = UserRecord {
            password_hash,
            role: user.role,
            kind: user.kind,
            status: UserStatus::Active,
            restrictions: Restrictions::default(),
            created_at: self.now(),
        };
        for _ in 0..ATTEMPTS {
            let (batch, session) = self.account_batch(&user_id, &user, &record).await?;
            match self.store().commit(batch).await {
                Ok(_) => {
                    tracing::info!(%user_id, "user registered");
                    return Ok(Registered { user_id, session });
                }
                Err(StoreError::Conflict) if self.account(&user_id).await?.is_some() => {
                    return Err(RegistrationError::Taken(user_id));
                }
                // The registration token or external ID was used by another in between.
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    pub(crate) async fn account_batch(
        &self,
        user_id: &UserId,
        user: &NewUser,
        record: &UserRecord,
    ) -> Result<(Batch, Option<NewSession>), RegistrationError> {
        let number = self.store().number_user(user_id).await?;
        let mut batch = Batch::new();
        batch.create_user(number, record)?;
        batch.name_account(user_id.localpart(), number)?;
        let display_name = user.display_name.as_deref().unwrap_or(user_id.localpart());
        Self::put_first_profile(&mut batch, number, user_id, display_name)?;
        self.put_first_push_rules(&mut batch, number, user_id)?;
        if let Some(token) = &user.registration_token
            && !self.use_registration_token(&mut batch, token).await?
        {
            return Err(RegistrationError::TokenUsedUp);
        }
        for id in &user.external_ids {
            if self.store().user_of_external_id(id).await?.is_some() {
                return Err(ExternalIdError::InUse.into());
            }
            batch.link_external_id(id, number)?;
        }
        let session = match &user.then {
            AfterRegistration::Nothing => None,
            AfterRegistration::LogIn(device) => {
                Some(self.put_session(&mut batch, number, user_id, device.clone(), None)?)
            }
        };
        Ok((batch, session))
    }
}

/// A name for somebody who wished for none. Ten random letters: nobody else has it.
pub(crate) fn new_username() -> String {
    random_name(b"abcdefghijklmnopqrstuvwxyz", 10, &mut rand::rng())
}

#[cfg(test)]
mod tests {
    use ruma::api::client::uiaa::{Dummy, RegistrationToken};

    use super::*;
    use crate::{
        RegistrationTokenLimits, Settings,
        testing::{accounts, accounts_with},
    };

    fn form(username: &str) -> RegistrationForm {
        RegistrationForm {
            username: Some(username.to_owned()),
            password: Some(Secret::new("secret")),
            auth: Some(AuthData::Dummy(Dummy::new())),
            guest_token: None,
            then: AfterRegistration::LogIn(NewDevice::default()),
        }
    }

    fn with_token(username: &str, token: &str) -> RegistrationForm {
        let auth = AuthData::RegistrationToken(RegistrationToken::new(token.to_owned()));
        RegistrationForm { auth: Some(auth), ..form(username) }
    }

    #[tokio::test]
    async fn whoever_registers_is_logged_in_and_can_log_in_again() {
        let (accounts, _) = accounts().await;
        let registered = accounts.register(form("Ada")).await.unwrap();
        assert_eq!(registered.user_id, "@ada:hearth.test");
        let session = registered.session.unwrap();
        accounts.authenticate(session.access_token.expose(), None).await.unwrap();
        accounts.log_in("ada", "secret", NewDevice::default()).await.unwrap();
    }

    #[tokio::test]
    async fn registration_asks_for_authentication_and_tells_of_a_bad_name_before() {
        let (accounts, _) = accounts().await;
        let unauthenticated = |name| RegistrationForm { auth: None, ..form(name) };
        let asked = accounts.register(unauthenticated("ada")).await;
        assert!(matches!(asked, Err(RegistrationError::Auth(InteractiveAuthError::Required(_)))));
        let bad = accounts.register(unauthenticated("a:b")).await;
        assert!(matches!(bad, Err(RegistrationError::Username(_))));
        accounts.with_user("ada").await;
        let taken = accounts.register(unauthenticated("ada")).await;
        assert!(matches!(taken, Err(RegistrationError::Taken(_))));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_many_who_want_a_name_at_once_one_gets_it() {
        let (accounts, _) = accounts().await;
        let all: Vec<_> = (0..20)
            .map(|_| {
                let accounts = accounts.clone();
                tokio::spawn(async move { accounts.register(form("ada")).await })
            })
            .collect();
        let mut sessions = Vec::new();
        for one in all {
            match one.await.unwrap() {
                Ok(registered) => sessions.extend(registered.session),
                Err(error) => assert!(matches!(error, RegistrationError::Taken(_)), "{error:?}"),
            }
        }
        assert_eq!(sessions.len(), 1);
        accounts.authenticate(sessions[0].access_token.expose(), None).await.unwrap();
    }

    #[tokio::test]
    async fn nobody_registers_where_registration_is_closed() {
        let (accounts, _) = accounts_with(Settings::default()).await;
        let outcome = accounts.register(form("ada")).await;
        assert!(matches!(outcome, Err(RegistrationError::Disabled)));
        let outcome = accounts.check_username("ada").await;
        assert!(matches!(outcome, Err(RegistrationError::Disabled)));
        let outcome = accounts.check_registration_token("welcome").await;
        assert!(matches!(outcome, Err(RegistrationError::Disabled)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_registration_token_is_used_no_more_often_than_allowed() {
        let settings = Settings { registration: Registration::WithToken, ..Settings::default() };
        let (accounts, _) = accounts_with(settings).await;
        let limits = RegistrationTokenLimits { uses: Some(3), expires_at: None };
        let token = accounts.create_registration_token(None, limits).await.unwrap();
        let all: Vec<_> = (0..10)
            .map(|number| {
                let (accounts, token) = (accounts.clone(), token.clone());
                let form = with_token(&format!("user{number}"), &token);
                tokio::spawn(async move { accounts.register(form).await })
            })
            .collect();
        let mut registered = 0;
        for one in all {
            registered += usize::from(one.await.unwrap().is_ok());
        }
        assert_eq!(registered, 3);
        assert!(!accounts.registration_token_is_valid(&token).await.unwrap());
    }

    #[tokio::test]
    async fn a_configured_registration_token_is_always_good() {
        let settings = Settings {
            registration: Registration::WithToken,
            registration_tokens: vec![Secret::new("welcome")],
            ..Settings::default()
        };
        let (accounts, _) = accounts_with(settings).await;
        for name in ["ada", "bo"] {
            accounts.register(with_token(name, "welcome")).await.unwrap();
        }
        assert!(!accounts.registration_token_is_valid("welcome ").await.unwrap());
    }

    #[tokio::test]
    async fn an_unknown_or_expired_registration_token_is_refused() {
        let settings = Settings { registration: Registration::WithToken, ..Settings::default() };
        let (accounts, clock) = accounts_with(settings).await;
        let at = crate::after(accounts.now(), std::time::Duration::from_mins(1));
        let limits = RegistrationTokenLimits { uses: None, expires_at: Some(at) };
        let token = accounts.create_registration_token(Some("welcome"), limits).await.unwrap();
        accounts.register(with_token("ada", &token)).await.unwrap();
        clock.advance(std::time::Duration::from_mins(1));

        for form in [with_token("bo", &token), with_token("bo", "other"), form("bo")] {
            let outcome = accounts.register(form).await;
            assert!(matches!(
                outcome,
                Err(RegistrationError::Auth(InteractiveAuthError::Required(_)))
            ));
        }
    }
}
