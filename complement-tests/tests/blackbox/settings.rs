//! Settings of hearth that clients notice.

use complement_tests::{Client, Homeserver, Method, PASSWORD, Server, room_path, unique};
use serde_json::json;

/// A server of this test's own with these settings; `None` on Synapse, which has its own.
async fn hearth_with(settings: &[(&str, &str)]) -> Option<Server> {
    if Homeserver::chosen() != Homeserver::Hearth {
        return None;
    }
    Some(Server::start_with(settings).await)
}

/// Spec: "Rate limiting": 429 with `M_LIMIT_EXCEEDED` and a `Retry-After` in seconds.
#[tokio::test]
async fn one_who_asks_too_often_is_told_when_to_come_back() {
    let limited = ("HEARTH_RATE_LIMITS__ENABLED", "true");
    let Some(server) = hearth_with(&[limited]).await else { return };
    let stranger = server.stranger();
    let body = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": unique("nobody") },
        "password": PASSWORD,
    });
    for _ in 0..100 {
        let answer = stranger.post("/_matrix/client/v3/login", &body).await;
        if answer.status == 429 {
            let seconds = answer.headers["retry-after"].to_str().expect("header is text");
            assert!(seconds.parse::<u64>().is_ok_and(|seconds| seconds > 0), "{seconds}");
            assert_eq!(answer.headers["access-control-allow-origin"], "*");
            let error = answer.expect_error(429, "M_LIMIT_EXCEEDED");
            assert!(error["retry_after_ms"].as_u64().is_some_and(|span| span > 0), "{error}");
            return;
        }
        answer.expect_error(403, "M_FORBIDDEN");
    }
    panic!("a hundred logins in a row were let through");
}

#[tokio::test]
async fn closed_registration_lets_nobody_in_but_by_the_shared_secret() {
    let closed = ("HEARTH_REGISTRATION__ENABLED", "false");
    let Some(server) = hearth_with(&[closed]).await else { return };
    let body = json!({
        "username": unique("ada"), "password": PASSWORD, "auth": { "type": "m.login.dummy" },
    });
    let answer = server.stranger().post("/_matrix/client/v3/register", &body).await;
    answer.expect_error(403, "M_FORBIDDEN");
    // "The homeserver does not permit registration and thus all tokens are considered invalid."
    let validity = "/_matrix/client/v1/register/m.login.registration_token/validity?token=x";
    server.stranger().get(validity).await.expect_error(403, "M_FORBIDDEN");
    let ada = server.register_with_shared_secret("ada", complement_tests::Role::Ordinary).await;
    ada.create_room().await;
}

#[tokio::test]
async fn registration_that_takes_a_token_refuses_a_wrong_one() {
    let token = ("HEARTH_REGISTRATION__REQUIRE_TOKEN", "true");
    let Some(server) = hearth_with(&[token]).await else { return };
    let (stranger, path) = (server.stranger(), "/_matrix/client/v3/register");
    let mut body = json!({ "username": unique("ada"), "password": PASSWORD });
    let challenge = stranger.post(path, &body).await.expect_challenge();
    let flows = challenge["flows"].as_array().expect("flows is a list");
    let stage = json!("m.login.registration_token");
    assert!(
        flows.iter().all(|flow| flow["stages"].as_array().is_some_and(|all| all.contains(&stage))),
        "{challenge}"
    );
    for kind in ["m.login.registration_token", "m.login.dummy"] {
        body["auth"] =
            json!({ "type": kind, "token": "nonsense", "session": challenge["session"] });
        let answer = stranger.post(path, &body).await;
        assert!([400, 401, 403].contains(&answer.status), "{} {}", answer.status, answer.text);
    }
}

