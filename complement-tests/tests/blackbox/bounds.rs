//! What one client can make others pay for has a bound. The specification leaves most of these to servers, and Synapse's
//! are others: the tests are for hearth.

use std::time::{Duration, Instant};

use complement_tests::{
    Client, Homeserver, PASSWORD, Server, encoded, room_path, send_path, state_path,
};
use serde_json::{Value, json};

fn is_synapse() -> bool {
    Homeserver::chosen() == Homeserver::Synapse
}

/// An object in an object, so many times.
fn nested(depth: usize) -> Value {
    (1..depth).fold(json!({}), |inner, _| json!({ "a": inner }))
}

/// What is deeper than parsers go, together with what it is shown in, nobody could read any more.
#[tokio::test]
async fn json_nests_up_to_100_levels() {
    if is_synapse() {
        return;
    }
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    let state = state_path(&room, "com.example.nest", "");
    let send = send_path(&room, "com.example.nest", "1");
    let data = format!("/_matrix/client/v3/user/{}/account_data/com.example.nest", ada.user_id);
    for path in [&state, &data, &send] {
        ada.put(path, &nested(101)).await.expect_error(400, "M_BAD_JSON");
        ada.put(path, &nested(100)).await.expect_ok();
    }

    ada.get(&state).await.expect_ok();
    ada.get(&data).await.expect_ok();
    for path in ["initialSync", "sync"] {
        ada.get(&format!("/_matrix/client/v3/{path}")).await.expect_ok();
    }
    ada.get(&room_path(&room, "initialSync")).await.expect_ok();
}

/// Names that clients choose become keys and values in the store, which take so much and no more.
#[tokio::test]
async fn names_have_a_longest_one() {
    if is_synapse() {
        return;
    }
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let room = ada.create_room().await;
    let long = |length: usize| "x".repeat(length);

    let invite = json!({ "user_id": format!("@{}:hearth.test", long(5_000)) });
    let invited = ada.post(&room_path(&room, "invite"), &invite).await;
    invited.expect_error(413, "M_TOO_LARGE");
    for length in [256, 2_100] {
        let alias = encoded(&format!("#{}:hearth.test", long(length)));
        let path = format!("/_matrix/client/v3/directory/room/{alias}");
        let made = ada.put(&path, &json!({ "room_id": room })).await;
        made.expect_error(400, "M_INVALID_PARAM");
        let named = json!({ "room_alias_name": long(length) });
        let made = ada.post("/_matrix/client/v3/createRoom", &named).await;
        made.expect_error(400, "M_INVALID_PARAM");
    }
    for path in [
        send_path(&room, "m.room.message", &long(1_025)),
        state_path(&room, &long(1_025), ""),
        format!("/_matrix/client/v3/user/{}/account_data/{}", ada.user_id, long(5_000)),
    ] {
        ada.put(&path, &json!({})).await.expect_error(400, "M_INVALID_PARAM");
    }
    let sent = ada.put(&send_path(&room, "m.room.message", &long(1_024)), &json!({})).await;
    sent.expect_ok();
}

fn login_of(user: &Client, password: &str) -> Value {
    json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": user.user_id },
        "password": password,
    })
}

