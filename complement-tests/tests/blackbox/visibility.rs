//! Who sees which events, wherever events are read. Spec: "Room history visibility".

use std::collections::BTreeMap;

use complement_tests::{
    Client, Homeserver, Server, encoded, event_ids, room_path, synapse_departs_from, unique,
};
use serde_json::{Value, json};

/// What a reader is to the room when they read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    JoinedLate,
    Left,
    Banned,
    /// They left, and were banned when they were gone.
    BannedLater,
    InvitedOnly,
    Outsider,
}

/// A message with a reply in its thread, both sent at one time.
struct Sent {
    id: String,
    reply: String,
    word: String,
    time: u64,
}

async fn tick() {
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
}

async fn send(client: &Client, room: &str) -> Sent {
    tick().await;
    let word = unique("word").replace('-', "x");
    let id = client.say(room, &word).await;
    let time = client.event(room, &id).await["origin_server_ts"].as_u64().expect("a time");
    tick().await;
    let relation = json!({ "rel_type": "m.thread", "event_id": id });
    let content = json!({ "msgtype": "m.text", "body": "reply", "m.relates_to": relation });
    let reply = client.send(room, "m.room.message", &content).await;
    Sent { id, reply, word, time }
}

/// The list of events under `key`; empty when the answer is an error.
async fn list(client: &Client, path: &str, key: &str) -> Vec<Value> {
    let answer = client.get(path).await;
    assert!(matches!(answer.status, 200 | 403 | 404), "{path}: {}", answer.text);
    answer.json()[key].as_array().cloned().unwrap_or_default()
}

/// Whether a client sees an event, by endpoint.
async fn seen(client: &Client, room: &str, sent: &Sent) -> BTreeMap<&'static str, bool> {
    let (id, in_room) = (encoded(&sent.id), encoded(room));
    let status = async |path: String| client.get(&path).await.status;
    let mut seen = BTreeMap::new();
    seen.insert("event", status(room_path(room, &format!("event/{id}"))).await == 200);
    seen.insert("context", status(room_path(room, &format!("context/{id}?limit=0"))).await == 200);
    let history = list(client, &room_path(room, "messages?dir=b&limit=100"), "chunk").await;
    seen.insert("messages", event_ids(&history).contains(&sent.id.as_str()));
    let around = room_path(room, &format!("context/{}?limit=100", encoded(&sent.reply)));
    let around = list(client, &around, "events_before").await;
    seen.insert("context of the next", event_ids(&around).contains(&sent.id.as_str()));
    let path = format!("/_matrix/client/v1/rooms/{in_room}/relations/{id}");
    let related = list(client, &path, "chunk").await;
    seen.insert("relations", event_ids(&related).contains(&sent.reply.as_str()));
    let threads =
        list(client, &format!("/_matrix/client/v1/rooms/{in_room}/threads"), "chunk").await;
    seen.insert("threads", event_ids(&threads).contains(&sent.id.as_str()));
    let query = format!("timestamp_to_event?ts={}&dir=f", sent.time);
    let nearest = client.get(&format!("/_matrix/client/v1/rooms/{in_room}/{query}")).await.json();
    seen.insert("timestamp_to_event", nearest["event_id"] == sent.id.as_str());
    let criteria = json!({ "search_term": sent.word });
    let body = json!({ "search_categories": { "room_events": criteria } });
    let answer = client.post("/_matrix/client/v3/search", &body).await.expect_ok();
    let found = &answer["search_categories"]["room_events"]["results"];
    seen.insert("search", found.as_array().is_some_and(|found| found.len() == 1));
    seen
}

/// Where Synapse shows more than these sentences of "Room history visibility" allow.
fn does_otherwise(endpoint: &str, reader: Reader) -> bool {
    match endpoint {
        "timestamp_to_event" => {
            synapse_departs_from("whether a user is allowed to see an event depends on the state")
        }
        _ if reader == Reader::InvitedOnly => {
            synapse_departs_from("a user needs to join a room to view events in that room")
        }
        _ => false,
    }
}

