//! Send-to-Device messaging.

use std::time::{Duration, Instant};

use complement_tests::{Client, PASSWORD, Server, synapse_departs_from, unique};
use serde_json::{Value, json};

const TEA: &str = "com.example.tea";

const NOTHING: [u64; 0] = [];

async fn two_users() -> (Client, Client) {
    let server = Server::start().await;
    (server.register("ada").await, server.register("bo").await)
}

fn path(kind: &str, transaction: &str) -> String {
    format!("/_matrix/client/v3/sendToDevice/{kind}/{transaction}")
}

/// A body with one message to one device.
fn cup_for(device: &Client, number: u64) -> Value {
    let Client { user_id, device_id, .. } = device;
    json!({ "messages": { user_id: { device_id: { "cup": number } } } })
}

async fn send(from: &Client, body: &Value) {
    let sent = from.put(&path(TEA, &unique("txn")), body).await;
    assert_eq!(sent.expect_ok(), json!({}));
}

/// What came to the device in a sync answer, in its order.
fn messages(sync: &Value) -> &[Value] {
    sync["to_device"]["events"].as_array().map_or(&[], Vec::as_slice)
}

/// The numbers of the cups that came.
fn cups(sync: &Value) -> Vec<u64> {
    let number = |message: &Value| {
        message["content"]["cup"].as_u64().unwrap_or_else(|| panic!("no cup in {message}"))
    };
    messages(sync).iter().map(number).collect()
}

/// Logs in on the device of an earlier session.
async fn log_in_again(earlier: &Client) -> Client {
    let body = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": earlier.user_id },
        "password": PASSWORD,
        "device_id": earlier.device_id,
    });
    let session = earlier.server().stranger().post("/_matrix/client/v3/login", &body).await;
    Client::of_session(earlier.server(), &session.expect_ok())
}

#[tokio::test]
async fn a_message_reaches_the_device_it_names_and_no_other() {
    let (ada, bo) = two_users().await;
    let phone = bo.log_in().await;
    let clients = [&ada, &bo, &phone];
    let mut before = Vec::new();
    for client in clients {
        before.push(client.sync().await);
    }

    send(&ada, &cup_for(&phone, 1)).await;

    let message = json!({ "sender": ada.user_id, "type": TEA, "content": { "cup": 1 } });
    assert_eq!(messages(&phone.sync_since(&before[2]).await), [message]);
    for (client, before) in [(&ada, &before[0]), (&bo, &before[1])] {
        assert_eq!(cups(&client.sync_since(before).await), NOTHING);
        assert_eq!(cups(&client.sync().await), NOTHING);
    }
}

/// Spec: "The device ID may also be `*`, meaning all known devices for the user."
#[tokio::test]
async fn a_star_reaches_all_devices_of_the_user() {
    let (ada, bo) = two_users().await;
    let phone = bo.log_in().await;
    let user = &bo.user_id;

    send(&ada, &json!({ "messages": { user: { "*": { "cup": 1 } } } })).await;

    for device in [&bo, &phone] {
        let sync = device.sync().await;
        assert_eq!(cups(&sync), [1]);
        // What one device has got, the other has not.
        assert_eq!(cups(&device.sync_since(&sync).await), NOTHING);
    }
    assert_eq!(cups(&ada.sync().await), NOTHING);
}

#[tokio::test]
async fn one_request_has_messages_for_several_users_and_devices() {
    let (ada, bo) = two_users().await;
    let (cy, phone) = (ada.server().register("cy").await, bo.log_in().await);
    let (bos, laptop, mobile) = (&bo.user_id, &bo.device_id, &phone.device_id);
    let (cys, adas, own) = (&cy.user_id, &ada.user_id, &ada.device_id);
    let body = json!({ "messages": {
        bos: { laptop: { "cup": 1 }, mobile: { "cup": 2 } },
        cys: { "*": { "cup": 3 } },
        adas: { own: { "cup": 4 } },
    } });

    send(&ada, &body).await;

    for (device, cup) in [(&bo, 1), (&phone, 2), (&cy, 3), (&ada, 4)] {
        assert_eq!(cups(&device.sync().await), [cup]);
    }
}

