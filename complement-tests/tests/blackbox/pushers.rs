//! Pushers: where users want to be told of notifications.

use complement_tests::{Answer, Client, Server, synapse_departs_from, unique};
use serde_json::{Value, json};

const SET: &str = "/_matrix/client/v3/pushers/set";

fn pusher(pushkey: &str) -> Value {
    json!({
        "app_id": "org.example.app", "pushkey": pushkey, "kind": "http", "lang": "en",
        "app_display_name": "App", "device_display_name": "Phone", "profile_tag": "tag",
        "data": { "url": "https://push.example/_matrix/push/v1/notify" },
    })
}

async fn set(client: &Client, pusher: &Value) -> Answer {
    client.post(SET, pusher).await
}

async fn keys(client: &Client) -> Vec<String> {
    let answer = client.get("/_matrix/client/v3/pushers").await.expect_ok();
    let pushers = answer["pushers"].as_array().expect("pushers are a list");
    let key = |pusher: &Value| pusher["pushkey"].as_str().unwrap_or_default().to_owned();
    pushers.iter().map(key).collect()
}

#[tokio::test]
async fn a_pusher_is_set_changed_and_deleted() {
    let ada = Server::start().await.register("ada").await;
    let key = unique("key");
    let mut wanted = pusher(&key);
    assert_eq!(set(&ada, &wanted).await.expect_ok(), json!({}));
    wanted["device_display_name"] = json!("New phone");
    wanted["data"]["format"] = json!("event_id_only");
    set(&ada, &wanted).await.expect_ok();

    let answer = ada.get("/_matrix/client/v3/pushers").await.expect_ok();
    let found = answer["pushers"].as_array().expect("pushers are a list");
    assert_eq!(found.len(), 1);
    for (field, value) in wanted.as_object().expect("an object") {
        assert_eq!(found[0][field], *value, "{field}");
    }

    let gone = json!({ "app_id": "org.example.app", "pushkey": key, "kind": null });
    set(&ada, &gone).await.expect_ok();
    assert!(keys(&ada).await.is_empty());
    set(&ada, &gone).await.expect_ok();
}

/// Spec: `append`: otherwise other users' pushers of the same app and pushkey are removed.
#[tokio::test]
async fn a_device_that_changed_hands_is_no_longer_its_former_users() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let key = unique("key");
    set(&ada, &pusher(&key)).await.expect_ok();
    let mut shared = pusher(&key);
    shared["append"] = json!(true);
    set(&bo, &shared).await.expect_ok();
    assert_eq!((keys(&ada).await.len(), keys(&bo).await.len()), (1, 1));

    set(&bo, &pusher(&key)).await.expect_ok();

    assert_eq!((keys(&ada).await.len(), keys(&bo).await.len()), (0, 1));
}

#[tokio::test]
async fn a_pusher_ends_with_the_session_that_set_it() {
    let ada = Server::start().await.register("ada").await;
    let phone = ada.log_in().await;
    let (one, two) = (unique("key"), unique("key"));
    set(&ada, &pusher(&one)).await.expect_ok();
    set(&phone, &pusher(&two)).await.expect_ok();
    assert_eq!(keys(&ada).await.len(), 2);
    phone.post("/_matrix/client/v3/logout", &json!({})).await.expect_ok();
    assert_eq!(keys(&ada).await, [one]);
}

#[tokio::test]
async fn a_new_password_ends_the_pushers_of_other_sessions() {
    let ada = Server::start().await.register("ada").await;
    let phone = ada.log_in().await;
    let (one, two) = (unique("key"), unique("key"));
    set(&ada, &pusher(&one)).await.expect_ok();
    set(&phone, &pusher(&two)).await.expect_ok();
    let path = "/_matrix/client/v3/account/password";
    let mut body = json!({ "new_password": "a new horse battery staple" });
    let challenge = ada.post(path, &body).await.expect_challenge();
    body["auth"] = ada.password_stage(&challenge["session"]);
    ada.post(path, &body).await.expect_ok();
    assert_eq!(keys(&ada).await, [one]);
}

#[tokio::test]
async fn what_is_no_pusher_is_refused() {
    let ada = Server::start().await.register("ada").await;
    for missing in ["lang", "data", "app_display_name", "device_display_name", "app_id", "pushkey"]
    {
        let mut body = pusher("key");
        body.as_object_mut().expect("an object").remove(missing);
        let error = set(&ada, &body).await.expect_error(400, "M_MISSING_PARAM");
        assert!(error["error"].as_str().is_some_and(|text| text.contains(missing)), "{error}");
    }
    if synapse_departs_from("Max length, 64 chars; Max length, 512 bytes") {
        return;
    }
    let with = |field: &str, value: Value| {
        let mut body = pusher("key");
        body[field] = value;
        body
    };
    for body in [
        with("data", json!({})),
        with("data", json!({ "url": "https://push.example/elsewhere" })),
        with("data", json!("https://push.example/_matrix/push/v1/notify")),
        with("kind", json!("pigeon")),
        with("app_id", json!("a".repeat(65))),
        with("pushkey", json!("a".repeat(513))),
    ] {
        let answer = set(&ada, &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
    }
    assert!(keys(&ada).await.is_empty());
}

#[tokio::test]
async fn pushers_are_their_users_alone() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    set(&ada, &pusher(&unique("key"))).await.expect_ok();
    assert!(keys(&bo).await.is_empty());
    let answer = server.stranger().get("/_matrix/client/v3/pushers").await;
    answer.expect_error(401, "M_MISSING_TOKEN");
    server.stranger().post(SET, &pusher("key")).await.expect_error(401, "M_MISSING_TOKEN");
}
