//! Who is online.

use complement_tests::{Answer, Client, Server, encoded, synapse_departs_from};
use serde_json::{Value, json};

async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    (ada, bo, room)
}

fn path(whose: &Client) -> String {
    format!("/_matrix/client/v3/presence/{}/status", encoded(&whose.user_id))
}

async fn set(client: &Client, body: &Value) -> Answer {
    client.put(&path(client), body).await
}

/// What a sync answer last says of a user's presence; null when it says nothing.
fn presence(sync: &Value, whose: &Client) -> Value {
    let events = sync["presence"]["events"].as_array().into_iter().flatten();
    let mut own = events.filter(|event| event["sender"] == whose.user_id.as_str());
    own.next_back().map_or(Value::Null, |event| {
        assert_eq!(event["type"], "m.presence");
        event["content"].clone()
    })
}

async fn sync_as(client: &Client, since: &Value, presence: &str) -> Value {
    let since = since["next_batch"].as_str().expect("a token");
    client.sync_with(&[("since", since), ("set_presence", presence), ("timeout", "0")]).await
}

#[tokio::test]
async fn what_a_user_says_of_themselves_is_kept() {
    let ada = Server::start().await.register("ada").await;
    set(&ada, &json!({ "presence": "online", "status_msg": "at tea" })).await.expect_ok();
    let seen = ada.get(&path(&ada)).await.expect_ok();
    assert_eq!((&seen["presence"], &seen["status_msg"]), (&json!("online"), &json!("at tea")));
    assert_eq!(seen["currently_active"], true);
    assert!(seen["last_active_ago"].as_u64().is_some_and(|ago| ago < 30_000), "{seen}");

    set(&ada, &json!({ "presence": "unavailable" })).await.expect_ok();
    let seen = ada.get(&path(&ada)).await.expect_ok();
    assert_eq!(seen["presence"], "unavailable");
    assert!(seen["status_msg"].is_null(), "{seen}");
}

/// Spec: `PUT /presence/{userId}/status`: "When setting the status, the activity time is updated".
#[tokio::test]
async fn to_say_that_one_is_away_is_an_activity() {
    let ada = Server::start().await.register("ada").await;
    if synapse_departs_from("When setting the status, the activity time is updated") {
        return;
    }
    set(&ada, &json!({ "presence": "unavailable" })).await.expect_ok();
    let seen = ada.get(&path(&ada)).await.expect_ok();
    assert!(seen["last_active_ago"].as_u64().is_some_and(|ago| ago < 30_000), "{seen}");
}

#[tokio::test]
async fn one_who_was_never_there_is_offline() {
    let (ada, bo, _) = kitchen().await;
    assert_eq!(ada.get(&path(&bo)).await.expect_ok()["presence"], "offline");
}

