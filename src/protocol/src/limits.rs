//! How large an event and its parts may be.
//! Spec: client-server API, "Size limits"; room versions, "Event format".

/// Bytes of a whole event in canonical JSON, signatures included.
pub const EVENT: usize = 65_536;
/// Bytes of `sender`, `room_id`, `state_key`, `type` and `event_id`.
pub const IDENTIFIER: usize = 255;
/// Entries of `prev_events`.
pub const PREV_EVENTS: usize = 20;
/// Entries of `auth_events`.
pub const AUTH_EVENTS: usize = 10;
