//! Account management: password, deactivation, erasure, third-party identifiers.

use std::time::Duration;

use complement_tests::{
    Client, Homeserver, PASSWORD, Server, encoded, room_path, synapse_departs_from, timeline,
};
use serde_json::{Value, json};

const CHANGE: &str = "/_matrix/client/v3/account/password";
const DEACTIVATE: &str = "/_matrix/client/v3/account/deactivate";
const LOGIN: &str = "/_matrix/client/v3/login";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
const BETTER: &str = "a much better password";

fn password_login(user: &Client, password: &str) -> Value {
    json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": user.user_id },
        "password": password,
    })
}

/// Sends `body` for the challenge, and again with the password.
async fn with_password(client: &Client, path: &str, mut body: Value) -> complement_tests::Answer {
    let challenge = client.post(path, &body).await.expect_challenge();
    let flows = challenge["flows"].as_array().expect("flows is a list");
    assert!(flows.contains(&json!({ "stages": ["m.login.password"] })), "{challenge}");
    body["auth"] = client.password_stage(&challenge["session"]);
    client.post(path, &body).await
}

#[tokio::test]
async fn a_new_password_takes_the_old_one_and_logs_other_devices_out() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let phone = ada.log_in().await;

    with_password(&ada, CHANGE, json!({ "new_password": BETTER })).await.expect_ok();

    ada.get(WHOAMI).await.expect_ok();
    phone.get(WHOAMI).await.expect_error(401, "M_UNKNOWN_TOKEN");
    let stranger = server.stranger();
    let old = stranger.post(LOGIN, &password_login(&ada, PASSWORD)).await;
    old.expect_error(403, "M_FORBIDDEN");
    stranger.post(LOGIN, &password_login(&ada, BETTER)).await.expect_ok();
}

#[tokio::test]
async fn a_new_password_may_leave_other_devices_logged_in() {
    let ada = Server::start().await.register("ada").await;
    let phone = ada.log_in().await;
    let body = json!({ "new_password": BETTER, "logout_devices": false });

    with_password(&ada, CHANGE, body).await.expect_ok();

    phone.get(WHOAMI).await.expect_ok();
}

#[tokio::test]
async fn a_wrong_password_changes_nothing() {
    let ada = Server::start().await.register("ada").await;
    let mut body = json!({ "new_password": BETTER });
    let challenge = ada.post(CHANGE, &body).await.expect_challenge();

    body["auth"] = ada.password_stage(&challenge["session"]);
    body["auth"]["password"] = json!("wrong");
    let answer = ada.post(CHANGE, &body).await;

    assert_eq!(answer.expect_challenge()["errcode"], "M_FORBIDDEN");
    ada.log_in().await;
}

/// Spec: "The homeserver may change the flows available depending on whether a valid access token is provided." Synapse
/// takes an email address here and no password.
#[tokio::test]
async fn a_password_is_changed_without_a_token_by_who_knows_the_old_one() {
    if Homeserver::chosen() == Homeserver::Synapse {
        return;
    }
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let stranger = server.stranger();
    let mut body = json!({ "new_password": BETTER });
    let challenge = stranger.post(CHANGE, &body).await.expect_challenge();

    body["auth"] = ada.password_stage(&challenge["session"]);
    stranger.post(CHANGE, &body).await.expect_ok();

    ada.get(WHOAMI).await.expect_error(401, "M_UNKNOWN_TOKEN");
    stranger.post(LOGIN, &password_login(&ada, BETTER)).await.expect_ok();
}

#[tokio::test]
async fn deactivation_ends_sessions_logins_and_the_profile_and_keeps_the_name() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let phone = ada.log_in().await;

    let answer = with_password(&ada, DEACTIVATE, json!({})).await.expect_ok();

    assert_eq!(answer, json!({ "id_server_unbind_result": "success" }));
    for session in [&ada, &phone] {
        session.get(WHOAMI).await.expect_error(401, "M_UNKNOWN_TOKEN");
    }
    let stranger = server.stranger();
    let login = stranger.post(LOGIN, &password_login(&ada, PASSWORD)).await;
    login.expect_error_of(&[(403, "M_USER_DEACTIVATED"), (403, "M_FORBIDDEN")]);
    if Homeserver::chosen() == Homeserver::Hearth {
        // Synapse removes the profile only of who wants everything erased.
        let profile = format!("/_matrix/client/v3/profile/{}", encoded(&ada.user_id));
        stranger.get(&profile).await.expect_error(404, "M_NOT_FOUND");
    }
    let body = json!({
        "username": ada.name(), "password": PASSWORD, "auth": { "type": "m.login.dummy" },
    });
    let taken = stranger.post("/_matrix/client/v3/register", &body).await;
    taken.expect_error(400, "M_USER_IN_USE");
}

