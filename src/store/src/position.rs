//! Stream positions: the one order of everything that was committed.

use serde::{Deserialize, Serialize};

/// The place of a commit in the order of all commits: 1 for the first, strictly increasing, gap-free. Zero is before
/// everything. A bound called `since` is excluded, one called `until` is included.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct StreamPosition(pub u64);

impl StreamPosition {
    /// Before everything.
    pub const START: Self = Self(0);
}

impl std::fmt::Display for StreamPosition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The place of an event in its room's timeline: its stream position when it arrived live, a negative number,
/// decreasing, when it was backfilled. Order of positions is timeline order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TimelinePosition(pub i64);

impl TimelinePosition {
    /// Before every event.
    pub const MIN: Self = Self(i64::MIN);
    /// After every event.
    pub const MAX: Self = Self(i64::MAX);

    /// The stream position at which the event arrived; the start for backfilled ones.
    pub fn stream_position(self) -> StreamPosition {
        StreamPosition(u64::try_from(self.0).unwrap_or(0))
    }
}

impl From<StreamPosition> for TimelinePosition {
    fn from(position: StreamPosition) -> Self {
        Self(i64::try_from(position.0).unwrap_or(i64::MAX))
    }
}
