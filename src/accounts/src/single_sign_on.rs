//! Signing on elsewhere, at providers that speak `OpenID` Connect.
//! Spec: client-server API, "SSO client login/authentication".
//!
//! A browser is sent to the provider and comes back with a code. What it signs on for is under way in one browser, which a
//! cookie tells from others, so that nobody can have somebody else end what they began.

mod client_url;
mod flows;
mod id_token;
mod kept;
mod keys;
mod localpart;
mod newcomers;
mod provider;
mod settings;

use std::sync::Arc;

use federation::outgoing::Outgoing;
use store::{ExternalId, Restrictions, StoreError, UserStatus};

pub use self::client_url::ClientUrl;
pub use self::id_token::IdTokenError;
pub use self::keys::SignatureError;
pub use self::provider::ProviderError;
pub use self::settings::{IdentityProvider, Namesakes, Newcomers};

use self::flows::{Flow, Newcomer, Purpose, UnderWay};
use self::localpart::localpart;
use self::provider::{Person, Provider, Wish};
use crate::{Accounts, Secret, StageOutcome, login::Owner};

/// Why somebody did not sign on.
#[derive(Debug, thiserror::Error)]
pub enum SignOnError {
    /// There is no such provider.
    #[error("there is no such identity provider")]
    UnknownProvider,
    /// Nothing like this is under way in this browser.
    #[error("the sign-on is not known, or took too long, or was begun in another browser")]
    NotUnderWay,
    /// The provider did not let them in, and says so with a code.
    #[error("{provider} did not sign you on ({code})")]
    Refused {
        /// What the provider is called.
        provider: String,
        /// The code, as long as it is one.
        code: String,
    },
    /// The provider cannot be used.
    #[error("{provider} cannot be used at the moment")]
    Provider {
        /// What the provider is called.
        provider: String,
        /// Why.
        source: ProviderError,
    },
    /// They have no account here and get none.
    #[error("you have no account here")]
    NoAccount,
    /// The account is closed.
    #[error("the account is deactivated")]
    Deactivated,
    /// The account is locked.
    #[error("the account is locked")]
    Locked,
    /// They completed a stage of somebody else's authentication.
    #[error("you signed on to another account than the one that is to be changed")]
    OtherAccount,
    /// The store failed.
    #[error("account store failed")]
    Store(#[from] StoreError),
}

/// A browser on its way to the provider.
#[derive(Debug)]
pub struct Departure {
    /// Where it is sent.
    pub url: String,
    /// What its cookie is to hold.
    pub browser: Secret,
}

/// What somebody is asked before they complete a stage.
#[derive(Debug)]
pub struct StageQuestion {
    /// What the authentication is for.
    pub operation: &'static str,
    /// Where they may sign on, by name, and the URL for it.
    pub providers: Vec<(String, String)>,
    /// What their cookie is to hold.
    pub browser: Secret,
}

/// What a provider sends a browser back with.
#[derive(Debug, Clone, Default)]
pub struct ProviderAnswer {
    /// What this server gave it.
    pub state: String,
    /// What the provider tells who it was for.
    pub code: Option<String>,
    /// Why it tells nothing.
    pub error: Option<String>,
    /// Who answers. Spec: OAuth 2.0 Authorization Server Issuer Identification (RFC 9207).
    pub issuer: Option<String>,
}

/// What comes of signing on.
#[derive(Debug)]
pub enum SignedOn {
    /// A client gets a token to log in with.
    ToClient(Return),
    /// A stage is complete.
    StageCompleted,
    /// Somebody new is to choose a name.
    NameWanted(NameWanted),
}

/// A browser's way back to the client.
#[derive(Debug)]
pub struct Return {
    /// The client.
    pub client: ClientUrl,
    /// Where it is, with a token.
    pub url: String,
    /// Who logs in there.
    pub user_id: ruma::OwnedUserId,
    /// Whether it gets the token without a question.
    pub trust: Trust,
}

/// Whether a client gets tokens without a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It does.
    Trusted,
    /// Its user is asked first.
    Unknown,
}

/// A form in which somebody new chooses a name.
#[derive(Debug)]
pub struct NameWanted {
    /// What the form is known by.
    pub form: Secret,
    /// A name they have elsewhere.
    pub suggestion: String,
    /// Why the last name was not it.
    pub problem: Option<String>,
}

