//! What was acknowledged is there after the server ended, however it ended.

use complement_tests::{Client, Homeserver, Server, event_ids, room_path, send_path, timeline};
use serde_json::{Value, json};

/// A server of its own with ada and bo in a room.
async fn kitchen() -> (Server, Client, Client, String) {
    let server = Server::start_fresh().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    (server, ada, bo, room)
}

async fn history(client: &Client, room: &str) -> Vec<String> {
    let (mut read, mut from) = (Vec::new(), String::new());
    loop {
        let path = room_path(room, &format!("messages?dir=b&limit=100{from}"));
        let page = client.get(&path).await.expect_ok();
        let chunk = page["chunk"].as_array().expect("chunk is a list");
        read.extend(event_ids(chunk).iter().map(ToString::to_string));
        let Some(end) = page["end"].as_str() else { return read };
        from = format!("&from={}", complement_tests::encoded(end));
    }
}

/// Several clients send until the server is killed under them; gives what was acknowledged.
async fn send_until_killed(server: &Server, clients: [&Client; 2], room: &str) -> Vec<String> {
    let senders: Vec<_> = (0..8)
        .map(|sender| {
            let (client, room) = (clients[sender % 2].clone(), room.to_owned());
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for number in 0..10_000 {
                    let path = send_path(&room, "m.room.message", &format!("{sender}-{number}"));
                    let body = json!({ "msgtype": "m.text", "body": format!("{sender} {number}") });
                    let Ok(answer) = client
                        .request(complement_tests::Method::PUT, &path)
                        .json(&body)
                        .send()
                        .await
                    else {
                        break;
                    };
                    let Ok(answer) = answer.json::<Value>().await else { break };
                    acknowledged.push(answer["event_id"].as_str().expect("an event id").to_owned());
                }
                acknowledged
            })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    server.kill_and_restart().await;
    let mut acknowledged = Vec::new();
    for sender in senders {
        acknowledged.extend(sender.await.expect("a sender does not panic"));
    }
    acknowledged
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    let (server, ada, bo, room) = kitchen().await;
    let mut acknowledged = Vec::new();
    for _ in 0..3 {
        acknowledged.extend(send_until_killed(&server, [&ada, &bo], &room).await);
    }
    assert!(acknowledged.len() > 10, "only {} were sent", acknowledged.len());

    let read: std::collections::HashSet<_> = history(&bo, &room).await.into_iter().collect();

    let lost: Vec<_> = acknowledged.iter().filter(|id| !read.contains(*id)).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), acknowledged.len());
}

#[tokio::test]
async fn everything_is_there_after_a_kill() {
    let (server, ada, bo, room) = kitchen().await;
    let topic = json!({ "topic": "tea" });
    ada.set_state(&room, "m.room.topic", "", &topic).await;
    let message = ada.say(&room, "tea").await;
    let receipt = room_path(&room, &format!("receipt/m.read/{message}"));
    bo.post(&receipt, &json!({})).await.expect_ok();
    let data = format!("/_matrix/client/v3/user/{}/account_data/com.example.tea", bo.user_id);
    bo.put(&data, &json!({ "sugar": 1 })).await.expect_ok();
    let transaction = send_path(&room, "m.room.message", "once");
    let body = json!({ "msgtype": "m.text", "body": "once" });
    let sent = ada.put(&transaction, &body).await.expect_ok();

    server.kill_and_restart().await;

    assert_eq!(ada.state(&room, "m.room.topic", "").await, topic);
    assert_eq!(bo.event(&room, &message).await["content"]["body"], "tea");
    assert_eq!(bo.get(&data).await.expect_ok(), json!({ "sugar": 1 }));
    assert_eq!(ada.put(&transaction, &body).await.expect_ok(), sent);
    let sync = ada.sync().await;
    let ephemeral = sync["rooms"]["join"][&room]["ephemeral"]["events"].to_string();
    assert!(ephemeral.contains(&bo.user_id), "{ephemeral}");
    ada.log_in().await.say(&room, "and on it goes").await;
}

#[tokio::test]
async fn a_sync_token_outlives_the_server() {
    let (server, ada, bo, room) = kitchen().await;
    let before = bo.sync().await;
    let first = ada.say(&room, "before").await;
    server.kill_and_restart().await;
    let second = ada.say(&room, "between").await;
    server.restart().await;
    let third = ada.say(&room, "after").await;

    let sync = bo.sync_since(&before).await;

    assert_eq!(event_ids(timeline(&sync, &room)), [first, second, third]);
}

/// `Server::restart` demands that the server ends with success after SIGTERM.
#[tokio::test]
async fn the_server_stops_when_asked_even_while_clients_wait() {
    let (server, ada, bo, room) = kitchen().await;
    let before = bo.sync().await;
    let since = before["next_batch"].as_str().unwrap();
    let path = format!("/_matrix/client/v3/sync?timeout=30000&since={since}");
    let waiting = tokio::spawn(bo.request(complement_tests::Method::GET, &path).send());
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;

    let start = std::time::Instant::now();
    server.restart().await;

    assert!(start.elapsed() < std::time::Duration::from_secs(15), "{:?}", start.elapsed());
    drop(waiting);
    let message = ada.say(&room, "still here").await;
    assert_eq!(event_ids(timeline(&bo.sync_since(&before).await, &room)), [message]);
}

/// Two processes on one folder would each undo what the other keeps.
#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    if Homeserver::chosen() != Homeserver::Hearth {
        return;
    }
    let (server, ada, _, room) = kitchen().await;

    let (refused, said) = server.start_on_same_data();

    assert!(refused, "the second server runs, or ended with success: {said}");
    assert!(said.contains("data"), "it does not name the data folder: {said}");
    ada.say(&room, "unharmed").await;
}
