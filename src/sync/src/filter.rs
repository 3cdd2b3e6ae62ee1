//! What a client wants to see. Spec: client-server API, "Filtering".

use protocol::Pdu;
use ruma::api::client::filter::{Filter, RoomEventFilter, RoomFilter, UrlFilter};
use ruma::{RoomId, UInt, UserId};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// How many events of a timeline a client gets that names no limit.
const DEFAULT_LIMIT: usize = 10;
/// How many it gets at most.
const LARGEST_LIMIT: usize = 1_000;

/// Whether a text matches a pattern in which `*` stands for any characters.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(head) else { return false };
    let Some((middle, tail)) = rest.rsplit_once('*') else { return left.ends_with(rest) };
    for part in middle.split('*') {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(tail)
}

/// The rule that all lists of a filter follow: what is excluded is out; if anything is included, only that is in.
fn passes<T>(included: Option<&[T]>, excluded: &[T], matches: impl Fn(&T) -> bool) -> bool {
    !excluded.iter().any(&matches) && included.is_none_or(|included| included.iter().any(matches))
}

fn covers_type(included: Option<&[String]>, excluded: &[String], kind: &str) -> bool {
    passes(included, excluded, |pattern| matches_pattern(pattern, kind))
}

/// Whether a filter lets an event of this type without a sender pass, such as account data.
pub(crate) fn covers_kind(filter: &Filter, kind: &str) -> bool {
    covers_type(filter.types.as_deref(), &filter.not_types, kind)
}

/// Whether a filter lets an event of this sender pass.
pub(crate) fn covers_sender(filter: &Filter, sender: &UserId) -> bool {
    passes(filter.senders.as_deref(), &filter.not_senders, |listed| listed == sender)
}

/// Whether a filter of rooms lets a room pass.
pub(crate) fn covers_room(filter: &RoomFilter, room: &RoomId) -> bool {
    passes(filter.rooms.as_deref(), &filter.not_rooms, |listed| listed == room)
}

/// A filter of one kind of a room's data, for one room.
#[derive(Debug, Clone, Copy)]
pub struct EventFilter<'a> {
    filter: &'a RoomEventFilter,
    covers_room: bool,
}

impl<'a> EventFilter<'a> {
    /// A filter for one room.
    pub fn new(filter: &'a RoomEventFilter, room: &RoomId) -> Self {
        let covers_room =
            passes(filter.rooms.as_deref(), &filter.not_rooms, |listed| listed == room);
        Self { filter, covers_room }
    }

    /// Whether an event without a sender passes.
    pub(crate) fn covers_kind(&self, kind: &str) -> bool {
        self.covers_room && covers_type(self.filter.types.as_deref(), &self.filter.not_types, kind)
    }

    /// Whether what a sender did passes.
    pub(crate) fn covers_sender(&self, sender: &UserId) -> bool {
        let filter = self.filter;
        passes(filter.senders.as_deref(), &filter.not_senders, |listed| listed == sender)
    }

    /// Whether an event passes.
    pub fn covers(&self, event: &Pdu) -> bool {
        self.covers_room
            && self.covers_sender(&event.sender)
            && self.covers_kind(&event.kind.to_string())
            && self.covers_url(event)
    }

    /// Whether every event passes.
    pub(crate) fn covers_all(&self) -> bool {
        let filter = self.filter;
        self.covers_room
            && filter.types.is_none()
            && filter.senders.is_none()
            && filter.not_types.is_empty()
            && filter.not_senders.is_empty()
            && filter.url_filter.is_none()
    }

    fn covers_url(&self, event: &Pdu) -> bool {
        #[derive(Deserialize)]
        struct Content {
            url: Option<IgnoredAny>,
        }
        let Some(wanted) = self.filter.url_filter else { return true };
        let has_url = event.content_as::<Content>().is_ok_and(|content| content.url.is_some());
        has_url == matches!(wanted, UrlFilter::EventsWithUrl)
    }

    /// How many events of a timeline are wanted.
    pub(crate) fn limit(&self) -> usize {
        let limit = self.filter.limit.and_then(|limit| usize::try_from(limit).ok());
        limit.unwrap_or(DEFAULT_LIMIT).min(LARGEST_LIMIT)
    }

    /// How many events are wanted at most that are no timeline; `None`: all.
    pub(crate) fn own_limit(&self) -> Option<UInt> {
        self.filter.limit
    }

    /// Whether nothing can pass.
    pub(crate) fn is_empty(&self) -> bool {
        !self.covers_room
            || self.filter.types.as_ref().is_some_and(Vec::is_empty)
            || self.filter.senders.as_ref().is_some_and(Vec::is_empty)
            || self.filter.not_types.iter().any(|pattern| pattern == "*")
    }
}

#[cfg(test)]
mod tests {
    use ruma::room_id;

    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, expected) in [
            ("m.room.*", "m.room.message", true),
            ("m.room.*", "m.room", false),
            ("*", "", true),
            ("*.message", "m.room.message", true),
            ("m.*.message", "m.room.message", true),
            ("m.*.message", "m.message", false),
            ("m*room*mess*", "m.room.message", true),
            ("a*b*b", "ab", false),
            ("a*a", "a", false),
            ("m.room.message", "m.room.messages", false),
            ("**", "anything", true),
        ] {
            assert_eq!(matches_pattern(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn what_is_excluded_is_out_even_where_it_is_included() {
        let mut filter = RoomEventFilter::default();
        filter.types = Some(vec!["m.*".to_owned()]);
        filter.not_types = vec!["m.receipt".to_owned()];
        let filter = EventFilter::new(&filter, room_id!("!kitchen:hearth.test"));

        assert!(filter.covers_kind("m.typing"));
        assert!(!filter.covers_kind("m.receipt"));
        assert!(!filter.covers_kind("org.example"));
    }

    #[test]
    fn a_filter_for_other_rooms_lets_nothing_pass() {
        let mut filter = RoomEventFilter::default();
        filter.rooms = Some(vec![room_id!("!attic:hearth.test").to_owned()]);
        let filter = EventFilter::new(&filter, room_id!("!kitchen:hearth.test"));

        assert!(filter.is_empty());
        assert!(!filter.covers_kind("m.typing"));
    }

    #[test]
    fn a_filter_that_excludes_everything_lets_nothing_pass() {
        let (mut no_types, mut no_senders) =
            (RoomEventFilter::default(), RoomEventFilter::default());
        no_types.not_types = vec!["*".to_owned()];
        no_senders.senders = Some(Vec::new());
        for filter in [no_types, no_senders] {
            assert!(EventFilter::new(&filter, room_id!("!kitchen:hearth.test")).is_empty());
        }
    }
}
