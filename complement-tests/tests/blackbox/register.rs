//! Account registration.

use std::time::Duration;

use complement_tests::{Answer, Client, Role, Server, synapse_departs_from, unique};
use serde_json::json;

const REGISTER: &str = "/_matrix/client/v3/register";

/// Asks whether a name is available; `query` begins with `?` or is empty. Synapse lets few ask at a time, whatever its
/// configuration says of rates: whoever is turned away asks again, some times.
async fn availability(stranger: &Client, query: &str) -> Answer {
    let path = format!("{REGISTER}/available{query}");
    let mut answer = stranger.get(&path).await;
    for _ in 0..20 {
        if answer.status != 429 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        answer = stranger.get(&path).await;
    }
    answer
}

#[tokio::test]
async fn registration_answers_with_a_session_that_works() {
    let server = Server::start().await;
    let name = unique("ada");
    let body = json!({
        "username": name,
        "password": "a long password",
        "device_id": "KITCHEN",
        "initial_device_display_name": "kitchen tablet",
        "auth": { "type": "m.login.dummy" },
    });

    let answer = server.stranger().post(REGISTER, &body).await.expect_ok();

    assert_eq!(answer["user_id"], format!("@{name}:{}", server.name()));
    assert_eq!(answer["device_id"], "KITCHEN");
    let ada = Client::of_session(&server, &answer);
    let whoami = ada.get("/_matrix/client/v3/account/whoami").await.expect_ok();
    assert_eq!(whoami["user_id"], ada.user_id.as_str());
    assert_eq!(whoami["device_id"], "KITCHEN");
    let device = ada.get("/_matrix/client/v3/devices/KITCHEN").await.expect_ok();
    assert_eq!(device["display_name"], "kitchen tablet");
}

#[tokio::test]
async fn registration_without_auth_is_a_challenge_with_a_dummy_flow() {
    let stranger = Server::start().await.stranger();
    let body = json!({ "username": unique("ada"), "password": "a long password" });

    let challenge = stranger.post(REGISTER, &body).await.expect_challenge();

    assert!(challenge["params"].is_object(), "{challenge}");
    let flows = challenge["flows"].as_array().expect("flows is a list");
    assert!(flows.contains(&json!({ "stages": ["m.login.dummy"] })), "{challenge}");
}

#[tokio::test]
async fn a_challenged_registration_completes_with_its_session() {
    let server = Server::start().await;
    let name = unique("ada");
    let mut body = json!({ "username": name, "password": "a long password" });
    let challenge = server.stranger().post(REGISTER, &body).await.expect_challenge();

    body["auth"] = json!({ "type": "m.login.dummy", "session": challenge["session"] });
    let answer = server.stranger().post(REGISTER, &body).await.expect_ok();

    assert_eq!(answer["user_id"], format!("@{name}:{}", server.name()));
}

#[tokio::test]
async fn registration_without_a_username_makes_one_up() {
    let server = Server::start().await;
    let body = json!({ "password": "a long password", "auth": { "type": "m.login.dummy" } });

    let answer = server.stranger().post(REGISTER, &body).await.expect_ok();

    Client::of_session(&server, &answer).create_room().await;
}

#[tokio::test]
async fn registration_with_inhibit_login_makes_no_session() {
    let stranger = Server::start().await.stranger();
    let body = json!({
        "username": unique("ada"),
        "password": "a long password",
        "inhibit_login": true,
        "auth": { "type": "m.login.dummy" },
    });

    let answer = stranger.post(REGISTER, &body).await.expect_ok();

    assert!(answer["user_id"].is_string(), "{answer}");
    assert!(answer.get("access_token").is_none(), "{answer}");
    assert!(answer.get("device_id").is_none(), "{answer}");
}

#[tokio::test]
async fn a_name_in_use_answers_m_user_in_use() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let body = json!({
        "username": ada.name(), "password": "another", "auth": { "type": "m.login.dummy" },
    });
    server.stranger().post(REGISTER, &body).await.expect_error(400, "M_USER_IN_USE");

    let query = format!("?username={}", ada.name());
    availability(&server.stranger(), &query).await.expect_error(400, "M_USER_IN_USE");
}

#[tokio::test]
async fn a_name_with_capitals_is_registered_in_lower_case_or_refused() {
    let server = Server::start().await;
    let name = unique("Ada");
    let body = json!({
        "username": name, "password": "a long password", "auth": { "type": "m.login.dummy" },
    });
    let answer = server.stranger().post(REGISTER, &body).await;
    if answer.status == 200 {
        let user_id = format!("@{}:{}", name.to_lowercase(), server.name());
        assert_eq!(answer.expect_ok()["user_id"], user_id);
    } else {
        answer.expect_error(400, "M_INVALID_USERNAME");
    }
}

#[tokio::test]
async fn an_invalid_name_answers_m_invalid_username() {
    let stranger = Server::start().await.stranger();
    let long = "a".repeat(256);
    for name in ["ada!", "ada lovelace", "é", "a:b", "@ada", long.as_str()] {
        let body = json!({
            "username": name, "password": "a long password", "auth": { "type": "m.login.dummy" },
        });
        stranger.post(REGISTER, &body).await.expect_error(400, "M_INVALID_USERNAME");
    }
}

