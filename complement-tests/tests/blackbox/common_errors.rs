//! The errors that every endpoint has in common. Spec: "Common error codes".
//!
//! `endpoints.tsv` has all endpoints: one that is new needs a line there.

use complement_tests::{
    Answer, Client, Homeserver, Method, Role, Server, encoded, synapse_departs_from,
};
use serde_json::json;

const TABLE: &str = include_str!("endpoints.tsv");

#[derive(Clone, Copy)]
struct Endpoint {
    method: &'static str,
    path: &'static str,
    token: &'static str,
    is_limited: bool,
    /// A body that is an object and yet wrong.
    wrong: Option<&'static str>,
}

fn endpoints() -> impl Iterator<Item = Endpoint> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let columns: Vec<_> = line.split('\t').collect();
        let [method, path, token, limited, wrong] = columns[..] else { panic!("columns: {line}") };
        let wrong = Some(wrong).filter(|wrong| *wrong != "-");
        Endpoint { method, path, token, is_limited: limited == "yes", wrong }
    })
}

impl Endpoint {
    /// Whether nobody is served without a token.
    fn needs_token(self) -> bool {
        ["needed", "guest"].contains(&self.token)
    }

    /// Whether the specification has the client send a JSON object. "Logging out takes an empty request body."
    fn has_body(self) -> bool {
        ["POST", "PUT"].contains(&self.method) && !self.path.contains("/logout")
    }

    /// The path with something in each place; users are `user`.
    fn path_for(self, user: &str) -> String {
        let segments = self.path.split('/').map(|segment| match segment {
            "{userId}" => encoded(user),
            "{roomId}" | "{roomIdOrAlias}" => "!kitchen:hearth.test".to_owned(),
            "{roomAlias}" => "%23kitchen:hearth.test".to_owned(),
            "{eventId}" => "%24tea".to_owned(),
            "{eventType}" => "m.room.message".to_owned(),
            "{receiptType}" => "m.read".to_owned(),
            "{relType}" => "m.thread".to_owned(),
            "{keyName}" => "displayname".to_owned(),
            "{kind}" => "content".to_owned(),
            other => other.trim_matches(['{', '}']).to_owned(),
        });
        segments.collect::<Vec<_>>().join("/")
    }

