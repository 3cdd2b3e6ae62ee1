//! Profiles.

use complement_tests::{Client, Server, encoded, timeline, unique};
use serde_json::{Value, json};

fn path(client: &Client, field: &str) -> String {
    format!("/_matrix/client/v3/profile/{}{field}", encoded(&client.user_id))
}

async fn set_name(client: &Client, name: &str) {
    let body = json!({ "displayname": name });
    client.put(&path(client, "/displayname"), &body).await.expect_ok();
}

#[tokio::test]
async fn a_new_user_is_called_by_their_local_part() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let answer = server.stranger().get(&path(&ada, "/displayname")).await.expect_ok();
    assert_eq!(answer["displayname"], ada.name());
}

#[tokio::test]
async fn name_and_avatar_are_set_and_read_by_anyone() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let avatar = json!({ "avatar_url": "mxc://hearth.test/ada" });

    set_name(&ada, "Ada").await;
    ada.put(&path(&ada, "/avatar_url"), &avatar).await.expect_ok();

    let stranger = server.stranger();
    let whole = stranger.get(&path(&ada, "")).await.expect_ok();
    assert_eq!(whole["displayname"], "Ada");
    assert_eq!(whole["avatar_url"], avatar["avatar_url"]);
    assert_eq!(stranger.get(&path(&ada, "/avatar_url")).await.expect_ok(), avatar);
}

#[tokio::test]
async fn nobody_sets_anothers_profile() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let answer = bo.put(&path(&ada, "/displayname"), &json!({ "displayname": "Bo" })).await;
    answer.expect_error_of(&[(403, "M_FORBIDDEN"), (400, "M_FORBIDDEN")]);
}

#[tokio::test]
async fn an_unknown_user_has_no_profile() {
    let server = Server::start().await;
    let user_id = encoded(&format!("@{}:{}", unique("nobody"), server.name()));
    let path = format!("/_matrix/client/v3/profile/{user_id}");
    let answer = server.stranger().get(&path).await;
    answer.expect_error_of(&[(404, "M_NOT_FOUND"), (404, "M_UNKNOWN")]);
}

/// Spec: "Events on change of profile information": each room gets a new membership event.
#[tokio::test]
async fn a_new_name_reaches_the_rooms() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    let before = ada.sync().await;

    set_name(&bo, "Bo the cook").await;

    let renamed = |event: &Value| {
        event["state_key"] == bo.user_id.as_str()
            && event["content"]["displayname"] == "Bo the cook"
    };
    ada.sync_until(&before, |sync| timeline(sync, &room).iter().any(renamed)).await;
    let member = ada.state(&room, "m.room.member", &bo.user_id).await;
    assert_eq!(member["displayname"], "Bo the cook");
    assert_eq!(member["membership"], "join");
}
