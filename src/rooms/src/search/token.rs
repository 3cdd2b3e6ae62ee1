//! Where a search goes on.

use std::fmt;
use std::str::FromStr;

use store::{RoomNumber, TimelinePosition, UserNumber};

/// A place in the results of a search, in one of its groups if it names one.
/// Spec: client-server API, "Server Side Search", "Pagination".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchToken {
    pub(super) place: Place,
    pub(super) group: Group,
}

/// How far the results were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// So many, in order of rank.
    After(usize),
    /// Down to the event at this position, in order of time.
    Before(TimelinePosition),
}

/// Of which results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    All,
    Room(RoomNumber),
    Sender(UserNumber),
}

/// A string that is no token of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token of a search")]
pub struct InvalidSearchToken;

impl fmt::Display for SearchToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::After(count) => write!(formatter, "r{count}")?,
            Place::Before(position) => write!(formatter, "t{}", position.0)?,
        }
        match self.group {
            Group::All => Ok(()),
            Group::Room(room) => write!(formatter, "_r{}", room.0),
            Group::Sender(sender) => write!(formatter, "_s{}", sender.0),
        }
    }
}

impl FromStr for SearchToken {
    type Err = InvalidSearchToken;

    fn from_str(token: &str) -> Result<Self, InvalidSearchToken> {
        let number = |text: &str| text.parse::<u64>().map_err(|_| InvalidSearchToken);
        let (place, group) = match token.split_once('_') {
            Some((place, group)) => (place, Some(group)),
            None => (token, None),
        };
        let place = match place.split_at_checked(1) {
            Some(("r", count)) => Place::After(count.parse().map_err(|_| InvalidSearchToken)?),
            Some(("t", position)) => {
                let position = position.parse().map_err(|_| InvalidSearchToken)?;
                Place::Before(TimelinePosition(position))
            }
            _ => return Err(InvalidSearchToken),
        };
        let group = match group.map(|group| group.split_at_checked(1)) {
            None => Group::All,
            Some(Some(("r", room))) => Group::Room(RoomNumber(number(room)?)),
            Some(Some(("s", sender))) => Group::Sender(UserNumber(number(sender)?)),
            Some(_) => return Err(InvalidSearchToken),
        };
        Ok(Self { place, group })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        for place in [Place::After(7), Place::Before(TimelinePosition(-3))] {
            for group in [Group::All, Group::Room(RoomNumber(1)), Group::Sender(UserNumber(2))] {
                let token = SearchToken { place, group };
                assert_eq!(token.to_string().parse(), Ok(token));
            }
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for token in ["", "x1", "r", "r-1", "t1_", "t1_x2", "t1_r", "ß", "r1_ß"] {
            assert_eq!(token.parse::<SearchToken>(), Err(InvalidSearchToken), "{token}");
        }
    }
}
