//! Receipts, read markers and unread counts.

mod unread_counts;

use complement_tests::{Client, Server, encoded, room_path, synapse_departs_from};
use serde_json::{Value, json};

async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    (ada, bo, room)
}

fn path(room: &str, kind: &str, event: &str) -> String {
    room_path(room, &format!("receipt/{kind}/{}", encoded(event)))
}

/// The receipts of a room in a sync answer: event, kind, user, and what is said about it.
fn receipts(sync: &Value, room: &str) -> Value {
    let events = sync["rooms"]["join"][room]["ephemeral"]["events"].as_array();
    let receipts = events.into_iter().flatten().filter(|event| event["type"] == "m.receipt");
    let mut all = json!({});
    for content in receipts.filter_map(|event| event["content"].as_object()) {
        for (event, kinds) in content {
            for (kind, users) in kinds.as_object().expect("an event's receipts by kind") {
                for (user, data) in users.as_object().expect("receipts by user") {
                    all[event][kind][user] = data.clone();
                }
            }
        }
    }
    all
}

fn unread(sync: &Value, room: &str) -> (Option<u64>, Option<u64>) {
    let counts = &sync["rooms"]["join"][room]["unread_notifications"];
    (counts["notification_count"].as_u64(), counts["highlight_count"].as_u64())
}

/// Moves a user's receipt.
async fn read(user: &Client, room: &str, kind: &str, event: &str) {
    user.post(&path(room, kind, event), &json!({})).await.expect_ok();
}

/// What a message in a thread says.
fn in_thread(opener: &str, body: &str) -> Value {
    let relation = json!({ "rel_type": "m.thread", "event_id": opener });
    json!({ "msgtype": "m.text", "body": body, "m.relates_to": relation })
}

#[tokio::test]
async fn a_public_receipt_is_seen_by_everyone() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let before = ada.sync().await;

    read(&bo, &room, "m.read", &message).await;

    let sync = ada
        .sync_until(&before, |sync| {
            receipts(sync, &room)[&message]["m.read"][&bo.user_id].is_object()
        })
        .await;
    let receipt = &receipts(&sync, &room)[&message]["m.read"][&bo.user_id];
    assert!(receipt["ts"].is_u64(), "{receipt}");
    let first_sync = ada.sync().await;
    assert!(receipts(&first_sync, &room)[&message]["m.read"][&bo.user_id].is_object());
}

#[tokio::test]
async fn a_private_receipt_is_seen_by_its_owner_alone() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let (ada_before, bo_before) = (ada.sync().await, bo.sync().await);

    read(&bo, &room, "m.read.private", &message).await;

    let private = |sync: &Value| receipts(sync, &room)[&message]["m.read.private"].is_object();
    bo.sync_until(&bo_before, private).await;
    assert_eq!(receipts(&ada.sync_since(&ada_before).await, &room), json!({}));
    assert_eq!(receipts(&ada.sync().await, &room), json!({}));
}

#[tokio::test]
async fn a_receipt_moves_to_the_newer_message() {
    let (ada, bo, room) = kitchen().await;
    let (first, second) = (ada.say(&room, "tea").await, ada.say(&room, "cake").await);
    read(&bo, &room, "m.read", &first).await;
    read(&bo, &room, "m.read", &second).await;

    let all = receipts(&ada.sync().await, &room);

    assert!(all[&second]["m.read"][&bo.user_id].is_object(), "{all}");
    assert!(all[&first]["m.read"][&bo.user_id].is_null(), "{all}");
}

#[tokio::test]
async fn receipts_of_threads_stand_beside_each_other() {
    let (ada, bo, room) = kitchen().await;
    let opener = ada.say(&room, "tea?").await;
    let content = in_thread(&opener, "yes");
    let reply = ada.send(&room, "m.room.message", &content).await;
    bo.post(&path(&room, "m.read", &opener), &json!({ "thread_id": "main" })).await.expect_ok();
    bo.post(&path(&room, "m.read", &reply), &json!({ "thread_id": opener })).await.expect_ok();

    let all = receipts(&ada.sync().await, &room);

    assert_eq!(all[&opener]["m.read"][&bo.user_id]["thread_id"], "main");
    assert_eq!(all[&reply]["m.read"][&bo.user_id]["thread_id"], opener);
}

