//! Replacing a room by one of another version.

use std::time::{Duration, Instant};

use complement_tests::{
    Client, Server, encoded, room_path, state_path, synapse_departs_from, timeline, unique,
};
use reqwest::Method;
use serde_json::{Value, json};

/// Upgrades a room; gives the new room's id.
async fn upgrade(client: &Client, room: &str, version: &str) -> String {
    let answer = client.post(&room_path(room, "upgrade"), &json!({ "new_version": version })).await;
    answer.expect_ok()["replacement_room"].as_str().expect("a room id").to_owned()
}

async fn users() -> (Server, Client, Client) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    (server, ada, bo)
}

#[tokio::test]
async fn the_rooms_name_each_other() {
    let (_, ada, bo) = users().await;
    for (before, after) in [("9", "10"), ("10", "11"), ("11", "12"), ("12", "12"), ("12", "11")] {
        let body = json!({
            "preset": "public_chat", "room_version": before,
            "creation_content": { "type": "m.space", "m.federate": false },
        });
        let old = ada.create_room_with(&body).await;
        bo.join(&old).await;

        let new = upgrade(&ada, &old, after).await;

        let tombstone = bo.state(&old, "m.room.tombstone", "").await;
        assert_eq!(tombstone["replacement_room"], new.as_str());
        let create = ada.state(&new, "m.room.create", "").await;
        assert_eq!(create["predecessor"]["room_id"], old.as_str(), "{before} {after}");
        assert_eq!(create["room_version"], after);
        assert_eq!(create["type"], "m.space");
        assert_eq!(create["m.federate"], false);
        if after == "12" {
            assert!(create["predecessor"]["event_id"].is_null());
        } else {
            assert!(create["predecessor"]["event_id"].is_string());
        }
    }
}