/// Spec: "Token-authenticated registration".
#[tokio::test]
async fn registration_that_takes_a_token_lets_its_holder_in() {
    let settings = [
        ("HEARTH_REGISTRATION__REQUIRE_TOKEN", "true"),
        ("HEARTH_REGISTRATION__TOKENS", r#"["open-sesame"]"#),
    ];
    let Some(server) = hearth_with(&settings).await else { return };
    let (stranger, path) = (server.stranger(), "/_matrix/client/v3/register");
    let validity =
        "/_matrix/client/v1/register/m.login.registration_token/validity?token=open-sesame";
    assert_eq!(stranger.get(validity).await.expect_ok(), json!({ "valid": true }));
    let mut body = json!({ "username": unique("ada"), "password": PASSWORD });
    let challenge = stranger.post(path, &body).await.expect_challenge();

    let flows = challenge["flows"].as_array().expect("flows is a list");
    let mut answer = None;
    for stage in flows[0]["stages"].as_array().expect("stages is a list") {
        body["auth"] =
            json!({ "type": stage, "token": "open-sesame", "session": challenge["session"] });
        answer = Some(stranger.post(path, &body).await);
    }

    let session = answer.expect("a flow has a stage").expect_ok();
    Client::of_session(&server, &session).create_room().await;
}

/// Spec: "Soft logout" and "Refreshing access tokens".
#[tokio::test]
async fn an_access_token_that_ran_out_is_refreshed() {
    let short = ("HEARTH_SESSIONS__ACCESS_TOKEN_SECONDS", "1");
    let Some(server) = hearth_with(&[short]).await else { return };
    let body = json!({
        "username": unique("ada"), "password": PASSWORD, "refresh_token": true,
        "auth": { "type": "m.login.dummy" },
    });
    let answer = server.stranger().post("/_matrix/client/v3/register", &body).await;
    let session = answer.expect_ok();
    let mut ada = Client::of_session(&server, &session);
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;

    let whoami = "/_matrix/client/v3/account/whoami";
    let error = ada.get(whoami).await.expect_error(401, "M_UNKNOWN_TOKEN");
    assert_eq!(error["soft_logout"], true);

    let body = json!({ "refresh_token": session["refresh_token"] });
    let answer = server.stranger().post("/_matrix/client/v3/refresh", &body).await;
    let fresh = answer.expect_ok();
    ada.access_token = fresh["access_token"].as_str().expect("an access token").to_owned();
    ada.get(whoami).await.expect_ok();
}

/// Spec: version 1.16 of the client-server API, "Predefined Rules".
#[tokio::test]
async fn messages_are_searched_for_names_if_the_server_is_told_to() {
    for is_on in [true, false] {
        let setting = is_on.to_string();
        let setting = ("HEARTH_PUSH__LEGACY_MENTIONS", setting.as_str());
        let Some(server) = hearth_with(&[setting]).await else { return };
        let (ada, bo) = (server.register("ada").await, server.register("bo").await);
        let room = ada.create_room().await;
        bo.join(&room).await;
        ada.say(&room, &format!("{}: tea?", bo.name())).await;
        ada.say(&room, "tea is ready @room").await;
        ada.say(&room, "nobody in particular").await;
        let to_none = json!({ "msgtype": "m.text", "body": bo.name(), "m.mentions": {} });
        ada.send(&room, "m.room.message", &to_none).await;

        let sync = bo.sync().await;
        let unread = &sync["rooms"]["join"][&room]["unread_notifications"];
        assert_eq!(unread["notification_count"], 4, "{unread}");
        assert_eq!(unread["highlight_count"], if is_on { 2 } else { 0 }, "{unread}");
        let rules = "/_matrix/client/v3/pushrules/global";
        for rule in [
            "override/.m.rule.contains_display_name",
            "override/.m.rule.roomnotif",
            "content/.m.rule.contains_user_name",
        ] {
            let answer = bo.get(&format!("{rules}/{rule}")).await;
            if is_on {
                assert_eq!(answer.expect_ok()["default"], true);
            } else {
                answer.expect_error(404, "M_NOT_FOUND");
            }
        }
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let small = ("HEARTH_LIMITS__BODY_BYTES", "100000");
    let Some(server) = hearth_with(&[small]).await else { return };
    let ada = server.register("ada").await;
    let request = ada.request(Method::POST, "/_matrix/client/v3/createRoom");
    let body = json!({ "name": "a".repeat(200_000) }).to_string();
    let answer = request.body(body).send().await.expect("the server answers");
    assert_eq!(answer.status(), 413);
    let error = answer.text().await.expect("a whole answer");
    assert!(error.contains("M_TOO_LARGE"), "{error}");
    assert!(ada.create_room().await.starts_with('!'));
    let joined = ada.get("/_matrix/client/v3/joined_rooms").await.expect_ok();
    assert_eq!(joined["joined_rooms"].as_array().map(Vec::len), Some(1));
}

/// What is said in rooms, passwords and tokens are nobody's business, whatever the level of the log.
#[tokio::test]
async fn the_log_has_no_secrets_and_no_content() {
    let Some(server) = hearth_with(&[("HEARTH_LOGGING__FILTER", "debug")]).await else { return };
    let ada = server.register("ada").await.log_in().await;
    let room = ada.create_room_with(&json!({ "name": "marzipan-name" })).await;
    ada.say(&room, "marzipan-body").await;
    let path = format!("/_matrix/client/v3/account/whoami?access_token={}", ada.access_token);
    server.stranger().get(&path).await.expect_ok();
    ada.get(&room_path(&room, "messages?dir=b")).await.expect_ok();
    let bo = server.register_with_shared_secret("bo", complement_tests::Role::Ordinary).await;

    let log = server.log();

    assert!(log.contains("hearth.test") || log.contains("POST"), "nothing is logged: {log}");
    let secrets = ["marzipan", PASSWORD, &ada.access_token, &bo.access_token, "shared_secret"];
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} in the log: {}", line.unwrap_or_default());
    }
}
