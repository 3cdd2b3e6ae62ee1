//! Whatever a client sends, the edge finds a client's error in it, never one of its own.

use api::Edge;
use poem::Request;
use proptest::prelude::*;

use crate::service::{edge, send, without_token};

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"];

/// Paths of all shapes of the service's requests, with a gap for each argument. `/logout` panics on purpose.
const SHAPES: [&str; 8] = [
    "/_matrix/client/v3/account/whoami",
    "/_matrix/client/v3/login",
    "/_matrix/client/v3/directory/room/{}",
    "/_matrix/client/v3/rooms/{}/send/{}/{}",
    "/_matrix/client/v3/rooms/{}/state/{}",
    "/_matrix/client/v3/rooms/{}/state/{}/{}",
    "/_matrix/client/r0/sync",
    "/{}/{}",
];

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Vec<u8>>(),
        "[!#@$][a-z]{0,3}:[a-z.]{0,4}".prop_map(String::into_bytes),
        "[ -~]{0,20}".prop_map(String::into_bytes),
    ]
}

/// Bytes as they may stand in a URL: some encoded, some not.
fn in_url(bytes: &[u8]) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"+%:@!$&=;,.~-_".contains(&byte);
    bytes
        .iter()
        .map(|&byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") })
        .collect()
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let json = r#"\{"(room_id|type|user|identifier|password|membership)": ?("[!@a-z:]{0,6}"|\{\}|\[\]|-?[0-9.e]{1,5}|null|true)[,}]?\}?"#;
    prop_oneof![any::<Vec<u8>>(), json.prop_map(String::into_bytes), Just(vec![b'['; 2000])]
}

/// What a request is made of.
#[derive(Clone, Debug)]
struct Parts {
    method: usize,
    shape: usize,
    arguments: Vec<Vec<u8>>,
    query: Vec<u8>,
    authorization: Vec<u8>,
    body: Vec<u8>,
}

fn requests() -> impl Strategy<Value = Parts> {
    let arguments = prop::collection::vec(text(), 3);
    let authorization = prop_oneof![Just(b"Bearer token".to_vec()), any::<Vec<u8>>()];
    let parts = (0..METHODS.len(), 0..SHAPES.len(), arguments, text(), authorization, body());
    parts.prop_map(|(method, shape, arguments, query, authorization, body)| Parts {
        method,
        shape,
        arguments,
        query,
        authorization,
        body,
    })
}

/// `None` for what no HTTP parser would let through.
fn build(parts: &Parts) -> Option<Request> {
    let mut uri = SHAPES[parts.shape].to_owned();
    for argument in &parts.arguments {
        uri = uri.replacen("{}", &in_url(argument), 1);
    }
    let query = in_url(&parts.query);
    let uri = format!("{uri}?timeout={query}&{query}");
    uri.parse::<http::Uri>().ok()?;
    let authorization = http::HeaderValue::from_bytes(&parts.authorization).ok()?;
    let builder = without_token(METHODS[parts.method], &uri);
    Some(builder.header("authorization", authorization).body(parts.body.clone()))
}

async fn status(edge: &Edge, request: Request) -> u16 {
    send(edge, request).await.status
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_input_is_answered_with_a_server_s_error(parts in requests()) {
        let Some(request) = build(&parts) else { return Ok(()) };
        // The echo's deletion only sleeps, to be timed out by another test.
        if request.method() == http::Method::DELETE {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let status = runtime.block_on(status(&edge(), request));
        prop_assert!(status < 500, "{status}");
    }
}
