//! Administration of rooms, by Synapse's paths.

use complement_tests::{
    Client, Method, Role, Server, encoded, room_path, synapse_departs_from, unique,
};
use serde_json::{Value, json};

const ROOMS: &str = "/_synapse/admin/v1/rooms";

/// An administrator, and ada with a room of her own.
async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let admin = server.register_with_shared_secret("admin", Role::Administrator).await;
    let ada = server.register("ada").await;
    let body = json!({ "preset": "private_chat", "name": unique("Kitchen"), "topic": "tea" });
    let room = ada.create_room_with(&body).await;
    (admin, ada, room)
}

fn path(room: &str, tail: &str) -> String {
    format!("{ROOMS}/{}{tail}", encoded(room))
}

#[tokio::test]
async fn a_room_is_shown_to_administrators_who_are_not_in_it() {
    let (admin, ada, room) = kitchen().await;

    let shown = admin.get(&path(&room, "")).await.expect_ok();

    assert_eq!(shown["room_id"], room);
    assert_eq!(shown["topic"], "tea");
    assert_eq!(shown["creator"], ada.user_id);
    assert_eq!(shown["version"], "12");
    assert_eq!(shown["joined_members"], 1);
    assert_eq!(shown["joined_local_members"], 1);
    assert_eq!(shown["joined_local_devices"], 1);
    assert_eq!(shown["join_rules"], "invite");
    assert_eq!(shown["guest_access"], "can_join");
    assert_eq!(shown["history_visibility"], "shared");
    assert_eq!(shown["encryption"], Value::Null);
    assert_eq!(shown["federatable"], true);
    assert_eq!(shown["public"], false);
    assert_eq!(shown["room_type"], Value::Null);
    assert_eq!(shown["forgotten"], false);
    let members = admin.get(&path(&room, "/members")).await.expect_ok();
    assert_eq!(members, json!({ "members": [ada.user_id], "total": 1 }));
    let state = admin.get(&path(&room, "/state")).await.expect_ok();
    let state = state["state"].as_array().expect("a list");
    assert_eq!(shown["state_events"], state.len());
    assert!(state.iter().any(|event| event["content"]["topic"] == "tea"), "{state:?}");
    if synapse_departs_from("state can be asked for by type, since 1.150") {
        return;
    }
    let one = admin.get(&path(&room, "/state?type=m.room.topic")).await.expect_ok();
    assert_eq!(one["state"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn rooms_that_are_not_here_are_not_shown() {
    let (admin, ..) = kitchen().await;
    let unknown = format!("!nowhere:{}", admin.server().name());
    for tail in ["", "/members", "/state"] {
        admin.get(&path(&unknown, tail)).await.expect_error(404, "M_NOT_FOUND");
    }
}

#[tokio::test]
async fn rooms_are_listed_in_order_in_pages_and_found_by_name() {
    let server = Server::start_fresh().await;
    let admin = server.register_with_shared_secret("admin", Role::Administrator).await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let mut rooms = Vec::new();
    for name in ["cellar", "attic", "Bath"] {
        let body = json!({ "preset": "public_chat", "name": name, "room_alias_name": name });
        rooms.push(ada.create_room_with(&body).await);
    }
    bo.join(&rooms[0]).await;
    let list = async |query: &str| {
        let answer = admin.get(&format!("{ROOMS}?{query}")).await.expect_ok();
        let found = answer["rooms"].as_array().expect("a list").iter();
        (found.map(|room| room["name"].clone()).collect::<Vec<_>>(), answer)
    };

    let (names, answer) = list("order_by=joined_members").await;
    assert_eq!(names[0], "cellar");
    assert_eq!(answer["total_rooms"], 3);
    assert_eq!(answer["offset"], 0);
    assert!(answer.get("next_batch").is_none(), "{answer}");
    let (names, answer) = list("limit=2&order_by=size").await;
    assert_eq!(names.len(), 2);
    assert_eq!(answer["next_batch"], 2);
    let (names, answer) = list("limit=2&from=2&order_by=size").await;
    assert_eq!(names.len(), 1);
    assert_eq!(answer["prev_batch"], 0);
    assert_eq!(list("search_term=BAT").await.0, ["Bath"]);
    assert_eq!(list(&format!("search_term={}", encoded(&rooms[1]))).await.0, ["attic"]);
    assert_eq!(list("empty_rooms=true").await.1["total_rooms"], 0);
    let listed = json!({ "visibility": "public" });
    let directory = format!("/_matrix/client/v3/directory/list/room/{}", encoded(&rooms[1]));
    ada.put(&directory, &listed).await.expect_ok();
    assert_eq!(list("public_rooms=true").await.0, ["attic"]);
    assert_eq!(list("public_rooms=false").await.0.len(), 2);
    assert_eq!(list("order_by=public&dir=b").await.0[0], "attic");
    assert_eq!(list("order_by=name").await.0.len(), 3);
    if !synapse_departs_from("names are sorted whatever their case") {
        assert_eq!(list("order_by=name").await.0, ["attic", "Bath", "cellar"]);
        assert_eq!(list("order_by=name&dir=b").await.0, ["cellar", "Bath", "attic"]);
    }
    for query in ["from=-1", "limit=x", "order_by=colour", "dir=x", "search_term="] {
        let answer = admin.get(&format!("{ROOMS}?{query}")).await;
        answer.expect_error_of(&[(400, "M_INVALID_PARAM"), (400, "M_UNKNOWN")]);
    }
}

#[tokio::test]
async fn a_blocked_room_is_not_joined_until_it_is_unblocked() {
    let (admin, ada, _) = kitchen().await;
    let (room, bo) = (ada.create_room().await, admin.server().register("bo").await);
    let block = path(&room, "/block");
    assert_eq!(admin.get(&block).await.expect_ok(), json!({ "block": false }));

    let answer = admin.put(&block, &json!({ "block": true })).await.expect_ok();

    assert_eq!(answer, json!({ "block": true }));
    let told = admin.get(&block).await.expect_ok();
    assert_eq!(told, json!({ "block": true, "user_id": admin.user_id }));
    let join = bo.post(&room_path(&room, "join"), &json!({})).await;
    join.expect_error_of(&[(403, "M_FORBIDDEN"), (403, "M_UNKNOWN")]);
    ada.say(&room, "still here").await;

    admin.put(&block, &json!({ "block": false })).await.expect_ok();
    bo.join(&room).await;
    admin.put(&block, &json!({ "block": "x" })).await.expect_error(400, "M_BAD_JSON");
}

#[tokio::test]
async fn an_administrator_has_a_user_join() {
    let (admin, ada, private) = kitchen().await;
    let (room, bo) = (ada.create_room().await, admin.server().register("bo").await);
    let join = |room: &str| format!("/_synapse/admin/v1/join/{}", encoded(room));
    let body = json!({ "user_id": bo.user_id });

    let answer = admin.post(&join(&room), &body).await.expect_ok();

    assert_eq!(answer, json!({ "room_id": room }));
    bo.say(&room, "here").await;
    admin.post(&join(&private), &body).await.expect_error(403, "M_FORBIDDEN");
    ada.invite(&private, &admin).await;
    admin.join(&private).await;
    admin.post(&join(&private), &body).await.expect_ok();
    bo.say(&private, "here too").await;
    admin.post(&join(&room), &json!({})).await.expect_error(400, "M_MISSING_PARAM");
    let nobody = format!("@{}:{}", unique("nobody"), admin.server().name());
    let answer = admin.post(&join(&room), &json!({ "user_id": nobody })).await;
    answer.expect_error(404, "M_NOT_FOUND");
    let other = json!({ "user_id": "@bo:elsewhere.test" });
    admin.post(&join(&room), &other).await.expect_error(400, "M_UNKNOWN");
}

#[tokio::test]
async fn an_administrator_takes_the_power_in_a_room() {
    for version in ["10", "12"] {
        let (admin, ada, _) = kitchen().await;
        let body = json!({ "preset": "private_chat", "room_version": version });
        let room = ada.create_room_with(&body).await;

        let answer = admin.post(&path(&room, "/make_room_admin"), &json!({})).await;

        answer.expect_ok();
        admin.join(&room).await;
        let levels = admin.state(&room, "m.room.power_levels", "").await;
        assert!(levels["users"][&admin.user_id].as_i64().is_some_and(|level| level >= 100));
        admin.set_state(&room, "m.room.name", "", &json!({ "name": "Mine" })).await;
    }
}

#[tokio::test]
async fn no_power_is_taken_where_no_member_has_it() {
    let (admin, ada, room) = kitchen().await;
    ada.leave(&room).await;
    let answer = admin.post(&path(&room, "/make_room_admin"), &json!({})).await;
    answer.expect_error(400, "M_UNKNOWN");
}

#[tokio::test]
async fn rooms_are_administrated_by_administrators() {
    let (_, ada, room) = kitchen().await;
    let join = format!("/_synapse/admin/v1/join/{}", encoded(&room));
    let paths = [
        (Method::GET, ROOMS.to_owned()),
        (Method::GET, path(&room, "")),
        (Method::GET, path(&room, "/members")),
        (Method::GET, path(&room, "/state")),
        (Method::GET, path(&room, "/block")),
        (Method::PUT, path(&room, "/block")),
        (Method::POST, path(&room, "/make_room_admin")),
        (Method::POST, join),
    ];
    for (method, path) in paths {
        let request = ada.request(method.clone(), &path);
        let request = if method == Method::GET { request } else { request.json(&json!({})) };
        ada.answer(request).await.expect_error(403, "M_FORBIDDEN");
    }
}