/// Spec: `POST /rooms/{roomId}/receipt/…`: `thread_id` may not be empty, nor stand beside `m.fully_read`.
#[tokio::test]
async fn receipts_of_the_wrong_shape_are_refused() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let cases = [
        ("m.read", json!({ "thread_id": "" })),
        ("m.read", json!({ "thread_id": 5 })),
        ("m.fully_read", json!({ "thread_id": "main" })),
        ("m.read", json!({ "thread_id": null })),
        ("com.example.nothing", json!({})),
    ];
    for (kind, body) in cases {
        let answer = bo.post(&path(&room, kind, &message), &body).await;
        if synapse_departs_from("no sentence: of an unknown type Synapse says M_UNKNOWN") {
            assert_eq!(answer.status, 400, "{kind} {body}: {}", answer.text);
        } else {
            answer.expect_error(400, "M_INVALID_PARAM");
        }
    }
}

#[tokio::test]
async fn the_fully_read_marker_is_account_data_of_the_room() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let before = bo.sync().await;
    let markers = json!({ "m.fully_read": message, "m.read": message });

    bo.post(&room_path(&room, "read_markers"), &markers).await.expect_ok();

    let wanted = json!({ "type": "m.fully_read", "content": { "event_id": message } });
    let found = |sync: &Value| {
        let data = sync["rooms"]["join"][&room]["account_data"]["events"].as_array();
        data.is_some_and(|events| events.contains(&wanted))
    };
    bo.sync_until(&before, found).await;
    assert!(receipts(&ada.sync().await, &room)[&message]["m.read"][&bo.user_id].is_object());
}

#[tokio::test]
async fn the_fully_read_marker_is_set_as_a_receipt_as_well() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    read(&bo, &room, "m.fully_read", &message).await;
    let path =
        format!("/_matrix/client/v3/user/{}/rooms/{room}/account_data/m.fully_read", bo.user_id);
    assert_eq!(bo.get(&path).await.expect_ok()["event_id"], message);
}

#[tokio::test]
async fn outsiders_leave_no_receipts() {
    let (ada, _, room) = kitchen().await;
    let cy = ada.server().register("cy").await;
    let message = ada.say(&room, "tea").await;
    let before = ada.sync().await;
    let answer = cy.post(&path(&room, "m.read", &message), &json!({})).await;
    assert!([200, 403, 404].contains(&answer.status), "{} {}", answer.status, answer.text);
    assert_eq!(receipts(&ada.sync_since(&before).await, &room), json!({}));
}

/// Spec: "Receipts": a receipt says "up to and including"; one for an older event says nothing new.
#[tokio::test]
async fn a_receipt_never_moves_backwards() {
    let (ada, bo, room) = kitchen().await;
    let (first, second) = (ada.say(&room, "tea").await, ada.say(&room, "cake").await);
    for event in [&second, &first] {
        bo.post(&path(&room, "m.read", event), &json!({})).await.expect_ok();
    }
    let all = receipts(&ada.sync().await, &room);
    assert!(all[&second]["m.read"][&bo.user_id].is_object(), "{all}");
    assert!(all[&first]["m.read"][&bo.user_id].is_null(), "{all}");
    assert_eq!(unread(&bo.sync().await, &room), (Some(0), Some(0)));
}

