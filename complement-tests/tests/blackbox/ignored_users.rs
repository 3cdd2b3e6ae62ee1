//! Ignoring users. Spec: client-server API, "Ignoring Users".

use complement_tests::{
    Client, Server, encoded, event_ids, room_path, synapse_departs_from, timeline,
};
use serde_json::{Value, json};

async fn ignore(client: &Client, whom: &[&Client]) {
    let user = encoded(&client.user_id);
    let path = format!("/_matrix/client/v3/user/{user}/account_data/m.ignored_user_list");
    let ignored: serde_json::Map<_, _> =
        whom.iter().map(|user| (user.user_id.clone(), json!({}))).collect();
    client.put(&path, &json!({ "ignored_users": ignored })).await.expect_ok();
}

/// Ada, Bo and Eve in a room of Ada's.
async fn kitchen() -> (Client, Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let eve = server.register("eve").await;
    let levels = json!({ "state_default": 0 });
    let body = json!({ "preset": "private_chat", "power_level_content_override": levels });
    let room = ada.create_room_with(&body).await;
    for user in [&bo, &eve] {
        ada.invite(&room, user).await;
        user.join(&room).await;
    }
    (ada, bo, eve, room)
}

/// Ada and Bo in a room of Ada's.
async fn pair() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    (ada, bo, room)
}

/// Spec: "it should not send events that were missed while the user was ignored. To receive the events [...] the client
/// should perform a fresh sync."
#[tokio::test]
async fn what_was_missed_while_a_user_was_ignored_comes_with_a_fresh_sync() {
    let (ada, _, eve, room) = kitchen().await;
    ignore(&ada, &[&eve]).await;
    let before = ada.sync().await;
    let missed = eve.say(&room, "tea").await;
    let state = eve.set_state(&room, "org.example.pot", "", &json!({ "full": true })).await;

    ignore(&ada, &[]).await;
    let heard = eve.say(&room, "cake").await;

    let has = |sync: &Value, event: &str| event_ids(timeline(sync, &room)).contains(&event);
    let mut all = Vec::new();
    ada.sync_until(&before, |sync| has(sync, &heard)).await;
    let fresh = ada.sync().await;
    for event in [&missed, &state, &heard] {
        all.push(has(&fresh, event));
    }
    assert_eq!(all, [true, true, true], "{fresh}");
}

#[tokio::test]
async fn messages_of_ignored_users_are_not_read_elsewhere_either() {
    let (ada, bo, eve, room) = kitchen().await;
    let tea = bo.say(&room, "marzipan tea").await;
    let spam = eve.say(&room, "marzipan spam").await;
    let cake = bo.say(&room, "marzipan cake").await;
    ignore(&ada, &[&eve]).await;

    let page = ada.get(&room_path(&room, "messages?dir=b&limit=50")).await.expect_ok();
    let ids = event_ids(page["chunk"].as_array().expect("a page"));
    assert!(ids.contains(&tea.as_str()) && ids.contains(&cake.as_str()), "{page}");
    assert!(!ids.contains(&spam.as_str()), "{page}");
    let path = room_path(&room, &format!("context/{}?limit=10", encoded(&cake)));
    let context = ada.get(&path).await.expect_ok();
    let before = event_ids(context["events_before"].as_array().expect("a list"));
    assert!(before.contains(&tea.as_str()) && !before.contains(&spam.as_str()), "{context}");
    let others = bo.get(&room_path(&room, "messages?dir=b&limit=50")).await.expect_ok();
    assert!(others.to_string().contains(&spam), "others see it: {others}");
}

/// What is no list of users ignores nobody.
#[tokio::test]
async fn a_list_that_is_none_ignores_nobody() {
    let (ada, bo, _, room) = kitchen().await;
    let user = encoded(&ada.user_id);
    let path = format!("/_matrix/client/v3/user/{user}/account_data/m.ignored_user_list");
    for content in [json!({ "ignored_users": {} }), json!({ "other": 1 })] {
        ada.put(&path, &content).await.expect_ok();
        let said = bo.say(&room, "tea").await;
        assert!(ada.sync().await.to_string().contains(&said));
    }
}

#[tokio::test]
async fn whoever_is_ignored_is_heard_again_when_the_list_changes() {
    let (ada, bo, room) = pair().await;
    let before = bo.sync().await;
    ignore(&bo, &[&ada]).await;
    ada.say(&room, "unheard").await;
    ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "tea" })).await;
    let sync = bo.sync_since(&before).await;
    let kinds: Vec<_> = timeline(&sync, &room).iter().map(|event| &event["type"]).collect();
    assert_eq!(kinds, ["m.room.topic"], "state is still sent");

    ignore(&bo, &[]).await;
    let heard = ada.say(&room, "heard").await;
    let sync = bo.sync_until(&sync, |sync| !timeline(sync, &room).is_empty()).await;
    assert_eq!(event_ids(timeline(&sync, &room)), [heard.as_str()]);
}

/// Spec: "Ignoring Users": "Servers must not send room invites from ignored users to clients."
#[tokio::test]
async fn an_ignored_users_invitations_are_not_shown() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    ignore(&bo, &[&ada]).await;
    let before = bo.sync().await;
    let room = ada.create_room_with(&json!({ "invite": [bo.user_id] })).await;
    for sync in [bo.sync_since(&before).await, bo.sync().await] {
        assert!(sync["rooms"]["invite"].get(&room).is_none(), "{sync}");
    }
}

/// Spec: "the client will no longer receive events sent by that user, with the exception of state events".
#[tokio::test]
async fn what_an_ignored_user_types_and_reads_and_whether_they_are_there_is_not_told() {
    let (ada, bo, room) = pair().await;
    if synapse_departs_from("the client will no longer receive events sent by that user") {
        return;
    }
    let message = bo.say(&room, "tea").await;
    ignore(&bo, &[&ada]).await;
    let before = bo.sync().await;
    let path = room_path(&room, &format!("typing/{}", encoded(&ada.user_id)));
    ada.put(&path, &json!({ "typing": true, "timeout": 30_000 })).await.expect_ok();
    let path = room_path(&room, &format!("receipt/m.read/{}", encoded(&message)));
    ada.post(&path, &json!({})).await.expect_ok();
    let path = format!("/_matrix/client/v3/presence/{}/status", encoded(&ada.user_id));
    ada.put(&path, &json!({ "presence": "online", "status_msg": "at tea" })).await.expect_ok();
    let mark = ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "tea" })).await;

    for sync in [bo.sync_since(&before).await, bo.sync().await] {
        assert!(event_ids(timeline(&sync, &room)).contains(&mark.as_str()), "{sync}");
        let ephemeral = sync["rooms"]["join"][&room]["ephemeral"].to_string();
        assert!(!ephemeral.contains(&ada.user_id), "{ephemeral}");
        assert!(!sync["presence"].to_string().contains(&ada.user_id), "{sync}");
    }
}

#[tokio::test]
async fn a_name_in_the_list_that_is_none_lets_nobody_be_heard() {
    let (ada, bo, room) = pair().await;
    let before = bo.sync().await;
    let user = encoded(&bo.user_id);
    let path = format!("/_matrix/client/v3/user/{user}/account_data/m.ignored_user_list");
    let ignored = json!({ "nobody": {}, ada.user_id.clone(): {} });
    bo.put(&path, &json!({ "ignored_users": ignored })).await.expect_ok();
    ada.say(&room, "unheard").await;
    assert!(timeline(&bo.sync_since(&before).await, &room).is_empty());
}
