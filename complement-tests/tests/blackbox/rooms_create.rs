//! Room creation.

use complement_tests::{Client, Server, encoded, room_path, synapse_departs_from, unique};
use serde_json::{Value, json};

const CREATE: &str = "/_matrix/client/v3/createRoom";

async fn full_state(client: &Client, room: &str) -> Vec<Value> {
    let state = client.get(&room_path(room, "state")).await.expect_ok();
    state.as_array().expect("state is a list").clone()
}

#[tokio::test]
async fn each_preset_sets_its_rules() {
    let ada = Server::start().await.register("ada").await;
    let presets = [
        ("public_chat", "public", "shared", "forbidden"),
        ("private_chat", "invite", "shared", "can_join"),
        ("trusted_private_chat", "invite", "shared", "can_join"),
    ];
    for (preset, join_rule, visibility, guests) in presets {
        let room = ada.create_room_with(&json!({ "preset": preset })).await;
        let join_rules = ada.state(&room, "m.room.join_rules", "").await;
        assert_eq!(join_rules["join_rule"], join_rule, "{preset}");
        let history = ada.state(&room, "m.room.history_visibility", "").await;
        assert_eq!(history["history_visibility"], visibility, "{preset}");
        if guests == "can_join" {
            let access = ada.state(&room, "m.room.guest_access", "").await;
            assert_eq!(access["guest_access"], guests, "{preset}");
        }
    }
}

#[tokio::test]
async fn the_preset_follows_the_visibility_when_none_is_named() {
    let ada = Server::start().await.register("ada").await;
    for (body, rule) in [(json!({}), "invite"), (json!({ "visibility": "public" }), "public")] {
        let room = ada.create_room_with(&body).await;
        assert_eq!(ada.state(&room, "m.room.join_rules", "").await["join_rule"], rule, "{body}");
    }
}

#[tokio::test]
async fn a_room_of_every_version_can_be_made_and_used() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    for version in 1..=12 {
        let body = json!({ "room_version": version.to_string(), "preset": "public_chat" });
        let room = ada.create_room_with(&body).await;
        let create = ada.state(&room, "m.room.create", "").await;
        assert_eq!(create["room_version"], version.to_string());
        assert_eq!(create.get("creator").is_some(), version < 11, "{version}: {create}");

        bo.join(&room).await;
        let event = bo.say(&room, "hello").await;
        assert_eq!(ada.event(&room, &event).await["content"]["body"], "hello", "{version}");
        assert_eq!(event.contains(':'), version < 3, "{version}: {event}");
    }
}

#[tokio::test]
async fn the_default_version_is_12() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    assert_eq!(ada.state(&room, "m.room.create", "").await["room_version"], "12");
}

/// Spec: room version 12, "Room IDs as hashes": the id of the room is the create event's with `!`.
#[tokio::test]
async fn a_room_of_version_12_is_named_by_its_create_event() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;

    let state = full_state(&ada, &room).await;

    let create = state.iter().find(|event| event["type"] == "m.room.create").expect("create event");
    assert_eq!(create["event_id"], room.replacen('!', "$", 1));
}

/// Spec: room version 12: creators have power above all levels and may not be listed.
#[tokio::test]
async fn the_creator_of_a_version_12_room_is_not_in_the_power_levels() {
    let ada = Server::start().await.register("ada").await;
    for (version, listed) in [("11", Some(100)), ("12", None)] {
        let room = ada.create_room_with(&json!({ "room_version": version })).await;
        let levels = ada.state(&room, "m.room.power_levels", "").await;
        assert_eq!(levels["users"][&ada.user_id].as_i64(), listed, "{version}: {levels}");
    }
}

#[tokio::test]
async fn an_unknown_version_answers_m_unsupported_room_version() {
    let ada = Server::start().await.register("ada").await;
    let answer = ada.post(CREATE, &json!({ "room_version": "com.example.99" })).await;
    answer.expect_error(400, "M_UNSUPPORTED_ROOM_VERSION");
}

