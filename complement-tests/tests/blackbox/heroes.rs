//! Members who name a room without a name. Spec: client-server API, "Calculating the display name for a room", and
//! `GET /sync`, `RoomSummary`.

use complement_tests::{Client, Server};
use serde_json::{Value, json};

/// The heroes of a room as its reader syncs anew.
async fn heroes(reader: &Client, room: &str) -> Value {
    let filter = json!({ "room": { "state": { "lazy_load_members": true } } }).to_string();
    let sync = reader.sync_with(&[("filter", &filter), ("timeout", "0")]).await;
    sync["rooms"]["join"][room]["summary"]["m.heroes"].clone()
}

/// The heroes of a room in simplified sliding sync (MSC4186).
async fn sliding_heroes(reader: &Client, room: &str) -> Value {
    let body =
        json!({ "room_subscriptions": { room: { "timeline_limit": 1, "required_state": [] } } });
    let path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0";
    let answer = reader.post(path, &body).await.expect_ok();
    let heroes = answer["rooms"][room]["heroes"].as_array().into_iter().flatten();
    heroes.map(|hero| hero["user_id"].clone()).collect()
}

/// Spec: `m.heroes`: "the first 5 members of the room, ordered by stream ordering", and "never include the client's own
/// user ID".
#[tokio::test]
async fn the_first_five_others_who_came_name_a_room_in_the_order_of_their_coming() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let mut guests = Vec::new();
    for name in ["bo", "cy", "di", "ed", "flo", "gus"] {
        guests.push(server.register(name).await);
    }
    let room = ada.create_room().await;
    // Not in the order in which the server got to know them.
    guests.rotate_left(2);
    guests.swap(0, 3);
    for guest in &guests {
        guest.join(&room).await;
    }

    let names: Vec<_> = guests.iter().map(|guest| guest.user_id.as_str()).collect();
    assert_eq!(heroes(&ada, &room).await, json!(names[..5]));
    assert_eq!(sliding_heroes(&ada, &room).await, json!(names[..5]));
    let others: Vec<_> = [&[ada.user_id.as_str()], &names[1..5]].concat();
    assert_eq!(heroes(&guests[0], &room).await, json!(others));
}
