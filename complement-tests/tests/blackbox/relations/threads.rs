//! Threads. Spec: client-server API, "Threading".

use complement_tests::{encoded, event_ids, room_path, send_path, synapse_departs_from, unique};
use serde_json::json;

use super::{MESSAGE, edit, kitchen, reaction, related, thread_reply};

/// Spec: "Threading", "Server-side aggregation of m.thread relationships".
#[tokio::test]
async fn a_thread_is_summed_up_at_its_root() {
    let (ada, bo, room) = kitchen().await;
    let cy = ada.server().register("cy").await;
    cy.join(&room).await;
    let opener = ada.say(&room, "tea?").await;
    bo.send(&room, MESSAGE, &thread_reply(&opener, "yes")).await;
    let latest = bo.send(&room, MESSAGE, &thread_reply(&opener, "please")).await;

    for (reader, took_part) in [(&ada, true), (&bo, true), (&cy, false)] {
        let event = reader.event(&room, &opener).await;
        let thread = &event["unsigned"]["m.relations"]["m.thread"];
        assert_eq!(thread["count"], 2);
        assert_eq!(thread["latest_event"]["event_id"], latest);
        assert_eq!(thread["latest_event"]["content"]["body"], "please");
        assert_eq!(thread["current_user_participated"], took_part, "{}", reader.user_id);
    }
}

#[tokio::test]
async fn a_redacted_reply_is_not_counted() {
    let (ada, bo, room) = kitchen().await;
    let opener = ada.say(&room, "tea?").await;
    let first = bo.send(&room, MESSAGE, &thread_reply(&opener, "yes")).await;
    let second = bo.send(&room, MESSAGE, &thread_reply(&opener, "please")).await;

    bo.redact(&room, &second).await;

    let event = ada.event(&room, &opener).await;
    let thread = &event["unsigned"]["m.relations"]["m.thread"];
    assert_eq!(thread["count"], 1);
    assert_eq!(thread["latest_event"]["event_id"], first);
}

#[tokio::test]
async fn the_latest_reply_of_a_thread_bundles_its_edit() {
    let (ada, bo, room) = kitchen().await;
    let opener = ada.say(&room, "tea?").await;
    let reply = bo.send(&room, MESSAGE, &thread_reply(&opener, "ys")).await;
    let edited = bo.send(&room, MESSAGE, &edit(&reply, "yes")).await;

    let event = ada.event(&room, &opener).await;

    let thread = &event["unsigned"]["m.relations"]["m.thread"];
    assert_eq!(thread["count"], 1);
    let latest = &thread["latest_event"];
    assert_eq!(latest["event_id"], reply);
    assert_eq!(latest["unsigned"]["m.relations"]["m.replace"]["event_id"], edited);
}

#[tokio::test]
async fn threads_are_listed_by_their_latest_reply() {
    let (ada, bo, room) = kitchen().await;
    let (tea, cake) = (ada.say(&room, "tea?").await, bo.say(&room, "cake?").await);
    bo.send(&room, MESSAGE, &thread_reply(&cake, "oh yes")).await;
    bo.send(&room, MESSAGE, &thread_reply(&tea, "later")).await;
    let path = |tail: &str| format!("/_matrix/client/v1/rooms/{}/threads{tail}", encoded(&room));

    assert_eq!(related(&ada, &path("")).await, [tea.clone(), cake.clone()]);
    assert_eq!(related(&ada, &path("?include=participated")).await, std::slice::from_ref(&tea));

    let first = ada.get(&path("?limit=1")).await.expect_ok();
    assert_eq!(event_ids(first["chunk"].as_array().unwrap()), [tea]);
    let from = encoded(first["next_batch"].as_str().expect("there are more threads"));
    assert_eq!(related(&ada, &path(&format!("?limit=1&from={from}"))).await, [cake]);
}

/// The count is of all replies, and costs the same however many there are.
#[tokio::test]
async fn a_long_thread_is_counted_right_through_redactions() {
    let (ada, bo, room) = kitchen().await;
    let opener = ada.say(&room, "tea?").await;
    let count = async || {
        let event = ada.event(&room, &opener).await;
        event["unsigned"]["m.relations"]["m.thread"]["count"].as_u64().expect("a count")
    };
    let mut replies = Vec::new();
    for round in 0..3 {
        for number in 0..60 {
            replies
                .push(bo.send(&room, MESSAGE, &thread_reply(&opener, &number.to_string())).await);
        }
        assert_eq!(count().await, 60 * (round + 1) - 2 * round);
        for reply in [replies.remove(0), replies.pop().unwrap()] {
            bo.redact(&room, &reply).await;
            // Again, which changes nothing.
            bo.redact(&room, &reply).await;
        }
        assert_eq!(count().await, 58 * (round + 1));
    }
}

