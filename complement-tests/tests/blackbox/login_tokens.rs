//! Tokens that log another device in, and the pages for clients that cannot log in by themselves.

use complement_tests::{Client, Homeserver, Method, Server, unique};
use serde_json::json;

const GET_TOKEN: &str = "/_matrix/client/v1/login/get_token";
const LOGIN: &str = "/_matrix/client/v3/login";

async fn login_token(ada: &Client) -> String {
    let challenge = ada.post(GET_TOKEN, &json!({})).await.expect_challenge();
    let auth = ada.password_stage(&challenge["session"]);
    let answer = ada.post(GET_TOKEN, &json!({ "auth": auth })).await.expect_ok();
    assert!(answer["expires_in_ms"].as_u64().is_some_and(|span| span > 0), "{answer}");
    answer["login_token"].as_str().expect("a login token").to_owned()
}

#[tokio::test]
async fn a_login_token_logs_in_once() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let token = login_token(&ada).await;
    let body = json!({ "type": "m.login.token", "token": token });

    let session = server.stranger().post(LOGIN, &body).await.expect_ok();

    assert_eq!(session["user_id"], ada.user_id.as_str());
    assert_ne!(session["device_id"], ada.device_id.as_str());
    Client::of_session(&server, &session).create_room().await;
    server.stranger().post(LOGIN, &body).await.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn an_unknown_login_token_is_refused() {
    let body = json!({ "type": "m.login.token", "token": "nonsense" });
    let answer = Server::start().await.stranger().post(LOGIN, &body).await;
    answer.expect_error(403, "M_FORBIDDEN");
}

/// Spec: "servers MUST always re-prompt the user for verification".
#[tokio::test]
async fn each_login_token_takes_the_password_again() {
    let ada = Server::start().await.register("ada").await;
    login_token(&ada).await;
    ada.post(GET_TOKEN, &json!({})).await.expect_challenge();
}

#[tokio::test]
async fn login_tokens_are_announced() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let types = server.stranger().get(LOGIN).await.expect_ok();
    let wanted = json!({ "type": "m.login.token", "get_login_token": true });
    assert!(types["flows"].as_array().is_some_and(|flows| flows.contains(&wanted)), "{types}");
    let answer = ada.get("/_matrix/client/v3/capabilities").await.expect_ok();
    assert_eq!(answer["capabilities"]["m.get_login_token"], json!({ "enabled": true }));
}

#[tokio::test]
async fn a_server_may_give_out_no_login_tokens() {
    if Homeserver::chosen() == Homeserver::Synapse {
        return;
    }
    let server = Server::start_with(&[("HEARTH_SESSIONS__LOGIN_TOKENS", "false")]).await;
    let ada = server.register("ada").await;
    ada.post(GET_TOKEN, &json!({})).await.expect_error(400, "M_UNRECOGNIZED");
    let types = server.stranger().get(LOGIN).await.expect_ok();
    assert_eq!(types, json!({ "flows": [{ "type": "m.login.password" }] }));
    let answer = ada.get("/_matrix/client/v3/capabilities").await.expect_ok();
    assert_eq!(answer["capabilities"]["m.get_login_token"], json!({ "enabled": false }));
}

/// Spec: "Login Fallback".
#[tokio::test]
async fn the_login_page_stands_alone() {
    let page = Server::start().await.stranger().get("/_matrix/static/client/login/").await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.headers["content-type"].to_str().is_ok_and(|kind| kind.starts_with("text/html")));
    if Homeserver::chosen() == Homeserver::Hearth {
        assert!(page.text.contains("window.matrixLogin.onLogin(response)"), "{}", page.text);
        let policy = page.headers["content-security-policy"].to_str().expect("header is text");
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert!(!page.text.contains("src="), "it loads something: {}", page.text);
    }
}

/// Spec: "Fallback". Synapse serves these pages for the stages that need a browser only.
#[tokio::test]
async fn a_stage_is_completed_on_its_page() {
    if Homeserver::chosen() == Homeserver::Synapse {
        return;
    }
    let settings = [
        ("HEARTH_REGISTRATION__REQUIRE_TOKEN", "true"),
        ("HEARTH_REGISTRATION__TOKENS", r#"["open-sesame"]"#),
    ];
    let server = Server::start_with(&settings).await;
    let stranger = server.stranger();
    let register = "/_matrix/client/v3/register";
    let mut body = json!({ "username": unique("ada"), "password": "a long password" });
    let challenge = stranger.post(register, &body).await.expect_challenge();
    let session = challenge["session"].as_str().expect("a session");
    let path = |stage: &str, session: &str| {
        format!("/_matrix/client/v3/auth/{stage}/fallback/web?session={session}")
    };
    let stage = path("m.login.registration_token", session);
    let page = stranger.get(&stage).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains(r#"name="token""#), "{}", page.text);
    let send = async |form: String| {
        let request = stranger.request(Method::POST, &stage);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        stranger.answer(request.body(form)).await
    };

    let wrong = send(format!("session={session}&token=nonsense")).await;
    assert!(wrong.text.contains("not valid"), "{}", wrong.text);
    body["auth"] = json!({ "session": session });
    stranger.post(register, &body).await.expect_challenge();
    let right = send(format!("session={session}&token=open-sesame")).await;
    assert!(right.text.contains("window.onAuthDone()"), "{}", right.text);

    let registered = stranger.post(register, &body).await.expect_ok();
    Client::of_session(&server, &registered).create_room().await;
    for (stage, session) in [
        ("m.login.registration_token", session),
        ("m.login.registration_token", "%22%3E%3Cscript%3E"),
        ("m.login.password", session),
    ] {
        stranger.get(&path(stage, session)).await.expect_error(404, "M_NOT_FOUND");
    }
    let form = "session=x".to_owned();
    send(form).await.expect_error(404, "M_NOT_FOUND");
    send("nothing".to_owned()).await.expect_error(400, "M_INVALID_PARAM");
}
