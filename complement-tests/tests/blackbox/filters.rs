//! Filters: stored and inline.

use std::collections::BTreeMap;

use complement_tests::{
    Client, Server, encoded, event_ids, room_path, synapse_departs_from, timeline, unique,
};
use serde_json::{Value, json};

fn path(client: &Client, tail: &str) -> String {
    format!("/_matrix/client/v3/user/{}/filter{tail}", encoded(&client.user_id))
}

async fn store(client: &Client, filter: &Value) -> String {
    let answer = client.post(&path(client, ""), filter).await.expect_ok();
    answer["filter_id"].as_str().expect("a filter id").to_owned()
}

async fn sync_filtered(client: &Client, filter: &str) -> Value {
    client.sync_with(&[("filter", filter), ("timeout", "0")]).await
}

#[tokio::test]
async fn a_filter_is_stored_and_read_back() {
    let ada = Server::start().await.register("ada").await;
    let filter = json!({
        "room": { "timeline": { "limit": 3, "types": ["m.room.message"] } },
        "event_fields": ["type", "content"],
    });
    let id = store(&ada, &filter).await;
    // Clients tell an id from an inline filter by its first character.
    assert!(!id.starts_with('{'), "{id}");
    let stored = ada.get(&path(&ada, &format!("/{id}"))).await.expect_ok();
    assert_eq!(stored["room"]["timeline"], filter["room"]["timeline"]);
    assert_eq!(stored["event_fields"], filter["event_fields"]);
}

#[tokio::test]
async fn an_unknown_filter_is_refused() {
    let ada = Server::start().await.register("ada").await;
    let answer = ada.get(&path(&ada, "/987654")).await;
    answer.expect_error(404, "M_NOT_FOUND");
    let answer = ada.get("/_matrix/client/v3/sync?filter=987654&timeout=0").await;
    assert!((400..500).contains(&answer.status), "{} {}", answer.status, answer.text);
}

#[tokio::test]
async fn filters_are_their_owners_alone() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let id = store(&ada, &json!({})).await;
    let answer = bo.get(&path(&ada, &format!("/{id}"))).await;
    answer.expect_error(403, "M_FORBIDDEN");
    bo.post(&path(&ada, ""), &json!({})).await.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn filters_of_the_wrong_shape_are_refused() {
    let ada = Server::start().await.register("ada").await;
    let mut filters = vec![
        json!({ "room": { "timeline": { "types": "m.room.message" } } }),
        json!({ "presence": { "senders": [5] } }),
    ];
    if !synapse_departs_from("limit: integer") {
        filters.push(json!({ "room": { "timeline": { "limit": "many" } } }));
        filters.push(json!({ "room": [] }));
    }
    for filter in filters {
        let answer = ada.post(&path(&ada, ""), &filter).await;
        assert_eq!(answer.status, 400, "{filter}: {}", answer.text);
    }
}

#[tokio::test]
async fn stored_and_inline_filters_limit_the_timeline_alike() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    ada.say(&room, "tea").await;
    let last = ada.say(&room, "cake").await;
    let filter = json!({ "room": { "timeline": { "limit": 1 } } });
    let stored = store(&ada, &filter).await;
    for filter in [stored, filter.to_string()] {
        let sync = sync_filtered(&ada, &filter).await;
        assert_eq!(event_ids(timeline(&sync, &room)), [last.as_str()], "{filter}");
        assert_eq!(sync["rooms"]["join"][&room]["timeline"]["limited"], true);
    }
}

#[tokio::test]
async fn the_timeline_is_filtered_by_type_and_sender() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    let tea = ada.say(&room, "tea").await;
    let gong = bo.send(&room, "com.example.gong", &json!({})).await;
    let cake = bo.say(&room, "cake").await;
    let cases = [
        (json!({ "types": ["m.room.message"] }), vec![&tea, &cake]),
        (json!({ "types": ["m.room.message"], "senders": [bo.user_id] }), vec![&cake]),
        (json!({ "types": ["m.room.message"], "not_senders": [bo.user_id] }), vec![&tea]),
        (json!({ "types": ["com.example.*"] }), vec![&gong]),
        (json!({ "types": [] }), vec![]),
    ];
    for (filter, wanted) in cases {
        let filter = json!({ "room": { "timeline": filter } }).to_string();
        let sync = sync_filtered(&ada, &filter).await;
        assert_eq!(event_ids(timeline(&sync, &room)), wanted, "{filter}");
    }
}

