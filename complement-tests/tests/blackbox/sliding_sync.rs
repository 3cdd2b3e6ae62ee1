//! Simplified sliding sync, MSC4186.

use std::time::{Duration, Instant};

use complement_tests::{Answer, Client, Homeserver, Server, encoded, room_path};
use serde_json::{Value, json};

const PATH: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
const TOPIC: &str = "m.room.topic";

async fn ask(client: &Client, pos: Option<&str>, timeout: u32, body: &Value) -> Answer {
    let mut path = format!("{PATH}?timeout={timeout}");
    if let Some(pos) = pos {
        path = format!("{path}&pos={}", encoded(pos));
    }
    client.post(&path, body).await
}

/// A connection that asks for the same again and again.
struct Connection {
    client: Client,
    body: Value,
    pos: Option<String>,
}

impl Connection {
    fn new(client: &Client, body: Value) -> Self {
        Self { client: client.clone(), body, pos: None }
    }

    /// One list of all rooms.
    fn of_all(client: &Client, timeline_limit: u32, required_state: &Value) -> Self {
        let list = json!({
            "ranges": [[0, 99]], "timeline_limit": timeline_limit, "required_state": required_state,
        });
        Self::new(client, json!({ "lists": { "all": list } }))
    }

    async fn next(&mut self) -> Value {
        self.wait(0).await
    }

    async fn wait(&mut self, timeout: u32) -> Value {
        let answer = ask(&self.client, self.pos.as_deref(), timeout, &self.body).await.expect_ok();
        self.pos = Some(answer["pos"].as_str().expect("a position").to_owned());
        answer
    }

    /// The same request again, as when the answer was lost.
    async fn again(&self) -> Value {
        ask(&self.client, self.pos.as_deref(), 0, &self.body).await.expect_ok()
    }
}

async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    (ada, bo, room)
}

fn bodies(room: &Value) -> Vec<&str> {
    let timeline = room["timeline"].as_array().map(Vec::as_slice).unwrap_or_default();
    timeline.iter().filter_map(|event| event["content"]["body"].as_str()).collect()
}

