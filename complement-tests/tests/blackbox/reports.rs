//! Reports to the server's administrators, and how these read them.

use complement_tests::{Client, Role, Server, encoded, room_path, synapse_departs_from};
use serde_json::{Value, json};

const EVENT_REPORTS: &str = "/_synapse/admin/v1/event_reports";
const USER_REPORTS: &str = "/_synapse/admin/v1/user_reports";
const ROOM_REPORTS: &str = "/_synapse/admin/v1/room_reports";

/// Ada's room with bo in it, a message of ada's, and an administrator who is not in it.
async fn kitchen() -> (Client, Client, Client, String, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let admin = server.register_with_shared_secret("admin", Role::Administrator).await;
    let room = ada.create_room_with(&json!({ "preset": "public_chat", "name": "Kitchen" })).await;
    bo.join(&room).await;
    let message = ada.say(&room, "tea").await;
    (ada, bo, admin, room, message)
}

fn report_path(room: &str, event: &str) -> String {
    room_path(room, &format!("report/{}", encoded(event)))
}

fn user_path(user: &str) -> String {
    format!("/_matrix/client/v3/users/{}/report", encoded(user))
}

/// The reports in a list that this user made.
async fn reports_of(admin: &Client, list: &str, user: &Client) -> Vec<Value> {
    let path = format!("{list}?user_id={}", encoded(&user.user_id));
    let name = list.rsplit('/').next().expect("a path has segments");
    admin.get(&path).await.expect_ok()[name].as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_reported_event_is_listed_with_who_what_and_why() {
    let (ada, bo, admin, room, message) = kitchen().await;

    let answer = bo.post(&report_path(&room, &message), &json!({ "reason": "cold" })).await;

    assert_eq!(answer.expect_ok(), json!({}));
    let reports = reports_of(&admin, EVENT_REPORTS, &bo).await;
    assert_eq!(reports.len(), 1, "{reports:?}");
    let report = &reports[0];
    assert_eq!(report["event_id"], message);
    assert_eq!(report["room_id"], room);
    assert_eq!(report["user_id"], bo.user_id);
    assert_eq!(report["sender"], ada.user_id);
    assert_eq!(report["reason"], "cold");
    assert_eq!(report["name"], "Kitchen");
    assert_eq!(report["canonical_alias"], Value::Null);
    assert!(report["received_ts"].is_u64(), "{report}");
}

#[tokio::test]
async fn a_report_is_shown_with_its_event_until_it_is_deleted() {
    let (_, bo, admin, room, message) = kitchen().await;
    bo.post(&report_path(&room, &message), &json!({})).await.expect_ok();
    let report = reports_of(&admin, EVENT_REPORTS, &bo).await.remove(0);
    let path = format!("{EVENT_REPORTS}/{}", report["id"]);

    let shown = admin.get(&path).await.expect_ok();

    assert_eq!(shown["event_id"], message);
    assert_eq!(shown["event_json"]["content"]["body"], "tea");
    assert_eq!(shown["reason"], Value::Null);
    assert_eq!(admin.delete(&path).await.expect_ok(), json!({}));
    admin.get(&path).await.expect_error(404, "M_NOT_FOUND");
    admin.delete(&path).await.expect_error(404, "M_NOT_FOUND");
    assert!(reports_of(&admin, EVENT_REPORTS, &bo).await.is_empty());
}

/// Spec: "servers MUST verify that the reporting user is currently joined to the room".
#[tokio::test]
async fn an_event_is_reported_by_members_only_and_others_learn_nothing_of_it() {
    let (ada, bo, admin, room, message) = kitchen().await;
    let cy = ada.server().register("cy").await;
    bo.leave(&room).await;

    if !synapse_departs_from("the reporting user is currently joined to the room") {
        let former = bo.post(&report_path(&room, &message), &json!({})).await;
        former.expect_error(404, "M_NOT_FOUND");
    }
    let there = cy.post(&report_path(&room, &message), &json!({})).await;
    let there = there.expect_error(404, "M_NOT_FOUND");
    let nowhere = cy.post(&report_path("!nowhere", "$nothing"), &json!({})).await;
    nowhere.expect_error_of(&[(404, "M_NOT_FOUND"), (400, "M_INVALID_PARAM")]);
    let unknown = ada.post(&report_path(&room, "$unknown"), &json!({})).await;
    unknown.expect_error(404, "M_NOT_FOUND");
    assert!(there["error"].is_string());
    assert!(reports_of(&admin, EVENT_REPORTS, &cy).await.is_empty());
}

#[tokio::test]
async fn a_reason_is_a_string() {
    let (_, bo, _, room, message) = kitchen().await;
    let answer = bo.post(&report_path(&room, &message), &json!({ "reason": 5 })).await;
    answer.expect_error(400, "M_BAD_JSON");
    let answer = bo.post(&user_path(&bo.user_id), &json!({})).await;
    answer.expect_error_of(&[(400, "M_BAD_JSON"), (400, "M_MISSING_PARAM")]);
}

/// Spec: "servers MUST NOT restrict room reports based on whether or not the reporting user is joined".
#[tokio::test]
async fn a_room_is_reported_by_anybody() {
    let (ada, _, admin, room, _) = kitchen().await;
    let cy = ada.server().register("cy").await;

    let answer = cy.post(&room_path(&room, "report"), &json!({ "reason": "smoke" })).await;

    assert_eq!(answer.expect_ok(), json!({}));
    if synapse_departs_from("how administrators read reports of rooms is hearth's own") {
        return;
    }
    let report = reports_of(&admin, ROOM_REPORTS, &cy).await.remove(0);
    assert_eq!(report["room_id"], room);
    assert_eq!(report["reason"], "smoke");
    assert_eq!(report["name"], "Kitchen");
    let path = format!("{ROOM_REPORTS}/{}", report["id"]);
    assert_eq!(admin.get(&path).await.expect_ok()["user_id"], cy.user_id);
    admin.delete(&path).await.expect_ok();
    admin.get(&path).await.expect_error(404, "M_NOT_FOUND");
}

/// Spec: "Homeservers that wish to conceal this information MAY return 200 responses regardless".
#[tokio::test]
async fn whether_a_reported_room_exists_is_not_told() {
    let (_, bo, admin, _, _) = kitchen().await;
    let unknown = format!("!nowhere:{}", bo.server().name());
    let answer = bo.post(&room_path(&unknown, "report"), &json!({ "reason": "x" })).await;
    if synapse_departs_from("MAY return 200 responses regardless of the existence") {
        return;
    }
    assert_eq!(answer.expect_ok(), json!({}));
    assert!(reports_of(&admin, ROOM_REPORTS, &bo).await.is_empty());
}

#[tokio::test]
async fn a_user_is_reported_by_anybody() {
    let (ada, _, admin, _, _) = kitchen().await;
    let cy = ada.server().register("cy").await;

    let answer = cy.post(&user_path(&ada.user_id), &json!({ "reason": "spills" })).await;

    assert_eq!(answer.expect_ok(), json!({}));
    let reports = reports_of(&admin, USER_REPORTS, &cy).await;
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(reports[0]["target_user_id"], ada.user_id);
    assert_eq!(reports[0]["user_id"], cy.user_id);
    assert_eq!(reports[0]["reason"], "spills");
    let path = format!("{USER_REPORTS}?target_user_id={}", encoded(&ada.user_id));
    assert_eq!(admin.get(&path).await.expect_ok()["total"], 1);
}

#[tokio::test]
async fn whether_a_reported_user_exists_is_not_told() {
    let (_, bo, admin, _, _) = kitchen().await;
    for user in ["@nobody:hearth.test", "@ada:elsewhere.test"] {
        let answer = bo.post(&user_path(user), &json!({ "reason": "x" })).await;
        assert_eq!(answer.expect_ok(), json!({}), "{user}");
    }
    assert!(reports_of(&admin, USER_REPORTS, &bo).await.is_empty());
}

#[tokio::test]
async fn reports_come_in_pages_from_either_end() {
    let (ada, bo, admin, room, _) = kitchen().await;
    for reason in ["one", "two", "three"] {
        let message = ada.say(&room, reason).await;
        let answer = bo.post(&report_path(&room, &message), &json!({ "reason": reason })).await;
        answer.expect_ok();
    }
    let page = async |query: &str| {
        let path = format!("{EVENT_REPORTS}?room_id={}&{query}", encoded(&room));
        let answer = admin.get(&path).await.expect_ok();
        let reports = answer["event_reports"].as_array().expect("a list").iter();
        let reasons: Vec<_> = reports.map(|report| report["reason"].clone()).collect();
        assert_eq!(answer["total"], 3);
        (reasons, answer["next_token"].clone())
    };

    assert_eq!(page("limit=2").await, (vec![json!("three"), json!("two")], json!(2)));
    assert_eq!(page("limit=2&from=2").await, (vec![json!("one")], Value::Null));
    assert_eq!(page("dir=f&limit=1").await, (vec![json!("one")], json!(1)));
    let sender = format!("event_sender_user_id={}", encoded(&ada.user_id));
    assert_eq!(page(&sender).await.0.len(), 3);
}

#[tokio::test]
async fn parameters_of_report_lists_are_checked() {
    let (.., admin, _, _) = kitchen().await;
    for query in ["from=-1", "limit=-1", "limit=much", "dir=x"] {
        let answer = admin.get(&format!("{EVENT_REPORTS}?{query}")).await;
        answer.expect_error_of(&[(400, "M_INVALID_PARAM"), (400, "M_UNKNOWN")]);
    }
    for id in ["-1", "x"] {
        let answer = admin.get(&format!("{EVENT_REPORTS}/{id}")).await;
        answer.expect_error(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn reports_are_for_administrators() {
    let (ada, ..) = kitchen().await;
    for path in [EVENT_REPORTS, USER_REPORTS, &format!("{EVENT_REPORTS}/1")] {
        ada.get(path).await.expect_error(403, "M_FORBIDDEN");
        ada.server().stranger().get(path).await.expect_error(401, "M_MISSING_TOKEN");
    }
    ada.delete(&format!("{EVENT_REPORTS}/1")).await.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_report_outlasts_a_crash() {
    let server = Server::start_fresh().await;
    let ada = server.register("ada").await;
    let admin = server.register_with_shared_secret("admin", Role::Administrator).await;
    let room = ada.create_room().await;
    let message = ada.say(&room, "tea").await;
    ada.post(&report_path(&room, &message), &json!({ "reason": "cold" })).await.expect_ok();

    server.kill_and_restart().await;

    assert_eq!(reports_of(&admin, EVENT_REPORTS, &ada).await[0]["reason"], "cold");
}
