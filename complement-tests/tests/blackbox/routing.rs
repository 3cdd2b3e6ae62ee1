//! API standards: routing, bodies, tokens, cross-origin requests.

use complement_tests::{Method, Server, encoded};
use serde_json::json;

#[tokio::test]
async fn an_unknown_path_answers_404() {
    let server = Server::start().await;
    for path in ["/_matrix/client/v3/nothing", "/_matrix/nothing", "/_matrix/client/v9/sync"] {
        server.stranger().get(path).await.expect_error(404, "M_UNRECOGNIZED");
    }
}

#[tokio::test]
async fn an_unknown_path_answers_404_before_the_token_is_looked_at() {
    let mut stranger = Server::start().await.stranger();
    stranger.access_token = "nonsense".to_owned();
    stranger.get("/_matrix/client/v3/nothing").await.expect_error(404, "M_UNRECOGNIZED");
}

#[tokio::test]
async fn a_wrong_method_answers_405() {
    let stranger = Server::start().await.stranger();
    let path = "/_matrix/client/v3/account/whoami";
    stranger.post(path, &json!({})).await.expect_error(405, "M_UNRECOGNIZED");
    stranger.delete("/_matrix/client/v3/login").await.expect_error(405, "M_UNRECOGNIZED");
}

#[tokio::test]
async fn a_missing_token_answers_401() {
    let stranger = Server::start().await.stranger();
    let paths = ["account/whoami", "sync", "joined_rooms", "devices", "rooms/!a:hearth.test/state"];
    for path in paths {
        let answer = stranger.get(&format!("/_matrix/client/v3/{path}")).await;
        answer.expect_error(401, "M_MISSING_TOKEN");
    }
    let answer = stranger.post("/_matrix/client/v3/createRoom", &json!({})).await;
    answer.expect_error(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn an_unknown_token_answers_401() {
    let mut stranger = Server::start().await.stranger();
    for token in ["nonsense", "syt_bm9ib2R5_aaaaaaaaaaaaaaaaaaaa_000000", "é"] {
        stranger.access_token = encoded(token);
        let answer = stranger.get("/_matrix/client/v3/account/whoami").await;
        let error = answer.expect_error(401, "M_UNKNOWN_TOKEN");
        assert!(error["soft_logout"].as_bool() != Some(true), "{error}");
    }
}

/// Spec: "Using access tokens": the token may stand in the query string, which is deprecated.
#[tokio::test]
async fn a_token_in_the_query_is_accepted() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let path = format!("/_matrix/client/v3/account/whoami?access_token={}", ada.access_token);
    let answer = server.stranger().get(&path).await.expect_ok();
    assert_eq!(answer["user_id"], ada.user_id.as_str());
}

#[tokio::test]
async fn a_body_that_is_not_json_answers_m_not_json() {
    let ada = Server::start().await.register("ada").await;
    for body in ["{", "{\"name\": \"tea\",}", "{\"name\": \"\u{1}\"}"] {
        let request = ada.request(Method::POST, "/_matrix/client/v3/createRoom");
        let answer = ada.answer(request.body(body)).await;
        answer.expect_error(400, "M_NOT_JSON");
    }
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_answers_m_not_json() {
    let ada = Server::start().await.register("ada").await;
    let request = ada.request(Method::POST, "/_matrix/client/v3/createRoom");
    let answer = ada.answer(request.body(b"{\"name\": \"\xff\xfe\"}".to_vec())).await;
    answer.expect_error(400, "M_NOT_JSON");
}

#[tokio::test]
async fn a_body_of_the_wrong_type_answers_m_bad_json() {
    let ada = Server::start().await.register("ada").await;
    for body in [json!([]), json!("text"), json!({ "room_version": 12 })] {
        let answer = ada.post("/_matrix/client/v3/createRoom", &body).await;
        answer.expect_error_of(&[(400, "M_BAD_JSON"), (400, "M_NOT_JSON")]);
    }
}

/// Clients need not say what they send: the specification asks for JSON and names no other type.
#[tokio::test]
async fn a_body_without_a_content_type_is_read_as_json() {
    let ada = Server::start().await.register("ada").await;
    let request = ada.request(Method::POST, "/_matrix/client/v3/createRoom");
    ada.answer(request.body("{}")).await.expect_ok();
}

/// Spec: "Web Browser Clients".
#[tokio::test]
async fn every_answer_allows_other_origins() {
    let server = Server::start().await;
    let stranger = server.stranger();
    for path in
        ["/_matrix/client/versions", "/_matrix/client/v3/sync", "/_matrix/client/v3/nothing"]
    {
        let answer = stranger.get(path).await;
        assert_eq!(answer.headers["access-control-allow-origin"], "*", "{path}");
    }
}

#[tokio::test]
async fn a_preflight_needs_no_token_and_names_methods_and_headers() {
    let stranger = Server::start().await.stranger();
    for path in ["/_matrix/client/v3/sync", "/_matrix/client/v3/createRoom"] {
        let request = stranger
            .request(Method::OPTIONS, path)
            .header("origin", "https://app.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization, content-type");
        let answer = stranger.answer(request).await;

        assert!(answer.status == 200 || answer.status == 204, "{path}: {}", answer.status);
        assert_eq!(answer.headers["access-control-allow-origin"], "*", "{path}");
        let listed = |header: &str| {
            let text = answer.headers[header].to_str().expect("header is text").to_lowercase();
            text.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>()
        };
        let methods = listed("access-control-allow-methods");
        for method in ["get", "post", "put", "delete", "options"] {
            assert!(methods.iter().any(|listed| listed == method), "{method} in {methods:?}");
        }
        let headers = listed("access-control-allow-headers");
        for header in ["x-requested-with", "content-type", "authorization"] {
            assert!(headers.iter().any(|listed| listed == header), "{header} in {headers:?}");
        }
    }
}

/// Nothing a client sends is a server error.
#[tokio::test]
async fn odd_paths_and_queries_are_not_server_errors() {
    let ada = Server::start().await.register("ada").await;
    let paths = [
        "/_matrix/client/v3/rooms/notaroom/state",
        "/_matrix/client/v3/rooms/%00/messages",
        "/_matrix/client/v3/rooms/!a:hearth.test/event/%FF%FE",
        "/_matrix/client/v3/sync?timeout=-1&since=nonsense",
        "/_matrix/client/v3/sync?timeout=soon",
        "/_matrix/client/v3/sync?filter=%7B",
        "/_matrix/client/v3/directory/room/notanalias",
        "/_matrix/client/v3/user/notauser/filter/0",
    ];
    for path in paths {
        let answer = ada.get(path).await;
        assert!((400..500).contains(&answer.status), "{path}: {} {}", answer.status, answer.text);
    }
}

/// JSON is UTF-8, also where nobody reads it.
#[tokio::test]
async fn a_string_that_nobody_reads_is_utf_8_as_well() {
    let stranger = Server::start().await.stranger();
    let request = stranger.request(Method::POST, "/_matrix/client/v3/register");
    let request = request.header("content-type", "application/json");
    let answer = stranger.answer(request.body(b"{ \"test\": \"a\x81\" }".to_vec())).await;
    answer.expect_error(400, "M_NOT_JSON");
}
