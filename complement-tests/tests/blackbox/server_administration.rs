//! Server administration: locked and suspended users, whois.

use complement_tests::{
    Answer, Client, Homeserver, Method, Role, Server, encoded, redact_path, room_path, send_path,
    unique,
};
use serde_json::{Value, json};

const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

async fn admin(server: &Server) -> Client {
    server.register_with_shared_secret("root", Role::Administrator).await
}

fn path(what: &str, user_id: &str) -> String {
    // Synapse has it under the name of the proposal alone.
    let prefix = match Homeserver::chosen() {
        Homeserver::Hearth => "v1",
        Homeserver::Synapse => "unstable/uk.timedout.msc4323",
    };
    format!("/_matrix/client/{prefix}/admin/{what}/{}", encoded(user_id))
}

/// Sets `{"locked": …}` or `{"suspended": …}`.
async fn set(admin: &Client, user: &Client, wanted: Value) {
    let what = if wanted.get("locked").is_some() { "lock" } else { "suspend" };
    let path = path(what, &user.user_id);
    assert_eq!(admin.put(&path, &wanted).await.expect_ok(), wanted);
    assert_eq!(admin.get(&path).await.expect_ok(), wanted);
}

fn expect_locked(answer: Answer) {
    let error = answer.expect_error(401, "M_USER_LOCKED");
    assert_eq!(error["soft_logout"], true, "{error}");
}

/// Synapse has these endpoints behind a switch.
fn is_synapse() -> bool {
    Homeserver::chosen() == Homeserver::Synapse
}

/// Spec: "Account locking".
#[tokio::test]
async fn a_locked_user_can_only_log_out_and_comes_back_when_unlocked() {
    if is_synapse() {
        return;
    }
    let server = Server::start().await;
    let (root, ada) = (admin(&server).await, server.register("ada").await);
    let phone = ada.log_in().await;

    set(&root, &ada, json!({ "locked": true })).await;

    expect_locked(ada.get(WHOAMI).await);
    expect_locked(ada.get("/_matrix/client/v3/sync").await);
    expect_locked(ada.post("/_matrix/client/v3/createRoom", &json!({})).await);
    let login = json!({
        "type": "m.login.password", "password": complement_tests::PASSWORD,
        "identifier": { "type": "m.id.user", "user": ada.user_id },
    });
    expect_locked(server.stranger().post("/_matrix/client/v3/login", &login).await);
    phone.post("/_matrix/client/v3/logout", &json!({})).await.expect_ok();

    set(&root, &ada, json!({ "locked": false })).await;

    ada.get(WHOAMI).await.expect_ok();
    phone.get(WHOAMI).await.expect_error(401, "M_UNKNOWN_TOKEN");
}

/// Spec: "Account suspension".
#[tokio::test]
async fn a_suspended_user_reads_leaves_and_redacts_their_own() {
    if is_synapse() {
        return;
    }
    let server = Server::start().await;
    let (root, ada) = (admin(&server).await, server.register("ada").await);
    let bo = server.register("bo").await;
    let room = ada.create_room().await;
    bo.join(&room).await;
    let own = bo.say(&room, "mine").await;

    set(&root, &bo, json!({ "suspended": true })).await;

    bo.sync().await;
    bo.get(&room_path(&room, "messages?dir=b")).await.expect_ok();
    let phone = bo.log_in().await;
    phone.post("/_matrix/client/v3/logout", &json!({})).await.expect_ok();
    bo.redact(&room, &own).await;
    let content = json!({ "redacts": own });
    let path = send_path(&room, "m.room.redaction", &unique("txn"));
    bo.put(&path, &content).await.expect_ok();
    bo.leave(&room).await;
}

#[tokio::test]
async fn a_suspended_user_does_nothing_that_others_see() {
    if is_synapse() {
        return;
    }
    let server = Server::start().await;
    let (root, ada) = (admin(&server).await, server.register("ada").await);
    let bo = server.register("bo").await;
    let (room, other) = (ada.create_room().await, ada.create_room().await);
    bo.join(&room).await;
    let others = ada.say(&room, "yours").await;

    set(&root, &bo, json!({ "suspended": true })).await;

    let refused = |answer: Answer| answer.expect_error(403, "M_USER_SUSPENDED");
    let empty = json!({});
    let message = json!({ "msgtype": "m.text", "body": "hello" });
    refused(bo.put(&send_path(&room, "m.room.message", &unique("txn")), &message).await);
    refused(bo.put(&redact_path(&room, &others, &unique("txn")), &empty).await);
    let redaction = json!({ "redacts": others });
    refused(bo.put(&send_path(&room, "m.room.redaction", &unique("txn")), &redaction).await);
    refused(bo.put(&room_path(&room, "state/m.room.topic/"), &json!({ "topic": "x" })).await);
    refused(bo.post(&room_path(&other, "join"), &empty).await);
    refused(bo.post(&format!("/_matrix/client/v3/join/{}", encoded(&other)), &empty).await);
    refused(bo.post("/_matrix/client/v3/createRoom", &empty).await);
    refused(bo.post(&room_path(&room, "invite"), &json!({ "user_id": root.user_id })).await);
    let name = format!("/_matrix/client/v3/profile/{}/displayname", encoded(&bo.user_id));
    refused(bo.put(&name, &json!({ "displayname": "x" })).await);
    refused(bo.delete(&name).await);

    set(&root, &bo, json!({ "suspended": false })).await;
    bo.say(&room, "hello").await;
}

