//! Building keys whose byte order is the order one wants.

use crate::{EventNumber, RoomNumber, StreamPosition, TimelinePosition, UserNumber};

/// Separates strings inside a key; no UTF-8 text contains it.
const SEPARATOR: u8 = 0xFF;

/// A key under construction. Numbers are eight big-endian bytes; text that is followed by something ends in a
/// separator ([`Key::text`]), the last one need not ([`Key::last`]).
#[derive(Debug, Clone, Default)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn u64(self, number: u64) -> Self {
        self.raw(&number.to_be_bytes())
    }

    pub(crate) fn room(self, room: RoomNumber) -> Self {
        self.u64(room.0)
    }

    pub(crate) fn user(self, user: UserNumber) -> Self {
        self.u64(user.0)
    }

    pub(crate) fn event(self, event: EventNumber) -> Self {
        self.u64(event.0)
    }

    pub(crate) fn position(self, position: StreamPosition) -> Self {
        self.u64(position.0)
    }

    /// A timeline position: the sign bit is flipped so that negative numbers come first.
    pub(crate) fn timeline(self, position: TimelinePosition) -> Self {
        self.u64(position.0.cast_unsigned() ^ (1 << 63))
    }

    /// Text that something follows.
    pub(crate) fn text(self, text: &str) -> Self {
        self.raw(text.as_bytes()).raw(&[SEPARATOR])
    }

    /// Text at the end of the key.
    pub(crate) fn last(self, text: &str) -> Self {
        self.raw(text.as_bytes())
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Reads a key back from its front; every method is `None` when the key is shorter than that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyReader<'a>(&'a [u8]);

impl<'a> KeyReader<'a> {
    pub(crate) fn new(key: &'a [u8]) -> Self {
        Self(key)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    pub(crate) fn timeline(&mut self) -> Option<TimelinePosition> {
        self.u64().map(|number| TimelinePosition((number ^ (1 << 63)).cast_signed()))
    }

    /// Text up to its separator.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| *byte == SEPARATOR)?;
        let (text, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        std::str::from_utf8(text).ok()
    }

    /// The text that is left.
    pub(crate) fn last(self) -> Option<&'a str> {
        std::str::from_utf8(self.0).ok()
    }
}
