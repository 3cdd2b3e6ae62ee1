//! Spaces, and summaries of rooms.

use complement_tests::{Answer, Client, Server, encoded, room_path, synapse_departs_from, unique};
use serde_json::{Value, json};

async fn create(client: &Client, name: &str, preset: &str, kind: Option<&str>) -> String {
    let content = kind.map_or(json!({}), |kind| json!({ "type": kind }));
    let body = json!({ "preset": preset, "name": name, "creation_content": content });
    client.create_room_with(&body).await
}

async fn space(client: &Client, name: &str) -> String {
    create(client, name, "public_chat", Some("m.space")).await
}

async fn room(client: &Client, name: &str) -> String {
    create(client, name, "public_chat", None).await
}

async fn link(client: &Client, parent: &str, child: &str, more: Value) {
    let mut content = json!({ "via": ["hearth.test"] });
    for (key, value) in more.as_object().into_iter().flatten() {
        content[key] = value.clone();
    }
    client.set_state(parent, "m.space.child", child, &content).await;
}

async fn hierarchy(client: &Client, space: &str, query: &str) -> Answer {
    client.get(&format!("/_matrix/client/v1/rooms/{}/hierarchy{query}", encoded(space))).await
}

/// The names of the rooms of a page, in their order.
fn names(page: &Value) -> Vec<&str> {
    let rooms = page["rooms"].as_array().expect("rooms is a list").iter();
    rooms.map(|room| room["name"].as_str().unwrap_or_default()).collect()
}

/// A space with rooms a and b, and between them a space with c and d.
async fn house(ada: &Client) -> String {
    let root = space(ada, "root").await;
    let inner = space(ada, "inner").await;
    for (parent, child, order) in [
        (&root, room(ada, "a").await, "1"),
        (&root, inner.clone(), "2"),
        (&root, room(ada, "b").await, "3"),
        (&inner, room(ada, "d").await, "2"),
        (&inner, room(ada, "c").await, "1"),
    ] {
        link(ada, parent, &child, json!({ "order": order, "suggested": order != "2" })).await;
    }
    root
}

async fn ada_at_home() -> Client {
    Server::start().await.register("ada").await
}

#[tokio::test]
async fn a_space_is_walked_through_in_the_order_of_its_children() {
    let ada = ada_at_home().await;
    let root = house(&ada).await;
    let page = hierarchy(&ada, &root, "").await.expect_ok();
    assert_eq!(names(&page), ["root", "a", "inner", "c", "d", "b"]);
    assert!(page["next_batch"].is_null());
    let first = &page["rooms"][0];
    assert_eq!((&first["room_type"], &first["num_joined_members"]), (&json!("m.space"), &json!(1)));
    let children = first["children_state"].as_array().unwrap();
    assert_eq!(children.len(), 3);
    for child in children {
        assert_eq!(child["type"], "m.space.child");
        assert_eq!(child["sender"], ada.user_id.as_str());
        assert_eq!(child["content"]["via"], json!(["hearth.test"]));
        assert!(child["state_key"].is_string() && child["origin_server_ts"].is_u64(), "{child}");
        assert!(child["event_id"].is_null());
    }
    assert_eq!(page["rooms"][1]["children_state"], json!([]));
}