async fn check(visibility: &str, reader: Reader, wanted: [bool; 4]) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let state = json!([{
        "type": "m.room.history_visibility", "content": { "history_visibility": visibility },
    }]);
    let body = json!({ "preset": "public_chat", "initial_state": state });
    let room = ada.create_room_with(&body).await;
    let mut sent = vec![send(&ada, &room).await];
    if reader != Reader::Outsider {
        ada.invite(&room, &bo).await;
    }
    sent.push(send(&ada, &room).await);
    let is_banned = matches!(reader, Reader::Banned | Reader::BannedLater);
    if is_banned || matches!(reader, Reader::JoinedLate | Reader::Left) {
        bo.join(&room).await;
    }
    sent.push(send(&ada, &room).await);
    if matches!(reader, Reader::Left | Reader::BannedLater) {
        bo.leave(&room).await;
    }
    if is_banned {
        let ban = json!({ "user_id": bo.user_id });
        ada.post(&room_path(&room, "ban"), &ban).await.expect_ok();
    }
    sent.push(send(&ada, &room).await);

    // Only rooms that one is or was in are searched.
    let is_searched = !matches!(reader, Reader::InvitedOnly | Reader::Outsider);
    for (when, (sent, wanted)) in
        ["early", "while invited", "while joined", "late"].iter().zip(sent.iter().zip(wanted))
    {
        for (endpoint, seen) in seen(&bo, &room, sent).await {
            if does_otherwise(endpoint, reader) {
                continue;
            }
            let wanted = wanted && (endpoint != "search" || is_searched);
            assert_eq!(
                seen, wanted,
                "{endpoint} of what was sent {when}: {visibility}, {reader:?}"
            );
        }
        for (endpoint, seen) in seen(&ada, &room, sent).await {
            assert!(seen, "{endpoint} of what was sent {when}: {visibility}, its sender");
        }
    }
}

#[tokio::test]
async fn a_world_readable_room_is_read_by_all() {
    if Homeserver::chosen() == Homeserver::Synapse {
        let _ = synapse_departs_from(
            "world_readable: all events while this is the value may be shared",
        );
        return;
    }
    for reader in
        [Reader::JoinedLate, Reader::Left, Reader::Banned, Reader::InvitedOnly, Reader::Outsider]
    {
        check("world_readable", reader, [true; 4]).await;
    }
}

#[tokio::test]
async fn a_shared_history_is_read_whole_by_who_joined() {
    check("shared", Reader::JoinedLate, [true; 4]).await;
}

#[tokio::test]
async fn an_invited_history_is_read_from_the_invitation_on_by_who_joined() {
    check("invited", Reader::JoinedLate, [false, true, true, true]).await;
}

#[tokio::test]
async fn a_joined_history_is_read_from_the_join_on() {
    check("joined", Reader::JoinedLate, [false, false, true, true]).await;
}

#[tokio::test]
async fn who_left_or_was_banned_reads_up_to_then() {
    if synapse_departs_from("search: including events in rooms that they have left") {
        return;
    }
    for reader in [Reader::Left, Reader::Banned, Reader::BannedLater] {
        check("shared", reader, [true, true, true, false]).await;
        check("invited", reader, [false, true, true, false]).await;
        check("joined", reader, [false, false, true, false]).await;
    }
}

#[tokio::test]
async fn who_never_joined_reads_nothing() {
    for visibility in ["shared", "invited", "joined"] {
        for reader in [Reader::InvitedOnly, Reader::Outsider] {
            check(visibility, reader, [false; 4]).await;
        }
    }
}

/// Spec: "All events while this is the `m.room.history_visibility` value may be shared [...] regardless of whether they
/// have ever joined the room".
#[tokio::test]
async fn strangers_read_what_was_said_while_the_room_was_open_to_the_world() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    let open = json!({ "history_visibility": "world_readable" });
    ada.set_state(&room, "m.room.history_visibility", "", &open).await;
    let said = send(&ada, &room).await;
    let closed = json!({ "history_visibility": "joined" });
    ada.set_state(&room, "m.room.history_visibility", "", &closed).await;
    let later = send(&ada, &room).await;

    let event = |id: &str| room_path(&room, &format!("event/{}", encoded(id)));
    let found = bo.get(&event(&said.id)).await.expect_ok();
    assert_eq!(found["content"]["body"], said.word.as_str());
    bo.get(&event(&later.id)).await.expect_error(404, "M_NOT_FOUND");
    bo.get(&room_path(&room, "messages?dir=b")).await.expect_error(403, "M_FORBIDDEN");
    if synapse_departs_from("context: events that the user may see") {
        return;
    }
    let path = room_path(&room, &format!("context/{}?limit=20", encoded(&said.id)));
    let around = bo.get(&path).await.expect_ok();
    let after = around["events_after"].as_array().expect("a list");
    let ids = event_ids(after);
    assert!(ids.contains(&said.reply.as_str()) && !ids.contains(&later.id.as_str()), "{around}");
}

