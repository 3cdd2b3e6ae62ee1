//! The way to other servers.
//!
//! So far to those that are no homeservers: identity servers, and providers of single sign-on.

pub mod identity;
pub mod outgoing;
