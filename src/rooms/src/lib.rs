//! Rooms: where events are made, authorised and kept.
//!
//! Each room has one writer at a time. It builds every event on what it has already handed to the store, durable or
//! not, so that many events share one flush; each sender is answered when its own commit is durable.

mod aggregations;
mod aliases;
mod append;
mod assembly;
mod cell;
mod client_event;
mod create;
mod departures;
mod erasure;
mod error;
mod event;
mod guests;
mod members;
mod membership;
pub mod presence;
mod profiles;
mod receipts;
mod references;
mod related;
mod relations;
mod reports;
mod restricted;
mod rooms;
mod send;
mod server_notices;
mod state;
#[cfg(test)]
mod testing;
mod threads;
mod timeline;
pub mod tokens;
pub mod typing;
mod visibility;

pub use client_event::{EventShape, Viewer};
pub use create::{CreateRoom, InitialState, Invitation, Preset};
pub use error::RoomError;
pub use event::StoredEvent;
pub use membership::Change as MembershipChange;
pub use related::RelationsWanted;
pub use reports::{Excerpt, ReportFilter, RoomTitle};
pub use rooms::{Rooms, Settings};
pub use send::{Message, unique_transaction_id};
pub use server_notices::{Notice, NoticeSettings, Recipient, SentNotice};
pub use threads::ThreadsOf;
pub use timeline::{Page, Placed, Stretch};
pub use visibility::Sight;
