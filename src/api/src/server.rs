//! The server-server API, a file per heading of the specification.

pub mod openid;
pub mod version;
