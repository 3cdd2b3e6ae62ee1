//! Black-box tests of a homeserver, a module per heading of the specification.
//!
//! Tests are passed by Synapse first (`HOMESERVER=synapse`). Where the specification decides
//! otherwise than Synapse, the test names the sentence. Not run against Synapse yet: `search`,
//! `timestamps`, `visibility`, `thread_subscriptions` and `delayed_events`.

mod account;
mod account_data;
mod admin_rooms;
mod admin_users;
mod aliases;
mod common_errors;
mod context;
mod creators;
mod delayed_events;
mod devices;
mod directory;
mod durability;
mod filters;
mod guests;
mod ignored_users;
mod invites;
mod login;
mod login_tokens;
mod long_poll;
mod members;
mod membership;
mod messages;
mod mutual_rooms;
mod notifications;
mod old_sync;
mod openid;
mod owned_state;
mod presence;
mod profile;
mod purge_history;
mod push_rules;
mod pushers;
mod receipts;
mod redacted_content;
mod redaction;
mod register;
mod registration_tokens;
mod relations;
mod reports;
mod room_deletion;
mod rooms_create;
mod routing;
mod search;
mod send;
mod server_administration;
mod server_notices;
mod settings;
mod spaces;
mod state;
mod sync;
mod tags;
mod third_party_networks;
mod thread_subscriptions;
mod timestamps;
mod typing;
mod upgrades;
mod user_directory;
mod user_redaction;
mod versions;
mod visibility;
mod well_known;
