//! Syncing: first and incremental answers, gaps, invitations, leaving, state.

use complement_tests::{Client, Server, event_ids, synapse_departs_from, timeline};
use serde_json::{Value, json};

async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    (ada, bo, room)
}

/// The state of a joined room in a sync answer, as (type, state key).
fn state<'a>(sync: &'a Value, room: &str) -> Vec<(&'a str, &'a str)> {
    let events = sync["rooms"]["join"][room]["state"]["events"].as_array();
    let key = |event: &'a Value| {
        (event["type"].as_str().unwrap_or(""), event["state_key"].as_str().unwrap_or(""))
    };
    let mut keys: Vec<_> = events.into_iter().flatten().map(key).collect();
    keys.sort_unstable();
    keys
}

fn limited_to(limit: usize) -> String {
    json!({ "room": { "timeline": { "limit": limit } } }).to_string()
}

#[tokio::test]
async fn a_first_sync_of_nothing_has_a_token() {
    let ada = Server::start().await.register("ada").await;
    let sync = ada.sync().await;
    assert!(sync["next_batch"].is_string(), "{sync}");
    assert!(sync["rooms"]["join"].as_object().is_none_or(serde_json::Map::is_empty), "{sync}");
}

#[tokio::test]
async fn a_first_sync_has_each_room_with_its_state_and_last_events() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;

    let sync = bo.sync().await;

    let room_sync = &sync["rooms"]["join"][&room];
    let events = timeline(&sync, &room);
    assert_eq!(events.last().expect("a timeline")["event_id"], message);
    assert!(events.last().unwrap().get("room_id").is_none(), "{room_sync}");
    assert!(room_sync["timeline"]["prev_batch"].is_string(), "{room_sync}");
    let mut known = state(&sync, &room);
    known.extend(
        events.iter().filter_map(|event| {
            Some((event["type"].as_str().unwrap(), event["state_key"].as_str()?))
        }),
    );
    for wanted in [
        ("m.room.create", ""),
        ("m.room.power_levels", ""),
        ("m.room.join_rules", ""),
        ("m.room.member", ada.user_id.as_str()),
        ("m.room.member", bo.user_id.as_str()),
    ] {
        assert_eq!(
            known.iter().filter(|key| **key == wanted).count(),
            1,
            "{wanted:?} in {known:?}"
        );
    }
}

/// Spec: "Syncing": `state` is the state at the start of the timeline, and has nothing that the
/// timeline has.
#[tokio::test]
async fn state_is_what_was_before_the_timeline() {
    let (ada, bo, room) = kitchen().await;
    ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "tea" })).await;
    ada.say(&room, "one").await;
    ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "cake" })).await;

    let filter = limited_to(2);
    let sync = bo.sync_with(&[("filter", &filter), ("timeout", "0")]).await;

    let events = sync["rooms"]["join"][&room]["state"]["events"].as_array().unwrap();
    let topic = events.iter().find(|event| event["type"] == "m.room.topic").expect("a topic");
    assert_eq!(topic["content"]["topic"], "tea");
    assert_eq!(timeline(&sync, &room)[1]["content"]["topic"], "cake");
    let previous = &timeline(&sync, &room)[1]["unsigned"]["prev_content"];
    assert_eq!(previous, &json!({ "topic": "tea" }));
}

#[tokio::test]
async fn an_incremental_sync_has_what_is_new_and_no_more() {
    let (ada, bo, room) = kitchen().await;
    let attic = ada.create_room().await;
    bo.join(&attic).await;
    let before = bo.sync().await;
    let first = ada.say(&room, "tea").await;
    let second = ada.say(&room, "cake").await;

    let sync = bo.sync_since(&before).await;

    assert_eq!(event_ids(timeline(&sync, &room)), [first, second]);
    assert_ne!(sync["rooms"]["join"][&room]["timeline"]["limited"], true);
    assert_eq!(state(&sync, &room), []);
    assert!(sync["rooms"]["join"].get(&attic).is_none(), "{sync}");

    let nothing = bo.sync_since(&sync).await;
    assert!(nothing["rooms"]["join"].get(&room).is_none(), "{nothing}");
}

