//! API versions and server capabilities.

use complement_tests::Server;
use serde_json::Value;

#[tokio::test]
async fn versions_name_the_specification_without_authentication() {
    let answer = Server::start().await.stranger().get("/_matrix/client/versions").await.expect_ok();

    let versions = answer["versions"].as_array().expect("versions is a list");
    let known = |version: &Value| version.as_str().is_some_and(|text| text.starts_with("v1."));
    assert!(versions.iter().any(known), "no version of the specification in {answer}");
    if let Some(features) = answer.get("unstable_features") {
        let features = features.as_object().expect("unstable_features is an object");
        assert!(features.values().all(Value::is_boolean), "{answer}");
    }
}

/// No sentence decides: clients ask for these by their names, some of them whatever the versions say.
#[tokio::test]
async fn what_clients_ask_for_by_name_is_there() {
    let answer = Server::start().await.stranger().get("/_matrix/client/versions").await.expect_ok();
    for feature in [
        "org.matrix.msc2285.stable",
        "org.matrix.msc3440.stable",
        "org.matrix.msc3771",
        "org.matrix.msc3827.stable",
        "org.matrix.msc3981",
        "org.matrix.msc4380.stable",
        "org.matrix.simplified_msc3575",
        "uk.half-shot.msc2666.query_mutual_rooms.stable",
        "uk.tcpip.msc4133.stable",
    ] {
        assert_eq!(answer["unstable_features"][feature], true, "{feature} in {answer}");
    }
}

#[tokio::test]
async fn versions_are_answered_to_a_user_as_well() {
    let ada = Server::start().await.register("ada").await;
    ada.get("/_matrix/client/versions").await.expect_ok();
}

#[tokio::test]
async fn capabilities_list_room_versions_and_their_default() {
    let ada = Server::start().await.register("ada").await;

    let answer = ada.get("/_matrix/client/v3/capabilities").await.expect_ok();

    let versions = &answer["capabilities"]["m.room_versions"];
    assert_eq!(versions["default"], "12");
    for version in 1..=12 {
        assert!(versions["available"][version.to_string()].is_string(), "{version} in {versions}");
    }
    assert_eq!(versions["available"]["12"], "stable");
    assert!(answer["capabilities"]["m.change_password"]["enabled"].is_boolean(), "{answer}");
}

#[tokio::test]
async fn capabilities_need_a_token() {
    let stranger = Server::start().await.stranger();
    stranger.get("/_matrix/client/v3/capabilities").await.expect_error(401, "M_MISSING_TOKEN");
}
