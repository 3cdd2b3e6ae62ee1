//! Relationships between events: edits, reactions, threads, references, and their aggregations.

mod listed;
mod threads;

use complement_tests::{
    Client, Server, encoded, event_ids, room_path, send_path, synapse_departs_from, unique,
};
use serde_json::{Value, json};

const MESSAGE: &str = "m.room.message";

async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    (ada, bo, room)
}

fn edit(of: &str, body: &str) -> Value {
    json!({
        "msgtype": "m.text", "body": format!("* {body}"),
        "m.new_content": { "msgtype": "m.text", "body": body },
        "m.relates_to": { "rel_type": "m.replace", "event_id": of },
    })
}

fn reaction(to: &str, key: &str) -> Value {
    json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": to, "key": key } })
}

fn thread_reply(opener: &str, body: &str) -> Value {
    json!({
        "msgtype": "m.text", "body": body,
        "m.relates_to": { "rel_type": "m.thread", "event_id": opener },
    })
}

fn relations_path(room: &str, event: &str, tail: &str) -> String {
    format!("/_matrix/client/v1/rooms/{}/relations/{}{tail}", encoded(room), encoded(event))
}

async fn related(client: &Client, path: &str) -> Vec<String> {
    let answer = client.get(path).await.expect_ok();
    event_ids(answer["chunk"].as_array().expect("chunk is a list"))
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// Spec: "Event replacements", "Server-side aggregation of m.replace relationships": the latest edit is
/// bundled whole, and the original's content stays.
#[tokio::test]
async fn the_latest_edit_is_bundled_with_the_original() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "te").await;
    ada.send(&room, MESSAGE, &edit(&message, "tee")).await;
    let latest = ada.send(&room, MESSAGE, &edit(&message, "tea")).await;

    let event = bo.event(&room, &message).await;

    assert_eq!(event["content"]["body"], "te");
    let bundled = &event["unsigned"]["m.relations"]["m.replace"];
    assert_eq!(bundled["event_id"], latest);
    assert_eq!(bundled["sender"], ada.user_id.as_str());
    assert_eq!(bundled["content"]["m.new_content"]["body"], "tea");
}

/// Spec: "Validity of replacement events": same sender, same type, same room, no state key, not an edit itself.
#[tokio::test]
async fn invalid_edits_are_not_bundled() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    bo.send(&room, MESSAGE, &edit(&message, "cake")).await;
    ada.send(&room, "com.example.other", &edit(&message, "cake")).await;
    let event = ada.event(&room, &message).await;
    assert!(event["unsigned"]["m.relations"].get("m.replace").is_none(), "{event}");
}

#[tokio::test]
async fn a_redacted_edit_gives_way_to_the_one_before() {
    let (ada, _, room) = kitchen().await;
    let message = ada.say(&room, "te").await;
    let first = ada.send(&room, MESSAGE, &edit(&message, "tee")).await;
    let second = ada.send(&room, MESSAGE, &edit(&message, "tea")).await;

    ada.redact(&room, &second).await;
    let event = ada.event(&room, &message).await;
    assert_eq!(event["unsigned"]["m.relations"]["m.replace"]["event_id"], first);

    ada.redact(&room, &first).await;
    let event = ada.event(&room, &message).await;
    assert!(event["unsigned"]["m.relations"].get("m.replace").is_none(), "{event}");
}

/// Spec: "Event replacements": a redacted original bundles no replacement.
#[tokio::test]
async fn a_redacted_original_bundles_no_edit() {
    let (ada, _, room) = kitchen().await;
    let message = ada.say(&room, "te").await;
    ada.send(&room, MESSAGE, &edit(&message, "tea")).await;
    ada.redact(&room, &message).await;
    let event = ada.event(&room, &message).await;
    assert!(event["unsigned"]["m.relations"].get("m.replace").is_none(), "{event}");
}

#[tokio::test]
async fn the_same_reaction_of_one_user_is_refused_the_second_time() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let first = bo.send(&room, "m.reaction", &reaction(&message, "👍")).await;
    bo.send(&room, "m.reaction", &reaction(&message, "☕")).await;
    ada.send(&room, "m.reaction", &reaction(&message, "👍")).await;

    let path = send_path(&room, "m.reaction", &unique("txn"));
    let again = bo.put(&path, &reaction(&message, "👍")).await;
    again.expect_error(400, "M_DUPLICATE_ANNOTATION");

    bo.redact(&room, &first).await;
    bo.send(&room, "m.reaction", &reaction(&message, "👍")).await;
}

