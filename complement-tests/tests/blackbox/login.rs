//! Login, logout, refresh tokens, current account information.

use complement_tests::{Client, PASSWORD, Server, synapse_departs_from, unique};
use serde_json::{Value, json};

const LOGIN: &str = "/_matrix/client/v3/login";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

fn password_login(user: &str, password: &str) -> Value {
    json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": user },
        "password": password,
    })
}

#[tokio::test]
async fn login_types_list_the_password() {
    let answer = Server::start().await.stranger().get(LOGIN).await.expect_ok();
    let flows = answer["flows"].as_array().expect("flows is a list");
    assert!(flows.iter().any(|flow| flow["type"] == "m.login.password"), "{answer}");
}

#[tokio::test]
async fn login_with_a_user_id_or_its_local_part_gives_a_new_device() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    for user in [ada.user_id.as_str(), ada.name()] {
        let answer = server.stranger().post(LOGIN, &password_login(user, PASSWORD)).await;
        let session = Client::of_session(&server, &answer.expect_ok());
        assert_eq!(session.user_id, ada.user_id);
        assert_ne!(session.device_id, ada.device_id);
        let whoami = session.get(WHOAMI).await.expect_ok();
        assert_eq!(whoami["device_id"], session.device_id.as_str());
    }
    ada.get(WHOAMI).await.expect_ok();
}

/// The field `user` is deprecated in favour of `identifier`, and still served.
#[tokio::test]
async fn login_with_the_deprecated_user_field_works() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let body = json!({ "type": "m.login.password", "user": ada.name(), "password": PASSWORD });
    server.stranger().post(LOGIN, &body).await.expect_ok();
}

#[tokio::test]
async fn login_names_its_device() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let mut body = password_login(&ada.user_id, PASSWORD);
    body["device_id"] = json!("PHONE");
    body["initial_device_display_name"] = json!("Ada's phone");

    let answer = server.stranger().post(LOGIN, &body).await.expect_ok();

    assert_eq!(answer["device_id"], "PHONE");
    let device = ada.get("/_matrix/client/v3/devices/PHONE").await.expect_ok();
    assert_eq!(device["display_name"], "Ada's phone");
}

