//! The client-server API, a file per heading of the specification.

pub mod account;
pub mod account_data;
pub mod capabilities;
pub mod delayed_events;
pub mod devices;
pub mod fallback;
pub mod filters;
mod login_request;
mod login_types;
pub mod notifications;
pub mod old_sync;
pub mod openid;
pub mod presence;
pub mod profiles;
pub mod push_rules;
pub mod pushers;
pub mod receipts;
pub mod registration;
pub mod reporting;
pub mod rooms;
pub mod search;
pub mod server_administration;
pub mod sessions;
pub mod single_sign_on;
pub mod sliding_sync;
pub mod sync;
pub mod tags;
pub mod third_party;
pub mod third_party_ids;
pub mod to_device;
pub mod typing;
pub mod user_directory;
pub(crate) mod versions;
pub mod voip;
pub mod well_known;

pub use login_request::LoginRequest;
