//! Guest access.

use complement_tests::{
    Client, Homeserver, PASSWORD, Server, encoded, room_path, synapse_departs_from, timeline,
    unique,
};
use serde_json::{Value, json};

const REGISTER: &str = "/_matrix/client/v3/register";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
const FORBIDDEN: (u16, &str) = (403, "M_GUEST_ACCESS_FORBIDDEN");

async fn guest(server: &Server) -> Client {
    let path = format!("{REGISTER}?kind=guest");
    let session = server.stranger().post(&path, &json!({})).await.expect_ok();
    Client::of_session(server, &session)
}

/// A room of Ada's that guests may join.
async fn open_room(ada: &Client) -> String {
    let room = ada.create_room().await;
    ada.set_state(&room, "m.room.guest_access", "", &json!({ "guest_access": "can_join" })).await;
    room
}

/// Spec: "all parameters in the request body with the exception of `initial_device_display_name` MUST BE ignored".
#[tokio::test]
async fn a_guest_gets_an_account_without_authentication() {
    let server = Server::start().await;
    let name = unique("wish");
    let body = json!({ "username": name, "password": PASSWORD, "device_id": "MINE" });
    let path = format!("{REGISTER}?kind=guest");

    let session = server.stranger().post(&path, &body).await.expect_ok();

    let guest = Client::of_session(&server, &session);
    assert_ne!(guest.name(), name);
    assert_ne!(guest.device_id, "MINE");
    let whoami = guest.get(WHOAMI).await.expect_ok();
    assert_eq!(whoami["is_guest"], true);
    assert_eq!(whoami["device_id"], guest.device_id.as_str());
}

#[tokio::test]
async fn a_guest_joins_a_room_that_is_open_to_guests_and_speaks_there() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let room = open_room(&ada).await;
    let guest = guest(&server).await;

    guest.join(&room).await;

    guest.say(&room, "hello").await;
    guest.get(&room_path(&room, "messages?dir=b")).await.expect_ok();
    guest.get(&room_path(&room, "state")).await.expect_ok();
    guest.sync().await;
    guest.leave(&room).await;
}

#[tokio::test]
async fn a_guest_joins_no_room_that_is_not_open_to_guests() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let room = ada.create_room().await;
    let guest = guest(&server).await;
    let answer = guest.post(&room_path(&room, "join"), &json!({})).await;
    answer.expect_error_of(&[FORBIDDEN, (403, "M_FORBIDDEN")]);
    let path = room_path(&room, &format!("state/m.room.member/{}", encoded(&guest.user_id)));
    let answer = guest.put(&path, &json!({ "membership": "join" })).await;
    answer.expect_error_of(&[FORBIDDEN, (403, "M_FORBIDDEN")]);
}

/// Waits until somebody sees a guest leave a room, after `before`.
async fn wait_for_departure(client: &Client, before: &Value, room: &str, guest: &Client) {
    let leaves = |event: &Value| {
        event["state_key"] == guest.user_id.as_str() && event["content"]["membership"] == "leave"
    };
    client.sync_until(before, |sync| timeline(sync, room).iter().any(leaves)).await;
}

/// Spec: "the server MUST set those users' `m.room.member` state to `leave`".
#[tokio::test]
async fn guests_are_put_out_when_a_room_is_closed_to_them() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = open_room(&ada).await;
    let guest = guest(&server).await;
    guest.join(&room).await;
    bo.join(&room).await;
    let before = ada.sync().await;

    let closed = json!({ "guest_access": "forbidden" });
    ada.set_state(&room, "m.room.guest_access", "", &closed).await;

    wait_for_departure(&ada, &before, &room, &guest).await;
    assert_eq!(ada.state(&room, "m.room.member", &bo.user_id).await["membership"], "join");
}