#[tokio::test]
async fn login_on_the_same_device_invalidates_its_earlier_token() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let mut body = password_login(&ada.user_id, PASSWORD);
    body["device_id"] = json!(ada.device_id);

    let answer = server.stranger().post(LOGIN, &body).await.expect_ok();

    let again = Client::of_session(&server, &answer);
    again.get(WHOAMI).await.expect_ok();
    let sentence = "If the client sets the `device_id`, the server will invalidate any access and \
                    refresh tokens previously assigned to that device.";
    if synapse_departs_from(sentence) {
        return;
    }
    ada.get(WHOAMI).await.expect_error(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn a_wrong_password_or_unknown_user_answers_403() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let stranger = server.stranger();
    let wrong = password_login(&ada.user_id, "wrong");
    stranger.post(LOGIN, &wrong).await.expect_error(403, "M_FORBIDDEN");
    let nobody = password_login(&unique("nobody"), PASSWORD);
    stranger.post(LOGIN, &nobody).await.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn an_unknown_login_type_answers_m_unknown() {
    let stranger = Server::start().await.stranger();
    let body = json!({ "type": "com.example.nothing" });
    let answer = stranger.post(LOGIN, &body).await;
    answer.expect_error_of(&[(400, "M_UNKNOWN"), (400, "M_INVALID_PARAM")]);
}

#[tokio::test]
async fn a_login_without_type_or_password_answers_400() {
    let stranger = Server::start().await.stranger();
    let nameless = json!({ "type": "m.login.password", "password": PASSWORD });
    for body in [json!({}), nameless] {
        let answer = stranger.post(LOGIN, &body).await;
        let code = answer.json()["errcode"].clone();
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        let codes = ["M_MISSING_PARAM", "M_BAD_JSON", "M_UNKNOWN", "M_INVALID_PARAM"];
        assert!(codes.iter().any(|known| code == *known), "{body}: {}", answer.text);
    }
}

#[tokio::test]
async fn whoami_says_who_and_on_which_device() {
    let ada = Server::start().await.register("ada").await;
    let whoami = ada.get(WHOAMI).await.expect_ok();
    assert_eq!(whoami["user_id"], ada.user_id.as_str());
    assert_eq!(whoami["device_id"], ada.device_id.as_str());
    assert!(whoami["is_guest"].as_bool() != Some(true), "{whoami}");
}

#[tokio::test]
async fn logout_ends_one_session_and_its_device() {
    let ada = Server::start().await.register("ada").await;
    let phone = ada.log_in().await;

    phone.post("/_matrix/client/v3/logout", &json!({})).await.expect_ok();

    phone.get(WHOAMI).await.expect_error(401, "M_UNKNOWN_TOKEN");
    ada.get(WHOAMI).await.expect_ok();
    let path = format!("/_matrix/client/v3/devices/{}", phone.device_id);
    ada.get(&path).await.expect_error(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn logout_everywhere_ends_all_sessions() {
    let ada = Server::start().await.register("ada").await;
    let phone = ada.log_in().await;

    phone.post("/_matrix/client/v3/logout/all", &json!({})).await.expect_ok();

    phone.get(WHOAMI).await.expect_error(401, "M_UNKNOWN_TOKEN");
    ada.get(WHOAMI).await.expect_error(401, "M_UNKNOWN_TOKEN");
    ada.log_in().await;
}

#[tokio::test]
async fn logout_needs_a_token() {
    let stranger = Server::start().await.stranger();
    for path in ["/_matrix/client/v3/logout", "/_matrix/client/v3/logout/all"] {
        stranger.post(path, &json!({})).await.expect_error(401, "M_MISSING_TOKEN");
    }
}

async fn refreshable(server: &Server) -> (Client, String) {
    let ada = server.register("ada").await;
    let mut body = password_login(&ada.user_id, PASSWORD);
    body["refresh_token"] = json!(true);
    let session = server.stranger().post(LOGIN, &body).await.expect_ok();
    let token = session["refresh_token"].as_str().expect("a refresh token").to_owned();
    assert!(session["expires_in_ms"].as_u64().is_some_and(|span| span > 0), "{session}");
    (Client::of_session(server, &session), token)
}

async fn refresh(server: &Server, token: &str) -> complement_tests::Answer {
    let body = json!({ "refresh_token": token });
    server.stranger().post("/_matrix/client/v3/refresh", &body).await
}

#[tokio::test]
async fn a_login_that_does_not_ask_gets_no_refresh_token() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let answer = server.stranger().post(LOGIN, &password_login(&ada.user_id, PASSWORD)).await;
    assert!(answer.expect_ok().get("refresh_token").is_none());
}

#[tokio::test]
async fn a_refresh_token_gives_a_new_access_token_of_the_same_device() {
    let server = Server::start().await;
    let (mut ada, token) = refreshable(&server).await;

    let fresh = refresh(&server, &token).await.expect_ok();

    let old = ada.clone();
    ada.access_token = fresh["access_token"].as_str().expect("an access token").to_owned();
    assert_ne!(ada.access_token, old.access_token);
    let whoami = ada.get(WHOAMI).await.expect_ok();
    assert_eq!(whoami["device_id"], ada.device_id.as_str());
}

/// Spec: "Refreshing access tokens": the old refresh token is valid until the new access token or
/// the new refresh token was used, so that a lost answer does not log the client out.
#[tokio::test]
async fn a_refresh_token_can_be_used_again_until_its_successor_was_used() {
    let server = Server::start().await;
    let (mut ada, token) = refreshable(&server).await;
    refresh(&server, &token).await.expect_ok();

    let fresh = refresh(&server, &token).await.expect_ok();
    ada.access_token = fresh["access_token"].as_str().expect("an access token").to_owned();
    ada.get(WHOAMI).await.expect_ok();

    // "With `M_UNKNOWN_TOKEN`: the provided token was unknown, or has already been used."
    let late = refresh(&server, &token).await;
    late.expect_error_of(&[
        (401, "M_UNKNOWN_TOKEN"),
        (403, "M_UNKNOWN_TOKEN"),
        (403, "M_FORBIDDEN"),
    ]);
}

#[tokio::test]
async fn an_unknown_refresh_token_is_refused() {
    let server = Server::start().await;
    refresh(&server, "nonsense").await.expect_error(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn registration_gives_a_refresh_token_when_asked() {
    let server = Server::start().await;
    let body = json!({
        "username": unique("ada"), "password": PASSWORD, "refresh_token": true,
        "auth": { "type": "m.login.dummy" },
    });
    let answer = server.stranger().post("/_matrix/client/v3/register", &body).await.expect_ok();
    let token = answer["refresh_token"].as_str().expect("a refresh token");
    refresh(&server, token).await.expect_ok();
}

/// Spec: "In the case that the homeserver does not know about the supplied 3PID, the homeserver must respond with `403
/// Forbidden`."
#[tokio::test]
async fn an_address_that_is_nobodys_answers_403() {
    let stranger = Server::start().await.stranger();
    let address = "nobody@example.org";
    let mut bodies = vec![
        json!({ "identifier": { "type": "m.id.thirdparty", "medium": "email", "address": address } }),
    ];
    if !synapse_departs_from(
        "The phone number; address: [...] Deprecated in favour of `identifier`.",
    ) {
        let phone = json!({ "type": "m.id.phone", "country": "GB", "phone": "07700900001" });
        bodies.push(json!({ "identifier": phone }));
        bodies.push(json!({ "medium": "email", "address": address }));
    }
    for mut body in bodies {
        body["type"] = json!("m.login.password");
        body["password"] = json!(PASSWORD);
        stranger.post(LOGIN, &body).await.expect_error(403, "M_FORBIDDEN");
    }
}

/// Not in the specification: without a limit, what is too large to keep would be a fault of the server.
#[tokio::test]
async fn a_device_has_an_id_and_a_name_of_some_length() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let mut fields = vec![("device_id", "x".repeat(100_000))];
    if !synapse_departs_from("(limits of hearth's)") {
        fields.push(("device_id", String::new()));
        fields.push(("initial_device_display_name", "x".repeat(100_000)));
    }
    for (field, value) in fields {
        let mut body = password_login(&ada.user_id, PASSWORD);
        body[field] = json!(value);
        server.stranger().post(LOGIN, &body).await.expect_error(400, "M_INVALID_PARAM");
    }
    let devices = ada.get("/_matrix/client/v3/devices").await.expect_ok();
    assert_eq!(devices["devices"].as_array().map(Vec::len), Some(1), "{devices}");
}

#[tokio::test]
async fn a_logged_out_refresh_token_is_unknown() {
    let server = Server::start().await;
    let (ada, token) = refreshable(&server).await;
    ada.post("/_matrix/client/v3/logout", &json!({})).await.expect_ok();
    let error = refresh(&server, &token).await.expect_error(401, "M_UNKNOWN_TOKEN");
    assert!(error["soft_logout"].as_bool() != Some(true), "{error}");
}