/// Spec: "Validation of `m.thread` relationships": 400 with `M_UNKNOWN`.
#[tokio::test]
async fn no_thread_begins_at_an_event_that_relates_to_another() {
    let (ada, bo, room) = kitchen().await;
    let opener = ada.say(&room, "tea?").await;
    let reply = bo.send(&room, MESSAGE, &thread_reply(&opener, "yes")).await;
    let liked = bo.send(&room, "m.reaction", &reaction(&opener, "👍")).await;
    for root in [&reply, &liked] {
        let path = send_path(&room, MESSAGE, &unique("txn"));
        let answer = ada.put(&path, &thread_reply(root, "no")).await;
        answer.expect_error(400, "M_UNKNOWN");
    }
    // A reply is no relation of a type.
    let content = json!({
        "msgtype": "m.text", "body": "yes",
        "m.relates_to": { "m.in_reply_to": { "event_id": opener } },
    });
    let answer = bo.send(&room, MESSAGE, &content).await;
    ada.send(&room, MESSAGE, &thread_reply(&answer, "fine")).await;
}

/// Spec: `GET /rooms/{roomId}/threads`, 400 and 403.
#[tokio::test]
async fn threads_are_closed_to_outsiders_and_nonsense() {
    let (ada, _, room) = kitchen().await;
    let cy = ada.server().register("cy").await;
    let path = |room: &str, tail: &str| {
        format!("/_matrix/client/v1/rooms/{}/threads{tail}", encoded(room))
    };
    cy.get(&path(&room, "")).await.expect_error(403, "M_FORBIDDEN");
    cy.get(&path("!nothing:hearth.test", "")).await.expect_error(403, "M_FORBIDDEN");
    let ban = json!({ "user_id": cy.user_id });
    ada.post(&room_path(&room, "ban"), &ban).await.expect_ok();
    cy.get(&path(&room, "")).await.expect_error(403, "M_FORBIDDEN");
    for query in ["?from=nonsense", "?include=some", "?limit=0"] {
        if query == "?limit=0" && synapse_departs_from("an integer greater than zero") {
            continue;
        }
        let answer = ada.get(&path(&room, query)).await;
        answer.expect_error_of(&[(400, "M_INVALID_PARAM"), (400, "M_UNKNOWN")]);
    }
}

/// Spec: `GET /rooms/{roomId}/threads`: "If the thread root event was sent by an ignored user, the event is returned
/// redacted to the caller"; ordered "by the `latest_event` in each event's aggregated children".
#[tokio::test]
async fn roots_of_ignored_users_are_listed_redacted_and_their_replies_do_not_count() {
    let (ada, bo, room) = kitchen().await;
    let (his, hers) = (bo.say(&room, "cake?").await, ada.say(&room, "tea?").await);
    ada.send(&room, MESSAGE, &thread_reply(&hers, "anyone?")).await;
    ada.send(&room, MESSAGE, &thread_reply(&his, "yes")).await;
    bo.send(&room, MESSAGE, &thread_reply(&hers, "no")).await;
    let path = format!("/_matrix/client/v3/user/{}/account_data/m.ignored_user_list", ada.user_id);
    let list = json!({ "ignored_users": { bo.user_id.clone(): {} } });
    ada.put(&path, &list).await.expect_ok();

    let path = format!("/_matrix/client/v1/rooms/{}/threads", encoded(&room));
    let threads = ada.get(&path).await.expect_ok();

    if synapse_departs_from("if sent by an ignored user, the event is returned redacted") {
        return;
    }
    let threads = threads["chunk"].as_array().expect("a list");
    let shown = threads.iter().find(|event| event["event_id"] == his).expect("it is listed");
    assert_eq!(shown["content"], json!({}));
    assert_eq!(shown["unsigned"]["m.relations"]["m.thread"]["count"], 1);
    assert_eq!(event_ids(threads), [his, hers]);
}
