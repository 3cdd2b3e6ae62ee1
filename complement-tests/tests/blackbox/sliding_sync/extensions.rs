//! What is told beside rooms. Spec: MSC4186, "Extensions".

use std::time::{Duration, Instant};

use complement_tests::{Homeserver, encoded, room_path};
use serde_json::{Value, json};

use super::{Connection, ask, kitchen};

/// MSC3885: messages are counted by a token of their own, and forgotten once it is sent back.
#[tokio::test]
async fn messages_to_the_device_come_until_their_token_is_sent_back() {
    let (ada, bo, _) = kitchen().await;
    for cup in [1, 2, 3] {
        let path = format!("/_matrix/client/v3/sendToDevice/com.example.tea/{cup}");
        let messages = json!({ &bo.user_id: { &bo.device_id: { "cup": cup } } });
        ada.put(&path, &json!({ "messages": messages })).await.expect_ok();
    }
    let mut extension = json!({ "enabled": true, "limit": 2 });
    let mut turns = Vec::new();
    for _ in 0..4 {
        let body = json!({ "extensions": { "to_device": extension } });
        let answer = ask(&bo, None, 0, &body).await.expect_ok();
        let told = &answer["extensions"]["to_device"];
        let events = told["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        turns.push(events.iter().map(|event| event["content"]["cup"].clone()).collect::<Vec<_>>());
        // The first turn is asked for twice, as when its answer was lost.
        if turns.len() > 1 {
            extension["since"] = told["next_batch"].clone();
        }
    }
    assert_eq!(json!(turns), json!([[1, 2], [1, 2], [3], []]));
    let left = bo.sync().await;
    assert_eq!(left["to_device"]["events"].as_array().map_or(0, Vec::len), 0, "{left}");
}

#[tokio::test]
async fn who_claims_to_have_future_messages_is_told_of_them_and_they_are_forgotten() {
    let (ada, bo, _) = kitchen().await;
    if Homeserver::chosen() == Homeserver::Synapse {
        // Its tokens of this extension are not numbers.
        return;
    }
    let extension = |since: &Value| json!({ "extensions": { "to_device": { "enabled": true, "since": since } } });
    let future = json!(u64::MAX.to_string());
    let answer = ask(&bo, None, 0, &extension(&future)).await.expect_ok();
    let next = answer["extensions"]["to_device"]["next_batch"].clone();
    let messages = json!({ &bo.user_id: { &bo.device_id: { "cup": 1 } } });
    let path = "/_matrix/client/v3/sendToDevice/com.example.tea/future";
    ada.put(path, &json!({ "messages": messages })).await.expect_ok();

    let answer = ask(&bo, None, 0, &extension(&next)).await.expect_ok();
    let told = &answer["extensions"]["to_device"];
    assert_eq!(told["events"][0]["content"]["cup"], 1, "{answer}");
    ask(&bo, None, 0, &extension(&told["next_batch"])).await.expect_ok();

    let left = bo.sync().await;
    assert_eq!(left["to_device"]["events"].as_array().map_or(0, Vec::len), 0, "{left}");
}

#[tokio::test]
async fn extensions_tell_what_is_not_in_timelines() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let mut connection = Connection::of_all(&bo, 5, &json!([]));
    let on = json!({ "enabled": true });
    connection.body["extensions"] = json!({ "account_data": on, "receipts": on, "typing": on });
    let data = |kind: &str| format!("/_matrix/client/v3/user/{}/{kind}", encoded(&bo.user_id));
    let of_room = data(&format!("rooms/{}/account_data/com.example.tea", encoded(&room)));
    bo.put(&of_room, &json!({ "sugar": 1 })).await.expect_ok();
    let kinds = |list: &Value| {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };

    let first = connection.next().await;
    let told = &first["extensions"]["account_data"];
    assert!(kinds(&told["global"]).contains(&"m.push_rules".to_owned()), "{told}");
    assert_eq!(kinds(&told["rooms"][&room]), ["com.example.tea"]);
    let second = connection.next().await;
    let empty = json!({});
    let extensions = &second["extensions"];
    for name in ["account_data", "receipts", "typing"] {
        let rooms = extensions[name].get("rooms").unwrap_or(&empty);
        assert_eq!(rooms, &empty, "{extensions}");
    }

    bo.put(&data("account_data/com.example.cake"), &json!({ "size": 2 })).await.expect_ok();
    let receipt = room_path(&room, &format!("receipt/m.read/{}", encoded(&message)));
    ada.post(&receipt, &json!({})).await.expect_ok();
    let typing = room_path(&room, &format!("typing/{}", encoded(&ada.user_id)));
    ada.put(&typing, &json!({ "typing": true, "timeout": 30_000 })).await.expect_ok();
    let third = connection.next().await;
    let extensions = &third["extensions"];
    assert_eq!(kinds(&extensions["account_data"]["global"]), ["com.example.cake"]);
    let receipts = &extensions["receipts"]["rooms"][&room];
    assert_eq!(receipts["type"], "m.receipt");
    assert!(receipts["content"][&message]["m.read"][&ada.user_id].is_object(), "{receipts}");
    let typing = &extensions["typing"]["rooms"][&room]["content"]["user_ids"];
    assert_eq!(typing, &json!([ada.user_id]));
}

#[tokio::test]
async fn an_extension_wakes_who_waits() {
    let (ada, bo, room) = kitchen().await;
    let mut connection = Connection::of_all(&bo, 5, &json!([]));
    connection.body["extensions"] = json!({ "typing": { "enabled": true } });
    connection.next().await;
    let waiting = tokio::spawn(async move { connection.wait(20_000).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let typing = room_path(&room, &format!("typing/{}", encoded(&ada.user_id)));
    let start = Instant::now();
    ada.put(&typing, &json!({ "typing": true, "timeout": 30_000 })).await.expect_ok();
    let answer = waiting.await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(answer["extensions"]["typing"]["rooms"][&room].is_object(), "{answer}");
}

#[tokio::test]
async fn extensions_are_of_the_lists_and_rooms_that_they_name() {
    let (ada, bo, room) = kitchen().await;
    let typing = room_path(&room, &format!("typing/{}", encoded(&ada.user_id)));
    ada.put(&typing, &json!({ "typing": true, "timeout": 30_000 })).await.expect_ok();
    let config = json!({ "timeline_limit": 1, "required_state": [] });
    for (wanted, expected) in [
        (json!({}), true),
        (json!({ "lists": [], "rooms": [] }), false),
        (json!({ "lists": ["other"], "rooms": [] }), false),
        (json!({ "lists": ["all"], "rooms": [] }), true),
        (json!({ "lists": [], "rooms": ["*"] }), true),
        (json!({ "lists": [], "rooms": [&*room] }), true),
    ] {
        let mut connection = Connection::of_all(&bo, 1, &json!([]));
        connection.body["room_subscriptions"] = json!({ &*room: config });
        let mut extension = wanted.clone();
        extension["enabled"] = json!(true);
        connection.body["extensions"] = json!({ "typing": extension });
        let answer = connection.next().await;
        let told = &answer["extensions"]["typing"]["rooms"][&room];
        assert_eq!(told.is_object(), expected, "{wanted}: {answer}");
    }
}
