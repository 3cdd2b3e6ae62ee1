//! How administrators make registration tokens, by Synapse's paths.

use complement_tests::{Client, Role, Server, synapse_departs_from, unique};
use serde_json::{Value, json};

const TOKENS: &str = "/_synapse/admin/v1/registration_tokens";
const NEW: &str = "/_synapse/admin/v1/registration_tokens/new";

async fn administrator() -> Client {
    Server::start().await.register_with_shared_secret("admin", Role::Administrator).await
}

async fn is_valid(admin: &Client, token: &str) -> bool {
    let path = "/_matrix/client/v1/register/m.login.registration_token/validity";
    let stranger = admin.server().stranger();
    let answer = stranger.get(&format!("{path}?token={token}")).await.expect_ok();
    answer["valid"] == true
}

#[tokio::test]
async fn a_token_is_made_shown_changed_and_deleted() {
    let admin = administrator().await;
    let token = unique("welcome");

    let made = admin.post(NEW, &json!({ "token": token, "uses_allowed": 3 })).await.expect_ok();

    let expected = json!({
        "token": token, "uses_allowed": 3, "pending": 0, "completed": 0, "expiry_time": null,
    });
    assert_eq!(made, expected);
    let path = format!("{TOKENS}/{token}");
    assert_eq!(admin.get(&path).await.expect_ok(), expected);
    assert!(is_valid(&admin, &token).await);

    let body = json!({ "uses_allowed": 0, "expiry_time": 4_781_243_146_000_u64 });
    let changed = admin.put(&path, &body).await.expect_ok();
    assert_eq!(changed["uses_allowed"], 0);
    assert_eq!(changed["expiry_time"], 4_781_243_146_000_u64);
    if !synapse_departs_from("a token with no uses left is not valid") {
        assert!(!is_valid(&admin, &token).await);
    }
    let changed = admin.put(&path, &json!({ "uses_allowed": null })).await.expect_ok();
    assert_eq!(changed["uses_allowed"], Value::Null);
    assert_eq!(changed["expiry_time"], 4_781_243_146_000_u64);
    assert_eq!(admin.put(&path, &json!({})).await.expect_ok(), changed);

    assert_eq!(admin.delete(&path).await.expect_ok(), json!({}));
    assert!(!is_valid(&admin, &token).await);
    admin.get(&path).await.expect_error(404, "M_NOT_FOUND");
    admin.put(&path, &json!({ "uses_allowed": 1 })).await.expect_error(404, "M_NOT_FOUND");
    admin.delete(&path).await.expect_error(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn a_token_nobody_names_is_random_and_as_long_as_asked() {
    let admin = administrator().await;
    let default = admin.post(NEW, &json!({})).await.expect_ok();
    assert_eq!(default["token"].as_str().map(str::len), Some(16));
    let long = admin.post(NEW, &json!({ "length": 64 })).await.expect_ok();
    assert_eq!(long["token"].as_str().map(str::len), Some(64));
}

#[tokio::test]
async fn tokens_are_listed_by_whether_they_are_valid() {
    let admin = administrator().await;
    let (good, spent) = (unique("good"), unique("spent"));
    admin.post(NEW, &json!({ "token": good })).await.expect_ok();
    admin.post(NEW, &json!({ "token": spent, "uses_allowed": 0 })).await.expect_ok();
    let listed = async |query: &str| {
        let answer = admin.get(&format!("{TOKENS}{query}")).await.expect_ok();
        let tokens = answer["registration_tokens"].as_array().expect("a list").clone();
        [&good, &spent].map(|token| tokens.iter().any(|one| one["token"] == **token))
    };

    assert_eq!(listed("").await, [true, true]);
    assert_eq!(listed("?valid=true").await, [true, false]);
    assert_eq!(listed("?valid=false").await, [false, true]);
    let answer = admin.get(&format!("{TOKENS}?valid=x")).await;
    answer.expect_error_of(&[(400, "M_INVALID_PARAM"), (400, "M_UNKNOWN")]);
}

#[tokio::test]
async fn what_is_no_token_is_refused() {
    let admin = administrator().await;
    let token = unique("twice");
    admin.post(NEW, &json!({ "token": token })).await.expect_ok();
    let bodies = [
        json!({ "token": token }),
        json!({ "token": "" }),
        json!({ "token": "a b" }),
        json!({ "token": "a".repeat(65) }),
        json!({ "token": 5 }),
        json!({ "length": 0 }),
        json!({ "length": 65 }),
        json!({ "length": "x" }),
        json!({ "uses_allowed": -1 }),
        json!({ "uses_allowed": "x" }),
        json!({ "expiry_time": 1 }),
        json!({ "expiry_time": "x" }),
    ];
    for body in bodies {
        let answer = admin.post(NEW, &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
        answer.expect_error(400, "M_INVALID_PARAM");
    }
    for body in [json!({ "uses_allowed": -1 }), json!({ "expiry_time": 1 })] {
        let answer = admin.put(&format!("{TOKENS}/{token}"), &body).await;
        answer.expect_error(400, "M_INVALID_PARAM");
    }
}