/// Spec: "Annotations": they are not bundled.
#[tokio::test]
async fn reactions_are_listed_and_not_bundled() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let id = bo.send(&room, "m.reaction", &reaction(&message, "👍")).await;
    let event = ada.event(&room, &message).await;
    assert!(event["unsigned"]["m.relations"].get("m.annotation").is_none(), "{event}");
    assert_eq!(related(&ada, &relations_path(&room, &message, "/m.annotation")).await, [id]);
}

/// Spec: "Reference relations", bundled as a chunk of event ids.
#[tokio::test]
async fn references_are_bundled_by_id() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let content = json!({
        "body": "see above", "msgtype": "m.text",
        "m.relates_to": { "rel_type": "m.reference", "event_id": message },
    });
    let id = bo.send(&room, MESSAGE, &content).await;

    let event = ada.event(&room, &message).await;

    let bundled = &event["unsigned"]["m.relations"]["m.reference"];
    assert_eq!(bundled["chunk"], json!([{ "event_id": id }]));
}

#[tokio::test]
async fn aggregations_are_bundled_in_history_context_and_sync() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "te").await;
    let edited = ada.send(&room, MESSAGE, &edit(&message, "tea")).await;
    let bundled = |events: &Value| {
        let events = events.as_array().expect("a list of events");
        let event = events.iter().find(|event| event["event_id"] == message.as_str());
        event.expect("the message is there")["unsigned"]["m.relations"]["m.replace"]["event_id"]
            .clone()
    };

    let history = bo.get(&room_path(&room, "messages?dir=b&limit=5")).await.expect_ok();
    assert_eq!(bundled(&history["chunk"]), edited);
    let path = room_path(&room, &format!("context/{}", encoded(&message)));
    let context = bo.get(&path).await.expect_ok();
    let relations = &context["event"]["unsigned"]["m.relations"];
    assert_eq!(relations["m.replace"]["event_id"], edited);
    let filter = json!({ "room": { "timeline": { "limit": 5 } } }).to_string();
    let sync = bo.sync_with(&[("filter", &filter), ("timeout", "0")]).await;
    assert_eq!(bundled(&sync["rooms"]["join"][&room]["timeline"]["events"]), edited);
}

#[tokio::test]
async fn who_left_learns_nothing_of_later_relations() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "te").await;
    let opener = ada.say(&room, "tea?").await;
    let seen = ada.send(&room, MESSAGE, &edit(&message, "tee")).await;
    let reply = ada.send(&room, MESSAGE, &thread_reply(&opener, "one")).await;
    bo.leave(&room).await;
    ada.send(&room, MESSAGE, &edit(&message, "tea")).await;
    ada.send(&room, MESSAGE, &thread_reply(&opener, "two")).await;

    if synapse_departs_from("Only events that the user may see: Synapse bundles all that relates") {
        return;
    }
    let event = bo.event(&room, &message).await;
    assert_eq!(event["unsigned"]["m.relations"]["m.replace"]["event_id"], seen, "{event}");
    let event = bo.event(&room, &opener).await;
    let thread = &event["unsigned"]["m.relations"]["m.thread"];
    assert_eq!((&thread["count"], &thread["latest_event"]["event_id"]), (&json!(1), &json!(reply)));
    let threads = format!("/_matrix/client/v1/rooms/{}/threads", encoded(&room));
    let threads = bo.get(&threads).await.expect_ok();
    let thread = &threads["chunk"][0]["unsigned"]["m.relations"]["m.thread"];
    assert_eq!(thread["latest_event"]["event_id"], reply);
    assert_eq!(related(&bo, &relations_path(&room, &opener, "")).await, [reply]);
}

