//! Push rules, as far as they decide what counts as unread.

use complement_tests::Server;
use serde_json::Value;

fn rule_ids(rules: &Value) -> Vec<&str> {
    let rules = rules.as_array().expect("rules of a kind are a list");
    rules.iter().filter_map(|rule| rule["rule_id"].as_str()).collect()
}

/// Spec: "Predefined Rules".
#[tokio::test]
async fn a_new_user_has_the_predefined_rules() {
    let ada = Server::start().await.register("ada").await;

    let answer = ada.get("/_matrix/client/v3/pushrules/").await.expect_ok();

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
async fn the_rules_are_in_the_account_data_of_the_first_sync() {
    let ada = Server::start().await.register("ada").await;
    let sync = ada.sync().await;
    let events = sync["account_data"]["events"].as_array().expect("account data");
    let rules = events.iter().find(|event| event["type"] == "m.push_rules").expect("push rules");
    assert_eq!(rules["content"]["global"]["override"][0]["rule_id"], ".m.rule.master");
}
