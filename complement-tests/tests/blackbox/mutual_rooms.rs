//! Rooms that two users share.

use complement_tests::{Client, Homeserver, Server, encoded};
use serde_json::{Value, json};

const UNSTABLE: &str = "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms";

async fn mutual(client: &Client, path: &str, other: &str) -> Value {
    client.get(&format!("{path}?user_id={}", encoded(other))).await.expect_ok()
}

async fn users() -> (Client, Client) {
    let server = Server::start().await;
    (server.register("ada").await, server.register("bo").await)
}

const STABLE: &str = "/_matrix/client/v1/mutual_rooms";

/// The path, and the one from before the specification, which Synapse serves no more.
fn paths() -> Vec<&'static str> {
    if Homeserver::chosen() == Homeserver::Synapse { vec![STABLE] } else { vec![STABLE, UNSTABLE] }
}

#[tokio::test]
async fn rooms_are_shared_while_both_are_in_them() {
    let (ada, bo) = users().await;
    let (shared, left) = (ada.create_room().await, ada.create_room().await);
    ada.create_room().await;
    for room in [&shared, &left] {
        bo.join(room).await;
    }
    bo.leave(&left).await;
    ada.invite(&ada.create_room().await, &bo).await;

    for path in paths() {
        assert_eq!(mutual(&ada, path, &bo.user_id).await["joined"], json!([shared]), "{path}");
        assert_eq!(mutual(&bo, path, &ada.user_id).await["joined"], json!([shared]));
    }
    assert_eq!(mutual(&ada, STABLE, &bo.user_id).await["count"], 1);
}

#[tokio::test]
async fn a_user_who_is_not_there_shares_nothing() {
    let (ada, _) = users().await;
    for path in paths() {
        let answer = mutual(&ada, path, "@nobody-at-all:hearth.test").await;
        assert_eq!(answer["joined"], json!([]));
        assert!(answer["next_batch"].is_null());
        assert!(path == UNSTABLE || answer["count"] == 0, "{answer}");
    }
}

#[tokio::test]
async fn oneself_and_nonsense_are_refused() {
    let (ada, bo) = users().await;
    let answer = ada.get(&format!("{STABLE}?user_id={}", encoded(&ada.user_id))).await;
    answer.expect_error(400, "M_INVALID_PARAM");
    // Spec: appendices, "Historical User IDs": those after the first are non-compliant.
    for user in ["nonsense", "@:hearth.test", "@a b:hearth.test", "@é:hearth.test"] {
        let answer = ada.get(&format!("{STABLE}?user_id={}", encoded(user))).await;
        answer.expect_error(400, "M_INVALID_PARAM");
    }
    let answer = ada.get(STABLE).await;
    answer.expect_error_of(&[(400, "M_INVALID_PARAM"), (400, "M_MISSING_PARAM")]);
    let query = format!("?user_id={}&from=nonsense", encoded(&bo.user_id));
    ada.get(&format!("{STABLE}{query}")).await.expect_error(400, "M_INVALID_PARAM");
    let stranger = ada.server().stranger();
    let path = format!("{STABLE}?user_id={}", encoded(&bo.user_id));
    stranger.get(&path).await.expect_error(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn many_shared_rooms_come_in_pages() {
    let (ada, bo) = users().await;
    let mut expected = Vec::new();
    for _ in 0..101 {
        let room = ada.create_room().await;
        bo.join(&room).await;
        expected.push(room);
    }
    let first = mutual(&ada, STABLE, &bo.user_id).await;
    let token = encoded(first["next_batch"].as_str().expect("there are more"));
    let query = format!("?user_id={}&from={token}", encoded(&bo.user_id));
    let second = ada.get(&format!("{STABLE}{query}")).await.expect_ok();
    assert_eq!((&first["count"], &second["count"]), (&json!(101), &json!(101)));
    let mut found: Vec<String> = Vec::new();
    for page in [&first, &second] {
        let rooms = page["joined"].as_array().unwrap().iter();
        found.extend(rooms.filter_map(|room| room.as_str().map(ToOwned::to_owned)));
    }
    assert!(second["next_batch"].is_null());
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}
