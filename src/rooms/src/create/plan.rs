//! What a new room begins with. Spec: client-server API, `POST /createRoom`.

use protocol::room_version::Rules;
use ruma::UserId;
use serde_json::{Map, Value, json};

use super::{CreateRoom, InitialState, Preset, raw};
use crate::assembly::Draft;

/// The level to replace a room where creators are above all levels.
const TOMBSTONE: i64 = 150;

/// A wish with what follows from it.
pub(super) struct Plan<'a> {
    pub(super) creator: &'a UserId,
    pub(super) rules: Rules,
    pub(super) wish: &'a CreateRoom,
}

impl Plan<'_> {
    pub(super) fn state(&self, kind: &str, state_key: &str, content: &Value) -> Draft {
        let state_key = Some(state_key.to_owned());
        Draft::new(self.creator.to_owned(), kind.into(), state_key, raw(content))
    }

    pub(super) fn given(&self, given: &InitialState) -> Draft {
        let state_key = Some(given.state_key.clone());
        let content = given.content.clone();
        Draft::new(self.creator.to_owned(), given.kind.clone(), state_key, content)
    }

    pub(super) fn create_content(&self) -> Map<String, Value> {
        let mut content = self.wish.creation_content.clone();
        if self.creators_are_privileged() && self.wish.preset == Preset::TrustedPrivateChat {
            let mut creators = match content.remove("additional_creators") {
                Some(Value::Array(creators)) => creators,
                _ => Vec::new(),
            };
            for invited in &self.wish.invite {
                let invited = json!(invited);
                if !creators.contains(&invited) {
                    creators.push(invited);
                }
            }
            if !creators.is_empty() {
                content.insert("additional_creators".to_owned(), Value::Array(creators));
            }
        }
        content
    }

    /// Whether creators have a power that no level expresses, from version 12 on.
    fn creators_are_privileged(&self) -> bool {
        self.rules.authorization.explicitly_privilege_room_creators
    }

    pub(super) fn power_levels(&self) -> Value {
        let trusted = self.wish.preset == Preset::TrustedPrivateChat;
        let mut users = Map::new();
        if !self.creators_are_privileged() {
            users.insert(self.creator.to_string(), json!(100));
            let invited = self.wish.invite.iter().filter(|_| trusted);
            users.extend(invited.map(|user| (user.to_string(), json!(100))));
        }
        let tombstone = if self.creators_are_privileged() { TOMBSTONE } else { 100 };
        let invite = if self.wish.preset == Preset::PublicChat { 50 } else { 0 };
        let mut content = json!({
            "users": users,
            "users_default": 0,
            "events": {
                "m.room.name": 50,
                "m.room.avatar": 50,
                "m.room.canonical_alias": 50,
                "m.room.power_levels": 100,
                "m.room.history_visibility": 100,
                "m.room.server_acl": 100,
                "m.room.encryption": 100,
                "m.room.tombstone": tombstone,
            },
            "events_default": 0,
            "state_default": 50,
            "ban": 50,
            "kick": 50,
            "redact": 50,
            "invite": invite,
            "historical": 100,
        });
        for (key, value) in &self.wish.power_levels {
            content[key] = value.clone();
        }
        if self.creators_are_privileged() {
            raise_tombstone(&mut content);
        }
        content
    }

    /// The preset's state, without what the wish states itself.
    pub(super) fn preset_state(&self) -> Vec<Draft> {
        let (join_rule, guests) = match self.wish.preset {
            Preset::PublicChat => ("public", "forbidden"),
            Preset::PrivateChat | Preset::TrustedPrivateChat => ("invite", "can_join"),
        };
        let preset = [
            ("m.room.join_rules", json!({ "join_rule": join_rule })),
            ("m.room.history_visibility", json!({ "history_visibility": "shared" })),
            ("m.room.guest_access", json!({ "guest_access": guests })),
        ];
        let stated = |kind: &str| {
            let mut initial = self.wish.initial_state.iter();
            initial.any(|state| state.kind.to_string() == kind && state.state_key.is_empty())
        };
        let wanted = preset.iter().filter(|(kind, _)| !stated(kind));
        wanted.map(|(kind, content)| self.state(kind, "", content)).collect()
    }

    pub(super) fn initial_state(&self) -> impl Iterator<Item = Draft> + '_ {
        let overridden = |state: &InitialState| match state.kind.to_string().as_str() {
            "m.room.power_levels" => true,
            "m.room.name" => self.wish.name.is_some(),
            "m.room.topic" => self.wish.topic.is_some(),
            _ => false,
        };
        let initial = self.wish.initial_state.iter();
        let left = initial.filter(move |state| !(state.state_key.is_empty() && overridden(state)));
        left.map(|state| self.given(state))
    }
}

/// Where it takes no more than other state to replace a room, makes it take more.
/// Spec: client-server API, `POST /createRoom`: in version 12 the level of tombstones "MUST explicitly be higher than
/// `state_default`".
fn raise_tombstone(levels: &mut Value) {
    let state_default = levels["state_default"].as_i64().unwrap_or(50);
    let Some(events) = levels.get_mut("events").and_then(Value::as_object_mut) else { return };
    let tombstone = events.get("m.room.tombstone").map_or(Some(0), Value::as_i64);
    if tombstone.is_some_and(|level| level <= state_default) {
        let raised = state_default.saturating_add(1).max(TOMBSTONE);
        events.insert("m.room.tombstone".to_owned(), json!(raised));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_more_to_replace_a_room_than_to_set_its_state() {
        for (levels, expected) in [
            (json!({ "events": {}, "state_default": 50 }), Some(150)),
            (json!({ "events": { "m.room.tombstone": 50 }, "state_default": 50 }), Some(150)),
            (json!({ "events": { "m.room.tombstone": 60 }, "state_default": 50 }), Some(60)),
            (json!({ "events": { "m.room.tombstone": 150 }, "state_default": 200 }), Some(201)),
            (json!({ "events": [] }), None),
        ] {
            let mut raised = levels.clone();
            raise_tombstone(&mut raised);
            assert_eq!(raised["events"]["m.room.tombstone"].as_i64(), expected, "{levels}");
        }
    }
}
