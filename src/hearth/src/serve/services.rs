//! The services, each given those it uses.

use std::sync::Arc;

use accounts::{Accounts, GuessLimit, Guests, Registration, SingleSignOn};
use api::{EdgeBuilder, RateLimits, Shutdown, admin, client, client::well_known::WellKnown};
use federation::{identity::IdentityServers, outgoing::Outgoing};
use protocol::{Clock, SystemClock};
use rooms::presence::Tracking;
use rooms::{Rooms, Search, SearchableUsers};
use ruma::UserId;
use ruma::api::client::discovery::discover_support::{self, ContactRole};
use store::{EngineOptions, Store, StoreError};
use sync::{Epoch, Sync};

use crate::{
    config::{self, Config, Contact, EngineKind},
    data_dir::DataDir,
    failure::Failure,
};

/// Everything behind the HTTP edge.
pub(super) struct Services {
    store: Store,
    accounts: Accounts,
    sign_on: SingleSignOn,
    rooms: Rooms,
    search: Search,
    sync: Sync,
}

impl Services {
    /// Opens the store in the data folder and starts the services on it.
    pub(super) async fn open(config: &Config, data: &DataDir) -> Result<Self, Failure> {
        let store = open_store(config, data).await;
        let store = store.map_err(Failure::because("cannot open the store"))?;
        let signing_key = data.signing_key()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let name = config.server.name.clone();
        let settings = account_settings(config, data)?;
        let accounts = Accounts::new(store.clone(), Arc::clone(&clock), name.clone(), settings)
            .map_err(Failure::because("cannot start the threads that hash passwords"))?;
        let presence = if config.presence.enabled { Tracking::On } else { Tracking::Off };
        let server_notices = notice_settings(config)?;
        let search_all = config.user_directory.search_all_users;
        let searchable_users =
            if search_all { SearchableUsers::All } else { SearchableUsers::Visible };
        let outgoing = Outgoing::new(&(&config.outgoing).into());
        let outgoing = outgoing.map_err(Failure::because("cannot send requests to others"))?;
        let settings = rooms::Settings {
            presence,
            redacted_retention: config.rooms.redacted_retention_seconds,
            max_event_delay: config.rooms.max_event_delay_seconds,
            server_notices,
            searchable_users,
            legacy_mentions: (&config.push).into(),
            identity_servers: IdentityServers::new(&outgoing, &config.identity_servers.trusted),
            ..(&config.rooms).into()
        };
        let sign_on = sign_on(config, &accounts, outgoing);
        let rooms = Rooms::new(store.clone(), name, signing_key, clock, settings);
        let recalled = rooms.recall_presence().await;
        recalled.map_err(Failure::because("cannot read what users say of their presence"))?;
        let search = open_search(config, data, rooms.clone()).await?;
        let sync = Sync::new(rooms.clone(), Epoch(rand::random()));
        Ok(Self { store, accounts, sign_on, rooms, search, sync })
    }

    /// All endpoints.
    pub(super) fn endpoints(
        &self,
        config: &Config,
        rate_limits: RateLimits,
        shutdown: &Shutdown,
    ) -> EdgeBuilder {
        let authenticator = Arc::new(self.accounts.clone());
        let mut all = EdgeBuilder::new(authenticator, rate_limits.clone(), (&config.limits).into())
            .with(api::server::version::endpoints())
            .with(client::account::endpoints(self.accounts.clone()))
            .with(client::account_data::endpoints(self.accounts.clone()))
            .with(client::capabilities::endpoints(self.rooms.settings(), &self.accounts))
            .with(client::devices::endpoints(self.accounts.clone()))
            .with(client::fallback::endpoints(self.accounts.clone(), self.sign_on.clone()))
            .with(client::filters::endpoints(self.accounts.clone()))
            .with(client::notifications::endpoints(self.sync.clone()))
            .with(client::presence::endpoints(self.rooms.clone()))
            .with(client::openid::endpoints(self.accounts.clone(), config.server.name.clone()))
            .with(api::server::openid::endpoints(self.accounts.clone()))
            .with(client::profiles::endpoints(self.accounts.clone(), self.rooms.clone()))
            .with(client::push_rules::endpoints(self.accounts.clone()))
            .with(client::pushers::endpoints(self.accounts.clone()))
            .with(client::registration::endpoints(self.accounts.clone()))
            .with(client::search::endpoints(self.rooms.clone(), self.search.clone()))
            .with(client::server_administration::endpoints(self.accounts.clone()))
            .with(client::sessions::endpoints(self.accounts.clone()))
            .with(client::single_sign_on::endpoints(self.sign_on.clone()))
            .with(client::tags::endpoints(self.accounts.clone()))
            .with(client::to_device::endpoints(self.accounts.clone()))
            .with(client::third_party::endpoints())
            .with(client::third_party_ids::endpoints())
            .with(client::user_directory::endpoints(self.rooms.clone()))
            .with(client::voip::endpoints())
            .with(client::well_known::endpoints(well_known(config)))
            .with(admin::shared_secret::endpoints(self.accounts.clone()));
        let notices_name = &config.server_notices.display_name;
        all = admin::endpoints(all, &self.accounts, &self.rooms, notices_name);
        all = client::reporting::endpoints(all, &self.rooms);
        all = client::rooms::endpoints(all, &self.rooms, rate_limits);
        all = client::delayed_events::endpoints(all, &self.rooms);
        all = client::receipts::endpoints(all, &self.rooms);
        all = client::typing::endpoints(all, &self.rooms);
        all = client::sync::endpoints(all, &self.sync, shutdown);
        all = client::sliding_sync::endpoints(all, &self.sync, shutdown);
        all = client::old_sync::endpoints(all, &self.rooms, &self.sync, shutdown);
        all
    }

