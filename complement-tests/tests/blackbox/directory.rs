//! The published room directory.

use complement_tests::{Client, Server, encoded, room_path, synapse_departs_from, unique};
use serde_json::{Value, json};

const LIST: &str = "/_matrix/client/v3/publicRooms";

fn visibility_path(room: &str) -> String {
    format!("/_matrix/client/v3/directory/list/room/{}", encoded(room))
}

async fn publish(client: &Client, room: &str, visibility: &str) {
    let body = json!({ "visibility": visibility });
    client.put(&visibility_path(room), &body).await.expect_ok();
}

/// The rooms that a search for `term` finds.
async fn search(client: &Client, term: &str) -> Vec<Value> {
    let body = json!({ "filter": { "generic_search_term": term } });
    let answer = client.post(LIST, &body).await.expect_ok();
    answer["chunk"].as_array().expect("chunk is a list").clone()
}

async fn create(client: &Client, body: &Value) -> String {
    client.create_room_with(body).await
}

#[tokio::test]
async fn a_room_is_listed_with_what_it_is() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let name = unique("teahouse");
    let room = create(
        &ada,
        &json!({
            "visibility": "public", "preset": "public_chat", "room_alias_name": name,
            "name": format!("Salon de thé {name}"), "topic": "à la française",
            "creation_content": { "type": "m.space" },
            "initial_state": [
                { "type": "m.room.avatar", "content": { "url": "mxc://hearth.test/tea" } },
                { "type": "m.room.guest_access", "content": { "guest_access": "can_join" } },
                {
                    "type": "m.room.history_visibility",
                    "content": { "history_visibility": "world_readable" },
                },
            ],
        }),
    )
    .await;
    bo.join(&room).await;

    let found = search(&bo, &name).await;

    assert_eq!(found.len(), 1, "{found:?}");
    let listed = &found[0];
    for (key, expected) in [
        ("room_id", json!(room)),
        ("canonical_alias", json!(format!("#{name}:{}", server.name()))),
        ("name", json!(format!("Salon de thé {name}"))),
        ("topic", json!("à la française")),
        ("avatar_url", json!("mxc://hearth.test/tea")),
        ("room_type", json!("m.space")),
        ("num_joined_members", json!(2)),
        ("world_readable", json!(true)),
        ("guest_can_join", json!(true)),
        ("join_rule", json!("public")),
    ] {
        assert_eq!(listed[key], expected, "{key}");
    }
}

#[tokio::test]
async fn the_list_follows_the_room() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let (before, after) = (unique("milk"), unique("cream"));
    let body = json!({ "visibility": "public", "preset": "public_chat", "name": before });
    let room = create(&ada, &body).await;

    ada.set_state(&room, "m.room.name", "", &json!({ "name": after })).await;
    bo.join(&room).await;

    assert!(search(&ada, &before).await.is_empty());
    assert_eq!(search(&ada, &after).await[0]["num_joined_members"], 2);
    bo.leave(&room).await;
    assert_eq!(search(&ada, &after).await[0]["num_joined_members"], 1);
    let rule = json!({ "join_rule": "knock" });
    ada.set_state(&room, "m.room.join_rules", "", &rule).await;
    assert_eq!(search(&ada, &after).await[0]["join_rule"], "knock");
}

/// Spec: `GET /publicRooms`: "rooms with `invite` join rules are not expected here".
#[tokio::test]
async fn a_room_that_nobody_can_enter_is_not_listed() {
    let ada = Server::start().await.register("ada").await;
    let name = unique("cellar");
    let body = json!({ "visibility": "public", "preset": "private_chat", "name": name });
    let room = create(&ada, &body).await;
    assert!(search(&ada, &name).await.is_empty());
    let rule = json!({ "join_rule": "public" });
    ada.set_state(&room, "m.room.join_rules", "", &rule).await;
    assert_eq!(search(&ada, &name).await.len(), 1);
}

