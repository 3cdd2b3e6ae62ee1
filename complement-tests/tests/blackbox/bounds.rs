//! What one client can make others pay for has a bound. The specification leaves most of these to servers, and Synapse's
//! are others: the tests are for hearth.

use complement_tests::{Homeserver, Server, room_path, send_path, state_path};
use serde_json::{Value, json};

fn is_synapse() -> bool {
    Homeserver::chosen() == Homeserver::Synapse
}

/// An object in an object, so many times.
fn nested(depth: usize) -> Value {
    (1..depth).fold(json!({}), |inner, _| json!({ "a": inner }))
}

/// What is deeper than parsers go, together with what it is shown in, nobody could read any more.
#[tokio::test]
async fn json_nests_up_to_100_levels() {
    if is_synapse() {
        return;
    }
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    let state = state_path(&room, "com.example.nest", "");
    let send = send_path(&room, "com.example.nest", "1");
    let data = format!("/_matrix/client/v3/user/{}/account_data/com.example.nest", ada.user_id);
    for path in [&state, &data, &send] {
        ada.put(path, &nested(101)).await.expect_error(400, "M_BAD_JSON");
        ada.put(path, &nested(100)).await.expect_ok();
    }

    ada.get(&state).await.expect_ok();
    ada.get(&data).await.expect_ok();
    for path in ["initialSync", "sync"] {
        ada.get(&format!("/_matrix/client/v3/{path}")).await.expect_ok();
    }
    ada.get(&room_path(&room, "initialSync")).await.expect_ok();
}
