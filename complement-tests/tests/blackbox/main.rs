//! Black-box tests of a homeserver, a module per heading of the specification.
//!
//! Each test was first passed by Synapse (`HOMESERVER=synapse`). Where the specification decides
//! otherwise than Synapse, the test names the sentence.

mod account;
mod account_data;
mod admin_rooms;
mod admin_users;
mod aliases;
mod context;
mod creators;
mod devices;
mod directory;
mod durability;
mod filters;
mod guests;
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
mod send;
mod server_administration;
mod server_notices;
mod settings;
mod spaces;
mod state;
mod sync;
mod third_party_networks;
mod typing;
mod upgrades;
mod user_directory;
mod user_redaction;
mod versions;
mod well_known;
