//! Rooms in which users own state. Spec: MSC3757.

use complement_tests::{Answer, Client, Server, state_path};
use serde_json::json;

const KIND: &str = "com.example.lamp";

/// A room of Ada's where Bo and Cy may set lamps.
async fn room_of(version: &str) -> ([Client; 3], String) {
    let server = Server::start().await;
    let users =
        [server.register("ada").await, server.register("bo").await, server.register("cy").await];
    let wish = json!({
        "room_version": version, "preset": "public_chat",
        "power_level_content_override": { "events": { KIND: 0 } },
    });
    let room = users[0].create_room_with(&wish).await;
    users[1].join(&room).await;
    users[2].join(&room).await;
    (users, room)
}

async fn set(client: &Client, room: &str, key: &str) -> Answer {
    client.put(&state_path(room, KIND, key), &json!({ "on": true })).await
}

#[tokio::test]
async fn state_of_a_user_is_set_by_them_and_by_those_above_them() {
    for version in ["org.matrix.msc3757.10", "org.matrix.msc3757.11"] {
        let ([ada, bo, cy], room) = room_of(version).await;
        let lamp_of = |user: &Client| format!("{}_kitchen:!@#$123", user.user_id);
        for (sender, key) in [
            (&bo, bo.user_id.clone()),
            (&bo, lamp_of(&bo)),
            (&ada, bo.user_id.clone()),
            (&ada, lamp_of(&bo)),
            (&ada, "@nobody:elsewhere.test".to_owned()),
        ] {
            set(sender, &room, &key).await.expect_ok();
            assert_eq!(ada.state(&room, KIND, &key).await["on"], true, "{key}");
        }
        for key in [
            cy.user_id.clone(),
            lamp_of(&cy),
            lamp_of(&ada),
            format!("{}kitchen", bo.user_id),
            format!("@prefix_{}_kitchen", bo.user_id),
        ] {
            set(&bo, &room, &key).await.expect_error(403, "M_FORBIDDEN");
        }
        for key in ["@oops".to_owned(), format!("{}@kitchen", ada.user_id)] {
            set(&ada, &room, &key).await.expect_error(400, "M_BAD_JSON");
        }
    }
}

#[tokio::test]
async fn in_other_rooms_state_of_a_user_is_theirs_alone() {
    let ([ada, bo, _], room) = room_of("11").await;
    set(&bo, &room, &bo.user_id).await.expect_ok();
    for (sender, key) in [
        (&ada, bo.user_id.clone()),
        (&ada, format!("{}_kitchen", ada.user_id)),
        (&ada, "@oops".to_owned()),
    ] {
        set(sender, &room, &key).await.expect_error(403, "M_FORBIDDEN");
    }
}

#[tokio::test]
async fn capabilities_list_the_versions_as_unstable() {
    let ada = Server::start().await.register("ada").await;
    let answer = ada.get("/_matrix/client/v3/capabilities").await.expect_ok();
    let versions = &answer["capabilities"]["m.room_versions"]["available"];
    for version in ["org.matrix.msc3757.10", "org.matrix.msc3757.11"] {
        assert_eq!(versions[version], "unstable", "{versions}");
    }
    assert_eq!(versions["11"], "stable");
}
