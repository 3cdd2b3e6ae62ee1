//! The token of `/sync`.

use std::fmt;
use std::str::FromStr;

use rooms::tokens::PaginationToken;
use rooms::typing::TypingPosition;
use store::StreamPosition;

/// Tells one run of the process from another: positions of what lives in memory mean something within one run only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(pub u32);

/// What a client has seen: everything durable up to a position, and of what lives in memory up to another.
///
/// Written `s{position}_{typing}_{epoch}`. Nothing is kept for it on the server, so it can be used any number of
/// times, and after a restart. Spec: client-server API, "Syncing".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncToken {
    /// The store's position.
    pub position: StreamPosition,
    /// The position of typing, in the run of `epoch`.
    pub typing: TypingPosition,
    /// The run of the process that made the token.
    pub epoch: Epoch,
}

/// A string that is no sync token of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a sync token")]
pub struct InvalidToken;

impl fmt::Display for SyncToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "s{}_{}_{}", self.position.0, self.typing.0, self.epoch.0)
    }
}

impl FromStr for SyncToken {
    type Err = InvalidToken;

    fn from_str(token: &str) -> Result<Self, InvalidToken> {
        let mut parts = token.strip_prefix('s').ok_or(InvalidToken)?.splitn(3, '_');
        let mut part = || parts.next().ok_or(InvalidToken);
        let (position, typing, epoch) = (part()?, part()?, part()?);
        let position = number(position)?;
        // Timeline positions are signed: beyond that there is none.
        i64::try_from(position).map_err(|_| InvalidToken)?;
        Ok(Self {
            position: StreamPosition(position),
            typing: TypingPosition(number(typing)?),
            epoch: Epoch(number(epoch)?.try_into().map_err(|_| InvalidToken)?),
        })
    }
}

fn number(text: &str) -> Result<u64, InvalidToken> {
    text.parse().map_err(|_| InvalidToken)
}

impl From<SyncToken> for PaginationToken {
    fn from(token: SyncToken) -> Self {
        Self::after(token.position.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let token = SyncToken {
            position: StreamPosition(12),
            typing: TypingPosition(3),
            epoch: Epoch(u32::MAX),
        };
        assert_eq!(token.to_string().parse(), Ok(token));
        assert_eq!(token.to_string().parse(), Ok(PaginationToken::from(token)));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let wrong =
            ["", "s", "s1", "s1_2", "t1", "s-1_1_1", "s1_2_3_4", "s1__3", "s1_2_99999999999"];
        for token in wrong.into_iter().chain(["s9223372036854775808_0_0", "ß"]) {
            assert_eq!(token.parse::<SyncToken>(), Err(InvalidToken), "{token}");
        }
    }
}
