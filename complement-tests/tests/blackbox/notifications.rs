//! Listing notifications, and the counts of unread ones in sync answers.

use complement_tests::{Client, Server, encoded, room_path, synapse_departs_from};
use serde_json::{Value, json};

const LIST: &str = "/_matrix/client/v3/notifications";

/// Ada and Bo in a room of theirs.
async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    (ada, bo, room)
}

/// The IDs of the listed events that are messages, in their order.
fn listed(answer: &Value) -> Vec<&str> {
    let list = answer["notifications"].as_array().expect("notifications are a list");
    let events = list.iter().map(|notification| &notification["event"]);
    events.filter_map(|event| event["event_id"].as_str()).collect()
}

async fn mention(from: &Client, whom: &Client, room: &str) -> String {
    let content = json!({
        "msgtype": "m.text", "body": "you!", "m.mentions": { "user_ids": [whom.user_id] },
    });
    from.send(room, "m.room.message", &content).await
}

async fn read(client: &Client, room: &str, event: &str, kind: &str, body: &Value) {
    let path = room_path(room, &format!("receipt/{kind}/{}", encoded(event)));
    client.post(&path, body).await.expect_ok();
}

/// Notifications and highlights of a room, as its reader syncs it whole.
async fn counts(client: &Client, room: &str) -> (u64, u64) {
    let sync = client.sync().await;
    let counts = &sync["rooms"]["join"][room]["unread_notifications"];
    let number = |key: &str| counts[key].as_u64().unwrap_or_default();
    (number("notification_count"), number("highlight_count"))
}

