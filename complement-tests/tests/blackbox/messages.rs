//! Paginating a room's history, and single events of it.

use complement_tests::{Client, Server, encoded, event_ids, room_path, timeline};
use serde_json::{Value, json};

async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    (ada, bo, room)
}

async fn say_numbers(client: &Client, room: &str, count: usize) -> Vec<String> {
    let mut sent = Vec::new();
    for number in 0..count {
        sent.push(client.say(room, &number.to_string()).await);
    }
    sent
}

async fn messages(client: &Client, room: &str, query: &str) -> Value {
    client.get(&room_path(room, &format!("messages?{query}"))).await.expect_ok()
}

fn chunk(page: &Value) -> Vec<String> {
    let events = page["chunk"].as_array().expect("chunk is a list");
    event_ids(events).iter().map(ToString::to_string).collect()
}

/// Every event from `query` on, page by page.
async fn pages(client: &Client, room: &str, query: &str) -> Vec<String> {
    let (mut read, mut from) = (Vec::new(), String::new());
    for _ in 0..50 {
        let page = messages(client, room, &format!("{query}{from}")).await;
        read.extend(chunk(&page));
        match page["end"].as_str() {
            Some(end) => from = format!("&from={}", encoded(end)),
            None => return read,
        }
    }
    panic!("history has no end: {read:?}");
}

#[tokio::test]
async fn history_is_read_backwards_from_the_newest() {
    let (ada, bo, room) = kitchen().await;
    let mut sent = say_numbers(&ada, &room, 5).await;
    sent.reverse();
    let page = messages(&bo, &room, "dir=b&limit=3").await;
    assert_eq!(chunk(&page), sent[..3]);
    assert!(page["start"].is_string(), "{page}");
    let from = encoded(page["end"].as_str().expect("there is more"));
    let next = messages(&bo, &room, &format!("dir=b&limit=2&from={from}")).await;
    assert_eq!(chunk(&next), sent[3..]);
}

#[tokio::test]
async fn both_directions_read_the_same_events_to_the_end() {
    let (ada, bo, room) = kitchen().await;
    let sent = say_numbers(&ada, &room, 7).await;

    let forwards = pages(&bo, &room, "dir=f&limit=3").await;
    let mut backwards = pages(&bo, &room, "dir=b&limit=4").await;

    backwards.reverse();
    assert_eq!(forwards, backwards);
    assert_eq!(forwards[forwards.len() - 7..], sent);
    let create = ada.event(&room, &forwards[0]).await;
    assert_eq!(create["type"], "m.room.create");
}

#[tokio::test]
async fn without_a_limit_a_page_has_ten_events() {
    let (ada, _, room) = kitchen().await;
    say_numbers(&ada, &room, 12).await;
    assert_eq!(chunk(&messages(&ada, &room, "dir=b").await).len(), 10);
}

/// The specification requires `dir`; Synapse takes it for `f` where it is missing, and clients count on that.
#[tokio::test]
async fn without_a_direction_history_is_read_forwards() {
    let (ada, bo, room) = kitchen().await;
    say_numbers(&ada, &room, 3).await;
    for (short, whole) in [("limit=2", "dir=f&limit=2"), ("", "dir=f")] {
        let (short, whole) = (messages(&bo, &room, short).await, messages(&bo, &room, whole).await);
        assert_eq!(chunk(&short), chunk(&whole));
    }
    bo.leave(&room).await;
    bo.post(&room_path(&room, "forget"), &json!({})).await.expect_ok();
    bo.get(&room_path(&room, "messages")).await.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn history_stops_at_the_token_it_is_read_to() {
    let (ada, bo, room) = kitchen().await;
    say_numbers(&ada, &room, 2).await;
    let before = bo.sync().await;
    let sent = say_numbers(&ada, &room, 3).await;
    let to = encoded(before["next_batch"].as_str().unwrap());

    let page = messages(&bo, &room, &format!("dir=b&limit=50&to={to}")).await;

    let mut read = chunk(&page);
    read.reverse();
    assert_eq!(read, sent);
}

#[tokio::test]
async fn a_sync_token_is_where_history_goes_on() {
    let (ada, bo, room) = kitchen().await;
    let sent = say_numbers(&ada, &room, 6).await;
    let filter = json!({ "room": { "timeline": { "limit": 2 } } }).to_string();
    let sync = bo.sync_with(&[("filter", &filter), ("timeout", "0")]).await;
    assert_eq!(event_ids(timeline(&sync, &room)), sent[4..]);
    let timeline = &sync["rooms"]["join"][&room]["timeline"];
    assert_eq!(timeline["limited"], true);
    let from = encoded(timeline["prev_batch"].as_str().expect("a token for what is before"));

    let mut read = chunk(&messages(&bo, &room, &format!("dir=b&limit=4&from={from}")).await);
    read.reverse();
    assert_eq!(read, sent[..4]);

    // And forwards from the end of the sync: what came since.
    let news = say_numbers(&ada, &room, 2).await;
    let from = encoded(sync["next_batch"].as_str().unwrap());
    let page = messages(&bo, &room, &format!("dir=f&limit=10&from={from}")).await;
    assert_eq!(chunk(&page), news);
}

#[tokio::test]
async fn a_filter_chooses_among_the_events() {
    let (ada, bo, room) = kitchen().await;
    ada.say(&room, "tea").await;
    let cake = bo.say(&room, "cake").await;
    let gong = bo.send(&room, "com.example.gong", &json!({})).await;
    let url = json!({ "msgtype": "m.image", "body": "x", "url": "mxc://hearth.test/x" });
    let image = ada.send(&room, "m.room.message", &url).await;
    let by = |filter: Value| format!("dir=b&limit=50&filter={}", encoded(&filter.to_string()));

    let found = |query: String| {
        let (ada, room) = (ada.clone(), room.clone());
        async move { chunk(&messages(&ada, &room, &query).await) }
    };
    assert_eq!(found(by(json!({ "types": ["com.example.*"] }))).await, std::slice::from_ref(&gong));
    let filter = json!({ "types": ["m.room.message"], "senders": [bo.user_id] });
    assert_eq!(found(by(filter)).await, std::slice::from_ref(&cake));
    let filter = json!({ "types": ["m.room.message", "com.*"], "not_senders": [ada.user_id] });
    assert_eq!(found(by(filter)).await, [gong.clone(), cake.clone()]);
    assert_eq!(found(by(json!({ "contains_url": true }))).await, [image]);
    let filter = json!({ "not_types": ["m.room.*"] });
    assert_eq!(found(by(filter)).await, [gong]);
}

#[tokio::test]
async fn lazily_loaded_members_are_those_of_the_senders() {
    let (ada, bo, room) = kitchen().await;
    bo.say(&room, "cake").await;
    let filter = encoded(&json!({ "lazy_load_members": true }).to_string());
    let page = messages(&ada, &room, &format!("dir=b&limit=1&filter={filter}")).await;
    let state = page["state"].as_array().expect("members of the senders");
    assert_eq!(state.len(), 1, "{page}");
    assert_eq!(state[0]["state_key"], bo.user_id.as_str());
}

#[tokio::test]
async fn nonsense_parameters_answer_400() {
    let (ada, _, room) = kitchen().await;
    for query in ["dir=sideways", "dir=b&limit=many", "dir=b&from=nonsense", "dir=b&filter=%7B"] {
        let answer = ada.get(&room_path(&room, &format!("messages?{query}"))).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text);
    }
}