    /// What goes on while the server runs; never ends by itself.
    pub(super) fn background(&self) -> impl Future<Output = ()> + Send + 'static {
        let (sync, search, rooms) = (self.sync.clone(), self.search.clone(), self.rooms.clone());
        async move {
            let accounts = async { tokio::join!(rooms.propagate_profiles(), rooms.see_out()) };
            let work = async { tokio::join!(rooms.work(), rooms.complete_upgrades()) };
            let removal = async { tokio::join!(rooms.erase_redacted(), work) };
            let messages = async { tokio::join!(search.run(), rooms.run_delayed_events()) };
            tokio::join!(sync.run(), accounts, removal, messages);
        }
    }

    /// Writes what is not written yet.
    pub(super) async fn close(&self) {
        self.store.close().await;
    }
}

/// The store in the data folder, which no other process has open.
pub(crate) async fn open_store(config: &Config, data: &DataDir) -> Result<Store, StoreError> {
    let options = EngineOptions { cache_bytes: config.storage.cache_bytes };
    store::open(config.storage.engine.into(), data.path(), options).await
}

fn notice_settings(config: &Config) -> Result<Option<rooms::NoticeSettings>, Failure> {
    let notices = &config.server_notices;
    if !notices.enabled {
        return Ok(None);
    }
    let sender = UserId::parse_with_server_name(&*notices.localpart, &config.server.name);
    let sender = sender.map_err(Failure::because("server_notices.localpart is no user name"))?;
    Ok(Some(rooms::NoticeSettings { sender, room_name: notices.room_name.clone() }))
}

/// The search index beside the store; in memory where the store is.
async fn open_search(config: &Config, data: &DataDir, rooms: Rooms) -> Result<Search, Failure> {
    let in_memory = config.storage.engine == EngineKind::Memory;
    let folder = (!in_memory).then(|| data.path().join("search"));
    let opened = tokio::task::spawn_blocking(move || Search::open(rooms, folder.as_deref())).await;
    opened
        .map_err(Failure::because("cannot open the search index"))?
        .map_err(Failure::because("cannot open the search index"))
}

/// Signing on at the configured providers. None of them is asked for anything yet.
fn sign_on(config: &Config, accounts: &Accounts, outgoing: Outgoing) -> SingleSignOn {
    let callback = config::SingleSignOn::callback(config.server.client_base_url.as_deref());
    let trusted = config.single_sign_on.trusted();
    SingleSignOn::new(accounts.clone(), outgoing, callback, trusted)
}

fn account_settings(config: &Config, data: &DataDir) -> Result<accounts::Settings, Failure> {
    let registration = match (config.registration.enabled, config.registration.require_token) {
        (false, _) => Registration::Closed,
        (true, true) => Registration::WithToken,
        (true, false) => Registration::Open,
    };
    let (tokens, sessions) = (config.registration.tokens.iter(), &config.sessions);
    let wrong = config.rate_limits.wrong_passwords;
    let guess_limit = GuessLimit { burst: wrong.burst.get(), recovery: wrong.recovery() };
    Ok(accounts::Settings {
        registration,
        registration_tokens: tokens.map(|token| accounts::Secret::new(token.expose())).collect(),
        shared_secret: Some(data.shared_secret(config)?),
        guests: if config.registration.allow_guests { Guests::Welcome } else { Guests::Refused },
        legacy_mentions: (&config.push).into(),
        identity_providers: config.single_sign_on.providers.iter().map(Into::into).collect(),
        login_token_lifetime: sessions.login_tokens.then_some(sessions.login_token_seconds),
        access_token_lifetime: sessions.access_token_seconds,
        guess_limit: config.rate_limits.enabled.then_some(guess_limit),
        ..accounts::Settings::default()
    })
}

fn well_known(config: &Config) -> WellKnown {
    let contact = |contact: &Contact| {
        let role = ContactRole::from(contact.role.clone());
        let address = contact.email_address.clone().unwrap_or_default();
        let mut shown = discover_support::Contact::with_email_address(role, address);
        shown.email_address.clone_from(&contact.email_address);
        shown.matrix_id.clone_from(&contact.matrix_id);
        shown
    };
    WellKnown {
        client_base_url: config.server.client_base_url.clone(),
        client_extra: config.well_known.client.clone(),
        server: config.well_known.server.clone(),
        contacts: config.well_known.contacts.iter().map(contact).collect(),
        support_page: config.well_known.support_page.clone(),
    }
}