#[tokio::test]
async fn only_administrators_lock_and_suspend_and_only_users_of_this_server() {
    if is_synapse() {
        return;
    }
    let server = Server::start().await;
    let (root, ada) = (admin(&server).await, server.register("ada").await);
    let (other, bo) = (admin(&server).await, server.register("bo").await);
    for (what, key) in [("lock", "locked"), ("suspend", "suspended")] {
        let body = json!({ key: true });
        // An ordinary user does not find out who is here.
        for user_id in [bo.user_id.as_str(), "@nobody:hearth.test"] {
            ada.put(&path(what, user_id), &body).await.expect_error(403, "M_FORBIDDEN");
            ada.get(&path(what, user_id)).await.expect_error(403, "M_FORBIDDEN");
        }
        for (user_id, status, errcode) in [
            ("@nobody:hearth.test", 404, "M_NOT_FOUND"),
            ("@ada:other.test", 400, "M_INVALID_PARAM"),
            (&*other.user_id, 403, "M_FORBIDDEN"),
            (&*root.user_id, 403, "M_FORBIDDEN"),
        ] {
            root.put(&path(what, user_id), &body).await.expect_error(status, errcode);
        }
        let nothing = root.put(&path(what, &bo.user_id), &json!({})).await;
        nothing.expect_error_of(&[(400, "M_BAD_JSON"), (400, "M_MISSING_PARAM")]);
    }
}

/// Spec: "`m.account_moderation`": "omitted altogether if `suspend` and `lock` would be `false`".
#[tokio::test]
async fn administrators_are_told_that_they_may_moderate() {
    if is_synapse() {
        return;
    }
    let server = Server::start().await;
    let (root, ada) = (admin(&server).await, server.register("ada").await);
    let capabilities = async |client: &Client| {
        let answer = client.get("/_matrix/client/v3/capabilities").await.expect_ok();
        answer["capabilities"]["m.account_moderation"].clone()
    };
    assert_eq!(capabilities(&root).await, json!({ "lock": true, "suspend": true }));
    assert_eq!(capabilities(&ada).await, Value::Null);
}

#[tokio::test]
async fn whois_tells_administrators_and_oneself_about_devices() {
    let server = Server::start().await;
    let (root, ada) = (admin(&server).await, server.register("ada").await);
    let bo = server.register("bo").await;
    let path = format!("/_matrix/client/v3/admin/whois/{}", encoded(&ada.user_id));
    let phone = ada.log_in().await;
    let request = phone.request(Method::GET, WHOAMI).header("user-agent", "teapot/1.0");
    phone.answer(request).await.expect_ok();
    // When a device was seen is written down without anybody waiting for it.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;

    for client in [&root, &ada] {
        let answer = client.get(&path).await.expect_ok();
        assert_eq!(answer["user_id"], ada.user_id.as_str());
        assert!(answer["devices"].is_object(), "{answer}");
        if Homeserver::chosen() == Homeserver::Hearth {
            let sessions = &answer["devices"][&phone.device_id]["sessions"];
            let connection = &sessions[0]["connections"][0];
            assert_eq!(connection["ip"], "127.0.0.1", "{answer}");
            assert_eq!(connection["user_agent"], "teapot/1.0", "{answer}");
        }
    }
    bo.get(&path).await.expect_error(403, "M_FORBIDDEN");
}

/// Spec: `GET` and `PUT /admin/lock/{userId}` and `/admin/suspend/{userId}`, 404: "The user ID is not found, or is
/// deactivated."
#[tokio::test]
async fn a_deactivated_user_is_neither_locked_nor_suspended() {
    if is_synapse() {
        return;
    }
    let server = Server::start().await;
    let (root, ada) = (admin(&server).await, server.register("ada").await);
    let close = format!("/_synapse/admin/v1/deactivate/{}", encoded(&ada.user_id));
    root.post(&close, &json!({})).await.expect_ok();
    for (what, key) in [("lock", "locked"), ("suspend", "suspended")] {
        for user_id in [ada.user_id.as_str(), "@nobody:hearth.test"] {
            root.get(&path(what, user_id)).await.expect_error(404, "M_NOT_FOUND");
            let answer = root.put(&path(what, user_id), &json!({ key: true })).await;
            answer.expect_error(404, "M_NOT_FOUND");
        }
        let remote = path(what, "@ada:other.test");
        root.get(&remote).await.expect_error(400, "M_INVALID_PARAM");
        let other = admin(&server).await;
        root.get(&path(what, &other.user_id)).await.expect_error(403, "M_FORBIDDEN");
    }
}
