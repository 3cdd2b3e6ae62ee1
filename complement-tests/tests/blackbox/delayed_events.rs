//! Events that are sent later, MSC4140.

use std::time::Duration;

use complement_tests::{
    Client, Homeserver, Role, Server, encoded, send_path, state_path, synapse_departs_from, unique,
};
use serde_json::{Value, json};

const KIND: &str = "com.example.lamp";
const PATH: &str = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events";

async fn kitchen() -> (Client, String) {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    (ada, room)
}

async fn delay_state(client: &Client, room: &str, key: &str, delay: u64) -> String {
    let path = format!("{}?org.matrix.msc4140.delay={delay}", state_path(room, KIND, key));
    let answer = client.put(&path, &json!({ "on": true })).await.expect_ok();
    answer["delay_id"].as_str().unwrap_or_else(|| panic!("no delay_id in {answer}")).to_owned()
}

async fn waiting(client: &Client) -> Vec<Value> {
    let answer = client.get(PATH).await.expect_ok();
    answer["delayed_events"].as_array().expect("a list").clone()
}

async fn act(client: &Client, id: &str, action: &str) {
    let stranger = client.server().stranger();
    stranger.post(&format!("{PATH}/{id}/{action}"), &json!({})).await.expect_ok();
}

/// Waits until nothing waits any more.
async fn until_sent(client: &Client) {
    for _ in 0..100 {
        if waiting(client).await.is_empty() {
            if Homeserver::chosen() == Homeserver::Synapse {
                // It sends an event some time after it took it off the list.
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("still waiting: {:?}", waiting(client).await);
}

#[tokio::test]
async fn a_message_is_sent_after_its_delay_and_not_before() {
    let (ada, room) = kitchen().await;
    let path = format!("{}?org.matrix.msc4140.delay=400", send_path(&room, KIND, &unique("txn")));
    let content = json!({ "on": true });
    let answer = ada.put(&path, &content).await.expect_ok();
    assert!(answer["delay_id"].is_string() && answer.get("event_id").is_none(), "{answer}");
    let again = ada.put(&path, &content).await.expect_ok();
    assert_eq!(again, answer, "the same transaction");

    let listed = waiting(&ada).await;
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["room_id"], &listed[0]["type"]), (&json!(room), &json!(KIND)));
    assert_eq!((&listed[0]["delay"], &listed[0]["content"]), (&json!(400), &content));
    assert!(listed[0]["running_since"].is_u64() && listed[0].get("state_key").is_none());
    until_sent(&ada).await;
    let tail = complement_tests::room_path(&room, "messages?dir=b&limit=1");
    let mut last = ada.get(&tail).await.expect_ok()["chunk"][0].clone();
    for _ in 0..40 {
        if last["type"] == KIND {
            break;
        }
        // It is off the list a moment before it is in the timeline.
        tokio::time::sleep(Duration::from_millis(50)).await;
        last = ada.get(&tail).await.expect_ok()["chunk"][0].clone();
    }
    assert_eq!((&last["type"], &last["content"]), (&json!(KIND), &content));
}

#[tokio::test]
async fn whoever_knows_the_delay_id_sends_takes_back_or_restarts() {
    let (ada, room) = kitchen().await;
    let sent = delay_state(&ada, &room, "sent", 100_000).await;
    let cancelled = delay_state(&ada, &room, "cancelled", 100_000).await;
    let restarted = delay_state(&ada, &room, "restarted", 800).await;
    assert_eq!(waiting(&ada).await.len(), 3);

    act(&ada, &sent, "send").await;
    assert_eq!(ada.state(&room, KIND, "sent").await, json!({ "on": true }));
    act(&ada, &cancelled, "cancel").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    act(&ada, &restarted, "restart").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let listed = waiting(&ada).await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["state_key"], "restarted");
    until_sent(&ada).await;
    ada.state(&room, KIND, "restarted").await;
    let gone = state_path(&room, KIND, "cancelled");
    ada.get(&gone).await.expect_error(404, "M_NOT_FOUND");

    // As clients did it before.
    let id = delay_state(&ada, &room, "old", 100_000).await;
    let path = format!("{PATH}/{id}");
    ada.post(&path, &json!({ "action": "later" })).await.expect_error(400, "M_INVALID_PARAM");
    ada.post(&path, &json!({ "action": "send" })).await.expect_ok();
    ada.state(&room, KIND, "old").await;
}

#[tokio::test]
async fn state_of_somebody_else_takes_back_what_waits() {
    let (ada, room) = kitchen().await;
    let bo = ada.server().register("bo").await;
    bo.join(&room).await;
    let mut levels = ada.state(&room, "m.room.power_levels", "").await;
    levels["events"][KIND] = json!(0);
    ada.set_state(&room, "m.room.power_levels", "", &levels).await;
    delay_state(&bo, &room, "", 100_000).await;
    ada.set_state(&room, KIND, "", &json!({ "on": false })).await;
    assert!(waiting(&bo).await.is_empty());
}