#[tokio::test]
async fn the_same_token_gives_the_same_events_again() {
    let (ada, bo, room) = kitchen().await;
    let before = bo.sync().await;
    let message = ada.say(&room, "tea").await;
    for _ in 0..3 {
        let sync = bo.sync_since(&before).await;
        assert_eq!(event_ids(timeline(&sync, &room)), [message.as_str()]);
    }
}

#[tokio::test]
async fn following_tokens_shows_every_event_once() {
    let (ada, bo, room) = kitchen().await;
    let mut seen = bo.sync().await;
    let sender = {
        let room = room.clone();
        tokio::spawn(async move {
            let mut sent = Vec::new();
            for number in 0..30 {
                sent.push(ada.say(&room, &number.to_string()).await);
            }
            sent
        })
    };
    let filter = limited_to(50);
    let mut read: Vec<String> = Vec::new();
    while read.len() < 30 {
        let since = seen["next_batch"].as_str().unwrap();
        let query = [("since", since), ("filter", &filter), ("timeout", "10000")];
        seen = bo.sync_with(&query).await;
        let events = timeline(&seen, &room);
        assert!(!events.is_empty(), "nothing for ten seconds after {} events", read.len());
        read.extend(event_ids(events).iter().map(ToString::to_string));
    }
    assert_eq!(read, sender.await.unwrap());
}

#[tokio::test]
async fn a_gap_is_marked_and_can_be_filled() {
    let (ada, bo, room) = kitchen().await;
    let before = bo.sync().await;
    ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "tea" })).await;
    let mut sent = Vec::new();
    for number in 0..6 {
        sent.push(ada.say(&room, &number.to_string()).await);
    }
    let (filter, since) = (limited_to(2), before["next_batch"].as_str().unwrap());

    let sync = bo.sync_with(&[("since", since), ("filter", &filter), ("timeout", "0")]).await;

    assert_eq!(event_ids(timeline(&sync, &room)), sent[4..]);
    let gap = &sync["rooms"]["join"][&room]["timeline"];
    assert_eq!(gap["limited"], true);
    // What changed in the gap is in the state.
    assert_eq!(state(&sync, &room), [("m.room.topic", "")]);
    let tail = format!(
        "messages?dir=b&limit=50&from={}&to={}",
        complement_tests::encoded(gap["prev_batch"].as_str().unwrap()),
        complement_tests::encoded(since),
    );
    let answer = bo.get(&complement_tests::room_path(&room, &tail)).await.expect_ok();
    let mut filled = event_ids(answer["chunk"].as_array().unwrap());
    filled.reverse();
    assert_eq!(filled[1..], sent[..4]);
}

#[tokio::test]
async fn full_state_gives_the_state_of_every_room() {
    let (ada, bo, room) = kitchen().await;
    let before = bo.sync().await;
    ada.say(&room, "tea").await;
    let since = before["next_batch"].as_str().unwrap();
    let query = [("since", since), ("full_state", "true"), ("timeout", "0")];
    let sync = bo.sync_with(&query).await;
    let keys = state(&sync, &room);
    assert!(keys.contains(&("m.room.create", "")), "{keys:?}");
    assert!(keys.contains(&("m.room.member", &ada.user_id)), "{keys:?}");
}

#[tokio::test]
async fn joining_brings_the_whole_state() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room_with(&json!({ "preset": "public_chat", "name": "Kitchen" })).await;
    let before = bo.sync().await;
    bo.join(&room).await;

    let filter = limited_to(1);
    let since = before["next_batch"].as_str().unwrap();
    let sync = bo.sync_with(&[("since", since), ("filter", &filter), ("timeout", "0")]).await;

    assert_eq!(timeline(&sync, &room)[0]["state_key"], bo.user_id.as_str());
    let keys = state(&sync, &room);
    for wanted in ["m.room.create", "m.room.name", "m.room.power_levels"] {
        assert!(keys.contains(&(wanted, "")), "{wanted} in {keys:?}");
    }
}

