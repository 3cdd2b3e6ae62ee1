//! Tokens that prove to others who somebody is.

use complement_tests::{Homeserver, Server, encoded};
use serde_json::json;

const USERINFO: &str = "/_matrix/federation/v1/openid/userinfo";

#[tokio::test]
async fn whoever_gets_the_token_learns_whose_it_is_and_no_more() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let user = encoded(&ada.user_id);
    let path = format!("/_matrix/client/v3/user/{user}/openid/request_token");

    let answer = ada.post(&path, &json!({})).await.expect_ok();

    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["matrix_server_name"], server.name());
    assert!(answer["expires_in"].as_u64().is_some_and(|seconds| seconds > 0), "{answer}");
    let token = answer["access_token"].as_str().expect("a token");
    let stranger = server.stranger();
    if Homeserver::chosen() == Homeserver::Hearth {
        // Synapse serves it where federation is.
        let found = stranger.get(&format!("{USERINFO}?access_token={}", encoded(token))).await;
        assert_eq!(found.expect_ok(), json!({ "sub": ada.user_id }));
    }
    let whoami = format!("/_matrix/client/v3/account/whoami?access_token={}", encoded(token));
    stranger.get(&whoami).await.expect_error(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn nobody_gets_a_token_of_another() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let path = format!("/_matrix/client/v3/user/{}/openid/request_token", encoded(&ada.user_id));
    bo.post(&path, &json!({})).await.expect_error(403, "M_FORBIDDEN");
    server.stranger().post(&path, &json!({})).await.expect_error(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn an_unknown_token_is_refused() {
    let stranger = Server::start().await.stranger();
    let answer = stranger.get(&format!("{USERINFO}?access_token=nonsense")).await;
    answer.expect_error(401, "M_UNKNOWN_TOKEN");
    let missing = stranger.get(USERINFO).await;
    missing.expect_error_of(&[(400, "M_MISSING_PARAM"), (401, "M_MISSING_TOKEN")]);
}

#[tokio::test]
async fn a_token_survives_a_restart() {
    let server = Server::start_fresh().await;
    let ada = server.register("ada").await;
    let path = format!("/_matrix/client/v3/user/{}/openid/request_token", encoded(&ada.user_id));
    let answer = ada.post(&path, &json!({})).await.expect_ok();
    let token = answer["access_token"].as_str().expect("a token");

    server.restart().await;

    let found = server.stranger().get(&format!("{USERINFO}?access_token={}", encoded(token))).await;
    assert_eq!(found.expect_ok(), json!({ "sub": ada.user_id }));
}