/// What somebody wants at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// To sign on.
    LogIn,
    /// To make an account.
    Register,
}

/// Signing on elsewhere. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SingleSignOn(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    accounts: Accounts,
    outgoing: Outgoing,
    providers: Vec<Provider>,
    callback: String,
    trusted: Vec<ClientUrl>,
    flows: UnderWay<Flow>,
    newcomers: UnderWay<Newcomer>,
}

impl SingleSignOn {
    /// Signing on at the providers of the accounts' settings, which send browsers back to `callback`. Clients at or below
    /// `trusted` get tokens without a question.
    pub fn new(
        accounts: Accounts,
        outgoing: Outgoing,
        callback: String,
        trusted: Vec<ClientUrl>,
    ) -> Self {
        let providers = accounts.identity_providers().iter().cloned().map(Provider::new).collect();
        let (flows, newcomers) = (UnderWay::new(), UnderWay::new());
        Self(Arc::new(Inner { accounts, outgoing, providers, callback, trusted, flows, newcomers }))
    }

    /// Where providers send browsers back to.
    pub fn callback(&self) -> &str {
        &self.0.callback
    }

    /// Where people may sign on.
    pub fn providers(&self) -> &[IdentityProvider] {
        self.0.accounts.identity_providers()
    }

    /// Sends a browser to the provider called `provider`, to log in to a client.
    #[tracing::instrument(skip_all, fields(provider))]
    pub async fn begin(
        &self,
        provider: &str,
        client: ClientUrl,
        action: Action,
    ) -> Result<Departure, SignOnError> {
        let place = self.0.providers.iter().position(|one| one.settings.id == provider);
        let place = place.ok_or(SignOnError::UnknownProvider)?;
        let browser = Secret::random("hsb", &mut rand::rng());
        let purpose = Purpose::LogIn(client);
        let url = self.depart(place, &browser, purpose, action).await?;
        Ok(Departure { url, browser })
    }

