//! Profiles.

use complement_tests::{Client, Server, encoded, synapse_departs_from, timeline, unique};
use serde_json::{Value, json};

fn path(client: &Client, field: &str) -> String {
    format!("/_matrix/client/v3/profile/{}{field}", encoded(&client.user_id))
}

async fn set_name(client: &Client, name: &str) {
    let body = json!({ "displayname": name });
    client.put(&path(client, "/displayname"), &body).await.expect_ok();
}

#[tokio::test]
async fn a_new_user_is_called_by_their_local_part() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let answer = server.stranger().get(&path(&ada, "/displayname")).await.expect_ok();
    assert_eq!(answer["displayname"], ada.name());
}

#[tokio::test]
async fn name_and_avatar_are_set_and_read_by_anyone() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let avatar = json!({ "avatar_url": "mxc://hearth.test/ada" });

    set_name(&ada, "Ada").await;
    ada.put(&path(&ada, "/avatar_url"), &avatar).await.expect_ok();

    let stranger = server.stranger();
    let whole = stranger.get(&path(&ada, "")).await.expect_ok();
    assert_eq!(whole["displayname"], "Ada");
    assert_eq!(whole["avatar_url"], avatar["avatar_url"]);
    assert_eq!(stranger.get(&path(&ada, "/avatar_url")).await.expect_ok(), avatar);
}

#[tokio::test]
async fn nobody_sets_anothers_profile() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let answer = bo.put(&path(&ada, "/displayname"), &json!({ "displayname": "Bo" })).await;
    answer.expect_error_of(&[(403, "M_FORBIDDEN"), (400, "M_FORBIDDEN")]);
}

#[tokio::test]
async fn an_unknown_user_has_no_profile() {
    let server = Server::start().await;
    let user_id = encoded(&format!("@{}:{}", unique("nobody"), server.name()));
    let path = format!("/_matrix/client/v3/profile/{user_id}");
    let answer = server.stranger().get(&path).await;
    answer.expect_error_of(&[(404, "M_NOT_FOUND"), (404, "M_UNKNOWN")]);
}

/// Spec: "Events on change of profile information": each room gets a new membership event.
#[tokio::test]
async fn a_new_name_reaches_the_rooms() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    let before = ada.sync().await;

    set_name(&bo, "Bo the cook").await;

    let renamed = |event: &Value| {
        event["state_key"] == bo.user_id.as_str()
            && event["content"]["displayname"] == "Bo the cook"
    };
    ada.sync_until(&before, |sync| timeline(sync, &room).iter().any(renamed)).await;
    let member = ada.state(&room, "m.room.member", &bo.user_id).await;
    assert_eq!(member["displayname"], "Bo the cook");
    assert_eq!(member["membership"], "join");
}

async fn name_in(client: &Client, room: &str, of: &Client) -> Value {
    client.state(room, "m.room.member", &of.user_id).await["displayname"].clone()
}

/// Waits until a user is called `name` in a room.
async fn wait_for_name(client: &Client, room: &str, name: &str) {
    for _ in 0..200 {
        if name_in(client, room, client).await == name {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{} is not called {name} in {room}", client.user_id);
}

#[tokio::test]
async fn fields_of_ones_own_are_set_read_and_deleted() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let pets = json!({ "org.example.pets": ["cat", { "name": "Tom" }] });

    ada.put(&path(&ada, "/org.example.pets"), &pets).await.expect_ok();
    ada.put(&path(&ada, "/m.tz"), &json!({ "m.tz": "Europe/London" })).await.expect_ok();

    let stranger = server.stranger();
    assert_eq!(stranger.get(&path(&ada, "/org.example.pets")).await.expect_ok(), pets);
    let whole = stranger.get(&path(&ada, "")).await.expect_ok();
    assert_eq!(whole["org.example.pets"], pets["org.example.pets"]);
    assert_eq!(whole["m.tz"], "Europe/London");
    ada.delete(&path(&ada, "/org.example.pets")).await.expect_ok();
    let answer = stranger.get(&path(&ada, "/org.example.pets")).await;
    answer.expect_error(404, "M_NOT_FOUND");
}

/// Spec: `DELETE /profile/{userId}/{keyName}`: 200: "The profile field was deleted or it doesn't exist."
#[tokio::test]
async fn deleting_a_field_that_is_not_there_is_no_error() {
    let ada = Server::start().await.register("ada").await;
    ada.delete(&path(&ada, "/org.example.pets")).await.expect_ok();
}

#[tokio::test]
async fn a_deleted_name_is_gone_from_the_rooms_too() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    let before = ada.sync().await;
    ada.delete(&path(&ada, "/displayname")).await.expect_ok();
    let nameless = |event: &Value| {
        event["state_key"] == ada.user_id.as_str()
            && event["content"]["displayname"].is_null()
            && event["content"]["membership"] == "join"
    };
    ada.sync_until(&before, |sync| timeline(sync, &room).iter().any(nameless)).await;
    // Synapse says that there is such a field, without a value.
    let answer = ada.get(&path(&ada, "/displayname")).await;
    assert!(answer.status == 404 || answer.text == "{}", "{}", answer.text);
}

