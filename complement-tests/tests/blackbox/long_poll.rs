//! Syncing: waiting for something to happen.

use std::time::{Duration, Instant};

use complement_tests::{Client, Homeserver, Server, encoded, event_ids, room_path, timeline};
use serde_json::{Value, json};

async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    (ada, bo, room)
}

/// Begins to wait for what comes after `since`; gives the answer and when it came.
fn wait(client: &Client, since: &Value) -> tokio::task::JoinHandle<(Value, Instant)> {
    let since = since["next_batch"].as_str().expect("a token").to_owned();
    let client = client.clone();
    tokio::spawn(async move {
        let sync = client.sync_with(&[("since", &since), ("timeout", "20000")]).await;
        (sync, Instant::now())
    })
}

/// How soon after an event a waiting client must have it. Synapse on a busy machine needs longer.
fn soon() -> Duration {
    match Homeserver::chosen() {
        Homeserver::Hearth => Duration::from_secs(1),
        Homeserver::Synapse => Duration::from_secs(5),
    }
}

/// Long enough that a request sent before is being waited on.
async fn until_it_waits() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

#[tokio::test]
async fn a_message_wakes_who_waits() {
    let (ada, bo, room) = kitchen().await;
    let waiting = wait(&bo, &bo.sync().await);
    until_it_waits().await;

    let message = ada.say(&room, "tea").await;

    let sent = Instant::now();
    let (sync, came) = waiting.await.unwrap();
    assert_eq!(event_ids(timeline(&sync, &room)), [message]);
    assert!(came.saturating_duration_since(sent) < soon(), "{:?}", came - sent);
}

#[tokio::test]
async fn an_invitation_wakes_who_waits() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    let waiting = wait(&bo, &bo.sync().await);
    until_it_waits().await;

    ada.invite(&room, &bo).await;

    let sent = Instant::now();
    let (sync, came) = waiting.await.unwrap();
    assert!(sync["rooms"]["invite"][&room].is_object(), "{sync}");
    assert!(came.saturating_duration_since(sent) < soon(), "{:?}", came - sent);
}

#[tokio::test]
async fn joining_from_another_device_wakes_who_waits() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let phone = bo.log_in().await;
    let room = ada.create_room().await;
    let waiting = wait(&phone, &phone.sync().await);
    until_it_waits().await;

    bo.join(&room).await;

    let sent = Instant::now();
    let (sync, came) = waiting.await.unwrap();
    assert!(sync["rooms"]["join"][&room].is_object(), "{sync}");
    assert!(came.saturating_duration_since(sent) < soon(), "{:?}", came - sent);
}

#[tokio::test]
async fn typing_receipts_and_account_data_wake_who_waits() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let typing = room_path(&room, &format!("typing/{}", ada.user_id));
    let receipt = room_path(&room, &format!("receipt/m.read/{message}"));
    let data = format!("/_matrix/client/v3/user/{}/account_data/com.example.tea", bo.user_id);
    let changes = [
        (&ada, "PUT", typing, json!({ "typing": true, "timeout": 30_000 })),
        (&ada, "POST", receipt, json!({})),
        (&bo, "PUT", data, json!({ "sugar": 1 })),
    ];
    for (client, method, path, body) in changes {
        let waiting = wait(&bo, &bo.sync().await);
        until_it_waits().await;
        match method {
            "PUT" => client.put(&path, &body).await.expect_ok(),
            _ => client.post(&path, &body).await.expect_ok(),
        };
        let sent = Instant::now();
        let (_, came) = waiting.await.unwrap();
        assert!(came.saturating_duration_since(sent) < soon(), "{path}: {:?}", came - sent);
    }
}

#[tokio::test]
async fn a_wait_in_which_nothing_happens_ends_at_its_timeout() {
    let (_ada, bo, room) = kitchen().await;
    let before = bo.sync().await;
    let since = before["next_batch"].as_str().unwrap();
    let start = Instant::now();
    let sync = bo.sync_with(&[("since", since), ("timeout", "1500")]).await;
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(1400), "{waited:?}");
    assert!(waited < Duration::from_secs(6), "{waited:?}");
    assert!(timeline(&sync, &room).is_empty(), "{sync}");
    assert!(sync["next_batch"].is_string(), "{sync}");
}

#[tokio::test]
async fn without_a_timeout_or_when_there_is_something_the_answer_comes_at_once() {
    let (ada, bo, room) = kitchen().await;
    let before = bo.sync().await;
    let start = Instant::now();
    let path = format!("/_matrix/client/v3/sync?since={}", before["next_batch"].as_str().unwrap());
    bo.get(&path).await.expect_ok();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());

    ada.say(&room, "tea").await;
    let (_, came) = wait(&bo, &before).await.unwrap();
    assert!(came.duration_since(start) < Duration::from_secs(10), "{:?}", came - start);
}

#[tokio::test]
async fn what_others_do_elsewhere_does_not_wake_who_waits() {
    let (ada, bo, room) = kitchen().await;
    let attic = ada.create_room().await;
    let waiting = wait(&bo, &bo.sync().await);
    until_it_waits().await;

    ada.say(&attic, "alone").await;
    until_it_waits().await;

    // Synapse also wakes for the presence of others.
    if Homeserver::chosen() == Homeserver::Hearth {
        assert!(!waiting.is_finished());
    }
    ada.say(&room, "tea").await;
    let (sync, _) = waiting.await.unwrap();
    assert!(sync["rooms"]["join"].get(&attic).is_none(), "{sync}");
}

