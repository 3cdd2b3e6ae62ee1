//! Push rules: the predefined ones, and those that users make.

use complement_tests::{Answer, Client, Server, encoded, synapse_departs_from};
use serde_json::{Value, json};

const ALL: &str = "/_matrix/client/v3/pushrules/";

fn path(kind: &str, id: &str) -> String {
    format!("{ALL}global/{kind}/{}", encoded(id))
}

fn rule_ids(rules: &Value) -> Vec<&str> {
    let rules = rules.as_array().expect("rules of a kind are a list");
    rules.iter().filter_map(|rule| rule["rule_id"].as_str()).collect()
}

/// The IDs of a user's own content rules, in their order.
async fn content_rules(client: &Client) -> Vec<String> {
    let rules = client.get(ALL).await.expect_ok();
    let own = rule_ids(&rules["global"]["content"]).into_iter().filter(|id| !id.starts_with('.'));
    own.map(ToOwned::to_owned).collect()
}

/// Makes a content rule, where `query` says.
async fn put_content_rule(client: &Client, id: &str, query: &str) -> Answer {
    let path = format!("{}{query}", path("content", id));
    client.put(&path, &json!({ "pattern": id, "actions": ["notify"] })).await
}

/// The push rules in a sync answer, if they are there.
fn synced(sync: &Value) -> Option<&Value> {
    let events = sync["account_data"]["events"].as_array()?;
    let rules = events.iter().find(|event| event["type"] == "m.push_rules")?;
    Some(&rules["content"]["global"])
}

/// Spec: "Predefined Rules".
#[tokio::test]
async fn a_new_user_has_the_predefined_rules() {
    let ada = Server::start().await.register("ada").await;

    let answer = ada.get(ALL).await.expect_ok();

    let rules = &answer["global"];
    let overrides = rule_ids(&rules["override"]);
    assert_eq!(overrides[0], ".m.rule.master");
    let wanted = [
        ".m.rule.suppress_notices",
        ".m.rule.invite_for_me",
        ".m.rule.member_event",
        ".m.rule.is_user_mention",
        ".m.rule.is_room_mention",
        ".m.rule.tombstone",
        ".m.rule.reaction",
        ".m.rule.room.server_acl",
        ".m.rule.suppress_edits",
    ];
    for rule in wanted {
        assert!(overrides.contains(&rule), "{rule} in {overrides:?}");
    }
    let underrides = rule_ids(&rules["underride"]);
    for rule in [".m.rule.call", ".m.rule.room_one_to_one", ".m.rule.message", ".m.rule.encrypted"]
    {
        assert!(underrides.contains(&rule), "{rule} in {underrides:?}");
    }
}

#[tokio::test]
async fn all_kinds_are_listed_and_the_global_scope_is_all_there_is() {
    let ada = Server::start().await.register("ada").await;
    let all = ada.get(ALL).await.expect_ok();
    for kind in ["override", "content", "room", "sender", "underride"] {
        assert!(all["global"][kind].is_array(), "{kind} in {all}");
    }
    let global = ada.get(&format!("{ALL}global/")).await.expect_ok();
    assert_eq!(global, all["global"]);
}

