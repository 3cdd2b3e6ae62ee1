//! The configuration: a TOML file, over it environment variables, under it defaults.

mod defaults;
mod load;
mod seconds;
mod seconds_or_none;
mod secret;
mod services;
mod single_sign_on;

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use api::{Network, Rates, Resource};
use federation::identity::TrustedServer;
use ipnet::IpNet;
use ruma::{OwnedServerName, OwnedUserId, RoomVersionId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use load::{check, load};
pub(crate) use secret::Secret;
pub(crate) use single_sign_on::SingleSignOn;

/// All settings. `config.example.toml` says the same for those who run a server.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) well_known: WellKnown,
    pub(crate) listeners: Listeners,
    pub(crate) registration: Registration,
    pub(crate) sessions: Sessions,
    pub(crate) single_sign_on: SingleSignOn,
    pub(crate) rate_limits: Rates,
    pub(crate) logging: Logging,
    pub(crate) storage: Storage,
    pub(crate) rooms: Rooms,
    pub(crate) presence: Presence,
    pub(crate) push: Push,
    pub(crate) server_notices: ServerNotices,
    pub(crate) user_directory: UserDirectory,
    pub(crate) identity_servers: IdentityServers,
    pub(crate) outgoing: Outgoing,
    pub(crate) limits: Limits,
}

/// Who the server is and where it keeps its data.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// The part of Matrix ids after the colon. It can never be changed.
    pub(crate) name: OwnedServerName,
    /// The folder of everything that is kept: the store and the signing key.
    pub(crate) data_dir: PathBuf,
    /// The URL clients shall use, told by `/.well-known/matrix/client`; without it there is no such file.
    pub(crate) client_base_url: Option<String>,
}

/// What else stands in the files of `/.well-known/matrix`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WellKnown {
    /// More keys of the file for clients.
    pub(crate) client: Map<String, Value>,
    /// Where other servers shall connect; without it there is no such file.
    pub(crate) server: Option<OwnedServerName>,
    /// A page with help for users.
    pub(crate) support_page: Option<String>,
    /// Whom to turn to.
    pub(crate) contacts: Vec<Contact>,
}

/// Somebody to turn to.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contact {
    /// `m.role.admin`, `m.role.security` or a name of one's own.
    pub(crate) role: String,
    pub(crate) matrix_id: Option<OwnedUserId>,
    pub(crate) email_address: Option<String>,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Listeners(pub(crate) Vec<Listener>);

/// One address.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listener {
    /// Address and port.
    pub(crate) bind: SocketAddr,
    /// What is served there.
    #[serde(default = "public_resources")]
    pub(crate) resources: Vec<Resource>,
    /// Reverse proxies whose `X-Forwarded-For` and `X-Request-Id` are believed.
    #[serde(default)]
    pub(crate) trusted_proxies: Vec<Network>,
}

/// How accounts come to be.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Registration {
    /// Whether clients may register accounts.
    pub(crate) enabled: bool,
    /// Whether that takes a registration token.
    pub(crate) require_token: bool,
    /// Registration tokens, each good any number of times.
    pub(crate) tokens: Vec<Secret>,
    /// Whether guests may come.
    pub(crate) allow_guests: bool,
    /// The secret that lets tools register accounts at `/_synapse/admin/v1/register`.
    pub(crate) shared_secret: Option<Secret>,
}

/// Sessions of clients.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sessions {
    /// How long an access token is accepted that its client can refresh; others are until logout.
    #[serde(with = "seconds")]
    pub(crate) access_token_seconds: Duration,
    /// Whether users get tokens that log another device in.
    pub(crate) login_tokens: bool,
    /// How long such a token is good.
    #[serde(with = "seconds")]
    pub(crate) login_token_seconds: Duration,
}

/// What is written to standard error.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Logging {
    /// Directives of `tracing-subscriber`'s `EnvFilter`.
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people; in colours on a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The store.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Storage {
    pub(crate) engine: EngineKind,
    /// Bytes of memory the engine may use to keep what it has read.
    pub(crate) cache_bytes: u64,
}

/// What keeps the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EngineKind {
    /// Everything is gone when the server stops.
    Memory,
    #[default]
    Sled,
    Fjall,
}

/// Defaults of rooms.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rooms {
    /// The version of new rooms whose creator does not choose one.
    pub(crate) default_version: RoomVersionId,
    /// How long it is kept, for moderators and administrators, what redacted events said.
    #[serde(with = "seconds_or_none")]
    pub(crate) redacted_retention_seconds: Duration,
    pub(crate) publishers: Publishers,
    /// Whether rooms that users leave are forgotten at once.
    pub(crate) forget_on_leave: bool,
    /// The longest time for which clients may have an event held back.
    #[serde(with = "seconds")]
    pub(crate) max_event_delay_seconds: Duration,
}

/// Who may put rooms into the directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Publishers {
    /// Who may set a room's canonical alias.
    #[default]
    Moderators,
    /// Administrators of the server.
    Administrators,
}

/// Who is online.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Presence {
    /// Whether it is noted, and shown to who shares a room.
    pub(crate) enabled: bool,
}

/// What notifies users.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Push {
    /// Whether messages that do not say whom they mention are searched for names.
    pub(crate) legacy_mentions: bool,
}

/// How the server speaks to its users.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerNotices {
    /// Whether administrators can send notices.
    pub(crate) enabled: bool,
    /// The name before the colon of the user who sends them. Nobody can log in as that user.
    pub(crate) localpart: String,
    /// What that user is called.
    pub(crate) display_name: String,
    /// What the rooms of notices are called.
    pub(crate) room_name: String,
}

/// The search for users.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UserDirectory {
    /// Whether it finds all users of this server, not just those whom the searcher can see in rooms.
    pub(crate) search_all_users: bool,
}

/// Who knows whose an email address or a phone number is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct IdentityServers {
    /// Whom of those that clients name this server asks.
    pub(crate) trusted: Vec<TrustedServer>,
}

/// Requests to servers that are no homeservers: identity servers, providers of single sign-on.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Outgoing {
    /// Networks that are connected to though they are not public.
    pub(crate) allowed_private_networks: Vec<IpNet>,
    /// Files of certificates that are trusted beside those of the operating system.
    pub(crate) trusted_certificates: Vec<PathBuf>,
    /// The longest time until an answer is there.
    #[serde(with = "seconds")]
    pub(crate) timeout_seconds: Duration,
}

/// Bounds that keep one caller from taking everything.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// The most bytes a request body may have where an endpoint sets no limit of its own.
    pub(crate) body_bytes: NonZeroUsize,
    /// The longest time a request body may take to arrive.
    #[serde(with = "seconds")]
    pub(crate) body_seconds: Duration,
    /// The longest time a request may take, long-polls left out.
    #[serde(with = "seconds")]
    pub(crate) request_seconds: Duration,
    /// The most connections at once; more wait until one ends.
    pub(crate) connections: NonZeroUsize,
    /// The most connections of one address, trusted proxies left out; more are closed.
    pub(crate) connections_per_address: NonZeroUsize,
    /// The longest time a connection may be silent.
    #[serde(with = "seconds")]
    pub(crate) idle_seconds: Duration,
    /// The longest time that running requests get when the server is asked to stop.
    #[serde(with = "seconds")]
    pub(crate) shutdown_seconds: Duration,
}

/// What a listener serves that does not say: not the metrics, which are nobody else's business.
fn public_resources() -> Vec<Resource> {
    vec![Resource::Client, Resource::Federation, Resource::Admin]
}