#[tokio::test]
async fn history_is_closed_to_outsiders() {
    let (ada, _, room) = kitchen().await;
    let cy = ada.server().register("cy").await;
    let answer = cy.get(&room_path(&room, "messages?dir=b")).await;
    answer.expect_error(403, "M_FORBIDDEN");
    let answer = cy.get(&room_path("!nothing:hearth.test", "messages?dir=b")).await;
    answer.expect_error_of(&[(403, "M_FORBIDDEN"), (404, "M_NOT_FOUND")]);
}

#[tokio::test]
async fn one_who_left_reads_history_up_to_then() {
    let (ada, bo, room) = kitchen().await;
    let before = ada.say(&room, "before").await;
    bo.leave(&room).await;
    let after = ada.say(&room, "after").await;

    let read = pages(&bo, &room, "dir=b&limit=10").await;

    assert!(read.contains(&before));
    assert!(!read.contains(&after));
    let path = room_path(&room, &format!("event/{}", encoded(&after)));
    bo.get(&path).await.expect_error(404, "M_NOT_FOUND");
    bo.event(&room, &before).await;
}

/// Spec: "Room history visibility".
#[tokio::test]
async fn a_new_member_reads_what_the_history_visibility_allows() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let cases = [
        ("world_readable", [true, true]),
        ("shared", [true, true]),
        ("invited", [false, true]),
        ("joined", [false, false]),
    ];
    for (visibility, [before_invite, while_invited]) in cases {
        let bo = server.register("bo").await;
        let state = json!([{
            "type": "m.room.history_visibility",
            "content": { "history_visibility": visibility },
        }]);
        let body = json!({ "preset": "public_chat", "initial_state": state });
        let room = ada.create_room_with(&body).await;
        let early = ada.say(&room, "early").await;
        ada.invite(&room, &bo).await;
        let invited = ada.say(&room, "invited").await;
        bo.join(&room).await;
        let joined = ada.say(&room, "joined").await;

        let read = pages(&bo, &room, "dir=b&limit=20").await;

        assert_eq!(read.contains(&early), before_invite, "{visibility}: before the invite");
        assert_eq!(read.contains(&invited), while_invited, "{visibility}: while invited");
        assert!(read.contains(&joined), "{visibility}");
        let path = room_path(&room, &format!("event/{}", encoded(&early)));
        let status = bo.get(&path).await.status;
        assert_eq!(status, if before_invite { 200 } else { 404 }, "{visibility}");
    }
}

#[tokio::test]
async fn a_world_readable_room_is_read_without_joining() {
    let (ada, _, room) = kitchen().await;
    let cy = ada.server().register("cy").await;
    let readable = json!({ "history_visibility": "world_readable" });
    ada.set_state(&room, "m.room.history_visibility", "", &readable).await;
    let message = ada.say(&room, "tea").await;
    assert_eq!(chunk(&messages(&cy, &room, "dir=b&limit=1").await), [message]);
}

#[tokio::test]
async fn an_event_is_closed_to_outsiders_and_unknown_ones_are_not_found() {
    let (ada, _, room) = kitchen().await;
    let cy = ada.server().register("cy").await;
    let message = ada.say(&room, "tea").await;
    let path = room_path(&room, &format!("event/{}", encoded(&message)));
    let answer = cy.get(&path).await;
    answer.expect_error_of(&[(403, "M_FORBIDDEN"), (404, "M_NOT_FOUND")]);
    ada.get(&room_path(&room, "event/$nothing")).await.expect_error(404, "M_NOT_FOUND");
    let attic = ada.create_room().await;
    let path = room_path(&attic, &format!("event/{}", encoded(&message)));
    ada.get(&path).await.expect_error(404, "M_NOT_FOUND");
}
