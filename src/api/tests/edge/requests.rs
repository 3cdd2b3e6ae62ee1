use std::num::NonZeroU32;

use api::{Rate, Rates};
use serde_json::json;

use crate::service::{edge, edge_with, request, send, without_token};

const SEND: &str = "/_matrix/client/v3/rooms/!a:hearth.test/send/m.room.message/1";
const ALIAS: &str = "/_matrix/client/v3/directory/room/";

#[tokio::test]
async fn every_path_of_a_request_is_served() {
    for version in ["r0", "v3"] {
        let uri = format!("/_matrix/client/{version}/account/whoami");
        let answer = send(&edge(), request("GET", &uri, b"")).await;

        assert_eq!(answer.status, 200);
        assert_eq!(answer.body["user_id"], "@ada:hearth.test");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn routing_comes_before_authentication() {
    let unknown = send(&edge(), without_token("GET", "/_matrix/client/v3/nothing").finish()).await;
    let wrong = send(&edge(), without_token("PATCH", "/_matrix/client/v3/login").finish()).await;

    assert_eq!(unknown.error(), (404, "M_UNRECOGNIZED"));
    assert_eq!(wrong.error(), (405, "M_UNRECOGNIZED"));
    assert_eq!(wrong.header("allow"), Some("GET, POST"));
}

#[tokio::test]
async fn a_token_comes_by_header_or_query_and_is_checked_before_the_body() {
    let whoami = "/_matrix/client/v3/account/whoami";
    let by_query = format!("{whoami}?access_token=token");
    let token = |value| without_token("GET", whoami).header("authorization", value).finish();

    assert_eq!(send(&edge(), without_token("GET", &by_query).finish()).await.status, 200);
    assert_eq!(send(&edge(), token("bearer token")).await.status, 200);
    let missing = send(&edge(), without_token("GET", whoami).finish()).await;
    assert_eq!(missing.error(), (401, "M_MISSING_TOKEN"));
    assert_eq!(send(&edge(), token("Basic dG9rZW4=")).await.error(), (401, "M_MISSING_TOKEN"));
    assert_eq!(send(&edge(), token("Bearer other")).await.error(), (401, "M_UNKNOWN_TOKEN"));
    let unread = send(&edge(), without_token("PUT", SEND).body("no json")).await;
    assert_eq!(unread.error(), (401, "M_MISSING_TOKEN"));
}

#[tokio::test]
async fn what_cannot_be_parsed_is_told_by_its_errcode() {
    let put = |body: &'static [u8]| request("PUT", &format!("{ALIAS}%23a:hearth.test"), body);
    let cases = [
        (put(b"{"), "M_NOT_JSON"),
        (put(b"room"), "M_NOT_JSON"),
        (put(b"{\"room_id\": 5,"), "M_NOT_JSON"),
        (put(b"{\"room_id\": \"\xff\"}"), "M_NOT_JSON"),
        (put(b"{\"room_id\": 5}"), "M_BAD_JSON"),
        (put(b"{\"room_id\": \"no room\"}"), "M_BAD_JSON"),
        (put(b"{}"), "M_BAD_JSON"),
        (put(b""), "M_BAD_JSON"),
        (put(b"[]"), "M_BAD_JSON"),
        (put(b"\"text\""), "M_BAD_JSON"),
        (request("PUT", SEND, b"5"), "M_BAD_JSON"),
        (request("POST", "/_matrix/client/v3/login", b"{}"), "M_BAD_JSON"),
        (request("GET", &format!("{ALIAS}no-alias"), b""), "M_INVALID_PARAM"),
        (request("GET", &format!("{ALIAS}%ff"), b""), "M_INVALID_PARAM"),
        (request("GET", "/_matrix/client/v3/sync?timeout=soon", b""), "M_INVALID_PARAM"),
    ];
    for (request, errcode) in cases {
        let shown = format!("{request:?}");
        assert_eq!(send(&edge(), request).await.error(), (400, errcode), "{shown}");
    }
}

#[tokio::test]
async fn a_post_without_a_body_is_one_with_an_empty_object() {
    let uri = "/_matrix/client/v3/join/!a:hearth.test";
    assert_eq!(send(&edge(), request("POST", uri, b"")).await.status, 200);
    let chunked = poem::Body::from_bytes_stream(futures_util::stream::empty::<
        Result<Vec<u8>, std::io::Error>,
    >());
    let builder = without_token("POST", uri).header("authorization", "Bearer token");
    assert_eq!(send(&edge(), builder.body(chunked)).await.status, 200);
    assert_eq!(send(&edge(), request("PUT", SEND, b"")).await.error(), (400, "M_NOT_JSON"));
}

#[tokio::test]
async fn what_a_get_brings_has_no_meaning() {
    let uri = "/_matrix/client/v3/account/whoami";
    assert_eq!(send(&edge(), request("GET", uri, b"null")).await.status, 200);
}

#[tokio::test]
async fn path_arguments_are_decoded_once() {
    let asked = format!("{ALIAS}%23a%2Fb+c%252F:hearth.test");
    let answer = send(&edge(), request("GET", &asked, b"")).await;

    assert_eq!(answer.error(), (404, "M_NOT_FOUND"));
    assert_eq!(answer.body["error"], "#a/b+c%2F:hearth.test");
}

#[tokio::test]
async fn a_state_key_may_be_empty_or_left_out() {
    let state = "/_matrix/client/v3/rooms/!a:hearth.test/state/m.room.name";
    for uri in [state.to_owned(), format!("{state}/")] {
        assert_eq!(send(&edge(), request("PUT", &uri, b"{}")).await.status, 200, "{uri}");
        assert_eq!(send(&edge(), request("GET", &uri, b"")).await.body["error"], "\"\"", "{uri}");
    }
    let keyed = format!("{state}/%40ada%3Ahearth.test");
    let answer = send(&edge(), request("GET", &keyed, b"")).await;
    assert_eq!(answer.body["error"], "\"@ada:hearth.test\"");
}

#[tokio::test]
async fn unknown_query_keys_are_ignored() {
    let uri = "/_matrix/client/v3/sync?since=s1&org.example.new=1&since_when=2";
    assert_eq!(send(&edge(), request("GET", uri, b"")).await.body["next_batch"], "s1");
}

#[tokio::test]
async fn a_body_over_the_endpoint_s_limit_is_refused() {
    let text = "x".repeat(2000);
    let large = json!({ "body": text, "room_id": "!a:hearth.test" }).to_string();
    let too_large = vec![b' '; 70_000];

    let alias = format!("{ALIAS}%23a:hearth.test");
    let over_default = send(&edge(), request("PUT", &alias, large.as_bytes())).await;
    assert_eq!(over_default.error(), (413, "M_TOO_LARGE"));
    assert_eq!(send(&edge(), request("PUT", SEND, large.as_bytes())).await.status, 200);
    assert_eq!(send(&edge(), request("PUT", SEND, &too_large)).await.error(), (413, "M_TOO_LARGE"));
}

#[tokio::test]
async fn a_rate_limit_tells_when_to_come_back() {
    let rate = Rate { per_second: 0.1, burst: NonZeroU32::MIN };
    let edge = edge_with(&Rates { messages: rate, ..Rates::default() });

    assert_eq!(send(&edge, request("PUT", SEND, b"{}")).await.status, 200);
    let limited = send(&edge, request("PUT", SEND, b"{}")).await;

    assert_eq!(limited.error(), (429, "M_LIMIT_EXCEEDED"));
    let wait: u64 = limited.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    assert!(limited.body["retry_after_ms"].as_u64().unwrap() <= 10_000);
    assert_eq!(send(&edge, request("GET", "/_matrix/client/v3/sync", b"")).await.status, 200);
}

#[tokio::test]
async fn every_answer_may_be_read_by_a_browser_of_any_origin() {
    for (method, uri, status) in [
        ("OPTIONS", SEND, 204),
        ("OPTIONS", "/nothing", 204),
        ("GET", "/nothing", 404),
        ("GET", "/_matrix/client/v3/login", 200),
        ("GET", "/_matrix/client/v3/account/whoami", 401),
    ] {
        let answer = send(&edge(), without_token(method, uri).finish()).await;

        assert_eq!(answer.status, status, "{method} {uri}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let methods = answer.header("access-control-allow-methods").unwrap();
        assert!(methods.contains("PUT") && methods.contains("DELETE"), "{methods}");
        let headers = answer.header("access-control-allow-headers").unwrap();
        assert_eq!(headers, "X-Requested-With, Content-Type, Authorization");
        assert!(answer.header("x-request-id").is_some());
    }
}

#[tokio::test]
async fn a_panic_in_a_handler_is_an_answer() {
    let answer = send(&edge(), request("POST", "/_matrix/client/v3/logout", b"{}")).await;

    assert_eq!(answer.error(), (500, "M_UNKNOWN"));
    assert_eq!(answer.body["error"], "internal server error");
}

#[tokio::test]
async fn a_panic_in_a_parser_is_a_client_s_error() {
    let answer = send(&edge(), without_token("GET", "/broken").finish()).await;

    assert_eq!(answer.error(), (400, "M_BAD_JSON"));
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_not_waited_for() {
    let alias = format!("{ALIAS}%23a:hearth.test");
    assert_eq!(send(&edge(), request("DELETE", &alias, b"")).await.error(), (503, "M_UNKNOWN"));
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let never = poem::Body::from_bytes_stream(futures_util::stream::pending::<
        Result<Vec<u8>, std::io::Error>,
    >());
    let request = without_token("PUT", SEND).header("authorization", "Bearer token").body(never);

    assert_eq!(send(&edge(), request).await.error(), (408, "M_UNKNOWN"));
}

#[tokio::test]
async fn head_is_answered_like_get_without_the_body() {
    let answer = send(&edge(), request("HEAD", "/_matrix/client/v3/account/whoami", b"")).await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, "");
}

#[tokio::test]
async fn versions_hold_what_is_routed_and_no_more() {
    let answer = send(&edge(), without_token("GET", "/_matrix/client/versions").finish()).await;

    // Neither registration nor rooms are routed here, so not even the oldest version is promised.
    assert_eq!(
        answer.body,
        json!({ "versions": [], "unstable_features": { "org.hearth.test": true } })
    );
}

#[tokio::test]
async fn the_server_s_name_is_told_to_clients_too() {
    let uri = "/_matrix/federation/v1/version";
    let answer = send(&edge(), without_token("GET", uri).finish()).await;

    assert_eq!(answer.body["server"]["name"], "hearth");
    let metrics = send(&edge(), without_token("GET", "/_hearth/metrics").finish()).await;
    assert_eq!(metrics.error(), (404, "M_UNRECOGNIZED"));
}
