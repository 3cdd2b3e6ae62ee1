//! What becomes of a room's power levels when it is replaced.

use protocol::power_levels::PowerLevels;
use ruma::events::room::power_levels::UserPowerLevel;
use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value, json};

/// Who makes the new room.
pub(super) struct Creators<'a> {
    /// Who asked for it.
    pub(super) user: &'a UserId,
    /// Who has the same power.
    pub(super) additional: &'a [OwnedUserId],
    /// Whether that power is above all levels: from version 12 on.
    pub(super) privileged: bool,
}

/// The level of who is above all levels in the old room and cannot be in the new one.
const CREATOR: i64 = 100;
/// The level to replace a room once more, where creators are above all levels.
/// Spec: client-server API, `POST /createRoom`: the default of version 12.
const TOMBSTONE: i64 = 150;

/// The levels of the new room: those of the old one in the form that every version understands, and with nobody
/// losing the power to rule it.
pub(super) fn carried_levels(content: &Value, old: &PowerLevels, creators: &Creators<'_>) -> Value {
    let mut levels = numeric(content);
    let is_above_all = |level: UserPowerLevel| level == UserPowerLevel::Infinite;
    let privileged: Vec<&UserId> =
        old.users().filter(|(_, level)| is_above_all(*level)).map(|(user, _)| user).collect();
    if creators.privileged {
        if privileged.is_empty() {
            let to_replace = levels["events"]["m.room.tombstone"].as_i64().unwrap_or(TOMBSTONE);
            levels["events"]["m.room.tombstone"] = json!(to_replace.max(TOMBSTONE));
        }
        if let Some(users) = levels["users"].as_object_mut() {
            users.remove(creators.user.as_str());
            for creator in creators.additional {
                users.remove(creator.as_str());
            }
        }
    } else {
        let highest = highest(&levels).max(CREATOR);
        let by_default = content.is_null().then_some(creators.user);
        for user in privileged.into_iter().chain(by_default) {
            levels["users"][user.as_str()] = json!(highest);
        }
    }
    levels
}

/// The old room's levels, with only those above the default speaking and inviting; `None` if that is so already.
/// Spec: client-server API, "Room upgrades", server behaviour, step 6.
pub(super) fn closed_levels(content: &Value) -> Option<Value> {
    let mut levels = content.as_object()?.clone();
    let level = |key: &str| levels.get(key).and_then(number);
    let raised = level("users_default").unwrap_or(0).saturating_add(1).max(50);
    let mut changed = false;
    for key in ["events_default", "invite"] {
        if level_of(&levels, key) < raised {
            levels.insert(key.to_owned(), json!(raised));
            changed = true;
        }
    }
    changed.then_some(Value::Object(levels))
}

fn level_of(levels: &Map<String, Value>, key: &str) -> i64 {
    levels.get(key).and_then(number).unwrap_or(0)
}

/// A level, also of the versions before 10 that allow a text.
fn number(level: &Value) -> Option<i64> {
    level.as_i64().or_else(|| level.as_str()?.trim().parse().ok())
}

/// The levels with numbers only, and with maps of users and events.
fn numeric(content: &Value) -> Value {
    let mut levels = Map::new();
    for (key, value) in content.as_object().into_iter().flatten() {
        let value = match value {
            Value::Object(by_name) => {
                let numbers = by_name.iter().filter_map(|(name, level)| {
                    number(level).map(|level| (name.clone(), json!(level)))
                });
                Value::Object(numbers.collect())
            }
            level => match number(level) {
                Some(level) => json!(level),
                None => continue,
            },
        };
        levels.insert(key.clone(), value);
    }
    for key in ["users", "events"] {
        if !levels.get(key).is_some_and(Value::is_object) {
            levels.insert(key.to_owned(), json!({}));
        }
    }
    Value::Object(levels)
}

/// The highest level that anything needs or anybody has.
fn highest(levels: &Value) -> i64 {
    let top = levels.as_object().into_iter().flatten();
    let all = top.flat_map(|(_, level)| match level {
        Value::Object(by_name) => by_name.values().filter_map(number).collect(),
        level => Vec::from_iter(number(level)),
    });
    all.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use protocol::room_version;
    use ruma::{RoomVersionId, user_id};

    use super::*;

    /// The levels of a room without a creator above them.
    fn nobody() -> PowerLevels {
        PowerLevels::new(None, None, &room_version::rules(&RoomVersionId::V11).unwrap())
    }

    #[test]
    fn creators_have_no_level_where_they_are_above_all() {
        let (ada, bo) = (user_id!("@ada:hearth.test"), user_id!("@bo:hearth.test"));
        let additional = [bo.to_owned()];
        let creators = Creators { user: ada, additional: &additional, privileged: true };
        let content = json!({
            "users": { ada.as_str(): 100, bo.as_str(): "50", "@cy:hearth.test": 50 },
            "events": { "m.room.tombstone": 100 }, "ban": "70", "odd": [],
        });
        let expected = json!({
            "users": { "@cy:hearth.test": 50 }, "events": { "m.room.tombstone": 150 }, "ban": 70,
        });
        assert_eq!(carried_levels(&content, &nobody(), &creators), expected);
    }

    #[test]
    fn who_made_a_room_without_levels_rules_its_successor() {
        let ada = user_id!("@ada:hearth.test");
        let creators = Creators { user: ada, additional: &[], privileged: false };
        let expected = json!({ "users": { ada.as_str(): 100 }, "events": {} });
        assert_eq!(carried_levels(&Value::Null, &nobody(), &creators), expected);
        let levels = json!({ "users": { "@bo:hearth.test": 100 }, "events": {}, "ban": 120 });
        assert_eq!(carried_levels(&levels, &nobody(), &creators), levels);
        assert_eq!(highest(&levels), 120);
    }

    #[test]
    fn a_closed_room_is_for_those_above_the_default() {
        for (levels, expected) in [
            (json!({}), Some(50)),
            (json!({ "users_default": 60, "invite": 10 }), Some(61)),
            (json!({ "users_default": "60" }), Some(61)),
            (json!({ "events_default": 50, "invite": 70 }), None),
            (Value::Null, None),
        ] {
            let closed = closed_levels(&levels);
            let found = closed.as_ref().and_then(|closed| closed["events_default"].as_i64());
            assert_eq!(found, expected, "{levels}");
        }
    }
}
