//! Room tagging.

use complement_tests::{Client, Server, encoded, synapse_departs_from};
use serde_json::{Value, json};

fn tags_path(whose: &Client, room: &str) -> String {
    format!("/_matrix/client/v3/user/{}/rooms/{}/tags", encoded(&whose.user_id), encoded(room))
}

fn path(whose: &Client, room: &str, tag: &str) -> String {
    format!("{}/{}", tags_path(whose, room), encoded(tag))
}

async fn tags(ada: &Client, room: &str) -> Value {
    ada.get(&tags_path(ada, room)).await.expect_ok()
}

/// The content of the room's `m.tag` in a sync answer.
fn synced(sync: &Value, room: &str) -> Option<Value> {
    let events = sync["rooms"]["join"][room]["account_data"]["events"].as_array()?;
    let event = events.iter().find(|event| event["type"] == "m.tag")?;
    Some(event["content"].clone())
}

#[tokio::test]
async fn a_tag_is_set_listed_synced_changed_and_removed() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    assert_eq!(tags(&ada, &room).await, json!({ "tags": {} }));
    let before = ada.sync().await;

    let favourite = path(&ada, &room, "m.favourite");
    assert_eq!(ada.put(&favourite, &json!({ "order": 0.25 })).await.expect_ok(), json!({}));
    ada.put(&path(&ada, &room, "u.Work & Play"), &json!({})).await.expect_ok();

    let both = json!({ "tags": { "m.favourite": { "order": 0.25 }, "u.Work & Play": {} } });
    assert_eq!(tags(&ada, &room).await, both);
    let sync = ada.sync_until(&before, |sync| synced(sync, &room).as_ref() == Some(&both)).await;
    assert_eq!(synced(&ada.sync().await, &room), Some(both));

    ada.put(&favourite, &json!({ "order": 0.75 })).await.expect_ok();
    assert_eq!(tags(&ada, &room).await["tags"]["m.favourite"], json!({ "order": 0.75 }));
    assert_eq!(ada.delete(&favourite).await.expect_ok(), json!({}));
    let one = json!({ "tags": { "u.Work & Play": {} } });
    assert_eq!(tags(&ada, &room).await, one);
    ada.sync_until(&sync, |sync| synced(sync, &room).as_ref() == Some(&one)).await;
}

#[tokio::test]
async fn a_tag_that_is_not_there_is_removed_already() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    ada.delete(&path(&ada, &room, "u.nothing")).await.expect_ok();
    assert_eq!(tags(&ada, &room).await, json!({ "tags": {} }));
}

/// Spec: "Tags are only visible to the user that set them but are shared across all their devices."
#[tokio::test]
async fn tags_are_their_users_alone() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    let before = bo.sync().await;
    let own = path(&ada, &room, "u.tea");
    ada.put(&own, &json!({})).await.expect_ok();

    bo.get(&tags_path(&ada, &room)).await.expect_error(403, "M_FORBIDDEN");
    bo.put(&own, &json!({})).await.expect_error(403, "M_FORBIDDEN");
    bo.delete(&own).await.expect_error(403, "M_FORBIDDEN");

    assert_eq!(tags(&bo, &room).await, json!({ "tags": {} }));
    let seen = ada.say(&room, "tea").await;
    let sync = bo.sync_until(&before, |sync| sync.to_string().contains(&seen)).await;
    assert_eq!(synced(&sync, &room), None);
    let phone = ada.log_in().await;
    assert_eq!(tags(&phone, &room).await, json!({ "tags": { "u.tea": {} } }));
}

/// Spec: "The name of a tag MUST NOT exceed 255 bytes."
#[tokio::test]
async fn the_name_of_a_tag_has_a_largest_length() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    ada.put(&path(&ada, &room, &"x".repeat(255)), &json!({})).await.expect_ok();
    if synapse_departs_from("The name of a tag MUST NOT exceed 255 bytes.") {
        return;
    }
    let answer = ada.put(&path(&ada, &room, &"x".repeat(256)), &json!({})).await;
    answer.expect_error(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn what_is_no_tag_is_refused() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    let answer = ada.put(&path(&ada, &room, "u.tea"), &json!([])).await;
    answer.expect_error(400, "M_BAD_JSON");
    if synapse_departs_from("order: number") {
        return;
    }
    let answer = ada.put(&path(&ada, &room, "u.tea"), &json!({ "order": "first" })).await;
    answer.expect_error(400, "M_BAD_JSON");
    for answer in [
        ada.get(&tags_path(&ada, "kitchen")).await,
        ada.put(&path(&ada, "kitchen", "u.tea"), &json!({})).await,
        ada.delete(&path(&ada, "kitchen", "u.tea")).await,
    ] {
        answer.expect_error(400, "M_INVALID_PARAM");
    }
    assert_eq!(tags(&ada, &room).await, json!({ "tags": {} }));
}
