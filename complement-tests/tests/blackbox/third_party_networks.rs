//! Third-party networks, where no application service bridges one.

use complement_tests::{Server, synapse_departs_from};
use serde_json::json;

#[tokio::test]
async fn without_bridges_there_are_no_protocols_and_nobody_behind_one() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let thirdparty = |path: &str| format!("/_matrix/client/v3/thirdparty/{path}");

    let protocols = ada.get(&thirdparty("protocols")).await.expect_ok();

    assert_eq!(protocols, json!({}));
    if synapse_departs_from("404: No portal rooms were found") {
        return;
    }
    for path in [
        "protocol/irc",
        "location/irc",
        "user/irc?nick=ada",
        "location?alias=%23tea:hearth.test",
        "user?userid=%40tea:hearth.test",
    ] {
        ada.get(&thirdparty(path)).await.expect_error(404, "M_NOT_FOUND");
    }
}

#[tokio::test]
async fn who_is_not_logged_in_learns_nothing_of_networks() {
    let server = Server::start().await;
    let answer = server.stranger().get("/_matrix/client/v3/thirdparty/protocols").await;
    answer.expect_error(401, "M_MISSING_TOKEN");
}