/// Spec: "the server should list the pending messages, in order of arrival"
#[tokio::test]
async fn messages_come_in_the_order_sent() {
    let (ada, bo) = two_users().await;
    let phone = ada.log_in().await;
    let before = bo.sync().await;
    for pair in 0..10 {
        send(&ada, &cup_for(&bo, 2 * pair)).await;
        send(&phone, &cup_for(&bo, 2 * pair + 1)).await;
    }
    assert_eq!(cups(&bo.sync_since(&before).await), (0..20).collect::<Vec<u64>>());
}

#[tokio::test]
async fn messages_sent_while_nobody_syncs_are_kept() {
    let (ada, bo) = two_users().await;
    send(&ada, &cup_for(&bo, 1)).await;
    let sync = bo.sync().await;
    assert_eq!(cups(&sync), [1]);

    send(&ada, &cup_for(&bo, 2)).await;
    send(&ada, &cup_for(&bo, 3)).await;

    assert_eq!(cups(&bo.sync_since(&sync).await), [2, 3]);
}

/// Spec: "When the client calls `/sync` again with the `next_batch` token from the first response, the server should
/// infer that any send-to-device messages in that response have been delivered successfully"
#[tokio::test]
async fn a_message_comes_until_it_is_acknowledged_and_then_no_more() {
    let (ada, bo) = two_users().await;
    let before = bo.sync().await;
    send(&ada, &cup_for(&bo, 1)).await;
    let first = bo.sync_since(&before).await;
    assert_eq!(cups(&first), [1]);
    assert_eq!(cups(&bo.sync_since(&before).await), [1]);
    assert_eq!(cups(&bo.sync().await), [1]);

    assert_eq!(cups(&bo.sync_since(&first).await), NOTHING);

    assert_eq!(cups(&bo.sync_since(&before).await), NOTHING);
    assert_eq!(cups(&bo.sync().await), NOTHING);
}

#[tokio::test]
async fn what_was_sent_after_the_token_is_not_acknowledged_with_it() {
    let (ada, bo) = two_users().await;
    send(&ada, &cup_for(&bo, 1)).await;
    let first = bo.sync().await;
    send(&ada, &cup_for(&bo, 2)).await;
    for _ in 0..2 {
        assert_eq!(cups(&bo.sync_since(&first).await), [2]);
    }
    assert_eq!(cups(&bo.sync().await), [2]);
}

/// Spec: "100 messages is recommended as a reasonable limit."
#[tokio::test]
async fn many_messages_come_in_turns_of_at_most_100() {
    let (ada, bo) = two_users().await;
    for number in 0..250 {
        send(&ada, &cup_for(&bo, number)).await;
    }

    let mut sync = bo.sync().await;
    let mut seen: Vec<u64> = Vec::new();
    while seen.len() < 250 {
        let turn = cups(&sync);
        assert!((1..=100).contains(&turn.len()), "{} after {}", turn.len(), seen.len());
        seen.extend(turn);
        sync = bo.sync_since(&sync).await;
    }

    assert_eq!(seen, (0..250).collect::<Vec<u64>>());
    assert_eq!(cups(&sync), NOTHING);
}

/// Spec: "Transaction identifiers".
#[tokio::test]
async fn a_transaction_of_a_device_sends_once() {
    let (ada, bo) = two_users().await;
    let phone = ada.log_in().await;
    let transaction = unique("txn");
    let same = path(TEA, &transaction);
    for _ in 0..3 {
        ada.put(&same, &cup_for(&bo, 1)).await.expect_ok();
    }
    ada.put(&path("com.example.cake", &transaction), &cup_for(&bo, 2)).await.expect_ok();
    phone.put(&same, &cup_for(&bo, 3)).await.expect_ok();
    assert_eq!(cups(&bo.sync().await), [1, 2, 3]);
}

#[tokio::test]
async fn a_message_wakes_the_device_that_waits() {
    let (ada, bo) = two_users().await;
    let before = bo.sync().await;
    let since = before["next_batch"].as_str().unwrap().to_owned();
    let waiter = bo.clone();
    let waiting = tokio::spawn(async move {
        let query = [("since", since.as_str()), ("timeout", "20000")];
        waiter.sync_with(&query).await
    });
    tokio::time::sleep(Duration::from_millis(300)).await;

    send(&ada, &cup_for(&bo, 1)).await;

    let sent = Instant::now();
    assert_eq!(cups(&waiting.await.unwrap()), [1]);
    assert!(sent.elapsed() < Duration::from_secs(5), "{:?}", sent.elapsed());
}

