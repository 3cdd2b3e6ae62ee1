//! The position of simplified sliding sync.

use std::fmt;
use std::str::FromStr;

use crate::{InvalidToken, SyncToken};

/// Names what a connection's client had of the rooms when it was given an answer. Never given twice by one run of the
/// process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateNumber(pub(crate) u64);

impl StateNumber {
    /// No rooms at all: nothing is kept for it, so it stays good after a restart.
    pub(crate) const NOTHING: Self = Self(0);
}

/// What a client of simplified sliding sync has seen. Written as the token of `/sync` that it is, so that it is taken
/// where one of those is, with the number of a state behind it. Spec: MSC4186, "Connections".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlidingToken {
    pub(crate) sync: SyncToken,
    pub(crate) state: StateNumber,
}

impl fmt::Display for SlidingToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}_{}", self.sync, self.state.0)
    }
}

impl FromStr for SlidingToken {
    type Err = InvalidToken;

    fn from_str(token: &str) -> Result<Self, InvalidToken> {
        let (sync, state) = token.rsplit_once('_').ok_or(InvalidToken)?;
        let state = state.parse().map_err(|_| InvalidToken)?;
        Ok(Self { sync: sync.parse()?, state: StateNumber(state) })
    }
}

#[cfg(test)]
mod tests {
    use rooms::tokens::PaginationToken;
    use store::StreamPosition;

    use super::*;
    use crate::{Epoch, MemoryPosition};

    #[test]
    fn a_token_is_read_as_it_was_written_and_is_a_place_in_timelines() {
        let (position, memory) = (StreamPosition(12), MemoryPosition::default());
        let sync = SyncToken { position, epoch: Epoch(7), memory, to_device: position };
        let token = SlidingToken { sync, state: StateNumber(u64::MAX) };
        assert_eq!(token.to_string().parse(), Ok(token));
        assert_eq!(token.to_string().parse(), Ok(PaginationToken::from(sync)));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for wrong in ["", "s1_2_3_4", "s1_2_3_4_", "s1_2_3_4_x", "s1_2_3_4_5_6", "1_2"] {
            assert_eq!(wrong.parse::<SlidingToken>(), Err(InvalidToken), "{wrong}");
        }
    }
}