#[tokio::test]
async fn rules_need_an_access_token() {
    let stranger = Server::start().await.stranger();
    stranger.get(ALL).await.expect_error(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn the_rules_are_in_the_account_data_of_the_first_sync() {
    let ada = Server::start().await.register("ada").await;
    let sync = ada.sync().await;
    let rules = synced(&sync).expect("push rules");
    assert_eq!(rules["override"][0]["rule_id"], ".m.rule.master");
}

#[tokio::test]
async fn a_rule_is_made_read_and_deleted() {
    let ada = Server::start().await.register("ada").await;
    let path = path("content", "cake");
    let body = json!({ "pattern": "cake*lie", "actions": ["notify"] });

    ada.put(&path, &body).await.expect_ok();

    let expected = json!({
        "rule_id": "cake", "default": false, "enabled": true, "pattern": "cake*lie",
        "actions": ["notify"],
    });
    assert_eq!(ada.get(&path).await.expect_ok(), expected);
    assert_eq!(ada.delete(&path).await.expect_ok(), json!({}));
    ada.get(&path).await.expect_error(404, "M_NOT_FOUND");
    ada.delete(&path).await.expect_error(404, "M_NOT_FOUND");
    assert!(content_rules(&ada).await.is_empty());
}

#[tokio::test]
async fn rules_of_every_kind_are_made() {
    let ada = Server::start().await.register("ada").await;
    let conditions = json!([{ "kind": "room_member_count", "is": ">10" }]);
    for (kind, id, more) in [
        ("override", "large", json!({ "conditions": conditions })),
        ("underride", "large", json!({ "conditions": conditions })),
        ("content", "word", json!({ "pattern": "word" })),
        ("room", "!kitchen:hearth.test", json!({})),
        ("sender", "@spam:hearth.test", json!({})),
    ] {
        let mut body = more.clone();
        body["actions"] = json!([]);
        ada.put(&path(kind, id), &body).await.expect_ok();
        let rule = ada.get(&path(kind, id)).await.expect_ok();
        assert_eq!(rule["rule_id"], id);
        for (key, value) in more.as_object().expect("an object") {
            assert_eq!(rule[key], *value, "{kind}");
        }
    }
}

/// Spec: `PUT /pushrules/global/{kind}/{ruleId}`: only `actions` is required; "a rule with no conditions always matches".
#[tokio::test]
async fn a_rule_may_have_no_conditions() {
    if synapse_departs_from("A rule with no conditions always matches") {
        return;
    }
    let ada = Server::start().await.register("ada").await;
    ada.put(&path("override", "all"), &json!({ "actions": ["notify"] })).await.expect_ok();
    let rule = ada.get(&path("override", "all")).await.expect_ok();
    assert_eq!(rule["conditions"], json!([]));
}

#[tokio::test]
async fn a_condition_that_nobody_knows_is_kept_and_never_holds() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    let body = json!({
        "conditions": [{ "kind": "org.example.full_moon", "phase": 3 }], "actions": [],
    });
    bo.put(&path("override", "moon"), &body).await.expect_ok();
    let rule = bo.get(&path("override", "moon")).await.expect_ok();
    assert_eq!(rule["conditions"], body["conditions"]);
    let before = bo.sync().await;

    ada.say(&room, "tea").await;

    bo.sync_until(&before, |sync| unread(sync, &room) == 1).await;
}

fn unread(sync: &Value, room: &str) -> u64 {
    let counts = &sync["rooms"]["join"][room]["unread_notifications"];
    counts["notification_count"].as_u64().unwrap_or_default()
}

#[tokio::test]
async fn a_new_rule_stands_above_the_others_of_its_user() {
    let ada = Server::start().await.register("ada").await;
    for id in ["c", "b", "a"] {
        put_content_rule(&ada, id, "").await.expect_ok();
    }
    assert_eq!(content_rules(&ada).await, ["a", "b", "c"]);
    let body = json!({ "conditions": [], "actions": [] });
    ada.put(&path("override", "mine"), &body).await.expect_ok();

    let rules = ada.get(ALL).await.expect_ok();

    let overrides = rule_ids(&rules["global"]["override"]);
    assert_eq!(overrides[..2], [".m.rule.master", "mine"]);
}

#[tokio::test]
async fn a_rule_is_put_next_to_another() {
    let ada = Server::start().await.register("ada").await;
    for id in ["c", "b", "a"] {
        put_content_rule(&ada, id, "").await.expect_ok();
    }
    for (id, query, order) in [
        ("x", "?before=b", ["a", "x", "b", "c"]),
        ("x", "?after=c", ["a", "b", "c", "x"]),
        ("a", "?after=b", ["b", "a", "c", "x"]),
    ] {
        put_content_rule(&ada, id, query).await.expect_ok();
        assert_eq!(content_rules(&ada).await, order, "{id}{query}");
    }
}

#[tokio::test]
async fn a_changed_rule_stays_where_it_is_and_disabled() {
    let ada = Server::start().await.register("ada").await;
    for id in ["c", "b", "a"] {
        put_content_rule(&ada, id, "").await.expect_ok();
    }
    let enabled = format!("{}/enabled", path("content", "b"));
    ada.put(&enabled, &json!({ "enabled": false })).await.expect_ok();

    ada.put(&path("content", "b"), &json!({ "pattern": "bee", "actions": [] })).await.expect_ok();

    let rule = ada.get(&path("content", "b")).await.expect_ok();
    assert_eq!((&rule["pattern"], &rule["enabled"]), (&json!("bee"), &json!(false)));
    if synapse_departs_from("If a rule with the same `rule_id` already exists [...], it is updated")
    {
        return;
    }
    assert_eq!(content_rules(&ada).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_rule_next_to_none_of_the_users_is_refused() {
    let ada = Server::start().await.register("ada").await;
    for query in ["?before=nobody", "?after=nobody"] {
        put_content_rule(&ada, "x", query).await.expect_error(400, "M_UNKNOWN");
    }
    let path = format!("{}?before=.m.rule.suppress_notices", path("override", "x"));
    let answer = ada.put(&path, &json!({ "conditions": [], "actions": [] })).await;
    answer.expect_error(400, "M_UNKNOWN");
    assert!(content_rules(&ada).await.is_empty());
}

/// Spec: `ruleId`: a leading dot is the server's, slashes and backslashes are not allowed.
#[tokio::test]
async fn some_rule_ids_are_not_allowed() {
    let ada = Server::start().await.register("ada").await;
    for id in [".mine", "a/b", "a\\b", ".m.rule.contains_user_name"] {
        let answer = put_content_rule(&ada, id, "").await;
        answer.expect_error_of(&[
            (400, "M_INVALID_PARAM"),
            (400, "M_UNKNOWN"),
            (400, "M_UNRECOGNIZED"),
        ]);
    }
    assert!(content_rules(&ada).await.is_empty());
}

#[tokio::test]
async fn a_rule_lacks_nothing() {
    let ada = Server::start().await.register("ada").await;
    for body in [json!({ "pattern": "x" }), json!({ "actions": [] })] {
        let answer = ada.put(&path("content", "x"), &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
    }
}

#[tokio::test]
async fn what_is_no_rule_is_refused() {
    let ada = Server::start().await.register("ada").await;
    if synapse_departs_from("conditions: [object]; actions: [string|object]") {
        return;
    }
    for (kind, body) in [
        ("content", json!({ "pattern": "x", "actions": "notify" })),
        ("content", json!({ "pattern": "x", "actions": [1] })),
        ("override", json!({ "conditions": {}, "actions": [] })),
        ("override", json!({ "conditions": [{}], "actions": [] })),
    ] {
        let answer = ada.put(&path(kind, "x"), &body).await;
        assert_eq!(answer.status, 400, "{kind} {body}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_kind_that_nobody_knows_has_no_rules() {
    let ada = Server::start().await.register("ada").await;
    for answer in [ada.get(&path("spice", "x")).await, ada.delete(&path("spice", "x")).await] {
        assert!([400, 404].contains(&answer.status), "{}", answer.text);
    }
    let answer = ada.put(&path("spice", "x"), &json!({ "actions": [] })).await;
    assert!([400, 404].contains(&answer.status), "{}", answer.text);
}

#[tokio::test]
async fn rules_of_the_server_are_changed_but_neither_made_nor_deleted() {
    let ada = Server::start().await.register("ada").await;
    let message = path("underride", ".m.rule.message");

    ada.put(&format!("{message}/enabled"), &json!({ "enabled": false })).await.expect_ok();
    ada.put(&format!("{message}/actions"), &json!({ "actions": [] })).await.expect_ok();

    let enabled = ada.get(&format!("{message}/enabled")).await.expect_ok();
    assert_eq!(enabled, json!({ "enabled": false }));
    let actions = ada.get(&format!("{message}/actions")).await.expect_ok();
    assert_eq!(actions, json!({ "actions": [] }));
    let rule = ada.get(&message).await.expect_ok();
    assert_eq!((&rule["default"], &rule["enabled"]), (&json!(true), &json!(false)));
    let answer = ada.put(&message, &json!({ "conditions": [], "actions": [] })).await;
    answer.expect_error_of(&[(400, "M_INVALID_PARAM"), (400, "M_UNKNOWN")]);
    // Synapse says that it deleted the rule, and has it all the same.
    let answer = ada.delete(&message).await;
    assert!([200, 400].contains(&answer.status), "{}", answer.text);
    ada.get(&message).await.expect_ok();
}

#[tokio::test]
async fn a_rules_actions_and_status_are_changed_one_by_one() {
    let ada = Server::start().await.register("ada").await;
    put_content_rule(&ada, "cake", "").await.expect_ok();
    let path = path("content", "cake");
    let actions = json!({ "actions": ["notify", { "set_tweak": "sound", "value": "bing" }] });

    ada.put(&format!("{path}/actions"), &actions).await.expect_ok();
    ada.put(&format!("{path}/enabled"), &json!({ "enabled": false })).await.expect_ok();

    assert_eq!(ada.get(&format!("{path}/actions")).await.expect_ok(), actions);
    let rule = ada.get(&path).await.expect_ok();
    assert_eq!((&rule["actions"], &rule["enabled"]), (&actions["actions"], &json!(false)));
    for (tail, body) in [("enabled", json!({ "enabled": "no" })), ("actions", json!({}))] {
        let answer = ada.put(&format!("{path}/{tail}"), &body).await;
        assert_eq!(answer.status, 400, "{tail}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_rule_that_is_not_there_cannot_be_changed() {
    let ada = Server::start().await.register("ada").await;
    let path = path("content", "nobody");
    for (tail, body) in
        [("enabled", json!({ "enabled": true })), ("actions", json!({ "actions": [] }))]
    {
        let path = format!("{path}/{tail}");
        ada.get(&path).await.expect_error(404, "M_NOT_FOUND");
        ada.put(&path, &body).await.expect_error(404, "M_NOT_FOUND");
    }
}

/// Spec: "Push Rules: Events": the content of the event is the current push rules.
#[tokio::test]
async fn every_change_wakes_the_users_other_devices_with_all_rules() {
    let ada = Server::start().await.register("ada").await;
    let room = path("room", "!kitchen:hearth.test");
    let mut sync = ada.sync().await;
    for (path, body) in [
        (room.clone(), json!({ "actions": ["notify"] })),
        (format!("{room}/enabled"), json!({ "enabled": false })),
        (format!("{room}/actions"), json!({ "actions": [] })),
    ] {
        let (waiting, changing) = (ada.clone(), ada.clone());
        let since = sync["next_batch"].as_str().expect("a token").to_owned();
        let waiting = tokio::spawn(async move {
            waiting.sync_with(&[("since", &since), ("timeout", "10000")]).await
        });
        changing.put(&path, &body).await.expect_ok();
        sync = waiting.await.expect("the sync is answered");
        let rules = synced(&sync).unwrap_or_else(|| panic!("no rules after {path}"));
        assert_eq!(rules["room"].as_array().map(Vec::len), Some(1));
        assert_eq!(rules["override"][0]["rule_id"], ".m.rule.master");
    }
    ada.delete(&room).await.expect_ok();
    let sync = ada.sync_until(&sync, |sync| synced(sync).is_some()).await;
    assert!(synced(&sync).is_some_and(|rules| rules["room"] == json!([])), "{sync}");
}

/// Not in the specification: what would not fit into account data is refused rather than lost.
#[tokio::test]
async fn rules_have_a_largest_size() {
    if synapse_departs_from("(a limit of hearth's)") {
        return;
    }
    let ada = Server::start().await.register("ada").await;
    let body = json!({ "pattern": "x".repeat(70_000), "actions": [] });
    ada.put(&path("content", "long"), &body).await.expect_error(413, "M_TOO_LARGE");
    assert!(content_rules(&ada).await.is_empty());
}

#[tokio::test]
async fn rules_are_their_users_alone_and_survive_a_restart() {
    let server = Server::start_fresh().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    put_content_rule(&ada, "cake", "").await.expect_ok();
    server.restart().await;
    assert_eq!(content_rules(&ada).await, ["cake"]);
    assert!(content_rules(&bo).await.is_empty());
}

/// Spec: "Historical Actions": "a rule with `["dont_notify"]` actions MUST be equivalent to a rule with an empty actions array".
#[tokio::test]
async fn actions_of_former_times_mean_nothing() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    let rule = path("content", "cake");
    let body = json!({ "pattern": "cake", "actions": ["dont_notify"] });
    bo.put(&rule, &body).await.expect_ok();
    let before = bo.sync().await;

    ada.say(&room, "cake").await;
    ada.say(&room, "tea").await;
    let sync = bo.sync_until(&before, |sync| unread(sync, &room) > 0).await;
    assert_eq!(unread(&sync, &room), 1);

    bo.put(&format!("{rule}/actions"), &json!({ "actions": ["coalesce", "notify"] }))
        .await
        .expect_ok();
    ada.say(&room, "cake").await;
    bo.sync_until(&sync, |sync| unread(sync, &room) > 1).await;
}

/// Spec: "If both `after` and `before` are provided, the new or updated rule must be the next most important rule with
/// respect to the rule identified by `before`."
#[tokio::test]
async fn before_counts_more_than_after() {
    let ada = Server::start().await.register("ada").await;
    for id in ["c", "b", "a"] {
        put_content_rule(&ada, id, "").await.expect_ok();
    }
    put_content_rule(&ada, "x", "?before=c&after=a").await.expect_ok();
    assert_eq!(content_rules(&ada).await, ["a", "b", "x", "c"]);
}

/// Spec: "The `rule_id` of a room rule is always the ID of the room that it affects", and of a sender rule the user ID.
#[tokio::test]
async fn rules_of_rooms_and_senders_are_named_by_ids() {
    if synapse_departs_from("The `rule_id` of a room rule is always the ID of the room") {
        return;
    }
    let ada = Server::start().await.register("ada").await;
    for kind in ["room", "sender"] {
        let answer = ada.put(&path(kind, "kitchen"), &json!({ "actions": [] })).await;
        answer.expect_error(400, "M_INVALID_PARAM");
        ada.get(&path(kind, "kitchen")).await.expect_error(404, "M_NOT_FOUND");
    }
}
