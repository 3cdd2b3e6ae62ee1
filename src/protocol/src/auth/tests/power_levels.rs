//! Who may hand out power.

use super::*;

#[test]
fn nobody_hands_out_more_power_than_they_have() {
    for mut room in TestRoom::of_all_versions() {
        room.join(BO);
        room.join(CY);
        let levels = |changed: serde_json::Value| {
            let mut levels = json!({ "users": { BO: 50, CY: 50 }, "state_default": 50, "events": { "m.a": 60 } });
            levels.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
            levels
        };
        room.levels(&levels(json!({})));
        for refused in [
            json!({ "users": { BO: 51, CY: 50 } }),
            json!({ "users": { BO: 50, CY: 49 } }),
            json!({ "users": { BO: 50 } }),
            json!({ "users": { BO: 50, CY: 50, "@dee:x": 51 } }),
            json!({ "events": {} }),
            json!({ "events": { "m.a": 61 } }),
            json!({ "events": { "m.a": 60, "m.b": 51 } }),
            json!({ "ban": 51 }),
            json!({ "users_default": 51 }),
        ] {
            let mut content = levels(refused.clone());
            if !room.rules.authorization.explicitly_privilege_room_creators {
                content["users"][ADA] = json!(100);
            }
            let sent = room.clone().try_state(BO, "m.room.power_levels", "", &content);
            assert!(sent.is_err(), "{} {refused}", room.version);
        }
        for allowed in [
            json!({ "users": { BO: 49, CY: 50 } }),
            json!({ "ban": 50 }),
            json!({ "events": { "m.a": 60, "m.b": 50 } }),
        ] {
            let mut content = levels(allowed.clone());
            if !room.rules.authorization.explicitly_privilege_room_creators {
                content["users"][ADA] = json!(100);
            }
            room.clone().try_state(BO, "m.room.power_levels", "", &content).unwrap_or_else(
                |error| {
                    panic!("{} {allowed}: {error}", room.version);
                },
            );
        }
    }
}

#[test]
fn notification_levels_are_guarded_from_version_6_on() {
    for mut room in TestRoom::of_all_versions() {
        room.join(BO);
        room.levels(&json!({ "users": { BO: 50 }, "notifications": { "room": 60 } }));
        let mut content = json!({ "users": { BO: 50 }, "notifications": { "room": 10 } });
        if !room.rules.authorization.explicitly_privilege_room_creators {
            content["users"][ADA] = json!(100);
        }
        let sent = room.try_state(BO, "m.room.power_levels", "", &content);
        assert_eq!(
            sent.is_err(),
            room.rules.authorization.limit_notifications_power_levels,
            "{}",
            room.version
        );
    }
}

#[test]
fn levels_are_integers_from_version_10_on() {
    for mut room in TestRoom::of_all_versions() {
        for content in [
            json!({ "ban": "50" }),
            json!({ "events": { "m.a": " +5 " } }),
            json!({ "users": { BO: "05" } }),
        ] {
            let mut content = content;
            if !room.rules.authorization.explicitly_privilege_room_creators {
                content["users"][ADA] = json!(100);
            }
            let sent = room.try_state(ADA, "m.room.power_levels", "", &content);
            assert_eq!(
                sent.is_err(),
                room.rules.authorization.integer_power_levels,
                "{}",
                room.version
            );
        }
        for content in [
            json!({ "users": [] }),
            json!({ "users": { "bo": 1 } }),
            json!({ "users": { BO: "x" } }),
        ] {
            assert!(
                room.try_state(ADA, "m.room.power_levels", "", &content).is_err(),
                "{}",
                room.version
            );
        }
    }
}

#[test]
fn creators_of_version_12_do_not_stand_among_the_levels() {
    let mut room = version(12);
    assert!(
        room.try_state(ADA, "m.room.power_levels", "", &json!({ "users": { ADA: 100 } })).is_err()
    );
    room.levels(&json!({ "users": { BO: 9_007_199_254_740_991_i64 } }));
    room.join(BO);
    assert!(room.membership(BO, ADA, "leave").is_err(), "no level is above a creator's");
    room.membership(ADA, BO, "leave").unwrap();
}