#[tokio::test]
async fn rooms_are_chosen_by_id() {
    let ada = Server::start().await.register("ada").await;
    let (kitchen, attic) = (ada.create_room().await, ada.create_room().await);
    let mut cases = vec![(json!({ "rooms": [kitchen] }), &kitchen)];
    if !synapse_departs_from("not_rooms: A list of room IDs to exclude.") {
        cases.push((json!({ "not_rooms": [attic] }), &kitchen));
        cases.push((json!({ "rooms": [kitchen, attic], "not_rooms": [kitchen] }), &attic));
    }
    for (filter, wanted) in cases {
        let sync = sync_filtered(&ada, &json!({ "room": filter }).to_string()).await;
        let rooms = sync["rooms"]["join"].as_object().expect("joined rooms");
        assert_eq!(rooms.keys().collect::<Vec<_>>(), [wanted], "{filter}");
    }
}

#[tokio::test]
async fn account_data_is_filtered() {
    let ada = Server::start().await.register("ada").await;
    for kind in ["com.example.tea", "com.example.cake"] {
        let path = format!("/_matrix/client/v3/user/{}/account_data/{kind}", ada.user_id);
        ada.put(&path, &json!({ "sugar": 1 })).await.expect_ok();
    }
    let filter = json!({ "account_data": { "types": ["com.example.tea"] } }).to_string();
    let sync = sync_filtered(&ada, &filter).await;
    let wanted = json!([{ "type": "com.example.tea", "content": { "sugar": 1 } }]);
    assert_eq!(sync["account_data"]["events"], wanted);
}

#[tokio::test]
async fn state_is_filtered() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room_with(&json!({ "name": "Kitchen" })).await;
    for number in 0..3 {
        ada.say(&room, &number.to_string()).await;
    }
    let filter = json!({
        "room": { "state": { "types": ["m.room.name"] }, "timeline": { "limit": 1 } },
    });
    let sync = sync_filtered(&ada, &filter.to_string()).await;
    let state = sync["rooms"]["join"][&room]["state"]["events"].as_array().expect("state");
    let types: Vec<_> = state.iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["m.room.name"]);
}

#[tokio::test]
async fn left_rooms_are_in_the_first_sync_when_asked_for() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    ada.leave(&room).await;
    let sync = ada.sync().await;
    assert!(sync["rooms"]["leave"].get(&room).is_none(), "{sync}");
    let filter = json!({ "room": { "include_leave": true } }).to_string();
    let sync = sync_filtered(&ada, &filter).await;
    assert!(sync["rooms"]["leave"][&room].is_object(), "{sync}");
}

/// Spec: "Filtering", `event_fields`: a literal `.` is escaped.
#[tokio::test]
async fn only_the_fields_asked_for_are_sent() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    let content = json!({ "body": "tea", "msgtype": "m.text", "com.example.sugar": 2 });
    ada.send(&room, "m.room.message", &content).await;
    let filter = json!({
        "event_fields": ["type", "content.body", "content.com\\.example\\.sugar"],
        "room": { "timeline": { "limit": 1 } },
    });
    let sync = sync_filtered(&ada, &filter.to_string()).await;
    let event = &timeline(&sync, &room)[0];
    assert_eq!(event["type"], "m.room.message");
    assert_eq!(event["content"], json!({ "body": "tea", "com.example.sugar": 2 }));
    assert!(event.get("sender").is_none(), "{event}");
}

/// Spec: "Filtering", `event_format`: "'federation' will return the raw event as received over federation."
#[tokio::test]
async fn raw_events_are_sent_when_asked_for() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    let message = ada.say(&room, "tea").await;
    ada.redact(&room, &message).await;
    let cake = ada.say(&room, "cake").await;
    let filter = json!({ "event_format": "federation", "room": { "timeline": { "limit": 3 } } });
    let sync = sync_filtered(&ada, &filter.to_string()).await;
    let [redacted, _, event] = timeline(&sync, &room) else { panic!("three events in {sync}") };
    assert_eq!(event["content"]["body"], "cake");
    for field in ["auth_events", "prev_events", "depth", "hashes", "signatures"] {
        assert!(!event[field].is_null(), "{field} in {event}");
    }
    assert_eq!(redacted["content"], json!({}), "{redacted}");
    let shown = ada.event(&room, &cake).await;
    assert!(shown.get("hashes").is_none(), "{shown}");
}

#[tokio::test]
async fn account_data_is_limited() {
    let ada = Server::start().await.register("ada").await;
    for kind in ["com.example.tea", "com.example.cake", "com.example.milk"] {
        let path = format!("/_matrix/client/v3/user/{}/account_data/{kind}", ada.user_id);
        ada.put(&path, &json!({ "sugar": 1 })).await.expect_ok();
    }
    if synapse_departs_from("limit: The maximum number of events to return.") {
        return;
    }
    let filter = json!({ "account_data": { "limit": 2 } }).to_string();
    let sync = sync_filtered(&ada, &filter).await;
    assert_eq!(sync["account_data"]["events"].as_array().map(Vec::len), Some(2), "{sync}");
}