#[tokio::test]
async fn a_redacted_name_is_not_listed() {
    let ada = Server::start().await.register("ada").await;
    let (name, topic) = (unique("rude"), unique("topic"));
    let body = json!({ "visibility": "public", "preset": "public_chat", "topic": topic });
    let room = create(&ada, &body).await;
    let event = ada.set_state(&room, "m.room.name", "", &json!({ "name": name })).await;
    assert_eq!(search(&ada, &name).await.len(), 1);

    ada.redact(&room, &event).await;

    if synapse_departs_from("a redacted event has no name (Synapse lists it on)") {
        return;
    }
    assert!(search(&ada, &name).await.is_empty());
    assert_eq!(search(&ada, &topic).await[0]["name"], Value::Null);
}

#[tokio::test]
async fn a_search_finds_any_case_in_name_topic_and_alias() {
    let ada = Server::start().await.register("ada").await;
    // Synapse on SQLite knows the case of ASCII letters only.
    let is_ascii = complement_tests::Homeserver::chosen() == complement_tests::Homeserver::Synapse;
    let [name, topic] = if is_ascii { ["Emile", "Zoe"] } else { ["Émile", "Zoë"] };
    let [name, topic, alias] = [unique(name), unique(topic), unique("alias")];
    let body = json!({
        "visibility": "public", "preset": "public_chat",
        "name": name, "topic": topic, "room_alias_name": alias,
    });
    let room = create(&ada, &body).await;
    for term in [name.to_lowercase(), name.to_uppercase(), topic.to_uppercase(), alias] {
        let found = search(&ada, &term).await;
        assert!(found.iter().any(|listed| listed["room_id"] == room.as_str()), "{term}");
    }
    assert!(search(&ada, &unique("nothing")).await.is_empty());
}

#[tokio::test]
async fn a_search_is_for_types_of_rooms_too() {
    let ada = Server::start().await.register("ada").await;
    let name = unique("shape");
    let of = |kind: Option<&str>| {
        let content = kind.map_or(json!({}), |kind| json!({ "type": kind }));
        json!({
            "visibility": "public", "preset": "public_chat", "name": name,
            "creation_content": content,
        })
    };
    let plain = create(&ada, &of(None)).await;
    let space = create(&ada, &of(Some("m.space"))).await;
    let odd = create(&ada, &of(Some("org.example.odd"))).await;
    for (types, mut expected) in [
        (json!([null]), vec![&plain]),
        (json!(["m.space"]), vec![&space]),
        (json!([null, "org.example.odd"]), vec![&plain, &odd]),
        (json!(["org.example.none"]), vec![]),
        (json!([]), vec![&plain, &space, &odd]),
        (Value::Null, vec![&plain, &space, &odd]),
    ] {
        let filter = json!({ "generic_search_term": name, "room_types": types });
        let answer = ada.post(LIST, &json!({ "filter": filter })).await.expect_ok();
        let chunk = answer["chunk"].as_array().unwrap();
        let mut found: Vec<_> =
            chunk.iter().filter_map(|listed| listed["room_id"].as_str()).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{types}");
    }
}

#[tokio::test]
async fn pages_go_from_the_largest_room_to_the_smallest_and_back() {
    let server = Server::start_fresh().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let mut rooms = Vec::new();
    for name in ["small", "middle", "large"] {
        let body = json!({ "visibility": "public", "preset": "public_chat", "name": name });
        rooms.push(create(&ada, &body).await);
    }
    bo.join(&rooms[1]).await;
    bo.join(&rooms[2]).await;
    server.register("cy").await.join(&rooms[2]).await;

    let first = ada.get(&format!("{LIST}?limit=2")).await.expect_ok();
    let names = |page: &Value| {
        let chunk = page["chunk"].as_array().unwrap().iter();
        chunk
            .map(|listed| listed["name"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&first), ["large", "middle"]);
    let next = encoded(first["next_batch"].as_str().expect("there are more"));
    let second = ada.get(&format!("{LIST}?limit=2&since={next}")).await.expect_ok();
    assert_eq!(names(&second), ["small"]);
    assert!(second["next_batch"].is_null());
    let back = encoded(second["prev_batch"].as_str().expect("there are some before"));
    let again = ada.get(&format!("{LIST}?limit=2&since={back}")).await.expect_ok();
    assert_eq!(names(&again), ["large", "middle"]);

    let all = ada.post(LIST, &json!({})).await.expect_ok();
    assert_eq!(all["total_room_count_estimate"], 3);
}

#[tokio::test]
async fn visibility_is_read_by_all_and_changed_by_moderators() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let name = unique("lobby");
    let room = create(&ada, &json!({ "preset": "public_chat", "name": name })).await;
    bo.join(&room).await;
    let path = visibility_path(&room);
    assert_eq!(server.stranger().get(&path).await.expect_ok()["visibility"], "private");

    let body = json!({ "visibility": "public" });
    bo.put(&path, &body).await.expect_error(403, "M_FORBIDDEN");
    publish(&ada, &room, "public").await;

    assert_eq!(bo.get(&path).await.expect_ok()["visibility"], "public");
    assert_eq!(search(&bo, &name).await.len(), 1);
    publish(&ada, &room, "private").await;
    assert!(search(&bo, &name).await.is_empty());
}

