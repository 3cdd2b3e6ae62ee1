//! The HTTP edge: from requests on the wire to typed calls of services, and back. It decides nothing about Matrix.
//!
//! A handler is a typed function ([`Endpoints`]); everything that is the same for all requests happens in one
//! place ([`Edge`]): routing, authentication, limits, parsing, errors, CORS, logs and metrics.

mod authentication;
mod body;
mod direction;
mod edge;
mod endpoints;
mod error;
mod incoming;
mod proxies;
mod rate_limits;
mod request_id;
mod routes;
mod shutdown;
mod stand_in;
mod standing;

pub mod admin;
pub mod client;
pub mod metrics;
pub mod server;

pub use authentication::{Authentication, Authenticator, Caller, Requester};
pub use edge::{DuplicateRoute, Edge, EdgeBuilder, Limits, Resource};
pub use endpoints::{Endpoints, Paths, Settings};
pub use error::{Logout, MatrixError};
pub use incoming::Incoming;
pub use proxies::{InvalidNetwork, Network, Proxies};
pub use rate_limits::{InvalidRate, Rate, RateClass, RateLimits, Rates, network_of};
pub use shutdown::{Shutdown, ShutdownTrigger};
