//! The rules of Matrix as pure functions: events, hashes and signatures, authorisation, state resolution, redaction, power
//! levels and push rules, for room versions 1 to 12 and those of MSC3757.
//!
//! Nothing here reads a file, a socket or the time: what a rule needs is passed in, so a test decides it. The one exception is
//! [`SystemClock`], which lives next to the [`Clock`] trait that everything else is given.

pub mod auth;
mod clock;
mod depth;
pub mod event_builder;
pub mod glob;
mod json_writer;
pub mod limits;
mod pdu;
pub mod power_levels;
pub mod push;
pub mod receipt;
pub mod redaction;
pub mod room_version;
pub mod server_keys;
mod signing_key;
pub mod state_resolution;
#[cfg(test)]
mod test_room;
mod third_party_id;
pub mod words;

pub use clock::{Clock, FixedClock, SystemClock};
pub use depth::Depth;
pub use pdu::{Pdu, PduError};
pub use signing_key::{SigningKey, SigningKeyError};
pub use third_party_id::{InvalidThirdPartyId, ThirdPartyId};
