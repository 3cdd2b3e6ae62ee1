//! Which rooms are in a list. Spec: MSC4186, `SlidingRoomFilter`.

use ruma::OwnedRoomId;
use ruma::directory::RoomTypeFilter;
use serde::Deserialize;

use super::nature::Nature;

/// Which rooms are in a list: those of which everything holds that is said.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ListFilters {
    pub(crate) is_dm: Option<bool>,
    pub(crate) spaces: Option<Vec<OwnedRoomId>>,
    is_encrypted: Option<bool>,
    #[serde(alias = "is_invited")]
    is_invite: Option<bool>,
    room_types: Option<Vec<RoomTypeFilter>>,
    not_room_types: Option<Vec<RoomTypeFilter>>,
    room_name_like: Option<String>,
    tags: Option<Vec<String>>,
    not_tags: Option<Vec<String>>,
}

/// What is known of a room without looking at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outside<'a> {
    pub(crate) is_direct: bool,
    pub(crate) is_invite: bool,
    pub(crate) tags: &'a [String],
}

impl ListFilters {
    /// Whether tags are asked for.
    pub(crate) fn asks_for_tags(&self) -> bool {
        self.tags.is_some() || self.not_tags.is_some()
    }

    /// Whether it matters what kind of room a room is.
    pub(crate) fn asks_for_nature(&self) -> bool {
        self.is_encrypted.is_some()
            || self.room_types.is_some()
            || self.not_room_types.is_some()
            || self.room_name_like.is_some()
    }

    /// Whether a room may be in the list by what is known without looking at it.
    pub(crate) fn covers(&self, room: Outside<'_>) -> bool {
        let has_one = |tags: &Vec<String>| room.tags.iter().any(|tag| tags.contains(tag));
        self.is_dm.is_none_or(|wanted| wanted == room.is_direct)
            && self.is_invite.is_none_or(|wanted| wanted == room.is_invite)
            && self.tags.as_ref().is_none_or(has_one)
            && !self.not_tags.as_ref().is_some_and(has_one)
    }

    /// Whether a room may be in the list by what kind of room it is.
    pub(crate) fn covers_nature(&self, nature: &Nature) -> bool {
        let is_of = |types: &Vec<RoomTypeFilter>| {
            types.contains(&RoomTypeFilter::from(nature.room_type.clone()))
        };
        let is_named = |wanted: &String| nature.name.contains(&wanted.to_lowercase());
        self.is_encrypted.is_none_or(|wanted| wanted == nature.is_encrypted)
            && self.room_types.as_ref().is_none_or(is_of)
            && !self.not_room_types.as_ref().is_some_and(is_of)
            && self.room_name_like.as_ref().is_none_or(is_named)
    }
}

#[cfg(test)]
mod tests {
    use ruma::room::RoomType;
    use serde_json::{Value, json};

    use super::*;

    fn filters(json: Value) -> ListFilters {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_is_not_said_does_not_matter() {
        let room = Outside { is_direct: true, is_invite: true, tags: &[] };
        assert!(filters(json!({})).covers(room) && filters(json!({ "tags": null })).covers(room));
        assert!(filters(json!({})).covers_nature(&Nature::default()));
    }

    #[test]
    fn rooms_are_told_apart_by_what_their_user_says_of_them() {
        let tags = ["m.favourite".to_owned(), "u.work".to_owned()];
        let room = Outside { is_direct: true, is_invite: false, tags: &tags };
        for (json, expected) in [
            (json!({ "is_dm": true }), true),
            (json!({ "is_dm": false }), false),
            (json!({ "is_invite": false }), true),
            (json!({ "is_invited": true }), false),
            (json!({ "tags": ["m.favourite", "u.play"] }), true),
            (json!({ "tags": [] }), false),
            (json!({ "not_tags": ["u.play"] }), true),
            (json!({ "tags": ["m.favourite"], "not_tags": ["u.work"] }), false),
            (json!({ "is_dm": true, "is_invite": true }), false),
        ] {
            assert_eq!(filters(json.clone()).covers(room), expected, "{json}");
        }
    }

    #[test]
    fn rooms_are_told_apart_by_what_they_are() {
        let space = Nature {
            room_type: Some(RoomType::Space),
            is_encrypted: true,
            name: "tea and cake".to_owned(),
        };
        for (json, of_space, of_plain) in [
            (json!({ "is_encrypted": true }), true, false),
            (json!({ "room_types": ["m.space"] }), true, false),
            (json!({ "room_types": [null] }), false, true),
            (json!({ "room_types": [null, "m.space"] }), true, true),
            (json!({ "not_room_types": ["m.space"] }), false, true),
            (json!({ "room_types": ["m.space"], "not_room_types": ["m.space"] }), false, false),
            (json!({ "room_name_like": "AND C" }), true, false),
            (json!({ "room_name_like": "" }), true, true),
        ] {
            let filters = filters(json.clone());
            assert!(filters.asks_for_nature());
            assert_eq!(filters.covers_nature(&space), of_space, "{json}");
            assert_eq!(filters.covers_nature(&Nature::default()), of_plain, "{json}");
        }
    }
}