#[tokio::test]
async fn a_wrong_password_deactivates_nobody() {
    let ada = Server::start().await.register("ada").await;
    let challenge = ada.post(DEACTIVATE, &json!({})).await.expect_challenge();
    let mut auth = ada.password_stage(&challenge["session"]);
    auth["password"] = json!("wrong");
    let answer = ada.post(DEACTIVATE, &json!({ "auth": auth })).await;
    assert_eq!(answer.expect_challenge()["errcode"], "M_FORBIDDEN");
    ada.get(WHOAMI).await.expect_ok();
}

fn is_left(sync: &Value, room: &str, user: &Client) -> bool {
    timeline(sync, room).iter().any(|event| {
        event["type"] == "m.room.member"
            && event["state_key"] == user.user_id.as_str()
            && event["content"]["membership"] == "leave"
    })
}

#[tokio::test]
async fn a_deactivated_user_leaves_rooms_and_refuses_invitations() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let (joined, invited) = (ada.create_room().await, ada.create_room().await);
    bo.join(&joined).await;
    ada.invite(&invited, &bo).await;
    let before = ada.sync().await;

    with_password(&bo, DEACTIVATE, json!({})).await.expect_ok();

    ada.sync_until(&before, |sync| is_left(sync, &joined, &bo)).await;
    ada.sync_until(&before, |sync| is_left(sync, &invited, &bo)).await;
}

/// What a deactivated user has not left when the server stops is left when it runs again.
#[tokio::test]
async fn leaving_all_rooms_goes_on_after_a_restart() {
    let server = Server::start_fresh().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let mut rooms = Vec::new();
    for _ in 0..20 {
        let room = ada.create_room().await;
        bo.join(&room).await;
        rooms.push(room);
    }
    with_password(&bo, DEACTIVATE, json!({})).await.expect_ok();

    server.kill_and_restart().await;

    for room in rooms {
        let path = room_path(&room, &format!("state/m.room.member/{}", encoded(&bo.user_id)));
        for attempt in 0.. {
            if ada.get(&path).await.expect_ok()["membership"] == "leave" {
                break;
            }
            assert!(attempt < 100, "still in {room}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Spec: "any users (or servers) which join the room after the erasure request are served redacted copies of the events
/// sent by this account. Users which had visibility on those events prior to the erasure are still able to see
/// unredacted copies."
#[tokio::test]
async fn erased_messages_are_seen_by_who_was_there_and_pruned_for_who_comes_later() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let cy = server.register("cy").await;
    let room = ada.create_room().await;
    bo.join(&room).await;
    let said = bo.say(&room, "marzipan").await;
    let topic = ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "cake" })).await;

    with_password(&bo, DEACTIVATE, json!({ "erase": true })).await.expect_ok();

    cy.join(&room).await;
    assert_eq!(ada.event(&room, &said).await["content"]["body"], "marzipan");
    let pruned = cy.event(&room, &said).await;
    assert_eq!(pruned["content"], json!({}), "{pruned}");
    assert_eq!(pruned["sender"], bo.user_id.as_str());
    assert_eq!(cy.event(&room, &topic).await["content"]["topic"], "cake");
    let page = cy.get(&room_path(&room, "messages?dir=b&limit=50")).await.expect_ok();
    assert!(!page.to_string().contains("marzipan"), "{page}");
}

