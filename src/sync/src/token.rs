//! The token of `/sync`.

use std::fmt;
use std::str::FromStr;

use rooms::presence::PresencePosition;
use rooms::tokens::PaginationToken;
use rooms::typing::TypingPosition;
use store::StreamPosition;

/// Tells one run of the process from another: positions of what lives in memory mean something within one run only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(pub u32);

/// Positions of what lives in memory only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryPosition {
    /// That of typing.
    pub typing: TypingPosition,
    /// That of presence.
    pub presence: PresencePosition,
}

/// What a client has seen: everything durable up to a position, and of what lives in memory up to others.
///
/// Written `s{position}_{epoch}_{typing}_{presence}`, with `d{to_device}` behind it where that is another position. Nothing
/// is kept for it on the server, so it can be used any number of times, and after a restart. Spec: client-server API,
/// "Syncing".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncToken {
    /// The store's position.
    pub position: StreamPosition,
    /// The run of the process that made the token.
    pub epoch: Epoch,
    /// The positions of what lives in memory, in that run.
    pub memory: MemoryPosition,
    /// Up to where its device has its messages: not so far as the position where there are too many for one answer.
    pub to_device: StreamPosition,
}

/// A string that is no sync token of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a sync token")]
pub struct InvalidToken;

impl fmt::Display for SyncToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MemoryPosition { typing, presence } = self.memory;
        let (position, epoch) = (self.position.0, self.epoch.0);
        write!(formatter, "s{position}_{epoch}_{}_{}", typing.0, presence.0)?;
        if self.to_device == self.position {
            return Ok(());
        }
        write!(formatter, "d{}", self.to_device.0)
    }
}

impl FromStr for SyncToken {
    type Err = InvalidToken;

    fn from_str(token: &str) -> Result<Self, InvalidToken> {
        let token = token.strip_prefix('s').ok_or(InvalidToken)?;
        let (token, to_device) =
            token.split_once('d').map_or((token, None), |(token, held)| (token, Some(held)));
        let mut parts = token.splitn(4, '_');
        let mut part = || parts.next().ok_or(InvalidToken);
        let (position, epoch, typing, presence) = (part()?, part()?, part()?, part()?);
        let position = number(position)?;
        // Timeline positions are signed: beyond that there is none.
        i64::try_from(position).map_err(|_| InvalidToken)?;
        let to_device = to_device.map_or(Ok(position), number)?.min(position);
        Ok(Self {
            position: StreamPosition(position),
            epoch: Epoch(number(epoch)?.try_into().map_err(|_| InvalidToken)?),
            memory: MemoryPosition {
                typing: TypingPosition(number(typing)?),
                presence: PresencePosition(number(presence)?),
            },
            to_device: StreamPosition(to_device),
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
        let memory =
            MemoryPosition { typing: TypingPosition(3), presence: PresencePosition(u64::MAX) };
        for to_device in [StreamPosition(12), StreamPosition(5)] {
            let (position, epoch) = (StreamPosition(12), Epoch(u32::MAX));
            let token = SyncToken { position, epoch, memory, to_device };
            assert_eq!(token.to_string().parse(), Ok(token));
            assert_eq!(token.to_string().parse(), Ok(PaginationToken::from(token)));
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let wrong = [
            "",
            "s",
            "s1",
            "s1_2",
            "s1_2_3",
            "t1",
            "s-1_1_1_1",
            "s1_2_3_4_5",
            "s1__3_4",
            "s1_2_3_4d",
            "ß",
        ];
        for token in wrong.into_iter().chain(["s1_99999999999_2_3", "s9223372036854775808_0_0_0"]) {
            assert_eq!(token.parse::<SyncToken>(), Err(InvalidToken), "{token}");
        }
    }
}