#[tokio::test]
async fn the_unstable_paths_of_custom_fields_work_too() {
    let ada = Server::start().await.register("ada").await;
    let unstable = format!(
        "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{}/org.example.pets",
        encoded(&ada.user_id)
    );
    let pets = json!({ "org.example.pets": 1 });
    if synapse_departs_from("(the unstable paths are served as long as clients use them)") {
        return;
    }
    ada.put(&unstable, &pets).await.expect_ok();
    assert_eq!(ada.get(&unstable).await.expect_ok(), pets);
    assert_eq!(ada.get(&path(&ada, "/org.example.pets")).await.expect_ok(), pets);
    ada.delete(&unstable).await.expect_ok();
}

#[tokio::test]
async fn nobody_deletes_anothers_field() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let answer = bo.delete(&path(&ada, "/displayname")).await;
    answer.expect_error_of(&[(403, "M_FORBIDDEN"), (400, "M_FORBIDDEN")]);
    let answer = server.stranger().delete(&path(&ada, "/displayname")).await;
    answer.expect_error(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn a_field_has_a_name_of_the_grammar() {
    let ada = Server::start().await.register("ada").await;
    for name in ["org.example.Pets", "1.example", "org.example.p%C3%A9ts"] {
        let answer = ada.put(&path(&ada, &format!("/{name}")), &json!({ name: 1 })).await;
        answer.expect_error_of(&[(400, "M_INVALID_PARAM"), (400, "M_MISSING_PARAM")]);
    }
    let long = format!("org.example.{}", "a".repeat(244));
    let answer = ada.put(&path(&ada, &format!("/{long}")), &json!({ long: 1 })).await;
    answer.expect_error(400, "M_KEY_TOO_LARGE");
}

#[tokio::test]
async fn the_body_has_the_field_of_the_path() {
    let ada = Server::start().await.register("ada").await;
    let answer = ada.put(&path(&ada, "/org.example.pets"), &json!({ "org.example.x": 1 })).await;
    answer.expect_error(400, "M_MISSING_PARAM");
}

#[tokio::test]
async fn a_name_is_text() {
    let ada = Server::start().await.register("ada").await;
    let answer = ada.put(&path(&ada, "/displayname"), &json!({ "displayname": 1 })).await;
    answer.expect_error_of(&[(400, "M_BAD_JSON"), (400, "M_INVALID_PARAM")]);
}

#[tokio::test]
async fn a_name_that_no_event_could_carry_is_refused() {
    let ada = Server::start().await.register("ada").await;
    let body = json!({ "displayname": "x".repeat(5_000) });
    let answer = ada.put(&path(&ada, "/displayname"), &body).await;
    answer.expect_error_of(&[(400, "M_INVALID_PARAM"), (400, "M_UNKNOWN")]);
}

/// Spec: `PUT /profile/{userId}/{keyName}`: "the total profile MUST be under 64 KiB".
#[tokio::test]
async fn a_whole_profile_has_a_largest_size() {
    let ada = Server::start().await.register("ada").await;
    for (number, accepted) in [(1, true), (2, true), (3, true), (4, false)] {
        let name = format!("org.example.part{number}");
        let body = json!({ &name: "x".repeat(20_000) });
        let answer = ada.put(&path(&ada, &format!("/{name}")), &body).await;
        if accepted {
            answer.expect_ok();
        } else {
            answer.expect_error(400, "M_PROFILE_TOO_LARGE");
        }
    }
    let body = json!({ "org.example.part3": "small" });
    ada.put(&path(&ada, "/org.example.part3"), &body).await.expect_ok();
}

/// Spec: "Servers that accept `null` values SHOULD store them rather than treating `null` as a deletion request".
#[tokio::test]
async fn null_is_a_value_of_a_field_of_ones_own() {
    let ada = Server::start().await.register("ada").await;
    let path = path(&ada, "/org.example.nothing");
    let answer = ada.put(&path, &json!({ "org.example.nothing": null })).await;
    if answer.status != 400 {
        answer.expect_ok();
        let found = ada.get(&path).await.expect_ok();
        assert_eq!(found, json!({ "org.example.nothing": null }));
    }
}

#[tokio::test]
async fn the_capability_says_that_all_fields_can_be_set() {
    let ada = Server::start().await.register("ada").await;
    let answer = ada.get("/_matrix/client/v3/capabilities").await.expect_ok();
    assert_eq!(answer["capabilities"]["m.profile_fields"]["enabled"], true, "{answer}");
}

/// A change is written down before it is answered: what is not stated when the server is killed is stated by the next.
#[tokio::test]
async fn a_new_name_reaches_many_rooms_even_if_the_server_is_killed() {
    let server = Server::start_fresh().await;
    let ada = server.register("ada").await;
    let mut rooms = Vec::new();
    for _ in 0..70 {
        rooms.push(ada.create_room().await);
    }
    set_name(&ada, "Ada of many rooms").await;
    if !synapse_departs_from("an `m.room.member` event [...] is sent to every room") {
        server.kill_and_restart().await;
    }
    for room in &rooms {
        wait_for_name(&ada, room, "Ada of many rooms").await;
    }
}

/// MSC4466, which Synapse does not have.
#[tokio::test]
async fn rooms_with_another_name_keep_it_on_demand() {
    let ada = Server::start().await.register("ada").await;
    if synapse_departs_from("MSC4466: `propagate_to`") {
        return;
    }
    let (private, public) = (ada.create_room().await, ada.create_room().await);
    let content = json!({ "membership": "join", "displayname": "Freddy" });
    ada.set_state(&private, "m.room.member", &ada.user_id, &content).await;
    let set = async |name: &str, to: &str| {
        let path = path(&ada, &format!("/displayname?propagate_to={to}"));
        ada.put(&path, &json!({ "displayname": name })).await
    };

    set("Alice", "unchanged").await.expect_ok();
    wait_for_name(&ada, &public, "Alice").await;
    assert_eq!(name_in(&ada, &private, &ada).await, "Freddy");

    set("Nobody", "none").await.expect_ok();
    assert_eq!(name_in(&ada, &public, &ada).await, "Alice");
    let whole = ada.get(&path(&ada, "")).await.expect_ok();
    assert_eq!(whole["displayname"], "Nobody");

    set("Ada", "all").await.expect_ok();
    wait_for_name(&ada, &private, "Ada").await;
    wait_for_name(&ada, &public, "Ada").await;
    set("Ada", "some").await.expect_error(400, "M_INVALID_PARAM");
}

/// A new picture leaves the names of rooms alone.
#[tokio::test]
async fn a_new_picture_changes_no_name() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    let content = json!({ "membership": "join", "displayname": "Freddy" });
    ada.set_state(&room, "m.room.member", &ada.user_id, &content).await;
    let before = ada.sync().await;
    let avatar = json!({ "avatar_url": "mxc://hearth.test/freddy" });
    ada.put(&path(&ada, "/avatar_url"), &avatar).await.expect_ok();
    let pictured =
        |event: &Value| event["content"]["avatar_url"] == avatar["avatar_url"].as_str().unwrap();
    ada.sync_until(&before, |sync| timeline(sync, &room).iter().any(pictured)).await;
    if synapse_departs_from("(changes to these fields [...]: the field that changed, no other)") {
        return;
    }
    assert_eq!(name_in(&ada, &room, &ada).await, "Freddy");
}