/// Spec: "Stripped state".
#[tokio::test]
async fn an_invitation_comes_with_stripped_state() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let body = json!({ "preset": "private_chat", "name": "Kitchen" });
    let room = ada.create_room_with(&body).await;
    let before = bo.sync().await;

    ada.invite(&room, &bo).await;

    for sync in [bo.sync_since(&before).await, bo.sync().await] {
        let events = sync["rooms"]["invite"][&room]["invite_state"]["events"].as_array();
        let events = events.unwrap_or_else(|| panic!("no invitation in {sync}"));
        let find = |kind: &str, key: &str| {
            events.iter().find(|event| event["type"] == kind && event["state_key"] == key)
        };
        let member = find("m.room.member", &bo.user_id).expect("the invitation itself");
        assert_eq!(member["content"]["membership"], "invite");
        assert_eq!(member["sender"], ada.user_id.as_str());
        assert_eq!(find("m.room.name", "").expect("a name")["content"]["name"], "Kitchen");
        assert!(find("m.room.create", "").is_some(), "{events:?}");
        assert!(find("m.room.join_rules", "").is_some(), "{events:?}");
        assert!(sync["rooms"]["join"].get(&room).is_none(), "{sync}");
    }

    let invited = bo.sync().await;
    bo.join(&room).await;
    let sync = bo.sync_since(&invited).await;
    assert!(sync["rooms"]["join"][&room].is_object(), "{sync}");
    assert!(sync["rooms"]["invite"].get(&room).is_none(), "{sync}");
}

#[tokio::test]
async fn leaving_is_seen_once_and_what_comes_later_is_not() {
    let (ada, bo, room) = kitchen().await;
    let before = bo.sync().await;
    let message = ada.say(&room, "before").await;
    bo.leave(&room).await;
    ada.say(&room, "after").await;

    let sync = bo.sync_since(&before).await;

    let left = sync["rooms"]["leave"][&room]["timeline"]["events"].as_array();
    let left = left.unwrap_or_else(|| panic!("no left room in {sync}"));
    assert_eq!(left[0]["event_id"], message);
    assert_eq!(left[1]["content"]["membership"], "leave");
    assert_eq!(left.len(), 2);
    assert!(sync["rooms"]["join"].get(&room).is_none(), "{sync}");
    ada.say(&room, "later").await;
    let later = bo.sync_since(&sync).await;
    assert!(later["rooms"]["leave"].get(&room).is_none(), "{later}");
}

#[tokio::test]
async fn a_kick_a_ban_and_a_refused_invitation_show_as_left() {
    let (ada, bo, room) = kitchen().await;
    let cy = ada.server().register("cy").await;
    ada.invite(&room, &cy).await;
    let (bo_before, cy_before) = (bo.sync().await, cy.sync().await);
    let path = complement_tests::room_path(&room, "ban");
    ada.post(&path, &json!({ "user_id": bo.user_id })).await.expect_ok();
    cy.leave(&room).await;
    let sync = bo.sync_since(&bo_before).await;
    let events = sync["rooms"]["leave"][&room]["timeline"]["events"].as_array();
    let last = events.and_then(|events| events.last()).expect("the ban");
    assert_eq!(last["content"]["membership"], "ban");
    let sync = cy.sync_since(&cy_before).await;
    assert!(sync["rooms"]["leave"][&room].is_object(), "{sync}");
    assert!(sync["rooms"]["invite"].get(&room).is_none(), "{sync}");
}

