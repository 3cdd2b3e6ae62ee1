//! Users of this server: registration, sessions, devices, profiles, account data.
//!
//! [`Accounts`] holds all of it; each module adds its own functions. Passwords and tokens appear in no log and no
//! `Debug`: those given out are [`Secret`]s.

mod account_data;
mod account_list;
mod administration;
mod deactivation;
mod devices;
mod external_ids;
mod filters;
mod guesses;
mod guests;
mod interactive;
mod login;
mod login_tokens;
mod moderation;
mod new_device;
mod openid;
mod passwords;
mod profiles;
mod push_rules;
mod pushers;
mod reactivation;
mod refresh;
mod registration;
mod registration_tokens;
mod secret;
mod session_cache;
mod sessions;
mod shared_secret;
mod single_sign_on;
mod tags;
mod to_device;
mod usernames;

use std::{sync::Arc, time::Duration};

use protocol::Clock;
use protocol::push::LegacyMentions;
use ruma::{MilliSecondsSinceUnixEpoch, OwnedServerName, ServerName, UserId};
use store::{Store, UserNumber};

pub use account_data::AccountDataError;
pub use account_list::{AccountDetails, AccountFilter, AccountOrder};
pub use administration::AdministrationError;
pub use deactivation::{DeactivationError, SentEvents};
pub use devices::{Device, DeviceError};
pub use external_ids::ExternalIdError;
pub use filters::{FilterError, check_filter};
pub use guesses::GuessLimit;
pub use interactive::{InteractiveAuthError, Operation, StageOutcome};
pub use login::{LoginError, OtherDevices, PasswordChangeError};
pub use login_tokens::LoginTokenError;
pub use moderation::ModerationError;
pub use new_device::{NewDevice, NewDeviceError, Tokens};
pub use openid::OpenIdError;
pub use passwords::{PasswordCost, PasswordError};
pub use profiles::{ProfileError, PropagateProfile};
pub use push_rules::{PushRuleError, RuleStatus};
pub use pushers::{OtherPushers, PusherError};
pub use refresh::RefreshError;
pub use registration::{
    AfterRegistration, NewUser, Registered, RegistrationError, RegistrationForm,
};
pub use registration_tokens::{RegistrationTokenError, RegistrationTokenLimits};
pub use secret::Secret;
pub use sessions::{AuthenticationError, NewSession, Origin, Session};
pub use shared_secret::{SharedSecretError, SharedSecretForm};
pub use single_sign_on::{
    Action, ClientUrl, Departure, IdTokenError, IdentityProvider, NameWanted, Namesakes, Newcomers,
    ProviderAnswer, ProviderError, Return, SignOnError, SignatureError, SignedOn, SingleSignOn,
    StageQuestion, Trust,
};
pub use store::{ExternalId, Restrictions, Role, UserKind};
pub use to_device::{ToDeviceContents, ToDeviceError};
pub use usernames::UsernameError;

/// How the server deals with its users.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who may register.
    pub registration: Registration,
    /// Registration tokens that are good any number of times, besides those in the store.
    pub registration_tokens: Vec<Secret>,
    /// Lets whoever knows it register anybody, admins too; `None`: nobody can.
    pub shared_secret: Option<Secret>,
    /// Whether guests may come.
    pub guests: Guests,
    /// Whether push rules search messages for names.
    pub legacy_mentions: LegacyMentions,
    /// Where else people may sign on.
    pub identity_providers: Vec<IdentityProvider>,
    /// How long a login token is good; `None`: none is given out.
    pub login_token_lifetime: Option<Duration>,
    /// How long an access token is accepted that can be refreshed. Others are accepted until they are logged out.
    pub access_token_lifetime: Duration,
    /// What it costs to hash a password.
    pub password_cost: PasswordCost,
    /// How many wrong passwords one account bears; `None`: any number.
    pub guess_limit: Option<GuessLimit>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            registration: Registration::Closed,
            registration_tokens: Vec::new(),
            shared_secret: None,
            guests: Guests::Refused,
            legacy_mentions: LegacyMentions::default(),
            identity_providers: Vec::new(),
            login_token_lifetime: Some(Duration::from_mins(2)),
            access_token_lifetime: Duration::from_hours(1),
            password_cost: PasswordCost::default(),
            guess_limit: None,
        }
    }
}

/// Who may register by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Nobody.
    Closed,
    /// Whoever has a registration token.
    WithToken,
    /// Everybody.
    Open,
}

