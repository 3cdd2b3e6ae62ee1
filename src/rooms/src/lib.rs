//! Rooms: where events are made, authorised and kept.
//!
//! Each room has one writer at a time. It builds every event on what it has already handed to the store, durable or
//! not, so that many events share one flush; each sender is answered when its own commit is durable.

mod aggregations;
mod aliases;
mod append;
mod assembly;
mod blocking;
mod cell;
mod client_event;
mod create;
mod deletion;
mod departures;
mod details;
mod erasure;
mod error;
mod event;
mod guests;
mod history;
mod members;
mod membership;
pub mod presence;
mod profiles;
mod receipts;
mod redacted_content;
mod references;
mod related;
mod relations;
mod reports;
mod restricted;
mod rooms;
mod send;
mod server_notices;
mod state;
mod takeover;
mod tasks;
#[cfg(test)]
mod testing;
mod threads;
mod timeline;
pub mod tokens;
pub mod typing;
mod user_directory;
mod visibility;

pub use blocking::Block;
pub use client_event::{EventShape, Viewer};
pub use create::{CreateRoom, InitialState, Invitation, Preset};
pub use details::{MoreRoomDetails, RoomDetails, RoomFilter, RoomOrder, RoomStateTexts, Tombstone};
pub use error::RoomError;
pub use event::StoredEvent;
pub use history::PurgeUntil;
pub use membership::Change as MembershipChange;
pub use redacted_content::Asker;
pub use related::RelationsWanted;
pub use reports::{Excerpt, ReportFilter, RoomTitle};
pub use rooms::{Rooms, Settings};
pub use send::{Message, unique_transaction_id};
pub use server_notices::{Notice, NoticeSettings, Recipient, SentNotice};
pub use threads::ThreadsOf;
pub use timeline::{Page, Placed, Stretch};
pub use user_directory::{FoundUser, FoundUsers, SearchableUsers};
pub use visibility::Sight;