#[tokio::test]
async fn coming_back_brings_what_happened_meanwhile() {
    let (ada, bo, room) = kitchen().await;
    bo.leave(&room).await;
    let before = bo.sync().await;
    ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "tea" })).await;
    bo.join(&room).await;
    let sync = bo.sync_since(&before).await;
    let mut keys = state(&sync, &room);
    keys.extend(
        timeline(&sync, &room).iter().filter_map(|event| {
            Some((event["type"].as_str().unwrap(), event["state_key"].as_str()?))
        }),
    );
    assert!(keys.contains(&("m.room.topic", "")), "{keys:?}");
    assert!(keys.contains(&("m.room.member", &bo.user_id)), "{keys:?}");
}

#[tokio::test]
async fn only_the_sending_device_sees_its_transaction_id() {
    let (ada, bo, room) = kitchen().await;
    let phone = ada.log_in().await;
    let (here, there, elsewhere) = (ada.sync().await, phone.sync().await, bo.sync().await);
    let transaction = complement_tests::unique("txn");
    let path = complement_tests::send_path(&room, "m.room.message", &transaction);
    ada.put(&path, &json!({ "msgtype": "m.text", "body": "tea" })).await.expect_ok();

    let sync = ada.sync_since(&here).await;
    assert_eq!(timeline(&sync, &room)[0]["unsigned"]["transaction_id"], transaction);
    for (client, before) in [(&phone, &there), (&bo, &elsewhere)] {
        let sync = client.sync_since(before).await;
        let unsigned = &timeline(&sync, &room)[0]["unsigned"];
        assert!(unsigned.get("transaction_id").is_none(), "{unsigned}");
    }
}

#[tokio::test]
async fn events_carry_their_age() {
    let (ada, bo, room) = kitchen().await;
    let before = bo.sync().await;
    ada.say(&room, "tea").await;
    let sync = bo.sync_since(&before).await;
    let age = timeline(&sync, &room)[0]["unsigned"]["age"].as_i64();
    assert!(age.is_some_and(|age| (0..60_000).contains(&age)), "{age:?}");
}

#[tokio::test]
async fn one_who_may_not_read_history_syncs_none_of_it() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let body = json!({
        "preset": "public_chat",
        "initial_state": [{
            "type": "m.room.history_visibility", "content": { "history_visibility": "joined" },
        }],
    });
    let room = ada.create_room_with(&body).await;
    let secret = ada.say(&room, "secret").await;
    bo.join(&room).await;
    let sync = bo.sync().await;
    assert!(!event_ids(timeline(&sync, &room)).contains(&secret.as_str()), "{sync}");
}

#[tokio::test]
async fn a_question_of_the_wrong_shape_is_refused() {
    let ada = Server::start().await.register("ada").await;
    for query in ["since=nonsense", "timeout=soon", "full_state=perhaps", "filter=%7B"] {
        let answer = ada.get(&format!("/_matrix/client/v3/sync?{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text);
    }
    ada.server()
        .stranger()
        .get("/_matrix/client/v3/sync")
        .await
        .expect_error(401, "M_MISSING_TOKEN");
}

/// A token names a point in time, not a reader: with that of another one gets what is new to oneself.
#[tokio::test]
async fn a_token_of_another_shows_ones_own_rooms_alone() {
    let (ada, bo, room) = kitchen().await;
    let attic = ada.create_room().await;
    let before = ada.sync().await;
    ada.say(&attic, "alone").await;
    let message = ada.say(&room, "tea").await;
    let sync = bo.sync_since(&before).await;
    assert_eq!(event_ids(timeline(&sync, &room)), [message.as_str()]);
    assert!(sync["rooms"]["join"].get(&attic).is_none(), "{sync}");
}

#[tokio::test]
async fn a_token_of_the_future_is_refused() {
    let ada = Server::start().await.register("ada").await;
    if synapse_departs_from("no sentence: Synapse waits for a time that does not come") {
        return;
    }
    let answer = ada.get("/_matrix/client/v3/sync?since=s999999999_1_0_0").await;
    answer.expect_error(400, "M_INVALID_PARAM");
    let answer = ada.get("/_matrix/client/v3/events?from=s999999999_1_0_0").await;
    answer.expect_error(400, "M_INVALID_PARAM");
}

/// Spec: `GET /sync`, `leave`: "rooms that the user has left or been banned from", of which `include_leave` also has the
/// first sync tell; "up to the point when the user left".
#[tokio::test]
async fn archived_rooms_are_as_they_were_when_one_left() {
    let (ada, bo, room) = kitchen().await;
    ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "tea" })).await;
    let body = json!({ "user_id": bo.user_id });
    ada.post(&complement_tests::room_path(&room, "ban"), &body).await.expect_ok();
    ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "cake" })).await;
    let filter =
        json!({ "room": { "include_leave": true, "timeline": { "limit": 1 } } }).to_string();

    let sync = bo.sync_with(&[("filter", &filter), ("timeout", "0")]).await;

    let left = &sync["rooms"]["leave"][&room];
    let last = left["timeline"]["events"].as_array().and_then(|events| events.last());
    assert_eq!(last.expect("the ban")["content"]["membership"], "ban", "{left}");
    let state = left["state"]["events"].as_array().expect("a state");
    let topic = state.iter().find(|event| event["type"] == "m.room.topic").expect("a topic");
    assert_eq!(topic["content"]["topic"], "tea", "{left}");
    let since = sync["next_batch"].as_str().unwrap();
    let sync = bo.sync_with(&[("since", since), ("filter", &filter), ("timeout", "0")]).await;
    assert!(sync["rooms"]["leave"].get(&room).is_none(), "{sync}");
}