#[tokio::test]
async fn events_with_a_url_are_told_from_others() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    let tea = ada.say(&room, "tea").await;
    let content = json!({ "msgtype": "m.file", "body": "cake", "url": "mxc://hearth.test/cake" });
    let cake = ada.send(&room, "m.room.message", &content).await;
    for (contains_url, wanted) in [(true, &cake), (false, &tea)] {
        let filter = json!({ "room": { "timeline": {
            "contains_url": contains_url, "types": ["m.room.message"],
        } } });
        let sync = sync_filtered(&ada, &filter.to_string()).await;
        assert_eq!(event_ids(timeline(&sync, &room)), [wanted.as_str()], "{filter}");
    }
}

#[tokio::test]
async fn events_come_in_one_of_two_forms() {
    let ada = Server::start().await.register("ada").await;
    for form in ["client", "federation"] {
        store(&ada, &json!({ "event_format": form })).await;
    }
    let answer = ada.post(&path(&ada, ""), &json!({ "event_format": "haiku" })).await;
    answer.expect_error_of(&[(400, "M_BAD_JSON"), (400, "M_UNKNOWN")]);
}

/// Spec: `limited`: "True if the number of events returned was limited by the `limit` on the filter."
#[tokio::test]
async fn a_filter_that_lets_nothing_pass_leaves_no_gap() {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    ada.say(&room, "tea").await;
    let mut filters = vec![json!({ "types": [] })];
    if !synapse_departs_from(
        "[limited] True if the number of events [...] was limited by the `limit`",
    ) {
        filters.extend([json!({ "senders": [] }), json!({ "not_types": ["*"] })]);
        filters.push(json!({ "not_rooms": [room] }));
    }
    for filter in filters {
        let sync =
            sync_filtered(&ada, &json!({ "room": { "timeline": filter } }).to_string()).await;
        assert!(timeline(&sync, &room).is_empty(), "{filter}: {sync}");
        assert_ne!(sync["rooms"]["join"][&room]["timeline"]["limited"], true, "{filter}");
    }
}