/// Spec: `GET /presence/{userId}/status`, 403: "You are not allowed to see this user's presence status."
#[tokio::test]
async fn only_who_shares_a_room_sees_ones_presence() {
    let (ada, bo, room) = kitchen().await;
    let cy = ada.server().register("cy").await;
    cy.get(&path(&ada)).await.expect_error(403, "M_FORBIDDEN");
    let nobody = format!("/_matrix/client/v3/presence/@nobody:{}/status", ada.server().name());
    let answer = ada.get(&nobody).await;
    answer.expect_error_of(&[(403, "M_FORBIDDEN"), (404, "M_NOT_FOUND")]);

    bo.leave(&room).await;
    ada.get(&path(&bo)).await.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn nobody_sets_anothers_presence() {
    let (ada, bo, _) = kitchen().await;
    let answer = bo.put(&path(&ada), &json!({ "presence": "online" })).await;
    answer.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_presence_that_is_none_is_refused() {
    let ada = Server::start().await.register("ada").await;
    for body in [json!({ "presence": "asleep" }), json!({ "presence": 5 }), json!({})] {
        let answer = set(&ada, &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
    }
    let answer = ada.get("/_matrix/client/v3/sync?set_presence=asleep").await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    if synapse_departs_from("no sentence: hearth bounds what it keeps in memory for each user") {
        return;
    }
    let body = json!({ "presence": "online", "status_msg": "x".repeat(5000) });
    set(&ada, &body).await.expect_error(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn changes_reach_who_shares_a_room_and_nobody_else() {
    let (ada, bo, _) = kitchen().await;
    let cy = ada.server().register("cy").await;
    let (bo_before, cy_before) = (bo.sync().await, cy.sync().await);

    set(&ada, &json!({ "presence": "online", "status_msg": "at tea" })).await.expect_ok();
    let online = |sync: &Value| presence(sync, &ada)["status_msg"] == "at tea";
    let sync = bo.sync_until(&bo_before, online).await;
    assert_eq!(presence(&sync, &ada)["presence"], "online");
    assert!(presence(&sync, &ada)["last_active_ago"].is_u64(), "{sync}");

    set(&ada, &json!({ "presence": "unavailable" })).await.expect_ok();
    let idle = |sync: &Value| presence(sync, &ada)["presence"] == "unavailable";
    let sync = bo.sync_until(&sync, idle).await;
    assert_eq!(presence(&bo.sync_since(&sync).await, &ada), Value::Null, "it is told once");
    assert_eq!(presence(&cy.sync_since(&cy_before).await, &ada), Value::Null);
}

/// Spec: `GET /sync`, `set_presence`.
#[tokio::test]
async fn syncing_makes_one_online_unless_it_says_otherwise() {
    let (ada, bo, _) = kitchen().await;
    let mut seen = bo.sync().await;
    let mut own = ada.sync_with(&[("set_presence", "offline"), ("timeout", "0")]).await;
    assert_eq!(bo.get(&path(&ada)).await.expect_ok()["presence"], "offline");
    for state in ["unavailable", "online"] {
        own = sync_as(&ada, &own, state).await;
        seen = bo.sync_until(&seen, |sync| presence(sync, &ada)["presence"] == state).await;
    }
    ada.sync_since(&own).await;
    assert_eq!(bo.get(&path(&ada)).await.expect_ok()["presence"], "online");
}

#[tokio::test]
async fn one_of_several_devices_that_is_online_makes_one_online() {
    let (ada, bo, _) = kitchen().await;
    let phone = ada.log_in().await;
    let (laptop, phone) = ((&ada, ada.sync().await), (&phone, phone.sync().await));
    sync_as(phone.0, &phone.1, "unavailable").await;
    assert_eq!(bo.get(&path(&ada)).await.expect_ok()["presence"], "online");
    sync_as(laptop.0, &laptop.1, "unavailable").await;
    assert_eq!(bo.get(&path(&ada)).await.expect_ok()["presence"], "unavailable");
}

/// Spec: "Idle timeout": activity on any client makes the user online again.
#[tokio::test]
async fn activity_brings_one_back() {
    let (ada, bo, room) = kitchen().await;
    sync_as(&ada, &ada.sync().await, "unavailable").await;
    let idle = bo.sync().await;
    assert_eq!(presence(&idle, &ada)["presence"], "unavailable");
    ada.say(&room, "tea").await;
    bo.sync_until(&idle, |sync| presence(sync, &ada)["presence"] == "online").await;
}

#[tokio::test]
async fn a_first_sync_tells_who_of_those_one_knows_is_there() {
    let (ada, bo, room) = kitchen().await;
    let cy = ada.server().register("cy").await;
    cy.join(&room).await;
    let stranger = ada.server().register("stranger").await;
    set(&ada, &json!({ "presence": "online" })).await.expect_ok();
    set(&stranger, &json!({ "presence": "online" })).await.expect_ok();

    let sync = bo.sync().await;

    assert_eq!(presence(&sync, &ada)["presence"], "online");
    assert_eq!(presence(&sync, &cy), Value::Null, "they were never there");
    assert_eq!(presence(&sync, &stranger), Value::Null);
}

#[tokio::test]
async fn who_joins_and_those_who_are_there_learn_of_each_other() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    let (ada_before, bo_before) = (ada.sync().await, bo.sync().await);

    bo.join(&room).await;

    ada.sync_until(&ada_before, |sync| presence(sync, &bo)["presence"] == "online").await;
    let sync = bo.sync_until(&bo_before, |sync| presence(sync, &ada)["presence"] == "online").await;
    assert_eq!(presence(&bo.sync_since(&sync).await, &ada), Value::Null, "it is told once");
}

/// Spec: "Filtering", `presence`.
#[tokio::test]
async fn presence_is_filtered() {
    let (ada, bo, room) = kitchen().await;
    let cy = ada.server().register("cy").await;
    cy.join(&room).await;
    for client in [&ada, &cy] {
        set(client, &json!({ "presence": "online" })).await.expect_ok();
    }
    let senders = |sync: &Value| {
        let events = sync["presence"]["events"].as_array().into_iter().flatten();
        let senders = events.filter_map(|event| event["sender"].as_str());
        senders.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let mut cases = vec![
        (json!({ "senders": [ada.user_id] }), vec![&ada]),
        (json!({ "not_senders": [ada.user_id, bo.user_id] }), vec![&cy]),
        (json!({ "types": [] }), vec![]),
    ];
    if !synapse_departs_from("not_types: A '*' can be used as a wildcard") {
        cases.push((json!({ "not_types": ["m.pres*"] }), vec![]));
    }
    for (filter, wanted) in cases {
        let filter = json!({ "presence": filter }).to_string();
        let sync = bo.sync_with(&[("filter", &filter), ("timeout", "0")]).await;
        let wanted: Vec<_> = wanted.iter().map(|client| client.user_id.clone()).collect();
        assert_eq!(senders(&sync), wanted, "{filter}");
    }
    if synapse_departs_from("limit: The maximum number of events to return.") {
        return;
    }
    let filter = json!({ "presence": { "limit": 1 } }).to_string();
    let sync = bo.sync_with(&[("filter", &filter), ("timeout", "0")]).await;
    assert_eq!(senders(&sync).len(), 1);
}

#[tokio::test] // Of Synapse it is a setting of the configuration file.
async fn a_server_without_presence_shows_everybody_offline() {
    if synapse_departs_from("no sentence: a setting of hearth") {
        return;
    }
    let server = Server::start_with(&[("HEARTH_PRESENCE__ENABLED", "false")]).await;
    let ada = server.register("ada").await;
    set(&ada, &json!({ "presence": "online" })).await.expect_ok();
    assert_eq!(ada.get(&path(&ada)).await.expect_ok()["presence"], "offline");
    assert!(ada.sync().await.get("presence").is_none());
}

#[tokio::test]
async fn nobody_says_how_another_is_or_something_else_than_three_states() {
    let (ada, bo, _) = kitchen().await;
    let online = json!({ "presence": "online" });
    bo.put(&path(&ada), &online).await.expect_error(403, "M_FORBIDDEN");
    let answer = set(&ada, &json!({ "presence": "asleep" })).await;
    answer.expect_error_of(&[(400, "M_INVALID_PARAM"), (400, "M_BAD_JSON"), (400, "M_UNKNOWN")]);
    let answer = set(&ada, &json!({ "status_msg": "x" })).await;
    answer.expect_error_of(&[(400, "M_MISSING_PARAM"), (400, "M_BAD_JSON"), (400, "M_UNKNOWN")]);
    assert_eq!(ada.get(&path(&ada)).await.expect_ok()["presence"], "offline");
}

/// Spec: "Events on Change of Profile Information": "an `m.presence` presence status update is sent, again containing the
/// new values of the `displayname` and `avatar_url` keys".
#[tokio::test]
async fn a_new_name_is_told_with_the_presence() {
    let (ada, bo, _) = kitchen().await;
    set(&ada, &json!({ "presence": "online" })).await.expect_ok();
    let before = bo.sync().await;
    let profile = format!("/_matrix/client/v3/profile/{}", encoded(&ada.user_id));
    let avatar = "mxc://hearth.test/ada";
    for (field, value) in [("displayname", "Ada the first"), ("avatar_url", avatar)] {
        ada.put(&format!("{profile}/{field}"), &json!({ field: value })).await.expect_ok();
    }
    if synapse_departs_from("an `m.presence` presence status update is sent") {
        return;
    }
    let told = |sync: &Value| presence(sync, &ada)["avatar_url"] == avatar;
    let sync = bo.sync_until(&before, told).await;
    let content = presence(&sync, &ada);
    assert_eq!(content["displayname"], "Ada the first", "{content}");
    assert_eq!(content["presence"], "online", "{content}");
}

#[tokio::test]
async fn what_users_say_of_themselves_outlives_a_restart() {
    let server = Server::start_fresh().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    set(&ada, &json!({ "presence": "online", "status_msg": "at tea" })).await.expect_ok();
    set(&bo, &json!({ "presence": "online", "status_msg": "asleep" })).await.expect_ok();
    set(&bo, &json!({ "presence": "online" })).await.expect_ok();

    server.kill_and_restart().await;

    let seen = bo.get(&path(&ada)).await.expect_ok();
    assert_eq!(seen["status_msg"], "at tea", "{seen}");
    assert!(ada.get(&path(&bo)).await.expect_ok()["status_msg"].is_null());
    assert_eq!(presence(&bo.sync().await, &ada)["status_msg"], "at tea");
}
