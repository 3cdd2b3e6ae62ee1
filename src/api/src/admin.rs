//! Administration, by the paths existing tools expect.

pub mod shared_secret;
