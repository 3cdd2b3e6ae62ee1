//! Sending events to a room.

use complement_tests::{Client, Method, Server, send_path, synapse_departs_from, unique};
use serde_json::{Value, json};

const MESSAGE: &str = "m.room.message";

fn text(body: &str) -> Value {
    json!({ "msgtype": "m.text", "body": body })
}

async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    (ada, bo, room)
}

#[tokio::test]
async fn a_message_is_read_as_it_was_sent() {
    let (ada, bo, room) = kitchen().await;
    let content = json!({
        "msgtype": "m.text", "body": "tea ☕ \u{1f375}", "format": "org.matrix.custom.html",
        "formatted_body": "<b>tea</b>", "com.example.list": [1, -2, null, true, { "a": {} }],
    });

    let id = ada.send(&room, MESSAGE, &content).await;

    let event = bo.event(&room, &id).await;
    assert_eq!(event["content"], content);
    assert_eq!(event["type"], MESSAGE);
    assert_eq!(event["sender"], ada.user_id.as_str());
    assert_eq!(event["room_id"], room);
    assert_eq!(event["event_id"], id);
    assert!(event["origin_server_ts"].is_u64(), "{event}");
    assert!(event.get("state_key").is_none(), "{event}");
}

#[tokio::test]
async fn a_transaction_sent_twice_is_one_event() {
    let (ada, _, room) = kitchen().await;
    let path = send_path(&room, MESSAGE, &unique("txn"));
    let first = ada.put(&path, &text("tea")).await.expect_ok();
    let again = ada.put(&path, &text("tea")).await.expect_ok();
    assert_eq!(first, again);
}

#[tokio::test]
async fn a_transaction_sent_twice_at_once_is_one_event() {
    let (ada, _, room) = kitchen().await;
    let path = send_path(&room, MESSAGE, &unique("txn"));
    let content = text("tea");
    let (first, again) = tokio::join!(ada.put(&path, &content), ada.put(&path, &content));
    assert_eq!(first.expect_ok(), again.expect_ok());
}

/// Spec: "Transaction identifiers": the scope of a transaction id is a device and an endpoint.
#[tokio::test]
async fn a_transaction_id_counts_for_one_device_and_one_room() {
    let (ada, _, room) = kitchen().await;
    let phone = ada.log_in().await;
    let transaction = unique("txn");
    let path = send_path(&room, MESSAGE, &transaction);
    let first = ada.put(&path, &text("tea")).await.expect_ok();
    let other_device = phone.put(&path, &text("tea")).await.expect_ok();
    assert_ne!(first, other_device);
    let attic = ada.create_room().await;
    let path = send_path(&attic, MESSAGE, &transaction);
    let other_room = ada.put(&path, &text("tea")).await.expect_ok();
    assert_ne!(first, other_room);
}

#[tokio::test]
async fn only_the_sending_device_sees_its_transaction_id() {
    let (ada, bo, room) = kitchen().await;
    let phone = ada.log_in().await;
    let transaction = unique("txn");
    let sent = ada.put(&send_path(&room, MESSAGE, &transaction), &text("tea")).await.expect_ok();
    let id = sent["event_id"].as_str().expect("an event id");

    assert_eq!(ada.event(&room, id).await["unsigned"]["transaction_id"], transaction);
    for other in [&phone, &bo] {
        let event = other.event(&room, id).await;
        assert!(event["unsigned"].get("transaction_id").is_none(), "{event}");
    }
}

#[tokio::test]
async fn outsiders_do_not_send() {
    let (ada, bo, room) = kitchen().await;
    let cy = ada.server().register("cy").await;
    let path = send_path(&room, MESSAGE, &unique("txn"));
    cy.put(&path, &text("hello")).await.expect_error(403, "M_FORBIDDEN");
    bo.leave(&room).await;
    bo.put(&path, &text("hello")).await.expect_error(403, "M_FORBIDDEN");
    let path = send_path("!nothing:hearth.test", MESSAGE, &unique("txn"));
    let answer = ada.put(&path, &text("hello")).await;
    answer.expect_error_of(&[(403, "M_FORBIDDEN"), (404, "M_NOT_FOUND")]);
}

#[tokio::test]
async fn sending_needs_the_level_of_the_event_type() {
    let (ada, bo, room) = kitchen().await;
    let mut levels = ada.state(&room, "m.room.power_levels", "").await;
    levels["events"]["com.example.gong"] = json!(50);
    levels["events_default"] = json!(1);
    levels["users"][&bo.user_id] = json!(1);
    ada.set_state(&room, "m.room.power_levels", "", &levels).await;

    let path = send_path(&room, "com.example.gong", &unique("txn"));
    bo.put(&path, &json!({})).await.expect_error(403, "M_FORBIDDEN");
    bo.say(&room, "hello").await;
    let cy = ada.server().register("cy").await;
    cy.join(&room).await;
    let path = send_path(&room, MESSAGE, &unique("txn"));
    cy.put(&path, &text("hello")).await.expect_error(403, "M_FORBIDDEN");
}

/// Spec: "Size limits": an event has at most 65,536 bytes.
#[tokio::test]
async fn an_event_over_64_kib_answers_413() {
    let (ada, _, room) = kitchen().await;
    let path = send_path(&room, MESSAGE, &unique("txn"));
    ada.put(&path, &text(&"a".repeat(70_000))).await.expect_error(413, "M_TOO_LARGE");
    ada.say(&room, &"a".repeat(60_000)).await;
}