/// Has `client` wait, then lets something happen; gives what it is answered, which must come soon.
async fn woken_by(client: &Client, change: impl Future<Output = ()>) -> Value {
    let waiting = wait(client, &client.sync().await);
    until_it_waits().await;
    change.await;
    let happened = Instant::now();
    let (sync, came) = waiting.await.expect("who waits does not panic");
    assert!(came.saturating_duration_since(happened) < soon(), "{:?}: {sync}", came - happened);
    sync
}

#[tokio::test]
async fn state_redactions_and_names_wake_who_waits() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let state = async {
        ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "tea" })).await;
    };
    let sync = woken_by(&bo, state).await;
    assert_eq!(timeline(&sync, &room)[0]["type"], "m.room.topic");
    let redaction = async {
        ada.redact(&room, &message).await;
    };
    let sync = woken_by(&bo, redaction).await;
    assert_eq!(timeline(&sync, &room)[0]["type"], "m.room.redaction");
    let path = format!("/_matrix/client/v3/profile/{}/displayname", encoded(&ada.user_id));
    let name = async {
        ada.put(&path, &json!({ "displayname": "Ada the cook" })).await.expect_ok();
    };
    let sync = woken_by(&bo, name).await;
    assert_eq!(timeline(&sync, &room)[0]["content"]["displayname"], "Ada the cook");
}

#[tokio::test]
async fn ones_own_doings_elsewhere_wake_who_waits() {
    let (ada, bo, room) = kitchen().await;
    let phone = bo.log_in().await;
    let message = ada.say(&room, "tea").await;
    let user = format!("/_matrix/client/v3/user/{}", encoded(&bo.user_id));
    let tag = format!("{user}/rooms/{}/tags/m.favourite", encoded(&room));
    let unread = format!("{user}/rooms/{}/account_data/m.marked_unread", encoded(&room));
    let rule = format!("/_matrix/client/v3/pushrules/global/room/{}", encoded(&room));
    for (path, body, kind) in [
        (&tag, json!({ "order": 0.5 }), "m.tag"),
        (&unread, json!({ "unread": true }), "m.marked_unread"),
        (&rule, json!({ "actions": [] }), "m.push_rules"),
    ] {
        let change = async {
            phone.put(path, &body).await.expect_ok();
        };
        let sync = woken_by(&bo, change).await;
        assert!(sync.to_string().contains(kind), "{kind}: {sync}");
    }
    let receipt = room_path(&room, &format!("receipt/m.read.private/{}", encoded(&message)));
    let read = async {
        phone.post(&receipt, &json!({})).await.expect_ok();
    };
    let sync = woken_by(&bo, read).await;
    assert_eq!(sync["rooms"]["join"][&room]["unread_notifications"]["notification_count"], 0);
    let departure = async {
        phone.leave(&room).await;
    };
    let sync = woken_by(&bo, departure).await;
    assert!(sync["rooms"]["leave"][&room].is_object(), "{sync}");
}

#[tokio::test]
async fn being_thrown_out_and_taking_an_invitation_back_wake_who_waits() {
    let (ada, bo, room) = kitchen().await;
    let attic = ada.create_room().await;
    ada.invite(&attic, &bo).await;
    for room in [&room, &attic] {
        let kick = async {
            let body = json!({ "user_id": bo.user_id });
            ada.post(&room_path(room, "kick"), &body).await.expect_ok();
        };
        let sync = woken_by(&bo, kick).await;
        assert!(sync["rooms"]["leave"][room].is_object(), "{sync}");
    }
}

#[tokio::test]
async fn knocking_elsewhere_wakes_who_waits_and_shows_what_the_room_is() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let phone = bo.log_in().await;
    let room = ada
        .create_room_with(&json!({
            "name": "Kitchen",
            "initial_state": [{ "type": "m.room.join_rules", "content": { "join_rule": "knock" } }],
        }))
        .await;
    let knock = async {
        let path = format!("/_matrix/client/v3/knock/{}", encoded(&room));
        phone.post(&path, &json!({})).await.expect_ok();
    };
    let woken = woken_by(&bo, knock).await;
    for sync in [woken, bo.sync().await] {
        let events = sync["rooms"]["knock"][&room]["knock_state"]["events"].as_array();
        let events = events.unwrap_or_else(|| panic!("no knock in {sync}"));
        let find = |kind: &str, key: &str| {
            events.iter().find(|event| event["type"] == kind && event["state_key"] == key)
        };
        assert_eq!(find("m.room.name", "").expect("a name")["content"]["name"], "Kitchen");
        let own = find("m.room.member", &bo.user_id).expect("the knock itself");
        assert_eq!(own["content"]["membership"], "knock");
        assert!(sync["rooms"]["join"].get(&room).is_none(), "{sync}");
    }
    let refusal = async {
        let body = json!({ "user_id": bo.user_id });
        ada.post(&room_path(&room, "kick"), &body).await.expect_ok();
    };
    let sync = woken_by(&bo, refusal).await;
    assert!(sync["rooms"]["leave"][&room].is_object(), "{sync}");
    assert!(sync["rooms"]["knock"].get(&room).is_none(), "{sync}");
}

#[tokio::test]
async fn the_presence_of_others_wakes_who_waits() {
    let (ada, bo, _) = kitchen().await;
    let path = format!("/_matrix/client/v3/presence/{}/status", encoded(&ada.user_id));
    let change = async {
        let body = json!({ "presence": "online", "status_msg": "at tea" });
        ada.put(&path, &body).await.expect_ok();
    };
    let sync = woken_by(&bo, change).await;
    assert!(sync["presence"].to_string().contains("at tea"), "{sync}");
}