/// Spec: `GET /sync`: "The server will detect whether it is an ID or a JSON object by whether the first character is a
/// `"{"`".
#[tokio::test]
async fn an_inline_filter_that_is_none_is_told_from_an_unknown_one() {
    let ada = Server::start().await.register("ada").await;
    let cases = [
        ("{", "M_NOT_JSON"),
        (r#"{"room":{"timeline":{"types":5}}}"#, "M_BAD_JSON"),
        (r#"{"event_format":"paper"}"#, "M_BAD_JSON"),
    ];
    for (filter, errcode) in cases {
        let path = format!("/_matrix/client/v3/sync?timeout=0&filter={}", encoded(filter));
        let answer = ada.get(&path).await;
        if synapse_departs_from("no sentence: the errcode is not said") {
            assert_eq!(answer.status, 400, "{filter}: {}", answer.text);
        } else {
            answer.expect_error(400, errcode);
        }
    }
}

/// Spec: "Filtering", `senders`, of what has no sender but its owner or those it tells of.
#[tokio::test]
async fn account_data_and_ephemeral_events_are_filtered_by_sender() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    let path = format!(
        "/_matrix/client/v3/user/{}/rooms/{room}/account_data/com.example.tea",
        ada.user_id
    );
    ada.put(&path, &json!({ "sugar": 1 })).await.expect_ok();
    let message = ada.say(&room, "tea").await;
    for client in [&ada, &bo] {
        let path = room_path(&room, &format!("typing/{}", encoded(&client.user_id)));
        client.put(&path, &json!({ "typing": true, "timeout": 30_000 })).await.expect_ok();
        let path = room_path(&room, &format!("receipt/m.read/{}", encoded(&message)));
        client.post(&path, &json!({})).await.expect_ok();
    }
    if synapse_departs_from("not_senders: A list of sender IDs to exclude.") {
        return;
    }
    let filter = json!({
        "room": {
            "account_data": { "not_senders": [ada.user_id] },
            "ephemeral": { "not_senders": [bo.user_id] },
        },
    });
    let sync = sync_filtered(&ada, &filter.to_string()).await;
    let room_sync = &sync["rooms"]["join"][&room];
    assert_eq!(room_sync["account_data"]["events"], json!([]));
    let ephemeral = room_sync["ephemeral"]["events"].as_array().expect("ephemeral events");
    assert_eq!(ephemeral.len(), 2, "{room_sync}");
    let text = room_sync["ephemeral"].to_string();
    assert!(text.contains(&ada.user_id) && !text.contains(&bo.user_id), "{text}");

    for (filter, wanted) in [(json!({ "limit": 1 }), 1), (json!({ "senders": [] }), 0)] {
        let filter = json!({ "room": { "ephemeral": filter } }).to_string();
        let sync = sync_filtered(&ada, &filter).await;
        let events = sync["rooms"]["join"][&room]["ephemeral"]["events"].as_array();
        assert_eq!(events.map_or(0, Vec::len), wanted, "{filter}: {sync}");
    }
}

/// Which of `sent` a client finds under a filter of room events, by endpoint. All of them have the word.
async fn found(
    client: &Client,
    room: &str,
    (pivot, sent, word): (&str, &[String], &str),
    filter: &Value,
) -> BTreeMap<&'static str, Vec<usize>> {
    let among = |events: &Value| {
        let events = events.as_array().cloned().unwrap_or_default();
        let ids = event_ids(&events);
        let is_found = |index: &usize| ids.contains(&sent[*index].as_str());
        (0..sent.len()).filter(is_found).collect::<Vec<_>>()
    };
    let query = encoded(&filter.to_string());
    let mut found = BTreeMap::new();
    let path = room_path(room, &format!("messages?dir=b&limit=100&filter={query}"));
    found.insert("messages", among(&client.get(&path).await.expect_ok()["chunk"]));
    let path = format!("context/{}?limit=100&filter={query}", encoded(pivot));
    let around = client.get(&room_path(room, &path)).await.expect_ok();
    found.insert("context", among(&around["events_after"]));
    let of_sync = json!({ "room": { "timeline": filter } }).to_string();
    let sync = client.sync_with(&[("filter", &of_sync), ("timeout", "0")]).await;
    found.insert("sync", among(&sync["rooms"]["join"][room]["timeline"]["events"]));
    let criteria = json!({ "search_term": word, "keys": ["content.body"], "filter": filter });
    let body = json!({ "search_categories": { "room_events": criteria } });
    let answer = client.post("/_matrix/client/v3/search", &body).await.expect_ok();
    let results = &answer["search_categories"]["room_events"]["results"];
    let results = results.as_array().cloned().unwrap_or_default();
    let events = results.iter().map(|result| result["result"].clone()).collect::<Value>();
    found.insert("search", among(&events));
    found
}

/// Spec: `RoomEventFilter`.
#[tokio::test]
async fn every_field_of_a_filter_of_room_events_holds_wherever_events_are_read() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let (room, other) = (ada.create_room().await, ada.create_room().await);
    bo.join(&room).await;
    let word = unique("word").replace('-', "x");
    let pivot = ada.say(&room, "pivot").await;
    let image = json!({ "msgtype": "m.image", "body": word, "url": "mxc://hearth.test/x" });
    let sent = [
        ada.say(&room, &word).await,
        bo.say(&room, &word).await,
        ada.send(&room, "m.room.message", &image).await,
    ];
    for (filter, wanted) in [
        (json!({ "limit": 50 }), vec![0, 1, 2]),
        (json!({ "limit": 50, "senders": [ada.user_id] }), vec![0, 2]),
        (json!({ "limit": 50, "not_senders": [ada.user_id] }), vec![1]),
        (json!({ "senders": [ada.user_id, bo.user_id], "not_senders": [bo.user_id] }), vec![0, 2]),
        (json!({ "limit": 50, "types": ["m.room.mess*"] }), vec![0, 1, 2]),
        (json!({ "limit": 50, "types": ["com.*", "m.room.topic"] }), vec![]),
        (json!({ "limit": 50, "not_types": ["m.room.message"] }), vec![]),
        (json!({ "types": ["m.*"], "not_types": ["m.room.mess*"] }), vec![]),
        (json!({ "limit": 50, "contains_url": true }), vec![2]),
        (json!({ "limit": 50, "contains_url": false }), vec![0, 1]),
        (json!({ "limit": 50, "rooms": [room, other] }), vec![0, 1, 2]),
        (json!({ "limit": 50, "rooms": [other] }), vec![]),
        (json!({ "limit": 50, "not_rooms": [room] }), vec![]),
        (json!({ "limit": 50, "rooms": [room], "not_rooms": [room] }), vec![]),
    ] {
        for (endpoint, found) in found(&ada, &room, (&pivot, &sent, &word), &filter).await {
            assert_eq!(found, wanted, "{endpoint}: {filter}");
        }
    }
}
