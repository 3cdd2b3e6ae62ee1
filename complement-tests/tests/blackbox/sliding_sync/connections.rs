//! What the server remembers of clients. Spec: MSC4186, "Connections".

use complement_tests::{Homeserver, Server, room_path};
use serde_json::{Value, json};

use super::{Connection, TOPIC, ask, bodies, kitchen, room_ids, state};

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
async fn a_connection_without_rooms_needs_nothing_to_be_remembered() {
    let (_, bo, _) = kitchen().await;
    let body =
        json!({ "conn_id": "encryption", "extensions": { "to_device": { "enabled": true } } });
    let mut connection = Connection::new(&bo, body.clone());
    let first = connection.next().await;
    assert!(first["extensions"]["to_device"]["next_batch"].is_string(), "{first}");
    let mut renamed = connection.body.clone();
    renamed["conn_id"] = json!("elsewhere");
    ask(&bo, connection.pos.as_deref(), 0, &renamed).await.expect_ok();
    connection.next().await;
}

/// What the server knows of connections lives in memory, as MSC4186 lets it; Synapse keeps it in its database.
#[tokio::test]
async fn after_a_restart_a_client_begins_anew_and_misses_nothing() {
    let server = Server::start_fresh().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    let mut connection = Connection::of_all(&bo, 2, &json!([[TOPIC, ""]]));
    connection.next().await;
    ada.say(&room, "tea").await;
    connection.next().await;

    server.restart().await;
    ada.say(&room, "cake").await;

    if Homeserver::chosen() == Homeserver::Hearth {
        let pos = connection.pos.as_deref();
        ask(&bo, pos, 0, &connection.body).await.expect_error(400, "M_UNKNOWN_POS");
    }
    connection.pos = None;
    let answer = connection.next().await;
    assert_eq!(answer["lists"]["all"]["count"], 1, "{answer}");
    let told = &answer["rooms"][&room];
    assert_eq!((&told["initial"], bodies(told)), (&json!(true), vec!["tea", "cake"]), "{told}");
    ada.say(&room, "milk").await;
    let answer = connection.next().await;
    let told = &answer["rooms"][&room];
    assert_eq!((&told["initial"], bodies(told)), (&Value::Null, vec!["milk"]), "{told}");
}

/// Eight connections of a device are remembered; Synapse has no such bound.
#[tokio::test]
async fn the_connection_that_is_longest_unused_makes_room_for_another() {
    let (ada, bo, room) = kitchen().await;
    let mut connections = Vec::new();
    for id in 1..=8 {
        let mut connection = Connection::of_all(&bo, 1, &json!([]));
        connection.body["conn_id"] = json!(id.to_string());
        connection.next().await;
        connections.push(connection);
    }
    connections[0].next().await;
    let mut phone = Connection::of_all(&bo.log_in().await, 1, &json!([]));
    phone.next().await;

    let mut ninth = Connection::of_all(&bo, 1, &json!([]));
    assert_eq!(ninth.next().await["rooms"][&room]["initial"], true);

    ada.say(&room, "tea").await;
    let gone = connections.remove(1);
    if Homeserver::chosen() == Homeserver::Hearth {
        ask(&bo, gone.pos.as_deref(), 0, &gone.body).await.expect_error(400, "M_UNKNOWN_POS");
    }
    for connection in connections.iter_mut().chain([&mut ninth, &mut phone]) {
        let answer = connection.next().await;
        let told = &answer["rooms"][&room];
        assert_eq!((&told["initial"], bodies(told)), (&Value::Null, vec!["tea"]), "{told}");
    }
    let mut anew = Connection::new(&bo, gone.body);
    assert_eq!(anew.next().await["rooms"][&room]["initial"], true);
    ada.say(&room, "cake").await;
    assert_eq!(bodies(&anew.next().await["rooms"][&room]), ["cake"]);
}