/// Whether guests may come. Spec: client-server API, "Guest Access".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guests {
    /// Nobody gets a guest's account. Those who have one keep it.
    Refused,
    /// Everybody gets one who asks.
    Welcome,
}

/// The users of this server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Accounts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    server_name: OwnedServerName,
    settings: Settings,
    sessions: session_cache::SessionCache,
    passwords: passwords::Passwords,
    guesses: guesses::Guesses,
    interactive: interactive::InteractiveSessions,
    nonces: shared_secret::Nonces,
    login_tokens: login_tokens::LoginTokens,
    openid_key: tokio::sync::OnceCell<[u8; 32]>,
}

/// How often a change that met another is tried again before it fails.
const ATTEMPTS: usize = 16;

impl Accounts {
    /// The users of the server called `server_name`.
    ///
    /// Hashes one password at the configured cost, so it takes some tens of milliseconds. Fails when the system gives no
    /// threads to hash passwords on.
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        server_name: OwnedServerName,
        settings: Settings,
    ) -> std::io::Result<Self> {
        let sessions = session_cache::SessionCache::new(&store);
        let passwords = passwords::Passwords::new(settings.password_cost)?;
        let guesses = guesses::Guesses::new(settings.guess_limit);
        let interactive = interactive::InteractiveSessions::new();
        let nonces = shared_secret::Nonces::new();
        Ok(Self(Arc::new(Inner {
            store,
            clock,
            server_name,
            settings,
            sessions,
            passwords,
            guesses,
            interactive,
            nonces,
            login_tokens: login_tokens::LoginTokens::new(),
            openid_key: tokio::sync::OnceCell::new(),
        })))
    }

    fn server_name(&self) -> &ServerName {
        &self.0.server_name
    }

    /// The account of a user of this server, deactivated or not.
    async fn account(
        &self,
        user_id: &UserId,
    ) -> Result<Option<(UserNumber, store::UserRecord)>, store::StoreError> {
        let Some(number) = self.store().user_number(user_id).await? else { return Ok(None) };
        Ok(self.store().user(number).await?.map(|record| (number, record)))
    }

    fn store(&self) -> &Store {
        &self.0.store
    }

    fn settings(&self) -> &Settings {
        &self.0.settings
    }

    fn now(&self) -> MilliSecondsSinceUnixEpoch {
        self.0.clock.now()
    }
}

/// The time `span` after `now`.
fn after(now: MilliSecondsSinceUnixEpoch, span: Duration) -> MilliSecondsSinceUnixEpoch {
    let millis = ruma::UInt::new_saturating(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    MilliSecondsSinceUnixEpoch(now.get().saturating_add(millis))
}

#[cfg(test)]
mod testing {
    //! What all tests of this crate begin with.

    use protocol::FixedClock;
    use ruma::{
        api::client::uiaa::{AuthData, MatrixUserIdentifier, Password, UserIdentifier},
        server_name,
    };

    use super::*;

    /// Accounts on a memory store, with open registration and passwords that cost nothing.
    pub(crate) async fn accounts() -> (Accounts, Arc<FixedClock>) {
        accounts_with(Settings { registration: Registration::Open, ..Settings::default() }).await
    }

    pub(crate) async fn accounts_with(settings: Settings) -> (Accounts, Arc<FixedClock>) {
        let clock = Arc::new(FixedClock::new(1_800_000_000_000));
        let settings = Settings { password_cost: PasswordCost::trivial(), ..settings };
        let store = Store::in_memory().await;
        let name = server_name!("hearth.test").to_owned();
        let accounts = Accounts::new(store, Arc::clone(&clock) as Arc<dyn Clock>, name, settings);
        (accounts.unwrap(), clock)
    }

    /// What passes a challenge with a password.
    pub(crate) fn password(user: &str, password: &str) -> AuthData {
        let user = UserIdentifier::Matrix(MatrixUserIdentifier::new(user.to_owned()));
        AuthData::Password(Password::new(user, password.to_owned()))
    }

    impl Accounts {
        /// A user with the password "secret" and one device.
        pub(crate) async fn with_user(&self, localpart: &str) -> NewSession {
            let user = NewUser::new(localpart).password("secret");
            self.create_user(user).await.unwrap();
            self.log_in(localpart, "secret", NewDevice::default()).await.unwrap()
        }
    }
}