/// Spec: "Aggregations of child events", "Server-side aggregation of m.thread relationships": not of ignored users.
#[tokio::test]
async fn ignored_users_do_not_appear_in_aggregations_and_history() {
    let (ada, bo, room) = kitchen().await;
    let opener = ada.say(&room, "tea?").await;
    let kept = ada.send(&room, MESSAGE, &thread_reply(&opener, "anyone?")).await;
    let hidden = bo.send(&room, MESSAGE, &thread_reply(&opener, "no")).await;
    let path = format!("/_matrix/client/v3/user/{}/account_data/m.ignored_user_list", ada.user_id);
    let list = json!({ "ignored_users": { bo.user_id.clone(): {} } });
    ada.put(&path, &list).await.expect_ok();

    let event = ada.event(&room, &opener).await;
    let thread = &event["unsigned"]["m.relations"]["m.thread"];
    assert_eq!((&thread["count"], &thread["latest_event"]["event_id"]), (&json!(1), &json!(kept)));
    let history = related(&ada, &room_path(&room, "messages?dir=b&limit=50")).await;
    assert!(history.contains(&kept) && !history.contains(&hidden), "{history:?}");
    let event = bo.event(&room, &opener).await;
    assert_eq!(event["unsigned"]["m.relations"]["m.thread"]["count"], 2);
}

/// Spec: "Avoiding duplicate annotations": "with identical event `type` and annotation `key`".
#[tokio::test]
async fn annotations_of_another_type_are_not_the_same() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    bo.send(&room, "m.reaction", &reaction(&message, "ok")).await;
    let other = bo.send(&room, "com.example.verdict", &reaction(&message, "ok")).await;
    let path = send_path(&room, "com.example.verdict", &unique("txn"));
    bo.put(&path, &reaction(&message, "ok")).await.expect_error(400, "M_DUPLICATE_ANNOTATION");
    bo.redact(&room, &other).await;
    bo.send(&room, "com.example.verdict", &reaction(&message, "ok")).await;
    let path = send_path(&room, "m.reaction", &unique("txn"));
    bo.put(&path, &reaction(&message, "ok")).await.expect_error(400, "M_DUPLICATE_ANNOTATION");
}

/// Spec: "Aggregations of child events": "child events might not be visible to the user […] any aggregations which
/// would normally include those events will be lacking them".
#[tokio::test]
async fn who_came_back_learns_nothing_of_what_was_said_in_between() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let state = json!([{
        "type": "m.room.history_visibility", "content": { "history_visibility": "joined" },
    }]);
    let body = json!({ "preset": "public_chat", "initial_state": state });
    let room = ada.create_room_with(&body).await;
    bo.join(&room).await;
    let (message, opener) = (ada.say(&room, "te").await, ada.say(&room, "tea?").await);
    let seen = ada.send(&room, MESSAGE, &edit(&message, "tee")).await;
    let reply = ada.send(&room, MESSAGE, &thread_reply(&opener, "one")).await;
    bo.leave(&room).await;
    ada.send(&room, MESSAGE, &edit(&message, "tea")).await;
    ada.send(&room, MESSAGE, &thread_reply(&opener, "two")).await;
    let reference = json!({ "m.relates_to": { "rel_type": "m.reference", "event_id": message } });
    ada.send(&room, "com.example.note", &reference).await;
    bo.join(&room).await;

    if synapse_departs_from("aggregations will be lacking what is not visible to the user") {
        return;
    }
    let relations = bo.event(&room, &message).await["unsigned"]["m.relations"].clone();
    assert_eq!(relations["m.replace"]["event_id"], seen);
    assert!(relations.get("m.reference").is_none(), "{relations}");
    let thread = bo.event(&room, &opener).await["unsigned"]["m.relations"]["m.thread"].clone();
    assert_eq!(thread["latest_event"]["event_id"], reply, "{thread}");
}

/// Spec: `m.reaction`: "The `key` field in `m.reaction` can be any string".
#[tokio::test]
async fn a_reaction_may_be_long() {
    let (ada, _, room) = kitchen().await;
    if synapse_departs_from(
        "The key field in m.reaction can be any string (Synapse: 500 characters)",
    ) {
        return;
    }
    let message = ada.say(&room, "tea").await;
    let long = |last: &str| reaction(&message, &format!("{}{last}", "a".repeat(10_000)));
    let first = ada.send(&room, "m.reaction", &long("b")).await;
    ada.send(&room, "m.reaction", &long("c")).await;
    let path = send_path(&room, "m.reaction", &unique("txn"));
    ada.put(&path, &long("b")).await.expect_error(400, "M_DUPLICATE_ANNOTATION");
    ada.redact(&room, &first).await;
    ada.send(&room, "m.reaction", &long("b")).await;
}