#[tokio::test]
async fn the_state_goes_along() {
    let (_, ada, bo) = users().await;
    let body = json!({
        "preset": "public_chat", "room_version": "10", "name": "Kitchen", "topic": "Tea",
    });
    let old = ada.create_room_with(&body).await;
    let state = [
        ("m.room.server_acl", json!({ "allow": ["*"], "deny": ["bad.test"] })),
        ("m.room.encryption", json!({ "algorithm": "m.megolm.v1.aes-sha2" })),
        ("m.room.avatar", json!({ "url": "mxc://hearth.test/tea" })),
        ("m.room.guest_access", json!({ "guest_access": "can_join" })),
        ("m.room.history_visibility", json!({ "history_visibility": "joined" })),
        ("m.room.join_rules", json!({ "join_rule": "knock" })),
    ];
    for (kind, content) in &state {
        ada.set_state(&old, kind, "", content).await;
    }
    ada.set_state(&old, "org.example.custom", "", &json!({ "secret": true })).await;
    let ban = json!({ "user_id": bo.user_id, "reason": "rude" });
    ada.post(&room_path(&old, "ban"), &ban).await.expect_ok();

    let new = upgrade(&ada, &old, "11").await;

    assert_eq!(ada.state(&new, "m.room.name", "").await["name"], "Kitchen");
    assert_eq!(ada.state(&new, "m.room.topic", "").await["topic"], "Tea");
    for (kind, content) in &state {
        assert_eq!(ada.state(&new, kind, "").await, *content, "{kind}");
    }
    let member = ada.state(&new, "m.room.member", &bo.user_id).await;
    assert_eq!((&member["membership"], &member["reason"]), (&json!("ban"), &json!("rude")));
    let custom = format!("/_matrix/client/v3/rooms/{}/state/org.example.custom/", encoded(&new));
    ada.get(&custom).await.expect_error(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn power_levels_go_along_and_the_old_room_is_closed() {
    let (server, ada, bo) = users().await;
    let cy = server.register("cy").await;
    let body = json!({
        "preset": "public_chat", "room_version": "10",
        "power_level_content_override": {
            "users": { ada.user_id.clone(): 100, bo.user_id.clone(): 60 }, "users_default": 10,
        },
    });
    let old = ada.create_room_with(&body).await;
    cy.join(&old).await;

    let new = upgrade(&ada, &old, "11").await;

    let levels = ada.state(&new, "m.room.power_levels", "").await;
    assert_eq!(levels["users"], json!({ ada.user_id.clone(): 100, bo.user_id.clone(): 60 }));
    assert_eq!(levels["users_default"], 10);
    let levels = ada.state(&old, "m.room.power_levels", "").await;
    assert_eq!((&levels["events_default"], &levels["invite"]), (&json!(50), &json!(50)));
    let path = complement_tests::send_path(&old, "m.room.message", &unique("txn"));
    let body = json!({ "msgtype": "m.text", "body": "late" });
    cy.put(&path, &body).await.expect_error(403, "M_FORBIDDEN");
}

/// Who may replace a room but not set all of its state rules nothing more in the new room.
#[tokio::test]
async fn a_moderator_who_may_replaces_a_room_with_all_its_state() {
    let (_, ada, bo) = users().await;
    let body = json!({
        "preset": "public_chat", "room_version": "10",
        "power_level_content_override": {
            "users": { ada.user_id.clone(): 100, bo.user_id.clone(): 50 },
            "events": { "m.room.tombstone": 50, "m.room.server_acl": 100 },
        },
    });
    let old = ada.create_room_with(&body).await;
    bo.join(&old).await;
    let acl = json!({ "allow": ["*"] });
    ada.set_state(&old, "m.room.server_acl", "", &acl).await;

    let new = upgrade(&bo, &old, "11").await;

    assert_eq!(bo.state(&new, "m.room.server_acl", "").await, acl);
    let levels = bo.state(&new, "m.room.power_levels", "").await;
    assert_eq!(levels["users"][&bo.user_id], 50);
    let path = complement_tests::state_path(&new, "m.room.server_acl", "");
    bo.put(&path, &json!({ "allow": ["*.test"] })).await.expect_error(403, "M_FORBIDDEN");
}

/// Spec: `POST /rooms/{roomId}/upgrade`, `additional_creators`.
#[tokio::test]
async fn creators_of_version_12_are_named_and_have_no_level() {
    let (_, ada, bo) = users().await;
    let body = json!({
        "preset": "public_chat", "room_version": "11",
        "power_level_content_override": {
            "users": { ada.user_id.clone(): 100, bo.user_id.clone(): 100 },
        },
    });
    let old = ada.create_room_with(&body).await;
    let body = json!({ "new_version": "12", "additional_creators": [bo.user_id] });
    let answer = ada.post(&room_path(&old, "upgrade"), &body).await.expect_ok();
    let new = answer["replacement_room"].as_str().unwrap().to_owned();
    let create = ada.state(&new, "m.room.create", "").await;
    assert_eq!(create["additional_creators"], json!([bo.user_id]));
    let levels = ada.state(&new, "m.room.power_levels", "").await;
    assert_eq!(levels["users"], json!({}));

    if synapse_departs_from("who rules a room that goes back to version 11 (a choice of hearth's)")
    {
        return;
    }
    // Back to a version without such creators, nobody loses the power to rule the room.
    let back = upgrade(&ada, &new, "11").await;
    let levels = ada.state(&back, "m.room.power_levels", "").await;
    assert!(levels["users"][&ada.user_id].as_i64() >= Some(100), "{levels}");
}

#[tokio::test]
async fn aliases_and_the_place_in_the_directory_move() {
    let (server, ada, _) = users().await;
    let name = unique("teahouse");
    let body = json!({
        "visibility": "public", "preset": "public_chat", "room_version": "10",
        "room_alias_name": name, "name": name,
    });
    let old = ada.create_room_with(&body).await;

    let new = upgrade(&ada, &old, "11").await;

    let alias = format!("#{name}:{}", server.name());
    let path = format!("/_matrix/client/v3/directory/room/{}", encoded(&alias));
    assert_eq!(ada.get(&path).await.expect_ok()["room_id"], new.as_str());
    assert_eq!(ada.state(&new, "m.room.canonical_alias", "").await["alias"], alias);
    assert!(ada.state(&old, "m.room.canonical_alias", "").await["alias"].is_null());
    let aliases = ada.get(&room_path(&old, "aliases")).await.expect_ok();
    assert_eq!(aliases["aliases"], json!([]));
    let list = |room: &str| format!("/_matrix/client/v3/directory/list/room/{}", encoded(room));
    assert_eq!(ada.get(&list(&new)).await.expect_ok()["visibility"], "public");
    assert_eq!(ada.get(&list(&old)).await.expect_ok()["visibility"], "private");
}

/// Spec: "When a user joins the new room, the server should automatically transfer/replicate some of
/// the user's personalized settings".
#[tokio::test]
async fn members_keep_their_tags_and_direct_chats_when_they_follow() {
    let (_, ada, bo) = users().await;
    let body = json!({ "preset": "public_chat", "room_version": "10" });
    let old = ada.create_room_with(&body).await;
    bo.join(&old).await;
    let user = |client: &Client| format!("/_matrix/client/v3/user/{}", encoded(&client.user_id));
    let tags =
        |client: &Client, room: &str| format!("{}/rooms/{}/tags", user(client), encoded(room));
    let direct = |client: &Client| format!("{}/account_data/m.direct", user(client));
    for client in [&ada, &bo] {
        let tag = format!("{}/m.favourite", tags(client, &old));
        client.put(&tag, &json!({ "order": 0.5 })).await.expect_ok();
        client.put(&direct(client), &json!({ "@x:hearth.test": [old] })).await.expect_ok();
    }

    let new = upgrade(&ada, &old, "11").await;
    bo.join(&new).await;

    for client in [&ada, &bo] {
        let found = client.get(&tags(client, &new)).await.expect_ok();
        assert_eq!(found["tags"]["m.favourite"]["order"], 0.5, "{found}");
        let found = client.get(&direct(client)).await.expect_ok();
        let rooms = found["@x:hearth.test"].as_array().unwrap();
        assert!(rooms.contains(&json!(new)), "{found}");
    }
}

/// Synapse leaves the parents to clients.
#[tokio::test]
async fn the_new_room_takes_the_old_ones_place_in_its_space() {
    let (server, ada, _) = users().await;
    let body = json!({ "preset": "public_chat", "creation_content": { "type": "m.space" } });
    let space = ada.create_room_with(&body).await;
    let body = json!({ "preset": "public_chat", "room_version": "10" });
    let old = ada.create_room_with(&body).await;
    let via = json!({ "via": [server.name()], "order": "a" });
    ada.set_state(&space, "m.space.child", &old, &via).await;
    ada.set_state(&old, "m.space.parent", &space, &json!({ "via": [server.name()] })).await;

    let new = upgrade(&ada, &old, "11").await;

    if synapse_departs_from("the parents of an upgraded room (a choice of hearth's)") {
        return;
    }
    assert_eq!(ada.state(&space, "m.space.child", &new).await, via);
    assert_eq!(ada.state(&space, "m.space.child", &old).await, json!({}));
    let parent = ada.state(&new, "m.space.parent", &space).await;
    assert_eq!(parent["via"], json!([server.name()]));
}

/// Synapse leaves the parents to clients.
#[tokio::test]
async fn the_new_room_takes_its_place_in_many_spaces_even_if_the_server_is_killed() {
    if synapse_departs_from("the parents of an upgraded room (a choice of hearth's)") {
        return;
    }
    let server = Server::start_fresh().await;
    let ada = server.register("ada").await;
    let old = ada.create_room().await;
    let via = json!({ "via": [server.name()] });
    let mut spaces = Vec::new();
    for _ in 0..20 {
        let body = json!({ "creation_content": { "type": "m.space" } });
        let space = ada.create_room_with(&body).await;
        ada.set_state(&space, "m.space.child", &old, &via).await;
        ada.set_state(&old, "m.space.parent", &space, &via).await;
        spaces.push(space);
    }
    let before = ada.sync().await;
    let upgrading = {
        let (ada, old) = (ada.clone(), old.clone());
        let path = room_path(&old, "upgrade");
        // Mostly the server is gone before it answers.
        let request = ada.request(Method::POST, &path).json(&json!({ "new_version": "11" }));
        tokio::spawn(request.send())
    };
    let is_tombstone = |event: &Value| event["type"] == "m.room.tombstone";
    let sync = ada.sync_until(&before, |sync| timeline(sync, &old).iter().any(is_tombstone)).await;
    server.kill_and_restart().await;
    upgrading.abort();

    let tombstone = timeline(&sync, &old).iter().find(|event| is_tombstone(event)).unwrap();
    let new = tombstone["content"]["replacement_room"].as_str().unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    for space in &spaces {
        let (child, gone) =
            (state_path(space, "m.space.child", new), state_path(space, "m.space.child", &old));
        while ada.get(&child).await.status != 200 || ada.get(&gone).await.expect_ok() != json!({}) {
            assert!(Instant::now() < until, "{space} still has the old room");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(ada.state(space, "m.space.child", new).await, via);
    }
}

#[tokio::test]
async fn the_children_of_a_space_go_along() {
    let (server, ada, _) = users().await;
    let body = json!({
        "preset": "public_chat", "room_version": "10", "creation_content": { "type": "m.space" },
    });
    let old = ada.create_room_with(&body).await;
    let child = ada.create_room().await;
    let via = json!({ "via": [server.name()] });
    ada.set_state(&old, "m.space.child", &child, &via).await;
    let new = upgrade(&ada, &old, "11").await;
    assert_eq!(ada.state(&new, "m.space.child", &child).await, via);
}

#[tokio::test]
async fn upgrades_are_refused_to_those_who_may_not() {
    let (server, ada, bo) = users().await;
    let room = ada.create_room().await;
    let path = room_path(&room, "upgrade");
    let body = json!({ "new_version": "11" });
    bo.post(&path, &body).await.expect_error(403, "M_FORBIDDEN");
    bo.join(&room).await;
    bo.post(&path, &body).await.expect_error(403, "M_FORBIDDEN");
    server.stranger().post(&path, &body).await.expect_error(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn an_upgrade_needs_a_version_that_there_is() {
    let (_, ada, _) = users().await;
    let room = ada.create_room().await;
    let path = room_path(&room, "upgrade");
    let answer = ada.post(&path, &json!({ "new_version": "org.example.99" })).await;
    answer.expect_error(400, "M_UNSUPPORTED_ROOM_VERSION");
    for body in [json!({}), json!({ "new_version": 5 })] {
        let answer = ada.post(&path, &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
    }
    let body = json!({ "new_version": "12", "additional_creators": ["nobody"] });
    assert_eq!(ada.post(&path, &body).await.status, 400);
    assert_ne!(ada.state(&room, "m.room.create", "").await, Value::Null);
}

/// Spec: "When a user joins the new room, the server should automatically transfer/replicate some of the user's
/// personalized settings such as notifications".
#[tokio::test]
async fn members_keep_their_push_rules_when_they_follow() {
    let (_, ada, bo) = users().await;
    let body = json!({ "preset": "public_chat", "room_version": "10" });
    let old = ada.create_room_with(&body).await;
    bo.join(&old).await;
    let rule = |kind: &str, room: &str| {
        format!("/_matrix/client/v3/pushrules/global/{kind}/{}", encoded(room))
    };
    let mute = json!({
        "actions": [],
        "conditions": [{ "kind": "event_match", "key": "room_id", "pattern": old }],
    });
    for client in [&ada, &bo] {
        client.put(&rule("room", &old), &json!({ "actions": ["notify"] })).await.expect_ok();
        client.put(&rule("override", &old), &mute).await.expect_ok();
    }

    let new = upgrade(&ada, &old, "11").await;
    bo.join(&new).await;

    for client in [&ada, &bo] {
        let room = client.get(&rule("room", &new)).await.expect_ok();
        assert_eq!(room["actions"], json!(["notify"]));
        if synapse_departs_from("notifications, also of a room that is muted by an override rule") {
            continue;
        }
        let muted = client.get(&rule("override", &new)).await.expect_ok();
        assert_eq!(muted["conditions"][0]["pattern"], new);
    }
}
