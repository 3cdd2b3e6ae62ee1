//! Tokens by which clients name a place in a room's timeline.

use std::fmt;
use std::str::FromStr;

use store::{StreamPosition, TimelinePosition};

/// A place between two events of a timeline: right after the event at this position, or where it would be.
///
/// `/sync` hands them out as `prev_batch` and `/messages` as `start` and `end`. A token of `/sync` itself is also
/// accepted where one of these is: it names the end of every timeline at that time.
/// Spec: client-server API, "Pagination".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PaginationToken(pub TimelinePosition);

/// A string that is no token of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a pagination token")]
pub struct InvalidToken;

impl PaginationToken {
    /// The place right before the event at `position`.
    pub fn before(position: TimelinePosition) -> Self {
        Self(TimelinePosition(position.0.saturating_sub(1)))
    }

    /// The place right after the event at `position`.
    pub fn after(position: TimelinePosition) -> Self {
        Self(position)
    }
}

impl fmt::Display for PaginationToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "t{}", self.0.0)
    }
}

impl FromStr for PaginationToken {
    type Err = InvalidToken;

    fn from_str(token: &str) -> Result<Self, InvalidToken> {
        let position = match token.split_at_checked(1) {
            Some(("t", rest)) => split(rest)?.0,
            Some(("s", rest)) => {
                let (position, _) = rest.split_once('_').ok_or(InvalidToken)?;
                // A sync token never names a place in backfilled history.
                position.parse::<u64>().map_err(|_| InvalidToken)?;
                position
            }
            _ => return Err(InvalidToken),
        };
        position.parse().map(|position| Self(TimelinePosition(position))).map_err(|_| InvalidToken)
    }
}

/// A place to read back from, with the time at which a reader was told of it: `prev_batch` of `/sync`.
/// Spec: client-server API, `GET /sync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrevBatch {
    /// The place.
    pub place: PaginationToken,
    /// The time.
    pub as_of: StreamPosition,
}

impl fmt::Display for PrevBatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}_{}", self.place, self.as_of)
    }
}

/// A time that a token stands for: of a `prev_batch` the time at which it was given, not that of the place to read
/// back from, before which there may have been no members at all.
/// Spec: client-server API, `GET /rooms/{roomId}/members`, `at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PointInTime(pub TimelinePosition);

impl FromStr for PointInTime {
    type Err = InvalidToken;

    fn from_str(token: &str) -> Result<Self, InvalidToken> {
        let PaginationToken(place) = token.parse()?;
        let as_of = token.strip_prefix('t').map_or(Ok(None), |rest| split(rest).map(|all| all.1));
        Ok(Self(as_of?.map_or(place, TimelinePosition::from)))
    }
}

/// The place and, in a `prev_batch`, the time.
fn split(rest: &str) -> Result<(&str, Option<StreamPosition>), InvalidToken> {
    let Some((place, as_of)) = rest.split_once('_') else { return Ok((rest, None)) };
    let as_of = as_of.parse().map_err(|_| InvalidToken)?;
    Ok((place, Some(StreamPosition(as_of))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        for position in [i64::MIN, -3, 0, 5, i64::MAX] {
            let token = PaginationToken::after(TimelinePosition(position));
            assert_eq!(token.to_string().parse(), Ok(token));
        }
    }

    #[test]
    fn a_sync_token_names_the_end_of_the_timeline_at_its_time() {
        let token = "s17_4_99".parse();
        assert_eq!(token, Ok(PaginationToken(TimelinePosition(17))));
    }

    #[test]
    fn a_prev_batch_is_a_place_and_a_time() {
        let place = PaginationToken(TimelinePosition(-3));
        let token = PrevBatch { place, as_of: StreamPosition(17) }.to_string();
        assert_eq!(token.parse(), Ok(place));
        assert_eq!(token.parse(), Ok(PointInTime(TimelinePosition(17))));
        assert_eq!("t5".parse(), Ok(PointInTime(TimelinePosition(5))));
        assert_eq!("s17_4_99".parse(), Ok(PointInTime(TimelinePosition(17))));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for token in [
            "",
            "t",
            "x5",
            "t5x",
            "t5_",
            "t5_x",
            "t_5",
            "t5_-1",
            "s5",
            "s-5_1_1",
            "s_1_1",
            "ß1",
            "t99999999999999999999",
        ] {
            assert_eq!(token.parse::<PaginationToken>(), Err(InvalidToken), "{token}");
        }
    }
}
