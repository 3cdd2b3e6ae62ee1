//! The edge on its own: real ruma requests, handlers that do nothing.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

mod any_input;
mod requests;
mod service;