#[tokio::test]
async fn a_walk_is_as_deep_as_asked_and_may_follow_suggestions_only() {
    let ada = ada_at_home().await;
    let root = house(&ada).await;
    let page = hierarchy(&ada, &root, "?max_depth=1").await.expect_ok();
    assert_eq!(names(&page), ["root", "a", "inner", "b"]);
    assert_eq!(page["rooms"][2]["children_state"].as_array().unwrap().len(), 2);
    let page = hierarchy(&ada, &root, "?max_depth=0").await.expect_ok();
    assert_eq!(names(&page), ["root"]);
    let page = hierarchy(&ada, &root, "?suggested_only=true").await.expect_ok();
    assert_eq!(names(&page), ["root", "a", "b"]);
    assert_eq!(page["rooms"][0]["children_state"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn pages_of_a_walk_follow_each_other() {
    let ada = ada_at_home().await;
    let root = house(&ada).await;
    let (mut found, mut query) = (Vec::new(), "?limit=2".to_owned());
    for expected in [["root", "a"], ["inner", "c"], ["d", "b"]] {
        let page = hierarchy(&ada, &root, &query).await.expect_ok();
        assert_eq!(names(&page), expected);
        found.push(page["next_batch"].clone());
        let token = page["next_batch"].as_str().unwrap_or_default();
        query = format!("?limit=2&from={}", encoded(token));
    }
    assert!(found[2].is_null());
    let token = encoded(found[0].as_str().unwrap());
    let other = hierarchy(&ada, &root, &format!("?from={token}&max_depth=1")).await;
    other.expect_error(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_loop_is_broken_and_a_room_without_via_is_no_child() {
    let ada = ada_at_home().await;
    let (one, two) = (space(&ada, "one").await, space(&ada, "two").await);
    link(&ada, &one, &two, json!({})).await;
    link(&ada, &two, &one, json!({})).await;
    link(&ada, &one, &one, json!({})).await;
    let page = hierarchy(&ada, &one, "").await.expect_ok();
    assert_eq!(names(&page), ["one", "two"]);

    ada.set_state(&one, "m.space.child", &two, &json!({})).await;
    let page = hierarchy(&ada, &one, "").await.expect_ok();
    assert_eq!(names(&page), ["one"]);
}

#[tokio::test]
async fn a_redacted_child_is_none() {
    let ada = ada_at_home().await;
    let (one, two) = (space(&ada, "one").await, room(&ada, "two").await);
    let via = json!({ "via": ["hearth.test"] });
    let event = ada.set_state(&one, "m.space.child", &two, &via).await;
    ada.redact(&one, &event).await;
    assert_eq!(names(&hierarchy(&ada, &one, "").await.expect_ok()), ["one"]);
}

#[tokio::test]
async fn rooms_that_one_may_not_know_are_left_out() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let root = space(&ada, "root").await;
    let private = create(&ada, "private", "private_chat", None).await;
    let rule = |rule: Value| json!([{ "type": "m.room.join_rules", "content": rule }]);
    let with_state = async |name: &str, state: Value| {
        let body = json!({ "preset": "private_chat", "name": name, "initial_state": state });
        ada.create_room_with(&body).await
    };
    let knock = with_state("knock", rule(json!({ "join_rule": "knock" }))).await;
    let allow = json!([{ "type": "m.room_membership", "room_id": root }]);
    let members = json!({ "join_rule": "restricted", "allow": allow });
    let restricted = with_state("restricted", rule(members)).await;
    let world = json!([{
        "type": "m.room.history_visibility", "content": { "history_visibility": "world_readable" },
    }]);
    let world = with_state("world", world).await;
    for (order, child) in [("1", &private), ("2", &knock), ("3", &restricted), ("4", &world)] {
        link(&ada, &root, child, json!({ "order": order })).await;
    }
    let page = hierarchy(&bo, &root, "").await.expect_ok();
    assert_eq!(names(&page), ["root", "knock", "world"]);

    bo.join(&root).await;
    ada.invite(&private, &bo).await;
    let page = hierarchy(&bo, &root, "").await.expect_ok();
    assert_eq!(names(&page), ["root", "private", "knock", "restricted", "world"]);
    assert_eq!(page["rooms"][3]["allowed_room_ids"], json!([root]));
}

#[tokio::test]
async fn a_space_that_one_may_not_know_is_forbidden() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let hidden = create(&ada, "hidden", "private_chat", Some("m.space")).await;
    hierarchy(&bo, &hidden, "").await.expect_error(403, "M_FORBIDDEN");
    let nothing = format!("!{}:{}", unique("nothing"), server.name());
    hierarchy(&bo, &nothing, "").await.expect_error(403, "M_FORBIDDEN");
    for query in ["?limit=0", "?from=nonsense", "?max_depth=-1"] {
        if query == "?limit=0"
            && synapse_departs_from("limit: Must be an integer greater than zero")
        {
            continue;
        }
        let answer = hierarchy(&ada, &hidden, query).await;
        answer.expect_error(400, "M_INVALID_PARAM");
    }
}

fn summary_path(name: &str) -> String {
    format!("/_matrix/client/v1/room_summary/{}", encoded(name))
}

#[tokio::test]
async fn a_summary_tells_what_a_room_is() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let alias = unique("summary");
    let body = json!({
        "preset": "public_chat", "name": "Kitchen", "topic": "Tea", "room_alias_name": alias,
        "room_version": "11",
        "initial_state": [
            { "type": "m.room.encryption", "content": { "algorithm": "m.megolm.v1.aes-sha2" } },
        ],
    });
    let room = ada.create_room_with(&body).await;
    let alias = format!("#{alias}:{}", server.name());

    let mut by_alias = bo.get(&summary_path(&alias)).await.expect_ok();

    assert_eq!(by_alias["membership"], "leave");
    for (key, expected) in [
        ("room_id", json!(room)),
        ("canonical_alias", json!(alias)),
        ("name", json!("Kitchen")),
        ("topic", json!("Tea")),
        ("num_joined_members", json!(1)),
        ("world_readable", json!(false)),
        ("guest_can_join", json!(false)),
        ("encryption", json!("m.megolm.v1.aes-sha2")),
        ("room_version", json!("11")),
    ] {
        assert_eq!(by_alias[key], expected, "{key}");
    }
    by_alias.as_object_mut().unwrap().remove("membership");
    let stranger = server.stranger().get(&summary_path(&room)).await.expect_ok();
    assert_eq!(stranger, by_alias);
    let unstable = "/_matrix/client/unstable/im.nheko.summary/rooms";
    let unstable = format!("{unstable}/{}/summary", encoded(&room));
    let membership = ada.get(&unstable).await.expect_ok()["membership"].clone();
    assert_eq!(membership, "join");
}

#[tokio::test]
async fn the_summary_of_a_private_room_is_for_members_and_the_invited() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = create(&ada, "private", "private_chat", None).await;
    let path = summary_path(&room);
    server.stranger().get(&path).await.expect_error(404, "M_NOT_FOUND");
    bo.get(&path).await.expect_error(404, "M_NOT_FOUND");
    ada.invite(&room, &bo).await;
    let summary = bo.get(&path).await.expect_ok();
    assert_eq!(
        (&summary["membership"], &summary["join_rule"]),
        (&json!("invite"), &json!("invite"))
    );
}

#[tokio::test]
async fn there_is_no_summary_of_what_is_not_there() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    if synapse_departs_from("404: The room could not be found") {
        return;
    }
    for name in
        [format!("!{}:hearth.test", unique("nothing")), format!("#{}:hearth.test", unique("no"))]
    {
        ada.get(&summary_path(&name)).await.expect_error(404, "M_NOT_FOUND");
    }
    let answer = ada.get(&summary_path("nonsense")).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
}

