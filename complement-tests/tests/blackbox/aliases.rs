//! Room aliases.

use complement_tests::{Client, Server, encoded, room_path, unique};
use serde_json::json;

fn path(alias: &str) -> String {
    format!("/_matrix/client/v3/directory/room/{}", encoded(alias))
}

fn new_alias(server: &Server) -> String {
    format!("#{}:{}", unique("tea"), server.name())
}

async fn kitchen() -> (Client, Client, String, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    let alias = new_alias(&server);
    (ada, bo, room, alias)
}

#[tokio::test]
async fn an_alias_leads_to_its_room_for_everyone() {
    let (ada, _, room, alias) = kitchen().await;
    ada.put(&path(&alias), &json!({ "room_id": room })).await.expect_ok();
    let answer = ada.server().stranger().get(&path(&alias)).await.expect_ok();
    assert_eq!(answer["room_id"], room);
    assert_eq!(answer["servers"], json!([ada.server().name()]));
}

#[tokio::test]
async fn creating_an_alias_twice_answers_409() {
    let (ada, _, room, alias) = kitchen().await;
    let body = json!({ "room_id": room });
    ada.put(&path(&alias), &body).await.expect_ok();

    let again = ada.put(&path(&alias), &body).await;

    again.expect_error(409, "M_UNKNOWN");
}

#[tokio::test]
async fn an_unknown_alias_is_not_found() {
    let (ada, _, _, alias) = kitchen().await;
    ada.get(&path(&alias)).await.expect_error(404, "M_NOT_FOUND");
    ada.delete(&path(&alias)).await.expect_error(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn what_is_no_alias_or_not_ours_is_refused() {
    let (ada, _, room, _) = kitchen().await;
    let body = json!({ "room_id": room });
    for alias in ["nonsense", "#elsewhere:example.org"] {
        let answer = ada.put(&path(alias), &body).await;
        answer.expect_error_of(&[(400, "M_INVALID_PARAM"), (400, "M_UNKNOWN")]);
    }
    ada.put(&path("nonsense"), &body).await.expect_error(400, "M_INVALID_PARAM");
    ada.get(&path("nonsense")).await.expect_error(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn an_alias_needs_a_token_and_a_room() {
    let (ada, _, room, alias) = kitchen().await;
    let stranger = ada.server().stranger();
    let answer = stranger.put(&path(&alias), &json!({ "room_id": room })).await;
    answer.expect_error(401, "M_MISSING_TOKEN");
    for body in [json!({}), json!({ "room_id": "nonsense" })] {
        let answer = ada.put(&path(&alias), &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
    }
}

#[tokio::test]
async fn an_alias_is_deleted_by_who_made_it() {
    let (ada, bo, room, alias) = kitchen().await;
    bo.put(&path(&alias), &json!({ "room_id": room })).await.expect_ok();
    bo.delete(&path(&alias)).await.expect_ok();
    ada.get(&path(&alias)).await.expect_error(404, "M_NOT_FOUND");
}

/// Spec: `DELETE /directory/room/{roomAlias}`: "Servers may choose to implement additional access
/// control checks here, such as […] having sufficient power levels".
#[tokio::test]
async fn an_alias_is_deleted_by_a_moderator_and_by_nobody_else() {
    let (ada, bo, room, alias) = kitchen().await;
    let hers = new_alias(ada.server());
    ada.put(&path(&hers), &json!({ "room_id": room })).await.expect_ok();
    bo.delete(&path(&hers)).await.expect_error(403, "M_FORBIDDEN");
    bo.put(&path(&alias), &json!({ "room_id": room })).await.expect_ok();
    ada.delete(&path(&alias)).await.expect_ok();
}

#[tokio::test]
async fn a_deleted_alias_is_free_again() {
    let (ada, bo, room, alias) = kitchen().await;
    ada.put(&path(&alias), &json!({ "room_id": room })).await.expect_ok();
    ada.delete(&path(&alias)).await.expect_ok();
    let attic = bo.create_room().await;
    bo.put(&path(&alias), &json!({ "room_id": attic })).await.expect_ok();
    assert_eq!(ada.get(&path(&alias)).await.expect_ok()["room_id"], attic);
}

#[tokio::test]
async fn the_local_aliases_of_a_room_are_listed_to_members() {
    let (ada, bo, room, alias) = kitchen().await;
    let second = new_alias(ada.server());
    for alias in [&alias, &second] {
        ada.put(&path(alias), &json!({ "room_id": room })).await.expect_ok();
    }
    let listing = room_path(&room, "aliases");

    let answer = bo.get(&listing).await.expect_ok();

    let mut aliases: Vec<_> =
        answer["aliases"].as_array().unwrap().iter().map(|alias| alias.as_str().unwrap()).collect();
    let mut wanted = vec![alias.as_str(), second.as_str()];
    aliases.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(aliases, wanted);

    let cy = ada.server().register("cy").await;
    cy.get(&listing).await.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn an_alias_may_be_canonical_once_it_leads_to_the_room() {
    let (ada, _, room, alias) = kitchen().await;
    ada.put(&path(&alias), &json!({ "room_id": room })).await.expect_ok();
    let content = json!({ "alias": alias, "alt_aliases": [alias] });
    ada.set_state(&room, "m.room.canonical_alias", "", &content).await;
    assert_eq!(ada.state(&room, "m.room.canonical_alias", "").await, content);
}

/// Spec: appendices, "Room aliases": "MUST NOT exceed 255 bytes".
#[tokio::test]
async fn an_alias_that_is_too_long_is_refused() {
    let (ada, _, room, _) = kitchen().await;
    let alias = format!("#{}:{}", "a".repeat(250), ada.server().name());
    let answer = ada.put(&path(&alias), &json!({ "room_id": room })).await;
    answer.expect_error(400, "M_INVALID_PARAM");
}

/// Spec: `GET /rooms/{roomId}/aliases`: "can be called by users who are in the room (external users receive an
/// `M_FORBIDDEN` error response). If the room's `m.room.history_visibility` maps to `world_readable`, any user can".
#[tokio::test]
async fn aliases_are_listed_to_who_left_only_where_the_world_reads() {
    let (ada, bo, room, alias) = kitchen().await;
    ada.put(&path(&alias), &json!({ "room_id": room })).await.expect_ok();
    let listing = room_path(&room, "aliases");
    bo.leave(&room).await;
    bo.get(&listing).await.expect_error(403, "M_FORBIDDEN");
    let readable = json!({ "history_visibility": "world_readable" });
    ada.set_state(&room, "m.room.history_visibility", "", &readable).await;
    assert_eq!(bo.get(&listing).await.expect_ok()["aliases"], json!([alias]));
    bo.get(&room_path("!nothing:hearth.test", "aliases")).await.expect_error(403, "M_FORBIDDEN");
    bo.get(&room_path("nonsense", "aliases"))
        .await
        .expect_error_of(&[(400, "M_INVALID_PARAM"), (403, "M_FORBIDDEN")]);
}