#[tokio::test]
async fn name_and_topic_become_state() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room_with(&json!({ "name": "Kitchen", "topic": "Tea" })).await;
    assert_eq!(ada.state(&room, "m.room.name", "").await["name"], "Kitchen");
    assert_eq!(ada.state(&room, "m.room.topic", "").await["topic"], "Tea");
}

#[tokio::test]
async fn initial_state_is_set_and_wins_over_the_preset() {
    let ada = Server::start().await.register("ada").await;
    let body = json!({
        "preset": "private_chat",
        "initial_state": [
            { "type": "m.room.history_visibility", "state_key": "",
              "content": { "history_visibility": "world_readable" } },
            { "type": "com.example.tea", "state_key": "green", "content": { "minutes": 3 } },
            { "type": "com.example.cake", "content": { "slices": 8 } },
        ],
    });

    let room = ada.create_room_with(&body).await;

    let history = ada.state(&room, "m.room.history_visibility", "").await;
    assert_eq!(history["history_visibility"], "world_readable");
    assert_eq!(ada.state(&room, "com.example.tea", "green").await["minutes"], 3);
    assert_eq!(ada.state(&room, "com.example.cake", "").await["slices"], 8);
}

/// Spec: `createRoom`: name and topic "take precedence over" nothing but come after `initial_state`.
#[tokio::test]
async fn the_name_wins_over_the_name_in_the_initial_state() {
    let ada = Server::start().await.register("ada").await;
    let body = json!({
        "name": "Kitchen",
        "initial_state": [{ "type": "m.room.name", "content": { "name": "Attic" } }],
    });
    let room = ada.create_room_with(&body).await;
    assert_eq!(ada.state(&room, "m.room.name", "").await["name"], "Kitchen");
}

#[tokio::test]
async fn a_room_begins_with_create_join_and_power_levels() {
    let ada = Server::start().await.register("ada").await;
    let body = json!({ "name": "Kitchen", "topic": "Tea", "room_version": "11" });
    let room = ada.create_room_with(&body).await;

    let answer = ada.get(&room_path(&room, "messages?dir=f&limit=50")).await.expect_ok();

    let types: Vec<_> =
        answer["chunk"].as_array().expect("a list").iter().map(|e| &e["type"]).collect();
    assert_eq!(types[..3], ["m.room.create", "m.room.member", "m.room.power_levels"]);
}

#[tokio::test]
async fn an_alias_is_made_and_becomes_canonical() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let name = unique("kitchen");
    let alias = format!("#{name}:{}", server.name());

    let room = ada.create_room_with(&json!({ "room_alias_name": name })).await;

    let path = format!("/_matrix/client/v3/directory/room/{}", encoded(&alias));
    assert_eq!(ada.get(&path).await.expect_ok()["room_id"], room.as_str());
    assert_eq!(ada.state(&room, "m.room.canonical_alias", "").await["alias"], alias);
    let again = ada.post(CREATE, &json!({ "room_alias_name": name })).await;
    again.expect_error(400, "M_ROOM_IN_USE");
}

#[tokio::test]
async fn invited_users_are_invited_and_told_whether_it_is_direct() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);

    let body = json!({ "invite": [bo.user_id], "is_direct": true, "preset": "private_chat" });
    let room = ada.create_room_with(&body).await;

    let member = ada.state(&room, "m.room.member", &bo.user_id).await;
    assert_eq!(member["membership"], "invite");
    assert_eq!(member["is_direct"], true);
    bo.join(&room).await;
}

/// Spec: `createRoom`, `trusted_private_chat`: "All invitees are given the same power level as the
/// room creator"; in version 12 they become `additional_creators`.
#[tokio::test]
async fn a_trusted_private_chat_gives_invitees_the_creators_power() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    for version in ["11", "12"] {
        let body = json!({
            "preset": "trusted_private_chat", "invite": [bo.user_id], "room_version": version,
        });
        let room = ada.create_room_with(&body).await;
        if version == "11" {
            let levels = ada.state(&room, "m.room.power_levels", "").await;
            assert_eq!(levels["users"][&bo.user_id], 100);
        } else {
            let create = ada.state(&room, "m.room.create", "").await;
            assert_eq!(create["additional_creators"], json!([bo.user_id]));
        }
    }
}