/// Addresses are cheap: whoever has many could guess as often as they like. Sessions go on meanwhile.
#[tokio::test]
async fn wrong_passwords_are_limited_by_account() {
    if is_synapse() {
        return;
    }
    let server = Server::start_with(&[
        ("HEARTH_RATE_LIMITS__ENABLED", "true"),
        ("HEARTH_RATE_LIMITS__LOGIN__BURST", "1000"),
        ("HEARTH_RATE_LIMITS__WRONG_PASSWORDS__BURST", "3"),
    ])
    .await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let stranger = server.stranger();
    let log_in = async |user: &Client, password: &str| {
        stranger.post("/_matrix/client/v3/login", &login_of(user, password)).await
    };
    for _ in 0..5 {
        log_in(&ada, PASSWORD).await.expect_ok();
    }
    for _ in 0..3 {
        log_in(&ada, "wrong").await.expect_error(403, "M_FORBIDDEN");
    }

    let refused = log_in(&ada, "wrong").await.expect_error(429, "M_LIMIT_EXCEEDED");
    assert!(refused["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0), "{refused}");
    log_in(&ada, PASSWORD).await.expect_error(429, "M_LIMIT_EXCEEDED");
    log_in(&bo, PASSWORD).await.expect_ok();
    ada.get("/_matrix/client/v3/account/whoami").await.expect_ok();
}

/// Account data and filters are not rate limited in the specification, and would fill the disk.
#[tokio::test]
async fn whatever_changes_something_is_rate_limited() {
    if is_synapse() {
        return;
    }
    let server = Server::start_with(&[
        ("HEARTH_RATE_LIMITS__ENABLED", "true"),
        ("HEARTH_RATE_LIMITS__DEFAULT__PER_SECOND", "0.01"),
        ("HEARTH_RATE_LIMITS__DEFAULT__BURST", "3"),
    ])
    .await;
    let ada = server.register("ada").await;
    let data = format!("/_matrix/client/v3/user/{}/account_data/com.example", ada.user_id);
    for _ in 0..3 {
        ada.put(&data, &json!({ "a": 1 })).await.expect_ok();
    }

    ada.put(&data, &json!({ "a": 2 })).await.expect_error(429, "M_LIMIT_EXCEEDED");
    let filter = format!("/_matrix/client/v3/user/{}/filter", ada.user_id);
    ada.post(&filter, &json!({})).await.expect_error(429, "M_LIMIT_EXCEEDED");
    let read = ada.get(&data).await.expect_ok();
    assert_eq!(read, json!({ "a": 1 }));
}

/// An event that cannot be sent does not hold up those of everybody else.
#[tokio::test]
async fn a_relation_to_what_is_no_event_harms_nobody() {
    if is_synapse() {
        return;
    }
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let relation = |kind: &str, id: usize, key: usize| {
        json!({ "body": "x", "msgtype": "m.text", "m.relates_to": {
            "rel_type": kind, "event_id": format!("${}", "x".repeat(id)), "key": "k".repeat(key),
        } })
    };
    let room = ada.create_room().await;
    for (number, (id, key)) in [(3_000, 1), (10, 3_000), (3_000, 3_000)].into_iter().enumerate() {
        for kind in ["m.thread", "m.annotation", "m.replace", "com.example"] {
            let path = send_path(&room, "m.room.message", &format!("{kind}{number}"));
            ada.put(&path, &relation(kind, id, key)).await.expect_ok();
        }
    }
    let later = |transaction: &str, delay: u32| {
        let path = send_path(&room, "m.room.message", transaction);
        format!("{path}?org.matrix.msc4140.delay={delay}")
    };
    ada.put(&later("bad", 1), &relation("m.thread", 3_000, 1)).await.expect_ok();
    bo.join(&room).await;
    let body = json!({ "msgtype": "m.text", "body": "in time" });
    bo.put(&later("good", 100), &body).await.expect_ok();

    for _ in 0..100 {
        let last = bo.get(&room_path(&room, "messages?dir=b&limit=2")).await.expect_ok();
        if last["chunk"].to_string().contains("in time") {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("an event that was due is not sent");
}

/// Each waiting request takes memory, and time whenever it is woken. What is lost by an early answer is a question more.
#[tokio::test]
async fn a_hundred_requests_of_a_user_wait_and_one_more_has_the_oldest_answered() {
    if is_synapse() {
        return;
    }
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let body = json!({ "preset": "public_chat", "initial_state": [{
        "type": "m.room.history_visibility", "content": { "history_visibility": "world_readable" },
    }] });
    let room = ada.create_room_with(&body).await;
    let base = "/_matrix/client/v3";
    let since = bo.sync().await["next_batch"].as_str().unwrap().to_owned();
    let begin = bo.get(&format!("{base}/events?timeout=0&room_id={}", encoded(&room))).await;
    let from = begin.expect_ok()["end"].as_str().unwrap().to_owned();
    let slide = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
    let pos = bo.post(&format!("{slide}?timeout=0"), &json!({})).await.expect_ok()["pos"].clone();
    let wait = |path: String| {
        let bo = bo.clone();
        let body = json!({});
        tokio::spawn(async move {
            if path.starts_with(slide) { bo.post(&path, &body).await } else { bo.get(&path).await }
        })
    };
    let long = "timeout=20000";
    let sync = format!("{base}/sync?{long}&since={since}");
    let all = [
        sync.clone(),
        format!("{slide}?{long}&pos={}", encoded(pos.as_str().unwrap())),
        format!("{base}/events?{long}&from={from}&room_id={}", encoded(&room)),
    ];
    let begun = Instant::now();
    let mut oldest = Vec::new();
    for path in all {
        oldest.push(wait(path));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let mut younger: Vec<_> = (3..100).map(|_| wait(sync.clone())).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(oldest.iter().chain(&younger).all(|waiting| !waiting.is_finished()));

    for superseded in oldest {
        younger.push(wait(sync.clone()));
        let answer = superseded.await.unwrap().expect_ok();
        let told = [&answer["rooms"], &answer["chunk"]];
        let is_empty = |told: &Value| match told {
            Value::Array(events) => events.is_empty(),
            rooms => rooms.as_object().is_none_or(serde_json::Map::is_empty),
        };
        assert!(told.into_iter().all(is_empty), "{answer}");
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(younger.iter().all(|waiting| !waiting.is_finished()));

    ada.invite(&room, &bo).await;
    for waiting in younger {
        let answer = waiting.await.unwrap().expect_ok();
        assert!(answer["rooms"]["invite"][&room].is_object(), "{answer}");
    }
}
