//! Syncing with members only as they are needed. Spec: client-server API, "Lazy-loading room members".

use complement_tests::{Client, Server, synapse_departs_from};
use serde_json::{Value, json};

async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    (ada, bo, room)
}

/// Whose membership is in the state of a joined room in a sync answer, in order.
fn members(sync: &Value, room: &str) -> Vec<String> {
    let events = sync["rooms"]["join"][room]["state"]["events"].as_array().into_iter().flatten();
    let members = events.filter(|event| event["type"] == "m.room.member");
    let mut members: Vec<_> =
        members.filter_map(|event| event["state_key"].as_str().map(ToOwned::to_owned)).collect();
    members.sort_unstable();
    members
}

/// Asks for the last `limit` events and the members they need.
fn lazy(limit: usize) -> String {
    let filter = json!({
        "room": { "state": { "lazy_load_members": true }, "timeline": { "limit": limit } },
    });
    filter.to_string()
}

async fn sync_after(client: &Client, before: &Value, filter: &str) -> Value {
    let since = before["next_batch"].as_str().expect("a token");
    client.sync_with(&[("since", since), ("filter", filter), ("timeout", "0")]).await
}

/// Spec: "Lazy-loading room members".
#[tokio::test]
async fn lazily_loaded_members_are_those_who_spoke_and_oneself() {
    let (ada, bo, room) = kitchen().await;
    // A room without a name also brings the members it is named after.
    ada.set_state(&room, "m.room.name", "", &json!({ "name": "Kitchen" })).await;
    let cy = ada.server().register("cy").await;
    cy.join(&room).await;
    bo.say(&room, "tea").await;
    let filter = json!({
        "room": { "state": { "lazy_load_members": true }, "timeline": { "limit": 1 } },
    })
    .to_string();
    let sync = ada.sync_with(&[("filter", &filter), ("timeout", "0")]).await;
    let mut wanted = vec![ada.user_id.clone(), bo.user_id.clone()];
    wanted.sort();
    assert_eq!(members(&sync, &room), wanted);

    cy.say(&room, "cake").await;
    let since = sync["next_batch"].as_str().unwrap();
    let sync = ada.sync_with(&[("since", since), ("filter", &filter), ("timeout", "0")]).await;
    assert_eq!(members(&sync, &room), std::slice::from_ref(&cy.user_id));
}

/// Spec: "Syncing", `summary`: heroes and counts, for clients that load members lazily.
#[tokio::test]
async fn lazy_clients_get_a_summary_of_the_members() {
    let (ada, bo, room) = kitchen().await;
    let cy = ada.server().register("cy").await;
    ada.invite(&room, &cy).await;
    let filter = json!({ "room": { "state": { "lazy_load_members": true } } }).to_string();
    let sync = ada.sync_with(&[("filter", &filter), ("timeout", "0")]).await;
    let summary = &sync["rooms"]["join"][&room]["summary"];
    assert_eq!(summary["m.joined_member_count"], 2, "{summary}");
    assert_eq!(summary["m.invited_member_count"], 1, "{summary}");
    let mut heroes: Vec<_> = summary["m.heroes"].as_array().expect("heroes").clone();
    heroes.sort_by_key(ToString::to_string);
    let mut wanted = vec![json!(bo.user_id), json!(cy.user_id)];
    wanted.sort_by_key(ToString::to_string);
    assert_eq!(heroes, wanted);
}

/// Spec: `GET /sync`: "When a sync is `limited`, the server MUST return membership events for events in the gap".
#[tokio::test]
async fn a_lazy_client_learns_of_members_who_changed_in_a_gap() {
    let (ada, bo, room) = kitchen().await;
    let cy = ada.server().register("cy").await;
    cy.join(&room).await;
    let filter = json!({
        "room": { "state": { "lazy_load_members": true }, "timeline": { "limit": 1 } },
    })
    .to_string();
    let before = ada.sync_with(&[("filter", &filter), ("timeout", "0")]).await;
    cy.leave(&room).await;
    ada.say(&room, "tea").await;
    bo.say(&room, "cake").await;

    let since = before["next_batch"].as_str().unwrap();
    let sync = ada.sync_with(&[("since", since), ("filter", &filter), ("timeout", "0")]).await;

    assert_eq!(sync["rooms"]["join"][&room]["timeline"]["limited"], true);
    let events = sync["rooms"]["join"][&room]["state"]["events"].as_array().expect("state");
    let of_cy = events.iter().filter(|event| event["state_key"] == cy.user_id.as_str());
    let memberships: Vec<_> = of_cy.map(|event| &event["content"]["membership"]).collect();
    assert_eq!(memberships, ["leave"], "{events:?}");
}

/// Spec: "the server MAY assume that clients will remember membership events they have already been sent", unless they
/// set `include_redundant_members`.
#[tokio::test]
async fn a_member_comes_once_unless_asked_for_again() {
    let (ada, bo, room) = kitchen().await;
    bo.say(&room, "tea").await;
    let mut sync = ada.sync_with(&[("filter", &lazy(1)), ("timeout", "0")]).await;
    assert!(members(&sync, &room).contains(&bo.user_id), "{sync}");

    bo.say(&room, "cake").await;
    sync = sync_after(&ada, &sync, &lazy(1)).await;
    assert_eq!(members(&sync, &room), [""; 0]);

    bo.say(&room, "scones").await;
    let mut filter: Value = serde_json::from_str(&lazy(1)).unwrap();
    filter["room"]["state"]["include_redundant_members"] = json!(true);
    sync = sync_after(&ada, &sync, &filter.to_string()).await;
    assert_eq!(members(&sync, &room), [bo.user_id.as_str()]);
}

/// A client that throws its memory away syncs from nothing: what it was sent before, it has no more.
#[tokio::test]
async fn a_client_that_starts_anew_is_sent_its_members_again() {
    let (ada, bo, room) = kitchen().await;
    ada.set_state(&room, "m.room.name", "", &json!({ "name": "Kitchen" })).await;
    bo.say(&room, "tea").await;
    let sync = ada.sync_with(&[("filter", &lazy(1)), ("timeout", "0")]).await;
    assert!(members(&sync, &room).contains(&bo.user_id), "{sync}");
    ada.say(&room, "cake").await;

    let anew = ada.sync_with(&[("filter", &lazy(1)), ("timeout", "0")]).await;
    assert!(!members(&anew, &room).contains(&bo.user_id), "nothing of bo's is in it");
    bo.say(&room, "scones").await;
    let sync = sync_after(&ada, &anew, &lazy(1)).await;

    assert_eq!(members(&sync, &room), [bo.user_id.as_str()]);
}

/// Spec: `GET /sync`: "servers MUST include the syncing user's own membership event when they join a room, or when
/// the full state of rooms is requested".
#[tokio::test]
async fn ones_own_membership_comes_with_the_full_state() {
    let (ada, bo, room) = kitchen().await;
    let before = ada.sync_with(&[("filter", &lazy(1)), ("timeout", "0")]).await;
    bo.say(&room, "tea").await;
    let since = before["next_batch"].as_str().unwrap();
    let filter = lazy(1);
    if synapse_departs_from("MUST include the syncing user's own membership event") {
        return;
    }
    let query = [("since", since), ("filter", &filter), ("full_state", "true"), ("timeout", "0")];
    let sync = ada.sync_with(&query).await;
    assert!(members(&sync, &room).contains(&ada.user_id), "{sync}");
}
