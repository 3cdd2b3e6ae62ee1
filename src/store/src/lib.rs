//! The ordered key-value store: engines, the commit pipeline, typed tables and state tries.
//!
//! Nothing outside this crate sees bytes: reads are methods of [`Store`], writes are methods of [`Batch`], a file
//! per subject. A batch is committed as a whole or not at all, and [`Store::commit`] answers only when it is on disk.

mod account_data;
mod account_data_sizes;
mod account_names;
mod aliases;
mod arrivals;
mod batch;
mod blocked_rooms;
mod committer;
mod delayed_events;
mod departures;
mod devices;
mod directory;
mod engine;
mod error;
mod event_times;
mod events;
mod external_ids;
mod filters;
mod folder;
mod key;
mod memberships;
mod names;
mod notice_rooms;
mod number;
mod open_upgrades;
mod openid_key;
mod overlay;
mod position;
mod presence;
mod profile_propagations;
mod profiles;
mod pushers;
mod queue;
#[doc(hidden)]
pub mod raw;
mod receipts;
mod redacted_events;
mod registration_tokens;
mod relations;
mod reports;
mod room_heads;
mod room_removal;
mod space_links;
mod state_trie;
mod store;
mod table;
mod tasks;
mod thread_subscriptions;
mod threads;
mod to_device;
mod transactions;
mod transfer;
mod unread_tallies;
mod user_directory;
mod users;

pub use account_data::AccountData;
pub use aliases::AliasRecord;
pub use arrivals::Arrival;
pub use batch::{Batch, Change, Slot};
pub use delayed_events::DelayedEvent;
pub use devices::{DeviceRecord, LastSeen, PairState, TokenHash, TokenOwner, TokenPair};
pub use directory::DirectoryPlace;
pub use engine::{Direction, Engine, Entry, KeyRange, Write, memory::MemoryEngine};
pub use error::{EngineError, StoreError};
pub use event_times::Moment;
pub use events::{EventIndex, EventKind, EventRecord, EventTransaction, TimelineEntry};
pub use external_ids::ExternalId;
pub use folder::{EngineKind, EngineOptions, engine_in, open, open_engine};
pub use memberships::{
    Forgotten, Membership, MembershipChange, RoomMember, RoomMembership, StatedMembership,
};
pub use number::{EventNumber, RoomNumber, StateKeyNumber, UserNumber};
pub use open_upgrades::OpenUpgrade;
pub use position::{StreamPosition, TimelinePosition};
pub use profile_propagations::{MemberField, PendingPropagation, PropagateTo, Propagation};
pub use pushers::{PusherKey, PusherRecord};
pub use receipts::{Receipt, ReceiptKind, StoredReceipt};
pub use redacted_events::RedactedEvent;
pub use registration_tokens::RegistrationTokenRecord;
pub use relations::{Annotation, RelatedEvent, RelationKind, RelationRange};
pub use reports::{ReportId, ReportKind, ReportRecord, ReportSubject};
pub use room_heads::{Extremity, Publication, RoomHead};
pub use room_removal::RoomRows;
pub use space_links::SpaceLink;
pub use state_trie::{CollectedNodes, StateChange, StateCollection, StateRoot};
pub use store::{Observer, Store, Ticket};
pub use table::Table;
pub use tasks::{
    HistoryPurge, LocalEvents, RedactionScope, Redactor, Removal, RoomDeletion, SuccessorRoom,
    TaskRecord, TaskState, TaskSubject, UserRedaction, Work,
};
pub use thread_subscriptions::{ChangedSubscription, Subscription, ThreadSubscription};
pub use threads::{ThreadRemoval, ThreadTally};
pub use to_device::{LoggedIn, ToDeviceMessage, WaitingMessage};
pub use transactions::TransactionKey;
pub use transfer::{TransferError, export, import};
pub use unread_tallies::{TallyBasis, UnreadEvent, UnreadTally};
pub use user_directory::{RoomOpenness, WordMatch};
pub use users::{Restrictions, Role, UserKind, UserRecord, UserStatus};