#[tokio::test]
async fn messages_outlive_the_server() {
    let server = Server::start_fresh().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let before = bo.sync().await;
    send(&ada, &cup_for(&bo, 1)).await;
    server.kill_and_restart().await;
    send(&ada, &cup_for(&bo, 2)).await;
    server.restart().await;
    send(&ada, &cup_for(&bo, 3)).await;

    let sync = bo.sync_since(&before).await;

    assert_eq!(cups(&sync), [1, 2, 3]);
    assert_eq!(cups(&bo.sync_since(&sync).await), NOTHING);
    server.kill_and_restart().await;
    assert_eq!(cups(&bo.sync().await), NOTHING);
}

#[tokio::test]
async fn messages_to_unknown_users_and_devices_reach_nobody() {
    let (ada, bo) = two_users().await;
    let (user, device) = (&bo.user_id, &bo.device_id);
    let nobody = format!("@{}:{}", unique("nobody"), bo.server().name());
    let body = json!({ "messages": {
        user: { device: { "cup": 1 }, "NOTHING": { "cup": 2 } },
        nobody: { "*": { "cup": 3 }, device: { "cup": 4 } },
    } });
    send(&ada, &body).await;
    send(&ada, &json!({ "messages": { user: {} } })).await;
    send(&ada, &json!({ "messages": {} })).await;

    assert_eq!(cups(&bo.sync().await), [1]);
    assert_eq!(cups(&ada.sync().await), NOTHING);
}

#[tokio::test]
async fn a_user_of_another_server_is_no_error() {
    let (ada, bo) = two_users().await;
    let (user, device) = (&bo.user_id, &bo.device_id);
    let namesake = format!("@{}:elsewhere.test", bo.name());
    let body = json!({ "messages": {
        user: { device: { "cup": 1 } },
        namesake: { "*": { "cup": 2 }, device: { "cup": 3 } },
    } });
    send(&ada, &body).await;
    assert_eq!(cups(&bo.sync().await), [1]);
}

#[tokio::test]
async fn a_deleted_devices_messages_are_gone() {
    let (ada, bo) = two_users().await;
    let (phone, tablet) = (bo.log_in().await, bo.log_in().await);
    for device in [&bo, &phone, &tablet] {
        send(&ada, &cup_for(device, 1)).await;
    }
    phone.post("/_matrix/client/v3/logout", &json!({})).await.expect_ok();
    let delete = "/_matrix/client/v3/delete_devices";
    let mut body = json!({ "devices": [tablet.device_id] });
    let challenge = bo.post(delete, &body).await.expect_challenge();
    body["auth"] = bo.password_stage(&challenge["session"]);
    bo.post(delete, &body).await.expect_ok();
    send(&ada, &cup_for(&phone, 2)).await;

    for device in [&phone, &tablet] {
        let device = log_in_again(device).await;
        let sync = device.sync().await;
        assert_eq!(cups(&sync), NOTHING);
        send(&ada, &cup_for(&device, 3)).await;
        assert_eq!(cups(&device.sync_since(&sync).await), [3]);
    }
    assert_eq!(cups(&bo.sync().await), [1]);
}

#[tokio::test]
async fn bodies_of_the_wrong_shape_are_refused() {
    let (ada, bo) = two_users().await;
    let path = path(TEA, &unique("txn"));
    let missing = ada.put(&path, &json!({})).await;
    missing.expect_error_of(&[(400, "M_MISSING_PARAM"), (400, "M_BAD_JSON")]);
    if synapse_departs_from("type: object, title: EventContent") {
        return;
    }
    let (user, device) = (&bo.user_id, &bo.device_id);
    for wrong in [json!(5), json!("tea"), json!([]), json!(null)] {
        for messages in [json!({ user: { device: wrong } }), json!({ user: wrong }), wrong.clone()]
        {
            let answer = ada.put(&path, &json!({ "messages": messages })).await;
            answer.expect_error(400, "M_BAD_JSON");
        }
    }
    assert_eq!(cups(&bo.sync().await), NOTHING);
}

#[tokio::test]
async fn sending_to_devices_needs_a_token() {
    let (_, bo) = two_users().await;
    let answer = bo.server().stranger().put(&path(TEA, "1"), &cup_for(&bo, 1)).await;
    answer.expect_error(401, "M_MISSING_TOKEN");
    assert_eq!(cups(&bo.sync().await), NOTHING);
}