/// Spec: `GET /rooms/{roomId}/hierarchy`, `from`: "`max_depth` and `suggested_only` cannot be changed from the first
/// request".
#[tokio::test]
async fn a_walk_that_changes_on_its_way_is_refused() {
    let ada = ada_at_home().await;
    let root = house(&ada).await;
    for (first, then) in [
        ("?limit=1&suggested_only=true", ""),
        ("?limit=1&suggested_only=true", "&suggested_only=false"),
        ("?limit=1&max_depth=2", ""),
        ("?limit=1&max_depth=2", "&max_depth=1"),
        ("?limit=1", "&suggested_only=true"),
    ] {
        let page = hierarchy(&ada, &root, first).await.expect_ok();
        let from = encoded(page["next_batch"].as_str().expect("there is more"));
        let answer = hierarchy(&ada, &root, &format!("?from={from}{then}")).await;
        answer.expect_error(400, "M_INVALID_PARAM");
    }
}

/// Spec: `GET /rooms/{roomId}/hierarchy`, 403: "The user has been banned from the room".
#[tokio::test]
async fn who_is_banned_from_a_space_does_not_walk_through_it() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let root = space(&ada, "root").await;
    hierarchy(&bo, &root, "").await.expect_ok();
    let ban = json!({ "user_id": bo.user_id });
    ada.post(&room_path(&root, "ban"), &ban).await.expect_ok();
    if synapse_departs_from("403: The user has been banned from the room") {
        return;
    }
    hierarchy(&bo, &root, "").await.expect_error(403, "M_FORBIDDEN");
}
