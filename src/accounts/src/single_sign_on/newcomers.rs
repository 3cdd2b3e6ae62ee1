//! Accounts for those who sign on for the first time.

use std::sync::Arc;

use store::{Batch, ExternalId, StoreError, UserKind, UserStatus};

use super::flows::Newcomer;
use super::{
    ClientUrl, NameWanted, Namesakes, Newcomers, Person, Provider, SignOnError, SignedOn,
    SingleSignOn, localpart,
};
use crate::profiles::MAX_MEMBER_FIELD;
use crate::{NewUser, RegistrationError, Secret, external_ids::MAX_IDS, login::Owner};

impl SingleSignOn {
    /// Receives somebody who has signed on and has no account.
    pub(super) async fn receive(
        &self,
        provider: &Provider,
        mut person: Person,
        client: &ClientUrl,
        browser: &str,
    ) -> Result<SignedOn, SignOnError> {
        let (settings, now) = (&provider.settings, self.0.accounts.now());
        if (settings.newcomers, settings.namesakes) == (Newcomers::Refused, Namesakes::Others) {
            return Err(SignOnError::NoAccount);
        }
        let wanted = [&*settings.localpart_claim, &*settings.display_name_claim];
        let completed = provider.complete(&self.0.outgoing, &mut person, wanted, now).await;
        completed.map_err(|source| provider.failure(source))?;
        let [name, display_name] = wanted.map(|claim| person.claim(claim));
        let name = name.map(|name| localpart(&name)).unwrap_or_default();
        let id = provider.external_id(&person);
        if settings.namesakes == Namesakes::Themselves
            && let Some(owner) = self.take_over(&name, &id).await?
        {
            return Ok(SignedOn::ToClient(self.to_client(owner, client)));
        }
        if settings.newcomers == Newcomers::Refused {
            return Err(SignOnError::NoAccount);
        }
        let newcomer = Newcomer { id, display_name, client: client.clone() };
        match self.register(&newcomer, &name).await? {
            Ok(owner) => Ok(SignedOn::ToClient(self.to_client(owner, client))),
            Err(problem) => {
                let browser = Secret::new(browser);
                let form = Secret::random("hsf", &mut rand::rng());
                self.0.newcomers.begin(&form, browser, newcomer, now);
                let problem = (!name.is_empty()).then_some(problem);
                Ok(SignedOn::NameWanted(NameWanted { form, suggestion: name, problem }))
            }
        }
    }

    /// Gives somebody new the name that they chose in a form, in the browser whose cookie holds `browser`.
    #[tracing::instrument(skip_all, fields(username))]
    pub async fn choose_name(
        &self,
        form: &str,
        username: &str,
        browser: &str,
    ) -> Result<SignedOn, SignOnError> {
        let newcomer = self.0.newcomers.find(form, browser, self.0.accounts.now());
        let newcomer: Arc<Newcomer> = newcomer.ok_or(SignOnError::NotUnderWay)?;
        match self.register(&newcomer, username).await? {
            Ok(owner) => {
                self.0.newcomers.end(form);
                Ok(SignedOn::ToClient(self.to_client(owner, &newcomer.client)))
            }
            Err(problem) => Ok(SignedOn::NameWanted(NameWanted {
                form: Secret::new(form),
                suggestion: username.to_owned(),
                problem: Some(problem),
            })),
        }
    }

    /// Makes an account of this name, or tells why it cannot be had.
    async fn register(
        &self,
        newcomer: &Newcomer,
        username: &str,
    ) -> Result<Result<Owner, String>, SignOnError> {
        let mut user = NewUser::new(username).external_ids([newcomer.id.clone()]);
        if let Some(name) = &newcomer.display_name {
            user = user.display_name(&name[..name.floor_char_boundary(MAX_MEMBER_FIELD)]);
        }
        let failure = match self.0.accounts.create_user(user).await {
            Ok(registered) => {
                let number = self.0.accounts.store().number_user(&registered.user_id).await?;
                return Ok(Ok(Owner { number, user_id: registered.user_id }));
            }
            Err(failure) => failure,
        };
        // They may have signed on twice at once.
        if let Some(owner) = self.owner(&newcomer.id).await? {
            return Ok(Ok(owner));
        }
        match failure {
            RegistrationError::Username(problem) => Ok(Err(problem.to_string())),
            RegistrationError::Taken(user_id) => Ok(Err(format!("{user_id} is taken"))),
            RegistrationError::Store(error) => Err(error.into()),
            // What else there is depends on what is not asked for here.
            RegistrationError::Disabled
            | RegistrationError::NoGuests
            | RegistrationError::NotThatGuest
            | RegistrationError::NoPassword
            | RegistrationError::Password(_)
            | RegistrationError::TokenUsedUp
            | RegistrationError::ExternalId(_)
            | RegistrationError::Auth(_) => Err(SignOnError::NoAccount),
        }
    }

    /// Gives somebody the account of their name, unless it is a guest's, closed, or somebody else's at this provider.
    async fn take_over(&self, name: &str, id: &ExternalId) -> Result<Option<Owner>, SignOnError> {
        let accounts = &self.0.accounts;
        let user_id = ruma::UserId::parse_with_server_name(name, accounts.server_name());
        let Ok(user_id) = user_id else { return Ok(None) };
        let Some((number, record)) = accounts.account(&user_id).await? else { return Ok(None) };
        if record.kind == UserKind::Guest || record.status == UserStatus::Deactivated {
            return Ok(None);
        }
        let ids = accounts.store().external_ids(number, MAX_IDS).await?;
        if ids.len() >= MAX_IDS || ids.iter().any(|other| other.provider == id.provider) {
            return Ok(None);
        }
        let mut batch = Batch::new();
        batch.link_external_id(id, number)?;
        match accounts.store().commit(batch).await {
            Ok(_) => tracing::info!(%user_id, provider = id.provider, "account linked"),
            // They have signed on twice at once.
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        self.owner(id).await
    }
}
