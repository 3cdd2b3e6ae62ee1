//! Relationships between events: edits, reactions, threads, references, and their aggregations.

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
async fn relations_are_listed_newest_first_and_by_kind() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let first = bo.send(&room, "m.reaction", &reaction(&message, "👍")).await;
    let second = bo.send(&room, MESSAGE, &thread_reply(&message, "yes")).await;
    let third = ada.send(&room, MESSAGE, &edit(&message, "Tea")).await;

    let all = related(&ada, &relations_path(&room, &message, "")).await;
    assert_eq!(all, [third.clone(), second.clone(), first.clone()]);
    let forwards = related(&ada, &relations_path(&room, &message, "?dir=f")).await;
    assert_eq!(forwards, [first.clone(), second.clone(), third.clone()]);
    for (tail, wanted) in [
        ("/m.annotation", &first),
        ("/m.thread", &second),
        ("/m.replace", &third),
        ("/m.annotation/m.reaction", &first),
        ("/m.thread/m.room.message", &second),
    ] {
        assert_eq!(
            &related(&ada, &relations_path(&room, &message, tail)).await,
            std::slice::from_ref(wanted)
        );
    }
    let none =
        related(&ada, &relations_path(&room, &message, "/m.annotation/m.room.message")).await;
    assert!(none.is_empty());
}

#[tokio::test]
async fn relations_are_read_page_by_page() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let mut sent = Vec::new();
    for key in ["1", "2", "3", "4", "5"] {
        sent.insert(0, bo.send(&room, "m.reaction", &reaction(&message, key)).await);
    }

    let (mut read, mut from) = (Vec::new(), String::new());
    for _ in 0..5 {
        let path = relations_path(&room, &message, &format!("?limit=2{from}"));
        let page = ada.get(&path).await.expect_ok();
        read.extend(event_ids(page["chunk"].as_array().unwrap()).iter().map(ToString::to_string));
        match page["next_batch"].as_str() {
            Some(next) => from = format!("&from={}", encoded(next)),
            None => break,
        }
    }

    assert_eq!(read, sent);
}

#[tokio::test]
async fn relations_are_closed_to_outsiders_and_of_unknown_events() {
    let (ada, _, room) = kitchen().await;
    let cy = ada.server().register("cy").await;
    let message = ada.say(&room, "tea").await;
    for tail in ["", "/m.annotation", "/m.annotation/m.reaction"] {
        if !synapse_departs_from(
            "404: The parent event was not found or you do not have permission to read this event",
        ) {
            let answer = cy.get(&relations_path(&room, &message, tail)).await;
            answer.expect_error(404, "M_NOT_FOUND");
        }
        let answer = ada.get(&relations_path(&room, "$nothing", tail)).await;
        answer.expect_error_of(&[(404, "M_NOT_FOUND"), (404, "M_UNKNOWN")]);
    }
}

/// Spec: `GET /rooms/{roomId}/relations/{eventId}`, `recurse`: at least three levels.
#[tokio::test]
async fn relations_are_followed_if_asked_for() {
    let (ada, bo, room) = kitchen().await;
    let root = ada.say(&room, "root").await;
    let reply = bo.send(&room, MESSAGE, &thread_reply(&root, "ys")).await;
    let edited = bo.send(&room, MESSAGE, &edit(&reply, "yes")).await;
    let liked = ada.send(&room, "m.reaction", &reaction(&reply, "👍")).await;
    let later = ada.send(&room, MESSAGE, &thread_reply(&root, "fine")).await;

    let direct = ada.get(&relations_path(&room, &root, "")).await.expect_ok();
    assert_eq!(event_ids(direct["chunk"].as_array().unwrap()), [later.as_str(), &reply]);
    assert!(direct.get("recursion_depth").is_none(), "{direct}");

    let all = ada.get(&relations_path(&room, &root, "?recurse=true")).await.expect_ok();
    let found = event_ids(all["chunk"].as_array().unwrap());
    assert_eq!(found, [later.as_str(), &liked, &edited, &reply]);
    assert!(all["recursion_depth"].as_u64() >= Some(3), "{all}");
    let path = relations_path(&room, &root, "/m.annotation?recurse=true");
    assert_eq!(related(&ada, &path).await, std::slice::from_ref(&liked));

    let first =
        ada.get(&relations_path(&room, &root, "?recurse=true&limit=2&dir=f")).await.expect_ok();
    assert_eq!(event_ids(first["chunk"].as_array().unwrap()), [reply.as_str(), &edited]);
    let from = encoded(first["next_batch"].as_str().expect("there is more"));
    let path = relations_path(&room, &root, &format!("?recurse=true&dir=f&from={from}"));
    assert_eq!(related(&ada, &path).await, [liked, later]);
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

/// Spec: MSC3874.
#[tokio::test]
async fn history_is_filtered_by_relation() {
    let (ada, _, room) = kitchen().await;
    let opener = ada.say(&room, "tea?").await;
    let reply = ada.send(&room, MESSAGE, &thread_reply(&opener, "yes")).await;
    let edited = ada.send(&room, MESSAGE, &edit(&opener, "Tea?")).await;
    for (filter, wanted) in [
        (json!({ "org.matrix.msc3874.rel_types": ["m.thread"] }), vec![&reply]),
        (
            json!({ "org.matrix.msc3874.rel_types": ["m.thread", "m.replace"] }),
            vec![&edited, &reply],
        ),
        (
            json!({ "org.matrix.msc3874.not_rel_types": ["m.thread"], "types": [MESSAGE] }),
            vec![&edited, &opener],
        ),
    ] {
        let tail = format!("messages?dir=b&limit=50&filter={}", encoded(&filter.to_string()));
        assert_eq!(
            related(&ada, &room_path(&room, &tail)).await.iter().collect::<Vec<_>>(),
            wanted
        );
    }
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
