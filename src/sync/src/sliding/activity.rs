//! When something last happened in a room. Spec: MSC4186, "Activity ordering" and `bump_stamp`.

use quick_cache::sync::Cache;
use rooms::{RoomError, Rooms};
use ruma::events::TimelineEventType;
use store::{Direction, RoomNumber, StreamPosition, TimelinePosition};

/// How many rooms are remembered.
const KEPT: usize = 200_000;
/// How many events are read at once.
const PAGE: usize = 50;
/// How many events are looked at for one that bumps the room, the first time.
const MOST_LOOKED_AT: usize = 500;

/// Events that count as activity for those who look at the room.
const BUMPING: [&str; 8] = [
    "m.room.create",
    "m.room.message",
    "m.room.encrypted",
    "m.sticker",
    "m.call.invite",
    "m.poll.start",
    "org.matrix.msc3381.poll.start",
    "m.beacon_info",
];

/// When something last happened in a room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Activity {
    as_of: StreamPosition,
    /// The last event of any kind: rooms are ordered by it.
    pub(crate) last: StreamPosition,
    /// The last event that bumps the room; among very many that do not, the oldest that was looked at.
    pub(crate) bump_stamp: StreamPosition,
}

/// What was last known of rooms.
#[derive(Debug)]
pub(crate) struct Activities(Cache<RoomNumber, Activity>);

impl Activities {
    pub(crate) fn new() -> Self {
        Self(Cache::new(KEPT))
    }

    /// When something last happened in a room whose timeline last changed at `changed`. Of a room that was asked for
    /// before, only what is new since is looked at.
    pub(crate) async fn of(
        &self,
        rooms: &Rooms,
        room: RoomNumber,
        changed: StreamPosition,
    ) -> Result<Activity, RoomError> {
        let known = self.0.get(&room);
        if let Some(known) = known.filter(|known| changed <= known.as_of) {
            return Ok(known);
        }
        let as_of = rooms.store().position();
        let mut activity = known.unwrap_or(Activity {
            as_of,
            last: StreamPosition::START,
            bump_stamp: StreamPosition::START,
        });
        activity.as_of = as_of;
        look(rooms, room, &mut activity).await?;
        self.0.insert(room, activity);
        Ok(activity)
    }
}

/// Brings `activity` up to date, from the newest event backwards to the last one that is known.
async fn look(rooms: &Rooms, room: RoomNumber, activity: &mut Activity) -> Result<(), RoomError> {
    let known = TimelinePosition::from(activity.last);
    let mut before = TimelinePosition::MAX;
    let mut looked_at = 0;
    loop {
        let page = rooms.store().timeline(room, known, before, Direction::Descending, PAGE).await?;
        for entry in &page {
            let position = entry.position.stream_position();
            activity.last = activity.last.max(position);
            looked_at += 1;
            let event = rooms.event(entry.event).await?;
            if bumps(&event.pdu.kind) || looked_at == MOST_LOOKED_AT {
                activity.bump_stamp = activity.bump_stamp.max(position);
                return Ok(());
            }
            before = entry.position;
        }
        if page.len() < PAGE {
            return Ok(());
        }
    }
}

fn bumps(kind: &TimelineEventType) -> bool {
    let kind = kind.to_string();
    BUMPING.contains(&kind.as_str())
}
