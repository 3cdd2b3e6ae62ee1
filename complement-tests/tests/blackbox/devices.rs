//! Device management.

use complement_tests::{Client, Method, Server, synapse_departs_from};
use serde_json::{Value, json};

const DEVICES: &str = "/_matrix/client/v3/devices";

fn path(device: &Client) -> String {
    format!("{DEVICES}/{}", device.device_id)
}

async fn delete(client: &Client, path: &str, body: &Value) -> complement_tests::Answer {
    client.answer(client.request(Method::DELETE, path).json(body)).await
}

#[tokio::test]
async fn devices_are_listed_with_when_they_were_seen() {
    let ada = Server::start().await.register("ada").await;
    let phone = ada.log_in().await;

    let answer = ada.get(DEVICES).await.expect_ok();

    let listed = answer["devices"].as_array().expect("devices is a list");
    let mut ids: Vec<_> = listed.iter().map(|device| device["device_id"].as_str()).collect();
    let mut wanted = vec![Some(ada.device_id.as_str()), Some(phone.device_id.as_str())];
    ids.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(ids, wanted);
}

#[tokio::test]
async fn another_users_device_is_not_found() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    ada.get(&path(&bo)).await.expect_error(404, "M_NOT_FOUND");
    let renamed = ada.put(&path(&bo), &json!({ "display_name": "mine" })).await;
    renamed.expect_error(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn a_device_is_renamed() {
    let ada = Server::start().await.register("ada").await;

    ada.put(&path(&ada), &json!({ "display_name": "laptop" })).await.expect_ok();

    let device = ada.get(&path(&ada)).await.expect_ok();
    assert_eq!(device["device_id"], ada.device_id.as_str());
    assert_eq!(device["display_name"], "laptop");
}

#[tokio::test]
async fn an_unknown_device_is_not_found() {
    let ada = Server::start().await.register("ada").await;
    let path = format!("{DEVICES}/NOTHING");
    ada.get(&path).await.expect_error(404, "M_NOT_FOUND");
    ada.put(&path, &json!({ "display_name": "x" })).await.expect_error(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn deleting_a_device_asks_for_the_password_and_ends_its_session() {
    let ada = Server::start().await.register("ada").await;
    let phone = ada.log_in().await;

    let challenge = delete(&ada, &path(&phone), &json!({})).await.expect_challenge();
    let flows = challenge["flows"].as_array().expect("flows is a list");
    assert!(flows.contains(&json!({ "stages": ["m.login.password"] })), "{challenge}");
    phone.get(DEVICES).await.expect_ok();

    let auth = ada.password_stage(&challenge["session"]);
    delete(&ada, &path(&phone), &json!({ "auth": auth })).await.expect_ok();

    phone.get(DEVICES).await.expect_error(401, "M_UNKNOWN_TOKEN");
    ada.get(&path(&phone)).await.expect_error(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn a_wrong_password_deletes_no_device() {
    let ada = Server::start().await.register("ada").await;
    let phone = ada.log_in().await;
    let challenge = delete(&ada, &path(&phone), &json!({})).await.expect_challenge();

    let mut auth = ada.password_stage(&challenge["session"]);
    auth["password"] = json!("wrong");
    let answer = delete(&ada, &path(&phone), &json!({ "auth": auth })).await;

    assert_eq!(answer.expect_challenge()["errcode"], "M_FORBIDDEN");
    phone.get(DEVICES).await.expect_ok();
}

/// The stage must be completed by the user whose device it is.
#[tokio::test]
async fn another_users_password_deletes_no_device() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let phone = ada.log_in().await;
    let challenge = delete(&ada, &path(&phone), &json!({})).await.expect_challenge();

    let auth = bo.password_stage(&challenge["session"]);
    let answer = delete(&ada, &path(&phone), &json!({ "auth": auth })).await;

    assert!([401, 403].contains(&answer.status), "{} {}", answer.status, answer.text);
    phone.get(DEVICES).await.expect_ok();
}

#[tokio::test]
async fn several_devices_are_deleted_at_once() {
    let ada = Server::start().await.register("ada").await;
    let (phone, tablet) = (ada.log_in().await, ada.log_in().await);
    let path = "/_matrix/client/v3/delete_devices";
    let mut body = json!({ "devices": [phone.device_id, tablet.device_id] });
    let challenge = ada.post(path, &body).await.expect_challenge();

    body["auth"] = ada.password_stage(&challenge["session"]);
    ada.post(path, &body).await.expect_ok();

    phone.get(DEVICES).await.expect_error(401, "M_UNKNOWN_TOKEN");
    tablet.get(DEVICES).await.expect_error(401, "M_UNKNOWN_TOKEN");
    let devices = ada.get(DEVICES).await.expect_ok();
    assert_eq!(devices["devices"].as_array().map(Vec::len), Some(1), "{devices}");
}

/// Spec: `DELETE /devices/{deviceId}`, 200: "The device was successfully removed, or had been removed previously."
#[tokio::test]
async fn a_device_that_is_not_there_is_deleted_already() {
    let ada = Server::start().await.register("ada").await;
    let path = format!("{DEVICES}/NOTHING");
    let challenge = delete(&ada, &path, &json!({})).await.expect_challenge();
    let auth = ada.password_stage(&challenge["session"]);
    assert_eq!(delete(&ada, &path, &json!({ "auth": auth })).await.expect_ok(), json!({}));
    ada.get(DEVICES).await.expect_ok();
}

/// Spec: "If not given, the display name is unchanged."
#[tokio::test]
async fn a_device_keeps_its_name_when_none_is_given() {
    let ada = Server::start().await.register("ada").await;
    ada.put(&path(&ada), &json!({ "display_name": "laptop" })).await.expect_ok();
    assert_eq!(ada.put(&path(&ada), &json!({})).await.expect_ok(), json!({}));
    let device = ada.get(&path(&ada)).await.expect_ok();
    assert_eq!(device["display_name"], "laptop");
    let answer = ada.put(&path(&ada), &json!({ "display_name": "x".repeat(1_000) })).await;
    answer.expect_error_of(&[(400, "M_INVALID_PARAM"), (400, "M_TOO_LARGE")]);
}

/// An authentication is for the request that asked for it.
#[tokio::test]
async fn a_session_for_one_device_deletes_no_other() {
    let ada = Server::start().await.register("ada").await;
    let (phone, tablet) = (ada.log_in().await, ada.log_in().await);
    let challenge = delete(&ada, &path(&phone), &json!({})).await.expect_challenge();
    let auth = ada.password_stage(&challenge["session"]);
    let answer = delete(&ada, &path(&tablet), &json!({ "auth": auth })).await;
    assert!([401, 403].contains(&answer.status), "{} {}", answer.status, answer.text);
    tablet.get(DEVICES).await.expect_ok();
    phone.get(DEVICES).await.expect_ok();
}

/// Spec: "In the case that the homeserver does not know about the supplied 3PID, the homeserver must respond with 403
/// Forbidden."
#[tokio::test]
async fn nobody_authenticates_with_an_address_that_is_nobodys() {
    let ada = Server::start().await.register("ada").await;
    let challenge = delete(&ada, &path(&ada), &json!({})).await.expect_challenge();
    let mut auth = ada.password_stage(&challenge["session"]);
    auth["identifier"] = json!({
        "type": "m.id.thirdparty", "medium": "email", "address": "nobody@example.org",
    });
    let answer = delete(&ada, &path(&ada), &json!({ "auth": auth })).await;
    if synapse_departs_from("the homeserver must respond with 403 Forbidden") {
        return;
    }
    answer.expect_error(403, "M_FORBIDDEN");
    ada.get(DEVICES).await.expect_ok();
}