/// Waits for these counts: Synapse brings them up to date some time after a redaction is answered.
async fn expect_counts(client: &Client, room: &str, wanted: (u64, u64)) {
    let mut found = counts(client, room).await;
    for _ in 0..100 {
        if found == wanted {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        found = counts(client, room).await;
    }
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn what_notified_is_listed_newest_first() {
    let (ada, bo, room) = kitchen().await;
    let first = ada.say(&room, "one").await;
    bo.say(&room, "my own do not notify me").await;
    let notice = json!({ "msgtype": "m.notice", "body": "nor do notices" });
    ada.send(&room, "m.room.message", &notice).await;
    let last = mention(&ada, &bo, &room).await;

    let answer = bo.get(LIST).await.expect_ok();

    assert_eq!(listed(&answer), [&last, &first]);
    let newest = &answer["notifications"][0];
    assert_eq!(newest["room_id"], room);
    assert_eq!(newest["read"], false);
    assert_eq!(newest["event"]["type"], "m.room.message");
    assert_eq!(newest["event"]["sender"], ada.user_id);
    assert!(newest["ts"].as_u64().is_some_and(|ts| ts > 1_500_000_000_000), "{newest}");
    let actions = newest["actions"].as_array().expect("actions are a list");
    assert!(actions.contains(&json!("notify")), "{newest}");
    if synapse_departs_from("If [next_token] is absent, there are no more results") {
        return;
    }
    assert!(answer.get("next_token").is_none(), "{answer}");
}

#[tokio::test]
async fn the_list_is_read_page_by_page() {
    let (ada, bo, room) = kitchen().await;
    let mut expected = Vec::new();
    for number in 0..5 {
        expected.insert(0, ada.say(&room, &number.to_string()).await);
    }
    let mut found = Vec::new();
    let mut path = format!("{LIST}?limit=2");
    loop {
        let answer = bo.get(&path).await.expect_ok();
        let page = listed(&answer);
        assert!(page.len() <= 2, "{answer}");
        found.extend(page.into_iter().map(ToOwned::to_owned));
        match answer["next_token"].as_str() {
            Some(token) => path = format!("{LIST}?limit=2&from={}", encoded(token)),
            None => break,
        }
        assert!(found.len() <= 5, "the pages do not end");
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn only_highlights_are_listed_on_demand() {
    let (ada, bo, room) = kitchen().await;
    let loud = mention(&ada, &bo, &room).await;
    ada.say(&room, "tea").await;
    let answer = bo.get(&format!("{LIST}?only=highlight")).await.expect_ok();
    assert_eq!(listed(&answer), [&loud]);
}

#[tokio::test]
async fn the_list_says_what_is_read() {
    let (ada, bo, room) = kitchen().await;
    let first = ada.say(&room, "one").await;
    ada.say(&room, "two").await;
    read(&bo, &room, &first, "m.read", &json!({})).await;
    let answer = bo.get(LIST).await.expect_ok();
    let reads: Vec<_> = answer["notifications"].as_array().expect("a list").iter().collect();
    let reads: Vec<_> = reads.iter().map(|notification| &notification["read"]).collect();
    assert_eq!(reads, [&json!(false), &json!(true)]);
}

#[tokio::test]
async fn an_invitation_is_listed() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room_with(&json!({ "preset": "private_chat" })).await;
    ada.invite(&room, &bo).await;
    let answer = bo.get(LIST).await.expect_ok();
    let notification = &answer["notifications"][0];
    assert_eq!(notification["room_id"], room);
    assert_eq!(notification["event"]["content"]["membership"], "invite");
}

#[tokio::test]
async fn a_token_that_is_none_is_refused() {
    let ada = Server::start().await.register("ada").await;
    if synapse_departs_from("[from] should be the `next_token` returned from an earlier call") {
        return;
    }
    let answer = ada.get(&format!("{LIST}?from=nonsense")).await;
    answer.expect_error(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn the_list_needs_an_access_token() {
    let stranger = Server::start().await.stranger();
    stranger.get(LIST).await.expect_error(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn a_redacted_event_is_neither_counted_nor_listed() {
    let (ada, bo, room) = kitchen().await;
    let gone = mention(&ada, &bo, &room).await;
    let stays = ada.say(&room, "tea").await;
    assert_eq!(counts(&bo, &room).await, (2, 1));

    ada.redact(&room, &gone).await;

    expect_counts(&bo, &room, (1, 0)).await;
    assert_eq!(listed(&bo.get(LIST).await.expect_ok()), [&stays]);
}

#[tokio::test]
async fn edits_and_reactions_are_not_counted() {
    let (ada, bo, room) = kitchen().await;
    let tea = ada.say(&room, "tea").await;
    let edit = json!({
        "msgtype": "m.text", "body": "* cake",
        "m.new_content": { "msgtype": "m.text", "body": "cake" },
        "m.relates_to": { "rel_type": "m.replace", "event_id": tea },
    });
    ada.send(&room, "m.room.message", &edit).await;
    let reaction = json!({
        "m.relates_to": { "rel_type": "m.annotation", "event_id": tea, "key": "+" },
    });
    ada.send(&room, "m.reaction", &reaction).await;
    assert_eq!(counts(&bo, &room).await, (1, 0));
}

/// Spec: "Marking notifications as read": of `m.read` and `m.read.private` the one further ahead counts.
#[tokio::test]
async fn the_receipt_that_is_further_ahead_counts() {
    let (ada, bo, room) = kitchen().await;
    let first = ada.say(&room, "one").await;
    let second = ada.say(&room, "two").await;
    ada.say(&room, "three").await;
    read(&bo, &room, &second, "m.read.private", &json!({})).await;
    read(&bo, &room, &first, "m.read", &json!({})).await;
    assert_eq!(counts(&bo, &room).await, (1, 0));
}

/// Spec: "Push Rules": disabled rules never match. A rule of a room comes before those for all messages.
#[tokio::test]
async fn a_changed_rule_changes_what_is_counted_from_then_on() {
    let (ada, bo, room) = kitchen().await;
    let path = format!("/_matrix/client/v3/pushrules/global/room/{}", encoded(&room));
    bo.put(&path, &json!({ "actions": [] })).await.expect_ok();
    ada.say(&room, "muted").await;
    mention(&ada, &bo, &room).await;
    assert_eq!(counts(&bo, &room).await, (1, 1));
    bo.delete(&path).await.expect_ok();
    ada.say(&room, "heard").await;
    assert!(counts(&bo, &room).await.0 >= 2);
}

/// Spec: "Ignoring Users": messages of ignored users are not sent, so nobody could read them away.
#[tokio::test]
async fn messages_of_ignored_users_are_not_counted() {
    let (ada, bo, room) = kitchen().await;
    let path = format!(
        "/_matrix/client/v3/user/{}/account_data/m.ignored_user_list",
        encoded(&bo.user_id)
    );
    bo.put(&path, &json!({ "ignored_users": { &ada.user_id: {} } })).await.expect_ok();
    ada.say(&room, "tea").await;
    assert_eq!(counts(&bo, &room).await, (0, 0));
}

/// Spec: "Events on Change of Profile Information": the server sends it, so it marks nothing as read.
#[tokio::test]
async fn a_new_name_reads_nothing_away() {
    let (ada, bo, room) = kitchen().await;
    ada.say(&room, "tea").await;
    if synapse_departs_from("When the user updates their read receipt [...] by sending an event") {
        return;
    }
    let before = ada.sync().await;
    let path = format!("/_matrix/client/v3/profile/{}/displayname", encoded(&bo.user_id));
    bo.put(&path, &json!({ "displayname": "Bo the cook" })).await.expect_ok();
    ada.sync_until(&before, |sync| !sync["rooms"]["join"][&room].is_null()).await;
    assert_eq!(counts(&bo, &room).await, (1, 0));
}

/// Spec: `m.marked_unread`: account data that the server just keeps.
#[tokio::test]
async fn a_room_marked_unread_counts_as_before() {
    let (_, bo, room) = kitchen().await;
    let path = format!(
        "/_matrix/client/v3/user/{}/rooms/{}/account_data/m.marked_unread",
        encoded(&bo.user_id),
        encoded(&room)
    );
    let before = bo.sync().await;
    bo.put(&path, &json!({ "unread": true })).await.expect_ok();
    let marked = |sync: &Value| {
        let events = sync["rooms"]["join"][&room]["account_data"]["events"].as_array();
        events.is_some_and(|events| {
            events.iter().any(|event| {
                event["type"] == "m.marked_unread" && event["content"]["unread"] == true
            })
        })
    };
    bo.sync_until(&before, marked).await;
    assert_eq!(counts(&bo, &room).await, (0, 0));
}
