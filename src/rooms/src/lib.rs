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
mod delayed_events;
mod deletion;
mod departures;
mod details;
mod directory;
mod erasure;
mod error;
mod event;
mod first_sight;
mod founding;
mod guests;
mod hierarchy;
mod history;
mod ignored;
mod invite_permission;
mod joining;
mod members;
mod membership;
mod moments;
mod mutual;
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
mod search;
mod send;
mod server_notices;
mod spaces;
mod standing;
mod state;
mod stay;
mod succession;
mod summary;
mod takeover;
mod tasks;
#[cfg(test)]
mod testing;
mod third_party_invites;
mod thread_subscriptions;
mod threads;
mod timeline;
pub mod tokens;
pub mod typing;
mod upgrade;
mod user_directory;
mod user_redaction;
mod visibility;
mod worker;

pub use blocking::Block;
pub use client_event::{EventShape, Viewer};
pub use create::{CreateRoom, InitialState, Invitation, Preset};
pub use delayed_events::{DelayAction, DelayError, Delayed, Waiting};
pub use details::{MoreRoomDetails, RoomDetails, RoomFilter, RoomOrder, RoomStateTexts, Tombstone};
pub use directory::{DirectoryPage, DirectorySearch, DirectoryToken, Publishers};
pub use error::RoomError;
pub use event::StoredEvent;
pub use hierarchy::{Children, Hierarchy, HierarchyPage, HierarchyRoom, HierarchyToken};
pub use history::PurgeUntil;
pub use ignored::ignored_users;
pub use invite_permission::InvitePermission;
pub use joining::{JoinRequest, ThirdPartySigned};
pub use membership::Change as MembershipChange;
pub use mutual::MutualRooms;
pub use redacted_content::Asker;
pub use related::{DEPTH as RELATION_DEPTH, Reach, RelationsWanted};
pub use relations::rel_type;
pub use reports::{Excerpt, ReportFilter, RoomTitle};
pub use rooms::{Rooms, Settings};
pub use search::{
    Findings, Found, InvalidSearchToken, Order as SearchOrder, Search, SearchError, SearchKey,
    SearchToken, Wanted as SearchWanted,
};
pub use send::{Message, unique_transaction_id};
pub use server_notices::{Notice, NoticeSettings, Recipient, SentNotice};
pub use third_party_invites::ThirdPartyInvite;
pub use thread_subscriptions::{Subscribing, SubscriptionError, SubscriptionPage};
pub use threads::ThreadsOf;
pub use timeline::{Page, Placed, Stretch};
pub use user_directory::{FoundUser, FoundUsers, SearchableUsers};
pub use visibility::Sight;