    /// What is asked of somebody who is to complete the stage of an authentication; `None` when no such is under way.
    ///
    /// The way to the provider stands on the page that asks: nobody can be sent there without having seen it.
    pub async fn stage_question(
        &self,
        session: &str,
    ) -> Result<Option<StageQuestion>, SignOnError> {
        let Some((user, operation)) = self.0.accounts.sign_on_stage(session) else {
            return Ok(None);
        };
        let ids = self.0.accounts.linked_providers(user).await?;
        let browser = Secret::random("hsb", &mut rand::rng());
        let mut providers = Vec::new();
        let mut failure = None;
        for (place, provider) in self.0.providers.iter().enumerate() {
            if !ids.contains(&provider.settings.id) {
                continue;
            }
            let purpose = Purpose::Stage { session: session.to_owned(), user };
            match self.depart(place, &browser, purpose, Action::LogIn).await {
                Ok(url) => providers.push((provider.settings.name.clone(), url)),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if providers.is_empty() => Err(error),
            _ => Ok(Some(StageQuestion { operation, providers, browser })),
        }
    }

    /// The way to a provider, and back to `purpose`.
    async fn depart(
        &self,
        place: usize,
        browser: &Secret,
        purpose: Purpose,
        action: Action,
    ) -> Result<String, SignOnError> {
        let (provider, now) = (&self.0.providers[place], self.0.accounts.now());
        let knowledge = provider.knowledge(&self.0.outgoing, now).await;
        let knowledge = knowledge.map_err(|source| provider.failure(source))?;
        let flow = Flow {
            provider: place,
            purpose,
            nonce: Secret::random("hsn", &mut rand::rng()),
            verifier: Secret::random("hsv", &mut rand::rng()),
        };
        let registers = action == Action::Register;
        let state = Secret::random("hso", &mut rand::rng());
        let wish = Wish { callback: &self.0.callback, state: &state, flow: &flow, registers };
        let url = provider.page(&knowledge, &wish);
        self.0.flows.begin(&state, browser.clone(), flow, now);
        Ok(url)
    }

    /// Goes on with what was begun in the browser whose cookie holds `browser`, now that the provider has answered.
    #[tracing::instrument(skip_all)]
    pub async fn finish(
        &self,
        answer: ProviderAnswer,
        browser: &str,
    ) -> Result<SignedOn, SignOnError> {
        let now = self.0.accounts.now();
        let flow = self.0.flows.find(&answer.state, browser, now);
        let flow = flow.filter(|_| self.0.flows.end(&answer.state));
        let flow = flow.ok_or(SignOnError::NotUnderWay)?;
        let provider = &self.0.providers[flow.provider];
        let code = provider.code(answer)?;
        let back = (code.as_str(), self.0.callback.as_str());
        let person = provider.person(&self.0.outgoing, back, &flow, now).await;
        let person = person.map_err(|source| provider.failure(source))?;
        match &flow.purpose {
            Purpose::LogIn(client) => self.log_in(provider, person, client, browser).await,
            Purpose::Stage { session, user } => {
                let owner = self.owner(&provider.external_id(&person)).await?;
                let owner = owner.filter(|owner| owner.number == *user);
                let owner = owner.ok_or(SignOnError::OtherAccount)?;
                match self.0.accounts.complete_sign_on(session, owner) {
                    StageOutcome::Completed => Ok(SignedOn::StageCompleted),
                    StageOutcome::Failed(_) | StageOutcome::UnknownSession => {
                        Err(SignOnError::NotUnderWay)
                    }
                }
            }
        }
    }

    async fn log_in(
        &self,
        provider: &Provider,
        person: Person,
        client: &ClientUrl,
        browser: &str,
    ) -> Result<SignedOn, SignOnError> {
        match self.owner(&provider.external_id(&person)).await? {
            Some(owner) => Ok(SignedOn::ToClient(self.to_client(owner, client))),
            None => self.receive(provider, person, client, browser).await,
        }
    }

    /// The account of somebody who has signed on; fails when it cannot be used.
    async fn owner(&self, id: &ExternalId) -> Result<Option<Owner>, SignOnError> {
        let store = self.0.accounts.store();
        let Some(number) = store.user_of_external_id(id).await? else { return Ok(None) };
        let (Some(user_id), Some(record)) =
            (store.user_id(number).await?, store.user(number).await?)
        else {
            return Ok(None);
        };
        match (record.status, record.restrictions) {
            (UserStatus::Deactivated, _) => Err(SignOnError::Deactivated),
            (UserStatus::Active, Restrictions { locked: true, .. }) => Err(SignOnError::Locked),
            (UserStatus::Active, _) => Ok(Some(Owner { number, user_id })),
        }
    }

    fn to_client(&self, owner: Owner, client: &ClientUrl) -> Return {
        let trusted = self.0.trusted.iter().any(|prefix| client.is_within(prefix));
        let trust = if trusted { Trust::Trusted } else { Trust::Unknown };
        let user_id = owner.user_id.clone();
        tracing::info!(%user_id, client = client.shown(), "user signed on");
        let url = client.with_token(&self.0.accounts.sign_on_token(owner));
        Return { client: client.clone(), url, user_id, trust }
    }
}

impl Provider {
    fn external_id(&self, person: &Person) -> ExternalId {
        ExternalId { provider: self.settings.id.clone(), subject: person.subject.clone() }
    }

    /// Logs why the provider cannot be used; who wants to sign on learns only that.
    fn failure(&self, source: ProviderError) -> SignOnError {
        let provider = &self.settings;
        tracing::warn!(provider = provider.id, error = %Causes(&source), "cannot use a provider");
        SignOnError::Provider { provider: provider.name.clone(), source }
    }

    /// The code of an answer that is a success, and this provider's.
    fn code(&self, answer: ProviderAnswer) -> Result<String, SignOnError> {
        if answer.issuer.is_some_and(|issuer| issuer != self.settings.issuer) {
            return Err(self.failure(ProviderError::Issuer));
        }
        let is_code = |code: &String| {
            (1..=64).contains(&code.len())
                && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        match (answer.error, answer.code) {
            (None, Some(code)) => Ok(code),
            (error, _) => Err(SignOnError::Refused {
                provider: self.settings.name.clone(),
                code: error.filter(is_code).unwrap_or_else(|| "no code".to_owned()),
            }),
        }
    }
}

/// An error with all that caused it.
struct Causes<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
