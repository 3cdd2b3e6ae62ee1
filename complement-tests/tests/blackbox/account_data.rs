//! Client config: account data, global and by room.

use complement_tests::{Client, Server, encoded, room_path, synapse_departs_from};
use serde_json::{Value, json};

fn global(client: &Client, kind: &str) -> String {
    format!("/_matrix/client/v3/user/{}/account_data/{kind}", encoded(&client.user_id))
}

fn of_room(client: &Client, room: &str, kind: &str) -> String {
    let (user, room) = (encoded(&client.user_id), encoded(room));
    format!("/_matrix/client/v3/user/{user}/rooms/{room}/account_data/{kind}")
}

fn holds(events: &Value, kind: &str, content: &Value) -> bool {
    let wanted = json!({ "type": kind, "content": content });
    events["events"].as_array().is_some_and(|events| events.contains(&wanted))
}

#[tokio::test]
async fn account_data_is_kept_replaced_and_synced() {
    let ada = Server::start().await.register("ada").await;
    let path = global(&ada, "com.example.tea");
    let before = ada.sync().await;
    ada.put(&path, &json!({ "sugar": 1 })).await.expect_ok();
    let sync = ada
        .sync_until(&before, |sync| {
            holds(&sync["account_data"], "com.example.tea", &json!({ "sugar": 1 }))
        })
        .await;

    ada.put(&path, &json!({ "sugar": 2 })).await.expect_ok();

    let newer = json!({ "sugar": 2 });
    assert_eq!(ada.get(&path).await.expect_ok(), newer);
    ada.sync_until(&sync, |sync| holds(&sync["account_data"], "com.example.tea", &newer)).await;
    assert!(holds(&ada.sync().await["account_data"], "com.example.tea", &newer));
}

#[tokio::test]
async fn a_rooms_account_data_is_apart() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    let before = ada.sync().await;
    let (kind, content) = ("com.example.tea", json!({ "sugar": 1 }));

    ada.put(&of_room(&ada, &room, kind), &content).await.expect_ok();

    assert_eq!(ada.get(&of_room(&ada, &room, kind)).await.expect_ok(), content);
    ada.get(&global(&ada, kind)).await.expect_error(404, "M_NOT_FOUND");
    let found = |sync: &Value| holds(&sync["rooms"]["join"][&room]["account_data"], kind, &content);
    ada.sync_until(&before, found).await;
    assert!(found(&ada.sync().await));
}

#[tokio::test]
async fn account_data_never_set_is_not_found() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    ada.get(&global(&ada, "com.example.nothing")).await.expect_error(404, "M_NOT_FOUND");
    let path = of_room(&ada, &room, "com.example.nothing");
    ada.get(&path).await.expect_error(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn account_data_is_its_owners_alone() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let path = global(&ada, "com.example.tea");
    ada.put(&path, &json!({})).await.expect_ok();
    bo.get(&path).await.expect_error(403, "M_FORBIDDEN");
    bo.put(&path, &json!({})).await.expect_error(403, "M_FORBIDDEN");
}

/// Spec: "Server-behaviour": `m.fully_read` and `m.push_rules` are not set this way.
#[tokio::test]
async fn what_the_server_manages_cannot_be_set_directly() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    for kind in ["m.fully_read", "m.push_rules"] {
        for path in [of_room(&ada, &room, kind), global(&ada, kind)] {
            ada.put(&path, &json!({})).await.expect_error(405, "M_BAD_JSON");
        }
    }
}

#[tokio::test]
async fn account_data_is_an_object() {
    let ada = Server::start().await.register("ada").await;
    let answer = ada.put(&global(&ada, "com.example.tea"), &json!([])).await;
    answer.expect_error_of(&[(400, "M_BAD_JSON"), (400, "M_NOT_JSON")]);
}

/// MSC3391, which Synapse has behind a switch: an empty object deletes, and so does `DELETE`.
#[tokio::test]
async fn deleted_account_data_is_told_once_and_then_gone() {
    if complement_tests::Homeserver::chosen() == complement_tests::Homeserver::Synapse {
        return;
    }
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    let (kind, none) = ("com.example.tea", json!({}));
    let (of_account, of_room) = (global(&ada, kind), of_room(&ada, &room, kind));
    for path in [&of_account, &of_room] {
        for with_put in [true, false] {
            ada.put(path, &json!({ "sugar": 1 })).await.expect_ok();
            let before = ada.sync().await;

            if with_put {
                ada.put(path, &none).await.expect_ok();
            } else {
                let path = path.replace("/v3/", "/unstable/org.matrix.msc3391/");
                ada.delete(&path).await.expect_ok();
            }

            let told = |sync: &Value| {
                let of_room = &sync["rooms"]["join"][&room];
                let of_account = *path == of_account;
                let place = if of_account { sync } else { of_room };
                holds(&place["account_data"], kind, &none)
            };
            ada.sync_until(&before, told).await;
            ada.get(path).await.expect_error(404, "M_NOT_FOUND");
            let whole = ada.sync().await.to_string();
            assert!(!whole.contains(kind), "{whole}");
        }
    }
    let path = of_account.replace("/v3/", "/unstable/org.matrix.msc3391/");
    ada.delete(&path).await.expect_ok();
    let bo = ada.server().register("bo").await;
    bo.delete(&path).await.expect_error(403, "M_FORBIDDEN");
}

/// Spec: "`m.fully_read` and `m.push_rules`. This applies to both global and room-specific account data." and "Servers must
/// allow clients to read the above event types as normal."
#[tokio::test]
async fn what_the_server_manages_is_read_as_usual() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    let message = ada.say(&room, "tea").await;
    let body = json!({ "m.fully_read": message });
    ada.post(&room_path(&room, "read_markers"), &body).await.expect_ok();

    let marker = ada.get(&of_room(&ada, &room, "m.fully_read")).await.expect_ok();

    assert_eq!(marker["event_id"], message.as_str());
    let rules = ada.get(&global(&ada, "m.push_rules")).await.expect_ok();
    assert_eq!(rules["global"]["override"][0]["rule_id"], ".m.rule.master");
}

#[tokio::test]
async fn a_rooms_account_data_is_its_owners_alone_and_of_a_room() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    let path = of_room(&ada, &room, "com.example.tea");
    ada.put(&path, &json!({ "sugar": 1 })).await.expect_ok();
    bo.get(&path).await.expect_error(403, "M_FORBIDDEN");
    bo.put(&path, &json!({})).await.expect_error(403, "M_FORBIDDEN");
    let nowhere = of_room(&ada, "kitchen", "com.example.tea");
    ada.put(&nowhere, &json!({})).await.expect_error(400, "M_INVALID_PARAM");
    if synapse_departs_from(
        "The given `roomID` is not a valid room ID. Errcode: `M_INVALID_PARAM`.",
    ) {
        return;
    }
    ada.get(&nowhere).await.expect_error(400, "M_INVALID_PARAM");
}

/// Not in the specification: a limit of hearth's.
#[tokio::test]
async fn account_data_has_a_largest_size() {
    if synapse_departs_from("(a limit of hearth's)") {
        return;
    }
    let ada = Server::start().await.register("ada").await;
    let path = global(&ada, "com.example.tea");
    let answer = ada.put(&path, &json!({ "sugar": "x".repeat(70_000) })).await;
    answer.expect_error(413, "M_TOO_LARGE");
    ada.get(&path).await.expect_error(404, "M_NOT_FOUND");
    let answer = ada.put(&global(&ada, &"x".repeat(256)), &json!({})).await;
    answer.expect_error(400, "M_INVALID_PARAM");
}