    async fn send(self, client: &Client, user: &str, body: &str) -> Answer {
        let method: Method = self.method.parse().expect("a method");
        // Nothing is to be waited for.
        let path = self.path_for(user) + if self.method == "GET" { "?timeout=0" } else { "" };
        let mut request = client.request(method, &path);
        if self.method != "GET" {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        client.answer(request).await
    }
}

/// As the sentence of the specification says; Synapse looks at some endpoints' parameters or settings first.
#[track_caller]
fn expect(answer: Answer, status: u16, errcode: &str, sentence: &str) {
    let is_as_said = answer.status == status && answer.text.contains(errcode);
    if !is_as_said && synapse_departs_from(sentence) {
        return;
    }
    answer.expect_error(status, errcode);
}

#[tokio::test]
async fn every_endpoint_that_needs_a_token_says_when_it_is_missing_or_unknown() {
    let stranger = Server::start().await.stranger();
    let mut guesser = stranger.clone();
    guesser.access_token = "nonsense".to_owned();
    for endpoint in endpoints().filter(|endpoint| endpoint.needs_token()) {
        let answer = endpoint.send(&stranger, "@ada:hearth.test", "{}").await;
        expect(answer, 401, "M_MISSING_TOKEN", "When credentials are required but missing");
        let answer = endpoint.send(&guesser, "@ada:hearth.test", "{}").await;
        expect(answer, 401, "M_UNKNOWN_TOKEN", "When credentials are required but [...] invalid");
    }
}

#[tokio::test]
async fn where_a_token_is_optional_an_unknown_one_is_refused() {
    let mut guesser = Server::start().await.stranger();
    guesser.access_token = "nonsense".to_owned();
    for endpoint in endpoints().filter(|endpoint| endpoint.token == "optional") {
        let answer = endpoint.send(&guesser, "@ada:hearth.test", "{}").await;
        answer.expect_error(401, "M_UNKNOWN_TOKEN");
    }
}

/// Spec: "Guest Access", "Client behaviour".
#[tokio::test]
async fn guests_are_served_what_the_specification_lists_and_nothing_else() {
    if synapse_departs_from(
        "The following API endpoints are allowed to be accessed by guest accounts",
    ) {
        return;
    }
    let server = Server::start().await;
    let path = "/_matrix/client/v3/register?kind=guest";
    let session = server.stranger().post(path, &json!({})).await.expect_ok();
    let guest = Client::of_session(&server, &session);
    for endpoint in endpoints().filter(|endpoint| endpoint.needs_token()) {
        let answer = endpoint.send(&guest, &guest.user_id, "{}").await;
        if endpoint.token == "guest" {
            let text = &answer.text;
            let line = format!("{} {}: {text}", endpoint.method, endpoint.path);
            assert!(!text.contains("M_GUEST_ACCESS_FORBIDDEN"), "{line}");
        } else {
            answer.expect_error(403, "M_GUEST_ACCESS_FORBIDDEN");
        }
    }
}

/// Spec: "Account locking": "on all but the following Client-Server APIs": both ways to log out.
#[tokio::test]
async fn locked_users_are_served_nothing_but_logging_out() {
    let server = Server::start().await;
    let admin = server.register_with_shared_secret("root", Role::Administrator).await;
    let ada = server.register("ada").await;
    let user = format!("/_synapse/admin/v2/users/{}", encoded(&ada.user_id));
    admin.put(&user, &json!({ "locked": true })).await.expect_ok();
    let is_logout = |endpoint: &Endpoint| endpoint.path.contains("/logout");
    let takes_token = |endpoint: &Endpoint| endpoint.token != "none" && !is_logout(endpoint);
    for endpoint in endpoints().filter(takes_token) {
        let answer = endpoint.send(&ada, &ada.user_id, "{}").await;
        expect(answer, 401, "M_USER_LOCKED", "a `401 Unauthorized` error [...] on all but");
    }
    for endpoint in endpoints().filter(is_logout) {
        admin.put(&user, &json!({ "locked": false })).await.expect_ok();
        let phone = ada.log_in().await;
        admin.put(&user, &json!({ "locked": true })).await.expect_ok();
        endpoint.send(&phone, &ada.user_id, "").await.expect_ok();
    }
}

#[tokio::test]
async fn every_endpoint_with_a_body_says_when_it_is_not_json() {
    let ada = Server::start().await.register("ada").await;
    for endpoint in endpoints().filter(|endpoint| endpoint.has_body()) {
        for body in ["{", "{\"a\": 1,}", "tea"] {
            let answer = endpoint.send(&ada, &ada.user_id, body).await;
            expect(answer, 400, "M_NOT_JSON", "Request did not contain valid JSON.");
        }
    }
}

#[tokio::test]
async fn every_endpoint_with_a_body_says_when_it_is_no_object() {
    let ada = Server::start().await.register("ada").await;
    for endpoint in endpoints().filter(|endpoint| endpoint.has_body()) {
        for body in ["[]", "\"tea\"", "5"] {
            let answer = endpoint.send(&ada, &ada.user_id, body).await;
            let sentence =
                "require the client to supply a request body containing a [...] JSON object";
            expect(answer, 400, "M_BAD_JSON", sentence);
        }
    }
}

#[tokio::test]
async fn every_endpoint_says_when_its_body_has_a_value_of_the_wrong_type() {
    let ada = Server::start().await.register("ada").await;
    for endpoint in endpoints() {
        let Some(wrong) = endpoint.wrong else { continue };
        let answer = endpoint.send(&ada, &ada.user_id, wrong).await;
        expect(answer, 400, "M_BAD_JSON", "e.g. missing required keys, invalid values for keys");
    }
}

#[tokio::test]
async fn every_endpoint_with_a_body_has_a_largest_one() {
    if Homeserver::chosen() == Homeserver::Synapse {
        // How large it is, is a setting.
        return;
    }
    let server = Server::start_with(&[("HEARTH_LIMITS__BODY_BYTES", "2000")]).await;
    let ada = server.register("ada").await;
    let large = format!(r#"{{"a": "{}"}}"#, "x".repeat(2_000));
    for endpoint in endpoints().filter(|endpoint| endpoint.has_body()) {
        endpoint.send(&ada, &ada.user_id, &large).await.expect_error(413, "M_TOO_LARGE");
    }
}

/// Spec: "Rate limiting".
#[tokio::test]
async fn every_endpoint_that_is_rate_limited_says_when_to_come_back() {
    if Homeserver::chosen() == Homeserver::Synapse {
        // It is started without limits.
        return;
    }
    let limits = ["DEFAULT", "LOGIN", "REGISTRATION", "MESSAGES", "JOINS"].map(|class| {
        (format!("HEARTH_RATE_LIMITS__{class}"), "{per_second=0.001,burst=1}".to_owned())
    });
    let on = [("HEARTH_RATE_LIMITS__ENABLED", "true")];
    let limits = limits.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let settings: Vec<_> = on.into_iter().chain(limits).collect();
    let server = Server::start_with(&settings).await;
    let ada = server.register("ada").await;
    for endpoint in endpoints().filter(|endpoint| endpoint.is_limited) {
        let mut answer = endpoint.send(&ada, &ada.user_id, "{}").await;
        if answer.status != 429 {
            // It was the first of those that share a limit.
            answer = endpoint.send(&ada, &ada.user_id, "{}").await;
        }
        let wait = answer.headers.get("retry-after").and_then(|wait| wait.to_str().ok());
        let seconds = wait.and_then(|wait| wait.parse::<u64>().ok()).unwrap_or_default();
        assert!(seconds > 0, "{} {}: {}", endpoint.method, endpoint.path, answer.text);
        answer.expect_error(429, "M_LIMIT_EXCEEDED");
    }
}
