//! Searching for events.

use complement_tests::{Client, Server, encoded, room_path, synapse_departs_from, unique};
use serde_json::{Value, json};

const PATH: &str = "/_matrix/client/v3/search";

async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    (ada, bo, room)
}

fn body(criteria: &Value) -> Value {
    json!({ "search_categories": { "room_events": criteria } })
}

/// What a search by these criteria finds; again and again until it is what is `wanted`, as an index may lag.
async fn search_until(
    client: &Client,
    path: &str,
    criteria: &Value,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    for _ in 0..40 {
        let answer = client.post(path, &body(criteria)).await.expect_ok();
        let found = answer["search_categories"]["room_events"].clone();
        if wanted(&found) {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let answer = client.post(path, &body(criteria)).await.expect_ok();
    answer["search_categories"]["room_events"].clone()
}

async fn search(client: &Client, criteria: Value) -> Value {
    let answer = client.post(PATH, &body(&criteria)).await.expect_ok();
    answer["search_categories"]["room_events"].clone()
}

fn ids(found: &Value) -> Vec<String> {
    let results = found["results"].as_array().expect("results is a list");
    let id = |result: &Value| result["result"]["event_id"].as_str().unwrap_or_default().to_owned();
    results.iter().map(id).collect()
}

async fn found(client: &Client, room: &str, term: &str) -> Vec<String> {
    ids(&search(
        client,
        json!({ "search_term": term, "order_by": "recent", "filter": { "rooms": [room] } }),
    )
    .await)
}

#[tokio::test]
async fn messages_names_and_topics_are_found_by_their_words() {
    let (ada, bo, room) = kitchen().await;
    let word = unique("word").replace('-', "x");
    let message = bo.say(&room, &format!("Some {word}, please!")).await;
    let name = json!({ "name": format!("The {word} house") });
    let name = ada.set_state(&room, "m.room.name", "", &name).await;
    let topic = json!({ "topic": format!("all about {word}") });
    let topic = ada.set_state(&room, "m.room.topic", "", &topic).await;
    bo.say(&room, "something else").await;

    let criteria = json!({ "search_term": word.to_uppercase(), "order_by": "recent" });
    let all = search_until(&ada, PATH, &criteria, |found| found["count"] == 3).await;
    assert_eq!(all["count"], 3);
    assert_eq!(ids(&all), [topic.clone(), name.clone(), message.clone()]);
    assert!(all["results"][0]["rank"].is_number(), "{all}");
    let highlights = all["highlights"].as_array().expect("a list").iter();
    let highlights: Vec<_> = highlights.filter_map(Value::as_str).map(str::to_lowercase).collect();
    assert_eq!(highlights, std::slice::from_ref(&word));
    for (key, wanted) in
        [("content.body", &message), ("content.name", &name), ("content.topic", &topic)]
    {
        let criteria = json!({ "search_term": word, "keys": [key] });
        assert_eq!(ids(&search(&ada, criteria).await), std::slice::from_ref(wanted), "{key}");
    }
}

#[tokio::test]
async fn all_words_must_be_there_whatever_their_order() {
    let (ada, _, room) = kitchen().await;
    let both = ada.say(&room, "green tea, hot").await;
    ada.say(&room, "green grass").await;

    assert_eq!(found(&ada, &room, "tea green").await, [both]);
    assert!(found(&ada, &room, "tea grass").await.is_empty());
}

#[tokio::test]
async fn nothing_is_found_by_no_words() {
    let (ada, _, room) = kitchen().await;
    ada.say(&room, "tea").await;
    if synapse_departs_from(
        "a search term is words: SQLite finds no words in punctuation, but fails",
    ) {
        return;
    }
    for term in ["", " ", "?!", "\""] {
        assert!(found(&ada, &room, term).await.is_empty(), "{term:?}");
    }
}

#[tokio::test]
async fn a_filter_chooses_rooms_senders_and_types() {
    let (ada, bo, room) = kitchen().await;
    let attic = ada.create_room().await;
    let word = unique("word").replace('-', "x");
    let hers = ada.say(&room, &word).await;
    let his = bo.say(&room, &word).await;
    let above = ada.say(&attic, &word).await;
    let name = ada.set_state(&attic, "m.room.name", "", &json!({ "name": word })).await;

    for (filter, wanted) in [
        (json!({ "rooms": [room] }), vec![&his, &hers]),
        (json!({ "rooms": [room], "senders": [bo.user_id] }), vec![&his]),
        (json!({ "rooms": [room], "not_senders": [bo.user_id] }), vec![&hers]),
        (json!({ "not_rooms": [room] }), vec![&name, &above]),
        (json!({ "types": ["m.room.name"] }), vec![&name]),
        (json!({ "rooms": [] }), vec![]),
        (json!({ "limit": 1 }), vec![&name]),
    ] {
        let criteria = json!({ "search_term": word, "order_by": "recent", "filter": filter });
        let found = search(&ada, criteria).await;
        assert_eq!(ids(&found).iter().collect::<Vec<_>>(), wanted, "{filter}");
    }
}

#[tokio::test]
async fn results_are_read_page_by_page_in_either_order() {
    let (ada, _, room) = kitchen().await;
    let mut said = Vec::new();
    for number in 0..7 {
        said.push(ada.say(&room, &format!("tea {number}")).await);
    }
    said.reverse();
    for order in ["recent", "rank"] {
        if order == "rank" && synapse_departs_from("[a] server need not support pagination") {
            continue;
        }
        let criteria = json!({
            "search_term": "tea", "order_by": order, "filter": { "rooms": [room], "limit": 3 },
        });
        let (mut read, mut path) = (Vec::new(), PATH.to_owned());
        for _ in 0..5 {
            let page = search_until(&ada, &path, &criteria, |found| found["count"] == 7).await;
            assert_eq!(page["count"], 7, "{order}");
            read.extend(ids(&page));
            match page["next_batch"].as_str() {
                Some(next) => path = format!("{PATH}?next_batch={}", encoded(next)),
                None => break,
            }
        }
        if order == "rank" {
            read.sort();
            said.sort();
        }
        assert_eq!(read, said, "{order}");
    }
}

/// Spec: "Groups" and "Pagination": a group's token reads on in that group.
#[tokio::test]
async fn groups_are_by_room_and_sender_and_read_on_by_themselves() {
    let (ada, bo, room) = kitchen().await;
    if synapse_departs_from(
        "using a token inside a group will return more results from within that group",
    ) {
        return;
    }
    let attic = ada.create_room().await;
    let word = unique("word").replace('-', "x");
    let mut below = Vec::new();
    for number in 0..3 {
        below.insert(0, bo.say(&room, &format!("{word} {number}")).await);
        ada.say(&attic, &format!("{word} {number}")).await;
    }
    for order in ["recent", "rank"] {
        let criteria = json!({
            "search_term": word, "order_by": order, "filter": { "limit": 2 },
            "groupings": { "group_by": [{ "key": "room_id" }, { "key": "sender" }] },
        });
        let first = search(&ada, criteria.clone()).await;
        let mut grouped: Vec<String> = Vec::new();
        for (_, group) in first["groups"]["room_id"].as_object().expect("groups by room") {
            grouped.extend(
                group["results"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|id| id.as_str().unwrap().to_owned()),
            );
        }
        let mut all = ids(&first);
        grouped.sort();
        all.sort();
        assert_eq!(grouped, all, "{order}");

        for (key, value) in [("room_id", &room), ("sender", &bo.user_id)] {
            let group = &first["groups"][key][value];
            if order == "recent" {
                assert_eq!(group["results"], json!([below[0]]), "{first}");
            }
            let Some(token) = group["next_batch"].as_str() else { continue };
            let mut read: Vec<String> = group["results"]
                .as_array()
                .unwrap()
                .iter()
                .map(|id| id.as_str().unwrap().to_owned())
                .collect();
            let path = format!("{PATH}?next_batch={}", encoded(token));
            let answer = ada.post(&path, &body(&criteria)).await.expect_ok();
            read.extend(ids(&answer["search_categories"]["room_events"]));
            let mut wanted = below.clone();
            if order == "rank" {
                read.sort();
                wanted.sort();
            }
            assert_eq!(read, wanted, "{order} by {key}");
        }
    }
}

#[tokio::test]
async fn a_result_comes_with_its_context_and_profiles_if_asked_for() {
    let (ada, bo, room) = kitchen().await;
    let name = |name: &str| json!({ "membership": "join", "displayname": name });
    bo.set_state(&room, "m.room.member", &bo.user_id, &name("Bo the cook")).await;
    let mut said = Vec::new();
    for body in ["one", "two", "tea", "four", "five"] {
        said.push(bo.say(&room, body).await);
    }
    bo.set_state(&room, "m.room.member", &bo.user_id, &name("Bo the guest")).await;
    let criteria = |context: Value| {
        json!({
            "search_term": "tea", "filter": { "rooms": [room] },
            "event_context": context, "include_state": true,
        })
    };
    let wanted = json!({ "before_limit": 1, "after_limit": 2, "include_profile": true });

    let found = search(&ada, criteria(wanted)).await;

    let context = &found["results"][0]["context"];
    let ids = |events: &Value| -> Vec<String> {
        events
            .as_array()
            .into_iter()
            .flatten()
            .map(|event| event["event_id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&context["events_before"]), said[1..2], "{found}");
    assert_eq!(ids(&context["events_after"]), said[3..5], "{found}");
    assert_eq!(context["profile_info"][&bo.user_id]["displayname"], "Bo the cook");
    let from = encoded(context["end"].as_str().expect("a token"));
    let tail = format!("messages?dir=b&limit=1&from={from}");
    let page = ada.get(&room_path(&room, &tail)).await.expect_ok();
    assert_eq!(page["chunk"][0]["event_id"], said[4]);
    let state = found["state"][&room].as_array().expect("the room's state");
    assert!(state.iter().any(|event| event["type"] == "m.room.create"), "{found}");

    let without =
        search(&ada, json!({ "search_term": "tea", "filter": { "rooms": [room] } })).await;
    let is_empty = |value: Option<&Value>| value.is_none_or(|value| *value == json!({}));
    assert!(is_empty(without["results"][0].get("context")), "{without}");
    assert!(is_empty(without.get("state")), "{without}");
}

#[tokio::test]
async fn redacted_events_are_not_found() {
    let (ada, bo, room) = kitchen().await;
    let (gone, stays) = (bo.say(&room, "tea with milk").await, bo.say(&room, "tea").await);
    assert_eq!(found(&ada, &room, "tea").await.len(), 2);
    ada.redact(&room, &gone).await;
    assert_eq!(found(&ada, &room, "tea").await, [stays]);
    assert!(found(&ada, &room, "milk").await.is_empty());
}

/// The specification leaves edits to servers; here what a message says now is found, under the message.
#[tokio::test]
async fn an_edited_message_is_found_by_what_it_says_now() {
    let (ada, _, room) = kitchen().await;
    if synapse_departs_from(
        "results are events: Synapse gives the edit itself, and what it replaced",
    ) {
        return;
    }
    let message = ada.say(&room, "coffee").await;
    let edit = |body: &str| {
        json!({
            "msgtype": "m.text", "body": format!("* {body}"),
            "m.new_content": { "msgtype": "m.text", "body": body },
            "m.relates_to": { "rel_type": "m.replace", "event_id": message },
        })
    };
    ada.send(&room, "m.room.message", &edit("cocoa")).await;
    let last = ada.send(&room, "m.room.message", &edit("tea")).await;

    let criteria = json!({ "search_term": "tea", "filter": { "rooms": [room] } });
    let result = search(&ada, criteria).await["results"][0]["result"].clone();
    assert_eq!(result["event_id"], message.as_str());
    assert_eq!(result["unsigned"]["m.relations"]["m.replace"]["event_id"], last);
    assert!(found(&ada, &room, "coffee").await.is_empty());
    assert!(found(&ada, &room, "cocoa").await.is_empty());

    ada.redact(&room, &last).await;
    assert_eq!(found(&ada, &room, "cocoa").await, [message.as_str()]);
}

/// Spec: "Only events that the user is allowed to see will be searched, e.g. it won't include events in rooms that
/// happened after you left."
#[tokio::test]
async fn only_what_the_reader_may_see_is_found_and_counted() {
    let server = Server::start().await;
    let (ada, bo, cy) =
        (server.register("ada").await, server.register("bo").await, server.register("cy").await);
    let visibility = json!([{
        "type": "m.room.history_visibility", "content": { "history_visibility": "joined" },
    }]);
    let room = ada
        .create_room_with(&json!({ "preset": "public_chat", "initial_state": visibility }))
        .await;
    ada.say(&room, "tea before").await;
    bo.join(&room).await;
    let seen = ada.say(&room, "tea while").await;
    bo.leave(&room).await;
    ada.say(&room, "tea after").await;

    assert_eq!(found(&ada, &room, "tea").await.len(), 3);
    if synapse_departs_from("including events in rooms that they have left") {
        return;
    }
    let criteria = json!({ "search_term": "tea", "filter": { "rooms": [room] } });
    let of_bo = search(&bo, criteria.clone()).await;
    assert_eq!(ids(&of_bo), [seen]);
    assert_eq!(of_bo["count"], 1);
    let of_cy = search(&cy, criteria).await;
    assert_eq!((ids(&of_cy).len(), &of_cy["count"]), (0, &json!(0)));
}

#[tokio::test]
async fn nonsense_criteria_answer_400() {
    let (ada, _, _) = kitchen().await;
    for criteria in [
        json!({ "search_term": "tea", "order_by": "taste" }),
        json!({ "search_term": "tea", "groupings": { "group_by": [{ "key": "colour" }] } }),
        json!({}),
    ] {
        let answer = ada.post(PATH, &body(&criteria)).await;
        assert_eq!(answer.status, 400, "{criteria}: {}", answer.text);
    }
    let criteria = body(&json!({ "search_term": "tea" }));
    let answer = ada.post(&format!("{PATH}?next_batch=nonsense"), &criteria).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    ada.post(PATH, &json!({})).await.expect_error_of(&[
        (400, "M_BAD_JSON"),
        (400, "M_MISSING_PARAM"),
        (400, "M_INVALID_PARAM"),
        (400, "M_UNKNOWN"),
    ]);
    let stranger = ada.server().stranger();
    stranger.post(PATH, &criteria).await.expect_error(401, "M_MISSING_TOKEN");
}

/// About hearth: the index is a copy, and what it missed it gets when the server starts.
#[tokio::test]
async fn what_was_sent_right_before_a_crash_is_found_after_it() {
    let server = Server::start_fresh().await;
    let ada = server.register("ada").await;
    let room = ada.create_room().await;
    let mut said = Vec::new();
    for round in 0..3 {
        said.insert(0, ada.say(&room, &format!("tea {round}")).await);
        server.kill_and_restart().await;
        let criteria = json!({ "search_term": "tea", "order_by": "recent" });
        let wanted = said.len();
        let found = search_until(&ada, PATH, &criteria, |found| found["count"] == wanted).await;
        assert_eq!(ids(&found), said);
    }
}

/// Spec: "Search Categories": "The search will *not* include rooms that are end to end encrypted".
#[tokio::test]
async fn encrypted_rooms_are_not_searched() {
    let (ada, _, room) = kitchen().await;
    ada.say(&room, "tea").await;
    assert_eq!(found(&ada, &room, "tea").await.len(), 1);
    let algorithm = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
    ada.set_state(&room, "m.room.encryption", "", &algorithm).await;
    ada.set_state(&room, "m.room.name", "", &json!({ "name": "tea" })).await;
    if synapse_departs_from("The search will not include rooms that are end to end encrypted") {
        return;
    }
    assert!(found(&ada, &room, "tea").await.is_empty());
}