/// Spec: "After a user has left a room, they may see any events which they were allowed to see before they left", and
/// `GET /state`: "If the user has left the room then the state is taken from the state of the room when they left".
#[tokio::test]
async fn who_left_and_is_invited_again_reads_what_they_could() {
    if synapse_departs_from("who has left may see what they could see before") {
        return;
    }
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room_with(&json!({ "preset": "public_chat", "name": "before" })).await;
    bo.join(&room).await;
    let said = ada.say(&room, "while Bo is there").await;
    bo.leave(&room).await;
    ada.set_state(&room, "m.room.name", "", &json!({ "name": "after" })).await;
    let later = ada.say(&room, "when Bo has left").await;
    ada.invite(&room, &bo).await;

    let history = list(&bo, &room_path(&room, "messages?dir=b&limit=100"), "chunk").await;
    let ids = event_ids(&history);
    assert!(ids.contains(&said.as_str()) && !ids.contains(&later.as_str()), "{history:?}");
    assert_eq!(bo.state(&room, "m.room.name", "").await["name"], "before");
}

/// Spec: `unsigned.membership`: the reader's own at the time of the event; `replaces_state` names what a state
/// event took the place of.
#[tokio::test]
async fn events_tell_the_readers_membership_and_what_they_replaced() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    let early = ada.say(&room, "early").await;
    ada.invite(&room, &bo).await;
    let invited = ada.say(&room, "invited").await;
    bo.join(&room).await;
    let joined = ada.say(&room, "joined").await;

    for (event, wanted) in [(&early, "leave"), (&invited, "invite"), (&joined, "join")] {
        assert_eq!(bo.event(&room, event).await["unsigned"]["membership"], wanted);
        assert_eq!(ada.event(&room, event).await["unsigned"]["membership"], "join");
    }
    let first = ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "tea" })).await;
    let second = ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "cake" })).await;
    let unsigned = bo.event(&room, &second).await["unsigned"].clone();
    assert_eq!(unsigned["replaces_state"], first);
    let unsigned = bo.event(&room, &first).await["unsigned"].clone();
    assert!(unsigned.get("replaces_state").is_none(), "{unsigned}");
}

/// Spec: "Room event format": `prev_content` "is only returned if […] the client has permission to see the previous
/// event"; `replaces_state` "is included regardless of history visibility".
#[tokio::test]
async fn what_state_said_before_is_told_to_who_may_see_it() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    for (visibility, is_told) in [("shared", true), ("joined", false)] {
        let state = json!([{
            "type": "m.room.history_visibility", "content": { "history_visibility": visibility },
        }]);
        let body = json!({ "preset": "public_chat", "initial_state": state });
        let room = ada.create_room_with(&body).await;
        let first = ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "secret" })).await;
        bo.join(&room).await;
        let second = ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "tea" })).await;
        let third = ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "cake" })).await;

        let unsigned = bo.event(&room, &second).await["unsigned"].clone();
        assert_eq!(unsigned["replaces_state"], first);
        if synapse_departs_from("prev_content: the content of the state event that was replaced") {
            continue;
        }
        let told = is_told.then(|| json!({ "topic": "secret" }));
        assert_eq!(unsigned.get("prev_content"), told.as_ref(), "{visibility}: {unsigned}");
        let unsigned = bo.event(&room, &third).await["unsigned"].clone();
        assert_eq!(unsigned["prev_content"], json!({ "topic": "tea" }), "{visibility}");
    }
}
