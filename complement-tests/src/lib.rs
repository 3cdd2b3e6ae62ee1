//! What the black-box tests stand on: real homeservers on loopback, and clients that speak HTTP to them.
//!
//! `HOMESERVER=hearth` (the default) or `HOMESERVER=synapse` chooses what is started, so that an
//! expectation of ours that is wrong shows on the server everyone else talks to. Whatever goes wrong
//! is a panic that says what was sent and what came back.
#![expect(clippy::missing_panics_doc, reason = "a test harness reports by panicking")]

mod answer;
mod client;
mod fake;
mod fake_identity;
mod hearth;
mod names;
mod process;
mod rooms;
mod server;
mod synapse;
mod sync;

pub use answer::Answer;
pub use client::{Client, PASSWORD, Role};
pub use fake::{FakeAnswer, FakeRequest, FakeServer};
pub use fake_identity::FakeIdentityServer;
pub use names::{encoded, unique};
pub use reqwest::Method;
pub use rooms::{redact_path, room_path, send_path, state_path};
pub use server::{Homeserver, Server, synapse_departs_from};
pub use sync::{event_ids, timeline};