#[tokio::test]
async fn creation_content_is_kept_except_what_the_server_sets() {
    let ada = Server::start().await.register("ada").await;
    let body = json!({
        "room_version": "10",
        "creation_content": {
            "m.federate": false, "type": "m.space", "creator": "@eve:evil.test", "room_version": "1",
            "com.example.tea": 1,
        },
    });

    let room = ada.create_room_with(&body).await;

    let create = ada.state(&room, "m.room.create", "").await;
    assert_eq!(create["m.federate"], false);
    assert_eq!(create["type"], "m.space");
    assert_eq!(create["com.example.tea"], 1);
    assert_eq!(create["creator"], ada.user_id.as_str());
    assert_eq!(create["room_version"], "10");
}

#[tokio::test]
async fn power_levels_are_overridden_key_by_key() {
    let ada = Server::start().await.register("ada").await;
    let users = json!({ ada.user_id.clone(): 100, "@bo:hearth.test": 50 });
    let body = json!({
        "room_version": "11",
        "power_level_content_override": { "events_default": 10, "users": users },
    });

    let room = ada.create_room_with(&body).await;

    let levels = ada.state(&room, "m.room.power_levels", "").await;
    assert_eq!(levels["events_default"], 10);
    assert_eq!(levels["users"], users);
    assert_eq!(levels["state_default"], 50);
}

/// Spec: room version 12, power levels: `users` must not contain a creator.
#[tokio::test]
async fn listing_the_creator_in_version_12_is_refused() {
    let ada = Server::start().await.register("ada").await;
    let body = json!({
        "room_version": "12",
        "power_level_content_override": { "users": { ada.user_id.clone(): 100 } },
    });
    let answer = ada.post(CREATE, &body).await;
    assert!([400, 403].contains(&answer.status), "{} {}", answer.status, answer.text);
}

#[tokio::test]
async fn what_cannot_be_part_of_a_room_answers_400() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let mut bodies =
        vec![json!({ "invite": ["nobody"] }), json!({ "room_alias_name": "with:colon" })];
    if !synapse_departs_from("M_BAD_JSON: […] valid JSON, but it was malformed in some way") {
        bodies.push(json!({ "creation_content": "text" }));
        bodies.push(json!({ "power_level_content_override": [] }));
    }
    for body in bodies {
        let answer = ada.post(CREATE, &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
    }
}

#[tokio::test]
async fn the_creator_is_joined_and_others_are_not() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    let joined = ada.get("/_matrix/client/v3/joined_rooms").await.expect_ok();
    assert_eq!(joined["joined_rooms"], json!([room]));
    let joined = bo.get("/_matrix/client/v3/joined_rooms").await.expect_ok();
    assert_eq!(joined["joined_rooms"], json!([]));
}

/// Spec: `createRoom`, 400: "the initial state implied by the parameters to the request is invalid: for example, the user's
/// `power_level` is set below that necessary to set the room name (`errcode` set to `M_INVALID_ROOM_STATE`)".
#[tokio::test]
async fn a_room_whose_first_events_forbid_each_other_is_not_made() {
    let ada = Server::start().await.register("ada").await;
    if synapse_departs_from("errcode set to M_INVALID_ROOM_STATE (Synapse: 403)") {
        return;
    }
    let powerless = json!({ "users": { ada.user_id.clone(): 0 } });
    for body in [
        json!({ "room_version": "11", "name": "x", "power_level_content_override": powerless }),
        json!({ "initial_state": [{ "type": "m.room.create", "content": {} }] }),
        json!({ "invite": [ada.user_id] }),
        json!({ "initial_state": [{
            "type": "m.room.member", "state_key": "@bo:hearth.test",
            "content": { "membership": "join" },
        }] }),
    ] {
        ada.post(CREATE, &body).await.expect_error(400, "M_INVALID_ROOM_STATE");
    }
    let joined = ada.get("/_matrix/client/v3/joined_rooms").await.expect_ok();
    assert_eq!(joined["joined_rooms"], json!([]));
}