/// Spec: "Canonical JSON", room version 6 onwards: no fractions, integers below 2^53.
#[tokio::test]
async fn numbers_that_canonical_json_lacks_are_refused() {
    let (ada, _, room) = kitchen().await;
    let mut numbers = vec!["1.5", "9007199254740992", "-9007199254740992"];
    if !synapse_departs_from("[numbers] in the range of [-(2**53)+1, (2**53)-1]") {
        numbers.push("1e400");
    }
    for number in numbers {
        let path = send_path(&room, MESSAGE, &unique("txn"));
        let body = format!(r#"{{"msgtype":"m.text","body":"x","n":{number}}}"#);
        let answer = ada.answer(ada.request(Method::PUT, &path).body(body)).await;
        answer.expect_error_of(&[(400, "M_BAD_JSON"), (400, "M_NOT_JSON"), (400, "M_UNKNOWN")]);
    }
}

#[tokio::test]
async fn content_that_is_no_object_is_refused() {
    let (ada, _, room) = kitchen().await;
    for body in [json!([]), json!("tea"), json!(1), Value::Null] {
        let path = send_path(&room, MESSAGE, &unique("txn"));
        let answer = ada.put(&path, &body).await;
        answer.expect_error_of(&[(400, "M_BAD_JSON"), (400, "M_NOT_JSON")]);
    }
}

#[tokio::test]
async fn messages_of_one_sender_keep_their_order() {
    let (ada, bo, room) = kitchen().await;
    let mut sent = Vec::new();
    for number in 0..20 {
        sent.push(ada.say(&room, &number.to_string()).await);
    }
    let path = complement_tests::room_path(&room, "messages?dir=b&limit=20");
    let answer = bo.get(&path).await.expect_ok();
    let chunk = answer["chunk"].as_array().expect("chunk is a list");
    let mut read = complement_tests::event_ids(chunk);
    read.reverse();
    assert_eq!(read, sent);
}

#[tokio::test]
async fn messages_sent_at_once_all_arrive() {
    let (ada, bo, room) = kitchen().await;
    let senders = (0..20).map(|number| {
        let (client, room) = (if number % 2 == 0 { ada.clone() } else { bo.clone() }, room.clone());
        tokio::spawn(async move { client.say(&room, &number.to_string()).await })
    });
    let mut sent = Vec::new();
    for sender in senders.collect::<Vec<_>>() {
        sent.push(sender.await.expect("sending does not panic"));
    }
    let path = complement_tests::room_path(&room, "messages?dir=b&limit=20");
    let answer = ada.get(&path).await.expect_ok();
    let mut read = complement_tests::event_ids(answer["chunk"].as_array().expect("a list"));
    read.sort_unstable();
    sent.sort_unstable();
    assert_eq!(read, sent);
}

/// Spec: "Size limits": 255 bytes of a type and a state key, 65,536 of a whole event.
#[tokio::test]
async fn fields_and_events_that_are_too_large_answer_413() {
    let (ada, _, room) = kitchen().await;
    let long = "a".repeat(256);
    let fits = "a".repeat(255);
    let content = json!({});
    for path in [
        send_path(&room, &long, &unique("txn")),
        complement_tests::state_path(&room, &long, ""),
        complement_tests::state_path(&room, "com.example.lamp", &long),
    ] {
        let answer = ada.put(&path, &content).await;
        answer.expect_error_of(&[(413, "M_TOO_LARGE"), (400, "M_TOO_LARGE")]);
    }
    ada.send(&room, &fits, &content).await;
    ada.set_state(&room, "com.example.lamp", &fits, &content).await;
    // What else is in an event leaves less than 64 KiB to its content.
    let path = complement_tests::state_path(&room, "com.example.lamp", "");
    let answer = ada.put(&path, &json!({ "a": "b".repeat(65_300) })).await;
    answer.expect_error(413, "M_TOO_LARGE");
    ada.set_state(&room, "com.example.lamp", "", &json!({ "a": "b".repeat(60_000) })).await;
}

/// Spec: "Transaction identifiers": a retransmission has the same transaction ID, "and the path of the HTTP request is the
/// same".
#[tokio::test]
async fn a_transaction_id_counts_for_one_path() {
    let (ada, _, room) = kitchen().await;
    let transaction = unique("txn");
    let path = send_path(&room, MESSAGE, &transaction);
    let first = ada.put(&path, &text("tea")).await.expect_ok();
    if synapse_departs_from("and the path of the HTTP request is the same") {
        return;
    }
    let other_type = send_path(&room, "com.example.tea", &transaction);
    let other_type = ada.put(&other_type, &text("tea")).await.expect_ok();
    assert_ne!(other_type, first);
    let id = first["event_id"].as_str().expect("an event id");
    let redact = complement_tests::redact_path(&room, id, &transaction);
    let redaction = ada.put(&redact, &json!({})).await.expect_ok();
    assert!(redaction != first && redaction != other_type, "{redaction}");
    assert_eq!(ada.event(&room, id).await["content"], json!({}));
    assert_eq!(ada.put(&redact, &json!({})).await.expect_ok(), redaction);
    assert_eq!(ada.put(&path, &text("tea")).await.expect_ok(), first);
}

/// Spec: appendices, "Opaque identifiers": at most 255 characters; hearth bears with somewhat longer ones.
#[tokio::test]
async fn a_transaction_id_that_is_too_long_is_refused() {
    let (ada, _, room) = kitchen().await;
    ada.put(&send_path(&room, MESSAGE, &"t".repeat(255)), &text("tea")).await.expect_ok();
    if synapse_departs_from("identifiers must be [...] at most 255 characters in length") {
        return;
    }
    for path in [
        send_path(&room, MESSAGE, &"t".repeat(3_000)),
        send_path(&room, MESSAGE, &format!("{}?org.matrix.msc4140.delay=5", "t".repeat(3_000))),
        complement_tests::redact_path(&room, "$tea", &"t".repeat(3_000)),
    ] {
        ada.put(&path, &text("tea")).await.expect_error(400, "M_INVALID_PARAM");
    }
}