/// Spec: `GET /sync`, `full_state`: "the `timeout` parameter will be ignored".
#[tokio::test]
async fn full_state_does_not_wait() {
    let (_ada, bo, room) = kitchen().await;
    let before = bo.sync().await;
    let since = before["next_batch"].as_str().unwrap();
    let start = std::time::Instant::now();
    let query = [("since", since), ("full_state", "true"), ("timeout", "20000")];
    let sync = bo.sync_with(&query).await;
    assert!(start.elapsed() < std::time::Duration::from_secs(8), "{:?}", start.elapsed());
    assert!(state(&sync, &room).contains(&("m.room.create", "")), "{sync}");
}

/// Spec: `GET /sync`, `summary`: "Required if the room's `m.room.name` or `m.room.canonical_alias` state events are unset
/// or empty", and when there are no others any more "this should consist of the banned and left users".
#[tokio::test]
async fn those_who_left_name_a_room_in_which_nobody_else_is() {
    let (ada, bo, room) = kitchen().await;
    let filter = json!({ "room": { "state": { "lazy_load_members": true } } }).to_string();
    let before = ada.sync_with(&[("filter", &filter), ("timeout", "0")]).await;
    let summary = &before["rooms"]["join"][&room]["summary"];
    assert_eq!(summary["m.heroes"], json!([bo.user_id]), "{summary}");

    bo.leave(&room).await;
    let since = before["next_batch"].as_str().unwrap();
    let sync = ada.sync_with(&[("since", since), ("filter", &filter), ("timeout", "0")]).await;
    let summary = &sync["rooms"]["join"][&room]["summary"];
    assert_eq!(summary["m.heroes"], json!([bo.user_id]), "{summary}");
    assert_eq!(summary["m.joined_member_count"], 1, "{summary}");

    ada.say(&room, "alone").await;
    let since = sync["next_batch"].as_str().unwrap();
    let sync = ada.sync_with(&[("since", since), ("filter", &filter), ("timeout", "0")]).await;
    let summary = &sync["rooms"]["join"][&room]["summary"];
    assert!(summary["m.joined_member_count"].is_null(), "nothing changed: {summary}");
}

#[tokio::test]
async fn device_counts_and_lists_are_there_for_encrypting_clients() {
    let ada = Server::start().await.register("ada").await;
    let sync = ada.sync().await;
    let counts = &sync["device_one_time_keys_count"];
    assert!(counts.is_null() || counts.is_object(), "{sync}");
}