/// Spec: `POST /rooms/{roomId}/receipt/…`, 400: "The `event_id` is not related to the `thread_id`."
#[tokio::test]
async fn a_receipt_of_another_thread_is_refused() {
    let (ada, bo, room) = kitchen().await;
    let opener = ada.say(&room, "tea?").await;
    let other = ada.say(&room, "cake?").await;
    let content = in_thread(&opener, "yes");
    let reply = ada.send(&room, "m.room.message", &content).await;
    for (event, thread) in [(&reply, "main"), (&reply, other.as_str()), (&other, opener.as_str())] {
        let answer = bo.post(&path(&room, "m.read", event), &json!({ "thread_id": thread })).await;
        answer.expect_error(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn a_receipt_for_an_event_that_is_not_there_changes_nothing() {
    let (ada, bo, room) = kitchen().await;
    ada.say(&room, "tea").await;
    let before = ada.sync().await;
    let elsewhere = ada.create_room().await;
    let other = ada.say(&elsewhere, "cake").await;
    for event in ["$nothing", other.as_str()] {
        let answer = bo.post(&path(&room, "m.read", event), &json!({})).await;
        assert!([200, 404].contains(&answer.status), "{} {}", answer.status, answer.text);
        if synapse_departs_from("no sentence: Synapse keeps receipts for events it does not know") {
            return;
        }
        answer.expect_error(404, "M_NOT_FOUND");
    }
    assert_eq!(receipts(&ada.sync_since(&before).await, &room), json!({}));
}

/// Spec: "Fully read markers": "`m.read.private` receipts can now be sent from `/read_markers`."
#[tokio::test]
async fn read_markers_move_the_private_receipt_too() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let before = bo.sync().await;
    let markers = json!({ "m.read.private": message });
    bo.post(&room_path(&room, "read_markers"), &markers).await.expect_ok();
    let private = |sync: &Value| receipts(sync, &room)[&message]["m.read.private"].is_object();
    let sync = bo.sync_until(&before, private).await;
    assert_eq!(unread(&sync, &room), (Some(0), Some(0)));
    assert_eq!(receipts(&ada.sync().await, &room), json!({}));
}

#[tokio::test]
async fn the_fully_read_marker_is_set_in_no_other_way() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let path =
        format!("/_matrix/client/v3/user/{}/rooms/{room}/account_data/m.fully_read", bo.user_id);
    let answer = bo.put(&path, &json!({ "event_id": message })).await;
    assert!((400..500).contains(&answer.status), "{} {}", answer.status, answer.text);
}

#[tokio::test]
async fn read_markers_move_all_or_none() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let markers = json!({ "m.fully_read": message, "m.read": "$nothing" });
    if synapse_departs_from("no sentence: Synapse keeps receipts for events it does not know") {
        return;
    }
    bo.post(&room_path(&room, "read_markers"), &markers).await.expect_error(404, "M_NOT_FOUND");
    let path =
        format!("/_matrix/client/v3/user/{}/rooms/{room}/account_data/m.fully_read", bo.user_id);
    bo.get(&path).await.expect_error(404, "M_NOT_FOUND");
}

/// Spec: `POST /rooms/{roomId}/read_markers`: "The event MUST belong to the room."
#[tokio::test]
async fn read_markers_of_another_room_or_from_outside_are_refused() {
    let (ada, bo, room) = kitchen().await;
    let elsewhere = ada.create_room().await;
    let message = ada.say(&elsewhere, "tea").await;
    let markers = json!({ "m.fully_read": message });
    let answer = bo.post(&room_path(&elsewhere, "read_markers"), &markers).await;
    if synapse_departs_from("The event MUST belong to the room.") {
        return;
    }
    answer.expect_error(403, "M_FORBIDDEN");
    bo.post(&room_path(&room, "read_markers"), &markers).await.expect_error(404, "M_NOT_FOUND");
    let markers = json!({ "m.fully_read": 5 });
    bo.post(&room_path(&room, "read_markers"), &markers).await.expect_error(400, "M_BAD_JSON");
}

/// MSC4102: where a user has both at one event, the unthreaded receipt must not be hidden by the threaded one.
#[tokio::test]
async fn an_unthreaded_receipt_is_seen_beside_a_threaded_one_at_the_same_event() {
    let (ada, bo, room) = kitchen().await;
    let opener = ada.say(&room, "tea?").await;
    let content = in_thread(&opener, "yes");
    let reply = ada.send(&room, "m.room.message", &content).await;
    for body in [json!({}), json!({ "thread_id": opener })] {
        bo.post(&path(&room, "m.read", &reply), &body).await.expect_ok();
    }
    let is_unthreaded = |sync: &Value| {
        let events = sync["rooms"]["join"][&room]["ephemeral"]["events"].as_array();
        events.into_iter().flatten().any(|event| {
            let receipt = &event["content"][&reply]["m.read"][&bo.user_id];
            receipt.is_object() && receipt.get("thread_id").is_none()
        })
    };
    for client in [&ada, &bo] {
        let sync = client.sync().await;
        assert!(is_unthreaded(&sync), "{sync}");
    }
}
