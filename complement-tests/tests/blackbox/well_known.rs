//! Server discovery. The files come from hearth's configuration, so these tests are for hearth.

use complement_tests::{Homeserver, Server};
use serde_json::json;

const FILES: [&str; 3] = ["client", "server", "support"];

fn path(file: &str) -> String {
    format!("/.well-known/matrix/{file}")
}

#[tokio::test]
async fn there_is_no_file_for_what_is_not_set() {
    if Homeserver::chosen() == Homeserver::Synapse {
        return;
    }
    let stranger = Server::start().await.stranger();
    for file in FILES {
        stranger.get(&path(file)).await.expect_error(404, "M_NOT_FOUND");
    }
}

#[tokio::test]
async fn the_files_hold_what_is_set() {
    if Homeserver::chosen() == Homeserver::Synapse {
        return;
    }
    let foci = r#"{"org.matrix.msc4143.rtc_foci"=[{type="livekit"}]}"#;
    let contacts = r#"[{role="m.role.admin",matrix_id="@root:hearth.test"}]"#;
    let settings = [
        ("HEARTH_SERVER__CLIENT_BASE_URL", "https://matrix.hearth.test"),
        ("HEARTH_WELL_KNOWN__CLIENT", foci),
        ("HEARTH_WELL_KNOWN__SERVER", "matrix.hearth.test:443"),
        ("HEARTH_WELL_KNOWN__CONTACTS", contacts),
        ("HEARTH_WELL_KNOWN__SUPPORT_PAGE", "https://hearth.test/help"),
    ];
    let stranger = Server::start_with(&settings).await.stranger();

    let client = stranger.get(&path("client")).await;
    assert_eq!(client.headers["access-control-allow-origin"], "*");
    assert_eq!(
        client.expect_ok(),
        json!({
            "m.homeserver": { "base_url": "https://matrix.hearth.test" },
            "org.matrix.msc4143.rtc_foci": [{ "type": "livekit" }],
        })
    );
    let server = stranger.get(&path("server")).await.expect_ok();
    assert_eq!(server, json!({ "m.server": "matrix.hearth.test:443" }));
    let support = stranger.get(&path("support")).await.expect_ok();
    assert_eq!(
        support,
        json!({
            "contacts": [{ "role": "m.role.admin", "matrix_id": "@root:hearth.test" }],
            "support_page": "https://hearth.test/help",
        })
    );
}