#[tokio::test]
async fn unknown_delay_ids_actions_and_delays_are_refused() {
    let (ada, room) = kitchen().await;
    for action in ["send", "cancel", "restart"] {
        let answer = ada.post(&format!("{PATH}/nothing/{action}"), &json!({})).await;
        answer.expect_error(404, "M_NOT_FOUND");
    }
    let answer = ada.post(&format!("{PATH}/nothing/later"), &json!({})).await;
    assert_eq!(answer.status, 404, "{}", answer.text);
    ada.server().stranger().get(PATH).await.expect_error(401, "M_MISSING_TOKEN");

    let path = state_path(&room, KIND, "");
    if synapse_departs_from("MSC4140: M_UNKNOWN, with M_MAX_DELAY_EXCEEDED in a key of its own") {
        return;
    }
    let long = ada.put(&format!("{path}?org.matrix.msc4140.delay=86400001"), &json!({})).await;
    let long = long.expect_error(400, "M_UNKNOWN");
    assert_eq!(long["org.matrix.msc4140.errcode"], "M_MAX_DELAY_EXCEEDED");
    assert_eq!(long["org.matrix.msc4140.max_delay"], 86_400_000);
    let never = ada.put(&format!("{path}?org.matrix.msc4140.delay=-5"), &json!({})).await;
    never.expect_error(400, "M_INVALID_PARAM");
    let outsider = ada.server().register("cy").await;
    let answer = outsider.put(&format!("{path}?org.matrix.msc4140.delay=5"), &json!({})).await;
    answer.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn at_most_a_hundred_events_of_a_user_wait() {
    let (ada, room) = kitchen().await;
    for number in 0..100 {
        delay_state(&ada, &room, &number.to_string(), 100_000).await;
    }
    if synapse_departs_from(
        "MSC4140: M_UNKNOWN, with M_MAX_DELAYED_EVENTS_EXCEEDED in a key of its own",
    ) {
        return;
    }
    let path = format!("{}?org.matrix.msc4140.delay=5", state_path(&room, KIND, "more"));
    let answer = ada.put(&path, &json!({})).await.expect_error(400, "M_UNKNOWN");
    assert_eq!(answer["org.matrix.msc4140.errcode"], "M_MAX_DELAYED_EVENTS_EXCEEDED");
}

#[tokio::test]
async fn what_waits_survives_a_crash_and_is_sent_once() {
    let server = Server::start_fresh().await;
    let ada = server.register("ada").await;
    let room = ada.create_room().await;
    let path = format!("{}?org.matrix.msc4140.delay=300", send_path(&room, KIND, &unique("txn")));
    ada.put(&path, &json!({ "on": true })).await.expect_ok();
    delay_state(&ada, &room, "later", 100_000).await;
    server.kill_and_restart().await;
    for _ in 0..100 {
        if waiting(&ada).await.len() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(waiting(&ada).await[0]["state_key"], "later");
    if synapse_departs_from("what is off the list is sent (Synapse sends it after that, or never)")
    {
        return;
    }
    server.kill_and_restart().await;
    let tail = complement_tests::room_path(&room, "messages?dir=b&limit=50");
    let page = ada.get(&tail).await.expect_ok();
    let sent = page["chunk"].as_array().unwrap().iter().filter(|event| event["type"] == KIND);
    assert_eq!(sent.count(), 1, "{page}");
}

/// Spec: "Account locking", "Account suspension", "Account deactivation": such users do nothing that others see.
#[tokio::test]
async fn nothing_is_sent_for_a_user_whose_account_is_not_in_use_any_more() {
    if synapse_departs_from("PUT /_matrix/client/v1/admin/lock/{userId}") {
        return;
    }
    let (ada, _) = kitchen().await;
    let server = ada.server();
    let root = server.register_with_shared_secret("root", Role::Administrator).await;
    let wish = json!({
        "preset": "public_chat", "power_level_content_override": { "events": { KIND: 0 } },
    });
    let room = ada.create_room_with(&wish).await;
    let users = [
        ("locked", server.register("locked").await),
        ("suspended", server.register("suspended").await),
        ("deactivated", server.register("deactivated").await),
        ("kept", server.register("kept").await),
    ];
    let mut ids = Vec::new();
    for (what, user) in &users {
        user.join(&room).await;
        ids.push(delay_state(user, &room, what, 2_000).await);
        match *what {
            "locked" | "suspended" => {
                let verb = if *what == "locked" { "lock" } else { "suspend" };
                let path = format!("/_matrix/client/v1/admin/{verb}/{}", encoded(&user.user_id));
                root.put(&path, &json!({ *what: true })).await.expect_ok();
            }
            "deactivated" => {
                let path = format!("/_synapse/admin/v1/deactivate/{}", encoded(&user.user_id));
                root.post(&path, &json!({})).await.expect_ok();
            }
            _ => {}
        }
    }
    let path = format!("{PATH}/{}/send", ids[0]);
    server.stranger().post(&path, &json!({})).await.expect_error(403, "M_FORBIDDEN");
    until_sent(&users[3].1).await;
    for (what, _) in &users {
        let answer = ada.get(&state_path(&room, KIND, what)).await;
        match *what {
            "kept" => _ = answer.expect_ok(),
            _ => _ = answer.expect_error(404, "M_NOT_FOUND"),
        }
    }
}