/// Spec: "If the `m.room.guest_access` event is changed to stop this from being the case": a redacted one says nothing.
#[tokio::test]
async fn guests_are_put_out_when_what_let_them_in_is_redacted() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = open_room(&ada).await;
    let (open, again) =
        (json!({ "guest_access": "can_join" }), json!({ "guest_access": "can_join", "n": 2 }));
    let earlier = ada.set_state(&room, "m.room.guest_access", "", &open).await;
    let current = ada.set_state(&room, "m.room.guest_access", "", &again).await;
    let guest = guest(&server).await;
    guest.join(&room).await;
    bo.join(&room).await;
    ada.redact(&room, &earlier).await;
    guest.say(&room, "still here").await;
    let before = ada.sync().await;

    ada.redact(&room, &current).await;

    if synapse_departs_from("the server MUST set those users' `m.room.member` state to `leave`") {
        return;
    }
    wait_for_departure(&ada, &before, &room, &guest).await;
    assert_eq!(ada.state(&room, "m.room.member", &bo.user_id).await["membership"], "join");
    let answer = guest.post(&room_path(&room, "join"), &json!({})).await;
    answer.expect_error_of(&[FORBIDDEN]);
}

/// Spec: "Guest Access", "Client behaviour": the endpoints that are not listed.
#[tokio::test]
async fn a_guest_calls_no_other_endpoints() {
    let server = Server::start().await;
    let guest = guest(&server).await;
    let user = encoded(&guest.user_id);
    let data = format!("/_matrix/client/v3/user/{user}/account_data/com.example.tea");
    let avatar = format!("/_matrix/client/v3/profile/{user}/avatar_url");
    let all: [(&str, Value); 2] = [
        ("/_matrix/client/v3/createRoom", json!({})),
        ("/_matrix/client/v3/join/%23tea%3Ahearth.test", json!({})),
    ];
    if Homeserver::chosen() == Homeserver::Synapse {
        // It lets guests do most of it.
        return;
    }
    for (path, body) in all {
        guest.post(path, &body).await.expect_error(FORBIDDEN.0, FORBIDDEN.1);
    }
    guest.put(&data, &json!({})).await.expect_error(FORBIDDEN.0, FORBIDDEN.1);
    let body = json!({ "avatar_url": "mxc://hearth.test/a" });
    guest.put(&avatar, &body).await.expect_error(FORBIDDEN.0, FORBIDDEN.1);
}

#[tokio::test]
async fn a_guest_looks_after_the_account() {
    let server = Server::start().await;
    let guest = guest(&server).await;
    let name = format!("/_matrix/client/v3/profile/{}/displayname", encoded(&guest.user_id));
    guest.put(&name, &json!({ "displayname": "Visitor" })).await.expect_ok();
    assert_eq!(guest.get(&name).await.expect_ok()["displayname"], "Visitor");
    guest.get("/_matrix/client/v3/devices").await.expect_ok();
    guest.get("/_matrix/client/versions").await.expect_ok();
    let logout = guest.post("/_matrix/client/v3/logout", &json!({})).await;
    logout.expect_error(FORBIDDEN.0, FORBIDDEN.1);
}

/// Spec: "Guest users can also upgrade their account by going through the ordinary `register` flow, but specifying the
/// additional POST parameter `guest_access_token`".
#[tokio::test]
async fn a_guest_becomes_a_registered_user() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let room = open_room(&ada).await;
    let guest = guest(&server).await;
    guest.join(&room).await;
    let mut body = json!({
        "username": guest.name(), "password": PASSWORD, "guest_access_token": "nonsense",
        "auth": { "type": "m.login.dummy" },
    });
    let stranger = server.stranger();
    stranger.post(REGISTER, &body).await.expect_error_of(&[
        (403, "M_FORBIDDEN"),
        (400, "M_USER_IN_USE"),
        (401, "M_UNKNOWN_TOKEN"),
    ]);

    body["guest_access_token"] = json!(guest.access_token);
    let session = stranger.post(REGISTER, &body).await.expect_ok();

    let user = Client::of_session(&server, &session);
    assert_eq!(user.user_id, guest.user_id);
    assert_ne!(user.get(WHOAMI).await.expect_ok()["is_guest"], true);
    user.create_room().await;
    user.say(&room, "I stay").await;
    user.log_in().await;
}

#[tokio::test]
async fn no_guest_comes_where_guests_are_not_allowed() {
    if Homeserver::chosen() == Homeserver::Synapse {
        return;
    }
    let server = Server::start_with(&[("HEARTH_REGISTRATION__ALLOW_GUESTS", "false")]).await;
    let answer = server.stranger().post(&format!("{REGISTER}?kind=guest"), &json!({})).await;
    answer.expect_error(403, "M_GUEST_ACCESS_FORBIDDEN");
}
