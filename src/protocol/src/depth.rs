//! How deep an event lies in its room's graph.

use ruma::UInt;
use serde::{Deserialize, Serialize};

/// The length of the longest way from an event to its room's create event, as claimed by the event's maker. It orders
/// nothing that matters; only the state resolution of room version 1 reads it.
/// Spec: server-server API, "PDUs".
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Depth(UInt);

impl Depth {
    /// The largest depth that is canonical JSON, 2^53 - 1.
    pub const MAX: Self = Self(UInt::MAX);

    /// `depth`, or [`Depth::MAX`] if it is larger than that.
    pub fn new(depth: u64) -> Self {
        Self(UInt::new_saturating(depth))
    }

    /// The depth of an event whose `prev_events` have the depths `previous`: one more than the largest, staying at
    /// [`Depth::MAX`] once some server claimed it.
    pub fn after(previous: impl IntoIterator<Item = Self>) -> Self {
        let deepest = previous.into_iter().max().map_or(UInt::MIN, |depth| depth.0);
        Self(deepest.saturating_add(UInt::from(1_u8)))
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_one_more_than_the_deepest_parent_and_never_overflows() {
        assert_eq!(Depth::after([]), Depth::new(1));
        assert_eq!(Depth::after([Depth::new(3), Depth::new(7)]).get(), 8);
        assert_eq!(Depth::after([Depth::new(u64::MAX)]), Depth::MAX);
    }
}