#[tokio::test]
async fn a_free_name_is_available() {
    let stranger = Server::start().await.stranger();
    let query = format!("?username={}", unique("free"));
    assert_eq!(availability(&stranger, &query).await.expect_ok(), json!({ "available": true }));
}

#[tokio::test]
async fn an_invalid_name_is_not_available() {
    let stranger = Server::start().await.stranger();
    availability(&stranger, "?username=ada%21").await.expect_error(400, "M_INVALID_USERNAME");
}

#[tokio::test]
async fn an_unknown_session_is_no_way_in() {
    let stranger = Server::start().await.stranger();
    let body = json!({
        "username": unique("ada"),
        "password": "a long password",
        "auth": { "type": "m.login.dummy", "session": "nonsense" },
    });
    let answer = stranger.post(REGISTER, &body).await;
    assert!([400, 401, 403].contains(&answer.status), "{} {}", answer.status, answer.text);
}

#[tokio::test]
async fn a_stage_that_is_not_offered_does_not_complete() {
    let stranger = Server::start().await.stranger();
    let body = json!({ "username": unique("ada"), "password": "a long password" });
    let challenge = stranger.post(REGISTER, &body).await.expect_challenge();
    let mut body = body;
    body["auth"] = json!({ "type": "com.example.nothing", "session": challenge["session"] });
    let answer = stranger.post(REGISTER, &body).await;
    assert!([400, 401].contains(&answer.status), "{} {}", answer.status, answer.text);
}

#[tokio::test]
async fn an_unknown_registration_token_is_not_valid() {
    let stranger = Server::start().await.stranger();
    let path = "/_matrix/client/v1/register/m.login.registration_token/validity?token=nonsense";
    assert_eq!(stranger.get(path).await.expect_ok(), json!({ "valid": false }));
}

#[tokio::test]
async fn the_shared_secret_registers_a_user() {
    let server = Server::start().await;

    let ada = server.register_with_shared_secret("ada", Role::Administrator).await;

    let whoami = ada.get("/_matrix/client/v3/account/whoami").await.expect_ok();
    assert_eq!(whoami["user_id"], ada.user_id.as_str());
    ada.log_in().await;
}

#[tokio::test]
async fn a_nonce_serves_once() {
    let stranger = Server::start().await.stranger();
    let path = "/_synapse/admin/v1/register";
    let nonce = stranger.get(path).await.expect_ok()["nonce"].clone();
    let body = |name: String| {
        let text = nonce.as_str().expect("nonce is text");
        let mac = Server::shared_secret_mac(text, &name, "secret", Role::Ordinary);
        json!({ "nonce": nonce, "username": name, "password": "secret", "admin": false, "mac": mac })
    };
    stranger.post(path, &body(unique("ada"))).await.expect_ok();

    let again = stranger.post(path, &body(unique("ada"))).await;

    again.expect_error(400, "M_UNKNOWN");
}

#[tokio::test]
async fn a_wrong_mac_answers_403() {
    let stranger = Server::start().await.stranger();
    let path = "/_synapse/admin/v1/register";
    let nonce = stranger.get(path).await.expect_ok()["nonce"].clone();
    let body = json!({
        "nonce": nonce, "username": unique("ada"), "password": "secret", "admin": true,
        "mac": "0123456789012345678901234567890123456789",
    });
    stranger.post(path, &body).await.expect_error(403, "M_UNKNOWN");
}

/// The proof covers who is made an administrator.
#[tokio::test]
async fn a_mac_for_an_ordinary_user_makes_no_administrator() {
    let stranger = Server::start().await.stranger();
    let path = "/_synapse/admin/v1/register";
    let nonce = stranger.get(path).await.expect_ok()["nonce"].clone();
    let name = unique("ada");
    let mac = Server::shared_secret_mac(nonce.as_str().unwrap(), &name, "secret", Role::Ordinary);
    let body = json!({
        "nonce": nonce, "username": name, "password": "secret", "admin": true, "mac": mac,
    });
    stranger.post(path, &body).await.expect_error(403, "M_UNKNOWN");
}

/// Spec: `POST /register`: "`kind`: one of guest, user".
#[tokio::test]
async fn there_are_two_kinds_of_accounts() {
    let stranger = Server::start().await.stranger();
    let path = format!("{REGISTER}?kind=ghost");
    let answer = stranger.post(&path, &json!({})).await;
    answer.expect_error_of(&[(400, "M_INVALID_PARAM"), (400, "M_UNRECOGNIZED")]);
}

/// What is too large to keep is refused, and the name stays free.
#[tokio::test]
async fn nobody_registers_with_an_impossible_device() {
    let stranger = Server::start().await.stranger();
    let name = unique("ada");
    let body = json!({
        "username": name, "password": "a long password", "device_id": "x".repeat(100_000),
        "auth": { "type": "m.login.dummy" },
    });
    if synapse_departs_from("(a limit of hearth's)") {
        return;
    }
    stranger.post(REGISTER, &body).await.expect_error(400, "M_INVALID_PARAM");
    let path = format!("{REGISTER}/available?username={name}");
    stranger.get(&path).await.expect_ok();
}

#[tokio::test]
async fn what_is_asked_about_is_named() {
    let stranger = Server::start().await.stranger();
    let validity = "/_matrix/client/v1/register/m.login.registration_token/validity";
    availability(&stranger, "").await.expect_error(400, "M_MISSING_PARAM");
    stranger.get(validity).await.expect_error(400, "M_MISSING_PARAM");
}