/// Spec: `PUT /profile/{userId}/{keyName}`, 400: "`M_MISSING_PARAM`: The required `keyName` property is missing from the
/// request body."
#[tokio::test]
async fn a_name_and_a_picture_are_taken_away_by_name_only() {
    let ada = Server::start().await.register("ada").await;
    for field in ["/displayname", "/avatar_url"] {
        let answer = ada.put(&path(&ada, field), &json!({})).await;
        answer.expect_error(400, "M_MISSING_PARAM");
    }
    let found = ada.get(&path(&ada, "/displayname")).await.expect_ok();
    assert_eq!(found["displayname"], ada.name());
}

/// What clients did before they could delete fields.
#[tokio::test]
async fn an_empty_name_is_none() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    let mut nothing = vec![json!("")];
    if !synapse_departs_from("Servers MAY reject `null` values.") {
        nothing.push(Value::Null);
    }
    for nothing in nothing {
        set_name(&ada, "Ada").await;
        wait_for_name(&ada, &room, "Ada").await;
        let body = json!({ "displayname": nothing });
        ada.put(&path(&ada, "/displayname"), &body).await.expect_ok();
        let whole = ada.get(&path(&ada, "")).await;
        // Synapse takes an empty profile for none.
        assert!([200, 404].contains(&whole.status), "{}", whole.text);
        assert!(whole.json().get("displayname").is_none(), "{}", whole.text);
        for attempt in 0.. {
            let member = ada.state(&room, "m.room.member", &ada.user_id).await;
            if member.get("displayname").is_none_or(|name| *name == "" || name.is_null()) {
                break;
            }
            assert!(attempt < 100, "{member}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn a_field_that_is_not_there_is_not_found() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    for field in ["/org.example.nothing", "/m.tz"] {
        server.stranger().get(&path(&ada, field)).await.expect_error(404, "M_NOT_FOUND");
    }
    let nobody = encoded(&format!("@{}:{}", unique("nobody"), server.name()));
    let answer = ada.get(&format!("/_matrix/client/v3/profile/{nobody}/displayname")).await;
    answer.expect_error(404, "M_NOT_FOUND");
    let answer = ada.delete(&path(&ada, "/org.example.Pets")).await;
    answer.expect_error(400, "M_INVALID_PARAM");
}
