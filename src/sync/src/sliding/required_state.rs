//! Which state events of a room a client wants. Spec: MSC4186, "`RequiredStateRequest`", as clients write it: pairs of
//! event type and state key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quick_cache::sync::Cache;
use ruma::UserId;
use serde::Deserialize;

/// How many different ones are kept for sharing.
const SHARED: usize = 2_000;
/// Stands for every type or every key.
const ANY: &str = "*";
/// As the key of `m.room.member`: who is needed to show the timeline.
const LAZY: &str = "$LAZY";
/// Stands for the reader.
const ME: &str = "$ME";
/// The type of memberships.
const MEMBER: &str = "m.room.member";

/// State events by type and state key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "Vec<(String, String)>")]
pub struct RequiredState {
    /// Whether those members are wanted who are needed to show the timeline.
    pub(crate) lazy_members: bool,
    keys_by_kind: BTreeMap<String, BTreeSet<String>>,
}

impl From<Vec<(String, String)>> for RequiredState {
    fn from(pairs: Vec<(String, String)>) -> Self {
        let mut required = Self::default();
        for (kind, key) in pairs {
            if kind == MEMBER && key == LAZY {
                required.lazy_members = true;
            } else {
                required.keys_by_kind.entry(kind).or_default().insert(key);
            }
        }
        required
    }
}

impl RequiredState {
    /// Adds what another wants.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.lazy_members |= other.lazy_members;
        for (kind, keys) in &other.keys_by_kind {
            self.keys_by_kind.entry(kind.clone()).or_default().extend(keys.iter().cloned());
        }
    }

    /// Whether a state event is wanted for its type and key alone. Who loads members lazily does not mean members when
    /// they ask for every type.
    pub(crate) fn covers(&self, kind: &str, key: &str, me: &UserId) -> bool {
        let named = |kind: &str| {
            self.keys_by_kind.get(kind).is_some_and(|keys| {
                keys.contains(key) || keys.contains(ANY) || (key == me && keys.contains(ME))
            })
        };
        named(kind) || (named(ANY) && !(self.lazy_members && kind == MEMBER))
    }

    /// Whether something may be wanted here that another does not want.
    pub(crate) fn exceeds(&self, other: &Self) -> bool {
        let lacks = |(kind, keys): (&String, &BTreeSet<String>)| {
            let known = other.keys_by_kind.get(kind);
            known.is_none_or(|known| !known.contains(ANY) && !keys.is_subset(known))
        };
        self.keys_by_kind.iter().any(lacks) || (other.lazy_members && !self.lazy_members)
    }

    /// The types and keys that are wanted by name, the reader's own by theirs.
    pub(crate) fn named<'a>(&'a self, me: &'a UserId) -> impl Iterator<Item = (&'a str, &'a str)> {
        let pairs = self.keys_by_kind.iter().filter(|(kind, _)| *kind != ANY);
        pairs.flat_map(move |(kind, keys)| {
            let keys = keys.iter().filter(|key| *key != ANY);
            keys.map(move |key| (kind.as_str(), if key == ME { me.as_str() } else { key }))
        })
    }

    /// Whether something other than members is wanted that has to be looked for.
    pub(crate) fn searches(&self) -> bool {
        let mut kinds = self.keys_by_kind.iter();
        kinds.any(|(kind, keys)| kind == ANY || (kind != MEMBER && keys.contains(ANY)))
    }

    /// Whether members are wanted that have to be looked for.
    pub(crate) fn searches_members(&self) -> bool {
        let has_any = |kind: &str| {
            self.keys_by_kind.get(kind).is_some_and(|keys| kind == ANY || keys.contains(ANY))
        };
        has_any(MEMBER) || (has_any(ANY) && !self.lazy_members)
    }
}

/// What clients want, kept once: many rooms of many clients want the same.
#[derive(Debug)]
pub(crate) struct RequiredStates(Cache<RequiredState, Arc<RequiredState>>);

impl RequiredStates {
    pub(crate) fn new() -> Self {
        Self(Cache::new(SHARED))
    }

    /// The one that others use as well.
    pub(crate) fn shared(&self, required: &RequiredState) -> Arc<RequiredState> {
        if let Some(known) = self.0.get(required) {
            return known;
        }
        let shared = Arc::new(required.clone());
        self.0.insert(required.clone(), Arc::clone(&shared));
        shared
    }

    /// What one or the other wants.
    pub(crate) fn both(&self, one: &RequiredState, other: &RequiredState) -> Arc<RequiredState> {
        let mut both = one.clone();
        both.extend(other);
        self.shared(&both)
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use serde_json::{Value, json};

    use super::*;

    fn required(pairs: Value) -> RequiredState {
        serde_json::from_value(pairs).unwrap()
    }

    #[test]
    fn a_pair_covers_its_type_and_key_and_a_star_all_of_them() {
        let me = user_id!("@ada:hearth.test");
        let wanted = required(json!([
            ["m.room.name", ""],
            ["m.space.child", "*"],
            ["*", "tea"],
            ["m.room.member", "$ME"],
        ]));
        for (kind, key, expected) in [
            ("m.room.name", "", true),
            ("m.room.name", "x", false),
            ("m.space.child", "!den:hearth.test", true),
            ("com.example", "tea", true),
            ("com.example", "", false),
            ("m.room.member", "@ada:hearth.test", true),
            ("m.room.member", "@bo:hearth.test", false),
        ] {
            assert_eq!(wanted.covers(kind, key, me), expected, "{kind} {key}");
        }
        assert!(wanted.searches() && wanted.searches_members());
        let named: Vec<_> = wanted.named(me).collect();
        assert_eq!(named, [("m.room.member", "@ada:hearth.test"), ("m.room.name", "")]);
    }

    #[test]
    fn every_type_is_all_but_members_for_who_loads_them_lazily() {
        let me = user_id!("@ada:hearth.test");
        let all = required(json!([["*", "*"]]));
        assert!(all.covers("m.room.member", "@bo:hearth.test", me) && all.searches_members());

        let lazy = required(json!([["*", "*"], ["m.room.member", "$LAZY"]]));
        assert!(!lazy.covers("m.room.member", "@bo:hearth.test", me) && !lazy.searches_members());
        assert!(lazy.covers("m.room.name", "", me) && lazy.searches());
    }

    #[test]
    fn what_exceeds_another_wants_something_more() {
        let name = required(json!([["m.room.name", ""]]));
        let all_names = required(json!([["m.room.name", "*"]]));
        let lazy = required(json!([["m.room.member", "$LAZY"]]));
        assert!(!name.exceeds(&name) && !name.exceeds(&all_names));
        assert!(all_names.exceeds(&name) && name.exceeds(&lazy));
        assert!(!lazy.exceeds(&RequiredState::default()), "members come with the timeline");
        let mut both = name.clone();
        both.extend(&lazy);
        assert!(both.exceeds(&lazy) && !lazy.exceeds(&both) && both.lazy_members);
    }
}