/// The server keeps no email addresses and phone numbers; Synapse is set up the same way and words some refusals
/// otherwise.
#[tokio::test]
async fn nobody_has_or_gets_a_third_party_identifier() {
    if Homeserver::chosen() == Homeserver::Synapse {
        return;
    }
    let ada = Server::start().await.register("ada").await;
    let list = ada.get("/_matrix/client/v3/account/3pid").await.expect_ok();
    assert_eq!(list, json!({ "threepids": [] }));
    let email = json!({
        "client_secret": "monkeys_are_GREAT", "email": "ada@example.org", "send_attempt": 1,
    });
    let phone = json!({
        "client_secret": "monkeys_are_GREAT", "country": "GB", "phone_number": "07700900001",
        "send_attempt": 1,
    });
    for (path, status, errcode) in [
        ("register", 403, "M_THREEPID_DENIED"),
        ("account/password", 400, "M_THREEPID_NOT_FOUND"),
        ("account/3pid", 400, "M_THREEPID_MEDIUM_NOT_SUPPORTED"),
    ] {
        for (medium, body) in [("email", &email), ("msisdn", &phone)] {
            let path = format!("/_matrix/client/v3/{path}/{medium}/requestToken");
            ada.post(&path, body).await.expect_error(status, errcode);
        }
    }
    let mut session = json!({ "client_secret": "monkeys_are_GREAT", "sid": "abc" });
    session["three_pid_creds"] = session.clone();
    for path in ["account/3pid/add", "account/3pid"] {
        let add = ada.post(&format!("/_matrix/client/v3/{path}"), &session).await;
        add.expect_error(403, "M_THREEPID_AUTH_FAILED");
    }
    let address = json!({ "medium": "email", "address": "ada@example.org" });
    for path in ["delete", "unbind"] {
        let path = format!("/_matrix/client/v3/account/3pid/{path}");
        let answer = ada.post(&path, &address).await.expect_ok();
        assert_eq!(answer, json!({ "id_server_unbind_result": "no-support" }));
    }
}

#[tokio::test]
async fn a_logged_out_device_takes_its_notification_settings_along() {
    if synapse_departs_from("MSC3890 is behind a switch in Synapse") {
        return;
    }
    let ada = Server::start().await.register("ada").await;
    let phone = ada.log_in().await;
    let user = encoded(&ada.user_id);
    for prefix in ["m", "org.matrix.msc3890"] {
        let kind = format!("{prefix}.local_notification_settings.{}", phone.device_id);
        let path = format!("/_matrix/client/v3/user/{user}/account_data/{kind}");
        ada.put(&path, &json!({ "is_silenced": true })).await.expect_ok();
    }

    phone.post("/_matrix/client/v3/logout", &json!({})).await.expect_ok();

    for prefix in ["m", "org.matrix.msc3890"] {
        let kind = format!("{prefix}.local_notification_settings.{}", phone.device_id);
        let path = format!("/_matrix/client/v3/user/{user}/account_data/{kind}");
        ada.get(&path).await.expect_error(404, "M_NOT_FOUND");
    }
}

/// An authentication is for the account and the operation that asked for it.
#[tokio::test]
async fn a_session_for_one_operation_is_none_for_another() {
    let ada = Server::start().await.register("ada").await;
    let challenge = ada.post(CHANGE, &json!({ "new_password": BETTER })).await.expect_challenge();
    let auth = ada.password_stage(&challenge["session"]);
    let answer = ada.post(DEACTIVATE, &json!({ "auth": auth })).await;
    assert!([401, 403].contains(&answer.status), "{} {}", answer.status, answer.text);
    ada.get(WHOAMI).await.expect_ok();
}

/// Spec: `POST /account/deactivate`: "The server should additionally erase any non-event data associated with the user,
/// such as account data".
#[tokio::test]
async fn an_erased_user_is_not_found_any_more() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;

    with_password(&bo, DEACTIVATE, json!({ "erase": true })).await.expect_ok();

    let profile = format!("/_matrix/client/v3/profile/{}", encoded(&bo.user_id));
    ada.get(&profile).await.expect_error_of(&[(404, "M_NOT_FOUND"), (404, "M_UNKNOWN")]);
    let search = json!({ "search_term": bo.name() });
    let path = "/_matrix/client/v3/user_directory/search";
    for attempt in 0.. {
        let answer = ada.post(path, &search).await.expect_ok();
        if answer["results"] == json!([]) {
            break;
        }
        assert!(attempt < 100, "{answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