#[tokio::test]
async fn an_unknown_preset_or_visibility_is_refused() {
    let ada = Server::start().await.register("ada").await;
    let mut bodies = vec![json!({ "preset": "open_house" })];
    if !synapse_departs_from("visibility is one of public and private") {
        bodies.push(json!({ "visibility": "sometimes" }));
    }
    for body in bodies {
        ada.post(CREATE, &body).await.expect_error_of(&[
            (400, "M_BAD_JSON"),
            (400, "M_INVALID_PARAM"),
            (400, "M_UNKNOWN"),
        ]);
    }
}

/// Spec: appendices, "Room aliases": at most 255 bytes.
#[tokio::test]
async fn an_alias_that_is_too_long_is_refused() {
    let ada = Server::start().await.register("ada").await;
    let answer = ada.post(CREATE, &json!({ "room_alias_name": "a".repeat(250) })).await;
    answer.expect_error(400, "M_INVALID_PARAM");
}

/// Spec: `createRoom`: "It MUST apply the events implied by the request in the following order".
#[tokio::test]
async fn the_first_events_come_in_their_order() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let body = json!({
        "preset": "private_chat", "name": "Kitchen", "topic": "Tea", "invite": [bo.user_id],
        "room_alias_name": unique("kitchen"),
        "initial_state": [
            { "type": "com.example.tea", "content": {} }, { "type": "com.example.cake", "content": {} },
        ],
    });
    let room = ada.create_room_with(&body).await;

    let answer = ada.get(&room_path(&room, "messages?dir=f&limit=50")).await.expect_ok();

    let events = answer["chunk"].as_array().expect("a list");
    let types: Vec<_> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(
        types[..4],
        ["m.room.create", "m.room.member", "m.room.power_levels", "m.room.canonical_alias",]
    );
    let mut preset = types[4..7].to_vec();
    preset.sort_unstable();
    let of_preset = ["m.room.guest_access", "m.room.history_visibility", "m.room.join_rules"];
    assert_eq!(preset, of_preset);
    assert_eq!(
        types[7..],
        ["com.example.tea", "com.example.cake", "m.room.name", "m.room.topic", "m.room.member",]
    );
}

/// Spec: `createRoom`, `topic`: "an `m.room.topic` event with a `text/plain` mimetype".
#[tokio::test]
async fn the_topic_is_plain_text() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room_with(&json!({ "topic": "Tea" })).await;
    let topic = ada.state(&room, "m.room.topic", "").await;
    let text = &topic["m.topic"]["m.text"][0];
    assert_eq!(text["body"], "Tea");
    assert!(text["mimetype"].is_null() || text["mimetype"] == "text/plain", "{topic}");
}

/// Spec: `createRoom`: in version 12 "the power level for sending `m.room.tombstone` events MUST explicitly be higher
/// than `state_default`".
#[tokio::test]
async fn it_takes_more_than_setting_state_to_replace_a_room() {
    let ada = Server::start().await.register("ada").await;
    let mut overrides = vec![json!({})];
    if !synapse_departs_from("MUST explicitly be higher than state_default, whatever is overridden")
    {
        overrides.push(json!({ "state_default": 150 }));
        overrides.push(json!({ "events": {} }));
    }
    for levels in overrides {
        let body = json!({ "room_version": "12", "power_level_content_override": levels });
        let room = ada.create_room_with(&body).await;
        let levels = ada.state(&room, "m.room.power_levels", "").await;
        let tombstone = levels["events"]["m.room.tombstone"].as_i64();
        assert!(tombstone > levels["state_default"].as_i64(), "{levels}");
    }
}

/// Spec: `createRoom`, `creation_content`: "deduplicating between the two parameters".
#[tokio::test]
async fn who_is_named_twice_is_a_creator_once() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let body = json!({
        "preset": "trusted_private_chat", "room_version": "12", "invite": [bo.user_id],
        "creation_content": { "additional_creators": [bo.user_id, "@cy:hearth.test"] },
    });
    let room = ada.create_room_with(&body).await;
    let create = ada.state(&room, "m.room.create", "").await;
    let mut creators: Vec<_> = create["additional_creators"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    creators.sort_unstable();
    let mut wanted = [bo.user_id.as_str(), "@cy:hearth.test"];
    wanted.sort_unstable();
    assert_eq!(creators, wanted);
}