/// Types and state keys of a room's state, in order.
fn state(room: &Value) -> Vec<(&str, &str)> {
    let events = room["required_state"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut pairs: Vec<_> = events
        .iter()
        .map(|event| {
            let text = |key: &str| event[key].as_str().expect("a state event");
            (text("type"), text("state_key"))
        })
        .collect();
    pairs.sort_unstable();
    pairs
}

fn room_ids(answer: &Value) -> Vec<&str> {
    let rooms = answer["rooms"].as_object();
    rooms.into_iter().flatten().map(|(room, _)| room.as_str()).collect()
}

#[tokio::test]
async fn a_room_comes_whole_first_and_then_what_is_new() {
    let (ada, bo, room) = kitchen().await;
    let name = room_path(&room, "state/m.room.name");
    ada.put(&name, &json!({ "name": "Kitchen" })).await.expect_ok();
    ada.say(&room, "tea").await;
    let required = json!([["m.room.name", ""], ["m.room.member", "$ME"], ["m.room.create", ""]]);
    let mut connection = Connection::of_all(&bo, 2, &required);

    let first = connection.next().await;
    assert_eq!(first["lists"]["all"]["count"], 1);
    let told = &first["rooms"][&room];
    assert_eq!((&told["initial"], &told["limited"]), (&json!(true), &json!(true)), "{told}");
    assert_eq!((&told["name"], &told["num_live"]), (&json!("Kitchen"), &json!(0)));
    assert_eq!(bodies(told).last(), Some(&"tea"));
    assert_eq!(told["timeline"].as_array().unwrap().len(), 2);
    assert_eq!((&told["joined_count"], &told["invited_count"]), (&json!(2), &json!(0)));
    let expected = [("m.room.create", ""), ("m.room.member", &*bo.user_id), ("m.room.name", "")];
    assert_eq!(state(told), expected);
    let bump_stamp = told["bump_stamp"].as_u64().unwrap();

    let second = connection.next().await;
    assert!(room_ids(&second).is_empty(), "{second}");

    ada.say(&room, "cake").await;
    let third = connection.next().await;
    let told = &third["rooms"][&room];
    assert_eq!((bodies(told), &told["num_live"]), (vec!["cake"], &json!(1)));
    assert!(told.get("initial").is_none() && told.get("name").is_none(), "{told}");
    assert_eq!((&told["limited"], state(told).len()), (&json!(false), 0));
    assert!(told["bump_stamp"].as_u64().unwrap() > bump_stamp);
}

#[tokio::test]
async fn a_lost_answer_is_given_again() {
    let (ada, bo, room) = kitchen().await;
    let mut connection = Connection::of_all(&bo, 5, &json!([[TOPIC, ""]]));
    connection.next().await;
    ada.say(&room, "tea").await;
    let topic = room_path(&room, "state/m.room.topic");
    ada.put(&topic, &json!({ "topic": "Tea" })).await.expect_ok();

    let lost = connection.again().await;
    ada.say(&room, "cake").await;
    let second = connection.again().await;

    assert_eq!(bodies(&lost["rooms"][&room]), ["tea"]);
    assert_eq!(bodies(&second["rooms"][&room]), ["tea", "cake"]);
    assert_eq!(state(&second["rooms"][&room]), [(TOPIC, "")]);
    let third = connection.next().await;
    assert_eq!(bodies(&third["rooms"][&room]), ["tea", "cake"]);
    assert!(room_ids(&connection.next().await).is_empty());
}

#[tokio::test]
async fn a_message_wakes_who_waits() {
    let (ada, bo, room) = kitchen().await;
    let mut connection = Connection::of_all(&bo, 5, &json!([]));
    connection.next().await;
    let waiting = tokio::spawn(async move { (connection.wait(20_000).await, Instant::now()) });
    tokio::time::sleep(Duration::from_millis(300)).await;

    ada.say(&room, "tea").await;

    let sent = Instant::now();
    let (answer, came) = waiting.await.unwrap();
    assert_eq!(bodies(&answer["rooms"][&room]), ["tea"]);
    let soon = match Homeserver::chosen() {
        Homeserver::Hearth => Duration::from_secs(1),
        Homeserver::Synapse => Duration::from_secs(5),
    };
    assert!(came.saturating_duration_since(sent) < soon);
}

#[tokio::test]
async fn an_unknown_position_is_refused() {
    let (_, bo, _) = kitchen().await;
    let mut connection = Connection::of_all(&bo, 1, &json!([]));
    connection.next().await;
    let first = connection.pos.clone().unwrap();
    let room = bo.create_room().await;
    connection.next().await;
    bo.say(&room, "tea").await;
    connection.next().await;
    connection.next().await;
    let body = connection.body.clone();
    ask(&bo, Some(&first), 0, &body).await.expect_error(400, "M_UNKNOWN_POS");
    if Homeserver::chosen() == Homeserver::Hearth {
        // Synapse answers `M_UNKNOWN`; the proposal has one code for a client that is to begin anew.
        ask(&bo, Some("tea"), 0, &body).await.expect_error(400, "M_UNKNOWN_POS");
        let future = first.replacen('s', "s9999", 1);
        ask(&bo, Some(&future), 0, &body).await.expect_error(400, "M_UNKNOWN_POS");
    }
    let pos = connection.pos.as_deref().unwrap();
    let mut named = body.clone();
    named["conn_id"] = json!("other");
    ask(&bo, Some(pos), 0, &named).await.expect_error(400, "M_UNKNOWN_POS");
}

#[tokio::test]
async fn sliding_sync_is_announced() {
    let server = Server::start().await;
    let versions = server.stranger().get("/_matrix/client/versions").await.expect_ok();
    assert_eq!(versions["unstable_features"]["org.matrix.simplified_msc3575"], true);
    server.stranger().post(PATH, &json!({})).await.expect_error(401, "M_MISSING_TOKEN");
}