#[tokio::test]
async fn the_visibility_of_a_room_that_does_not_exist_is_not_found() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let path = visibility_path(&format!("!{}:{}", unique("nothing"), server.name()));
    ada.get(&path).await.expect_error(404, "M_NOT_FOUND");
    if synapse_departs_from("404: The room is not known to the server") {
        return;
    }
    let answer = ada.put(&path, &json!({ "visibility": "public" })).await;
    answer.expect_error(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let room = ada.create_room().await;
    let answer = ada.put(&visibility_path(&room), &json!({ "visibility": "sometimes" })).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    server.stranger().post(LIST, &json!({})).await.expect_error(401, "M_MISSING_TOKEN");
    let odd_tokens = synapse_departs_from("400 for a token that is none (Synapse: 500)");
    for query in ["limit=many", "since=nonsense"].into_iter().take(if odd_tokens { 1 } else { 2 }) {
        let answer = ada.get(&format!("{LIST}?{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text);
    }
}

/// `rooms.publishers`, a setting of hearth's own.
#[tokio::test]
async fn a_server_may_leave_the_directory_to_administrators() {
    if synapse_departs_from("a setting of hearth's") {
        return;
    }
    let settings = [("HEARTH_ROOMS__PUBLISHERS", "administrators")];
    let server = Server::start_with(&settings).await;
    let role = complement_tests::Role::Administrator;
    let (ada, boss) =
        (server.register("ada").await, server.register_with_shared_secret("boss", role).await);
    let body = json!({ "visibility": "public", "preset": "public_chat" });
    let answer = ada.post("/_matrix/client/v3/createRoom", &body).await;
    answer.expect_error(403, "M_FORBIDDEN");
    let room = ada.create_room().await;
    let body = json!({ "visibility": "public" });
    ada.put(&visibility_path(&room), &body).await.expect_error(403, "M_FORBIDDEN");
    publish(&boss, &room, "public").await;
    publish(&ada, &room, "private").await;
    boss.get(&room_path(&room, "members")).await.expect_error(403, "M_FORBIDDEN");
}

/// Spec: `PUT /directory/list/room/{roomId}`, `visibility`: "Defaults to `public`".
#[tokio::test]
async fn a_room_is_made_public_when_nothing_else_is_said() {
    let ada = Server::start().await.register("ada").await;
    let path = visibility_path(&ada.create_room().await);
    ada.put(&path, &json!({})).await.expect_ok();
    assert_eq!(ada.get(&path).await.expect_ok()["visibility"], "public");
}

/// Spec: "The plain text topic of the room".
#[tokio::test]
async fn the_topic_is_listed_as_plain_text() {
    let ada = Server::start().await.register("ada").await;
    let name = unique("salon");
    let text = json!([
        { "mimetype": "text/html", "body": "<i>tea</i>" }, { "mimetype": "text/plain", "body": "tea" },
    ]);
    let topic = json!({ "topic": "something else", "m.topic": { "m.text": text } });
    let body = json!({
        "visibility": "public", "preset": "public_chat", "name": name,
        "initial_state": [{ "type": "m.room.topic", "content": topic }],
    });
    create(&ada, &body).await;
    assert_eq!(search(&ada, &name).await[0]["topic"], "tea");
}
