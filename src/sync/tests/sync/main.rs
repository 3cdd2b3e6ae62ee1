//! What readers are told, on rooms in a memory store.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

mod content;
mod house;
mod notifications;
mod state;
mod state_always;
mod tokens;
mod unread;
mod unread_always;
mod waiting;
