//! Invitations by email address or phone number, with an identity server inside the test.
//!
//! Synapse asks whatever server a client names, with whatever address. It goes on where an identity server does not tell who has an
//! address, and answers 500 where it fails.

use complement_tests::{
    Answer, Client, FakeIdentityServer, Homeserver, Server, encoded, room_path, state_path,
    synapse_departs_from, unique,
};
use serde_json::{Value, json};

const KIND: &str = "m.room.third_party_invite";
const CREATE: &str = "/_matrix/client/v3/createRoom";

/// Where nobody listens.
const NOBODY: &str = "127.0.0.1:1";

/// Lets hearth ask identity servers on this machine.
const LOOPBACK: (&str, &str) = ("HEARTH_OUTGOING__ALLOWED_PRIVATE_NETWORKS", r#"["127.0.0.0/8"]"#);

/// A server that trusts an identity server of this test's own, Ada and Bo on it, and Ada's room.
struct Kitchen {
    identity: FakeIdentityServer,
    ada: Client,
    bo: Client,
    room: String,
}

impl Kitchen {
    async fn new() -> Self {
        Self::with(FakeIdentityServer::start().await, &[LOOPBACK]).await
    }

    /// With an identity server over HTTPS, and more settings.
    async fn with(identity: FakeIdentityServer, settings: &[(&str, &str)]) -> Self {
        let trusted = format!(r#"["{}", "{NOBODY}"]"#, identity.name());
        let certificates = format!(r#"["{}"]"#, identity.certificate().display());
        let own = [
            ("HEARTH_IDENTITY_SERVERS__TRUSTED", trusted.as_str()),
            ("HEARTH_OUTGOING__TRUSTED_CERTIFICATES", &certificates),
            ("HEARTH_OUTGOING__TIMEOUT_SECONDS", "2"),
        ];
        Self::on(Server::start_with(&[&own, settings].concat()).await, identity).await
    }

    async fn on(server: Server, identity: FakeIdentityServer) -> Self {
        let (ada, bo) = (server.register("ada").await, server.register("bo").await);
        let name = format!("/_matrix/client/v3/profile/{}/displayname", encoded(&ada.user_id));
        ada.put(&name, &json!({ "displayname": "Ada" })).await.expect_ok();
        let body = json!({ "preset": "private_chat", "name": "Kitchen" });
        let room = ada.create_room_with(&body).await;
        Self { identity, ada, bo, room }
    }

    /// An invitation of an email address.
    fn invite(&self, address: &str) -> Value {
        json!({
            "id_server": self.identity.name(), "id_access_token": "good",
            "medium": "email", "address": address,
        })
    }

    /// As [`Self::invite`], with one key of another value.
    fn invite_but(&self, key: &str, value: &str) -> Value {
        let mut invite = self.invite("bo@example.org");
        invite[key] = json!(value);
        invite
    }

    async fn join_signed(&self, token: &str) -> Answer {
        let signed = self.identity.signed(&self.ada.user_id, &self.bo.user_id, token);
        let body = json!({ "third_party_signed": signed });
        self.bo.post(&room_path(&self.room, "join"), &body).await
    }

    /// The invitations by third-party id in a room, by their tokens.
    async fn invitations(&self, room: &str) -> Vec<(String, Value)> {
        let state = self.ada.get(&room_path(room, "state")).await.expect_ok();
        let events = state.as_array().expect("a list of events").iter();
        let invitations = events.filter(|event| event["type"] == KIND);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        invitations.map(|event| (text(&event["state_key"]), event["content"].clone())).collect()
    }
}

/// Spec: "Third-party invites": the identity server is asked to record the invitation, and whoever shows its signature comes in.
#[tokio::test]
async fn an_address_without_a_user_is_invited_and_its_owner_comes_in() {
    let kitchen = Kitchen::new().await;
    let Kitchen { identity, ada, bo, room } = &kitchen;
    let invite = kitchen.invite("Bo+Tea@Example.ORG");
    let answer = ada.post(&room_path(room, "invite"), &invite).await;
    assert_eq!(answer.expect_ok(), json!({}));

    let [stored] = &identity.asked("/store-invite")[..] else { panic!("one invitation is stored") };
    let stored = stored.json();
    for (key, value) in [
        ("medium", "email"),
        ("room_id", room),
        ("sender", &ada.user_id),
        ("sender_display_name", "Ada"),
        ("room_name", "Kitchen"),
        ("room_join_rules", "invite"),
    ] {
        assert_eq!(stored[key], value, "{key}");
    }
    if !synapse_departs_from("3PID Types: a canonical form of the identifier") {
        assert_eq!(stored["address"], "bo+tea@example.org");
    }
    let [looked_up] = &identity.asked("/lookup")[..] else { panic!("one address is looked up") };
    assert!(!looked_up.body.contains("example"), "{}", looked_up.body);

    let [(token, content)] = &kitchen.invitations(room).await[..] else { panic!("one invitation") };
    let key = json!({
        "public_key": identity.public_key(),
        "key_validity_url": format!("https://{}/_matrix/identity/v2/pubkey/isvalid", identity.name()),
    });
    assert_eq!(content["display_name"], "b...@e...");
    assert_eq!(content["public_keys"], json!([key]));
    assert_eq!(content["public_key"], key["public_key"]);
    assert_eq!(content["key_validity_url"], key["key_validity_url"]);

    kitchen.join_signed(token).await.expect_ok();
    assert_eq!(ada.state(room, "m.room.member", &bo.user_id).await["membership"], "join");
}

/// Spec: `POST /rooms/{roomId}/join`, `third_party_signed`: "a signature of the entire signed object".
#[tokio::test]
async fn a_signature_is_good_for_whom_and_by_whom_it_says() {
    let kitchen = Kitchen::new().await;
    let Kitchen { identity, ada, bo, room } = &kitchen;
    ada.post(&room_path(room, "invite"), &kitchen.invite("bo@example.org")).await.expect_ok();
    let token = kitchen.invitations(room).await[0].0.clone();
    let signed = identity.signed(&ada.user_id, &bo.user_id, &token);
    for (key, other) in [("sender", &bo.user_id), ("mxid", &ada.user_id)] {
        let mut signed = signed.clone();
        signed[key] = json!(other);
        let body = json!({ "third_party_signed": signed });
        bo.post(&room_path(room, "join"), &body).await.expect_error(403, "M_FORBIDDEN");
    }
    bo.post(&room_path(room, "join"), &json!({})).await.expect_error(403, "M_FORBIDDEN");
}

/// Spec: "If it is, an invite is simply issued for that user."
#[tokio::test]
async fn the_user_of_an_address_is_invited() {
    let kitchen = Kitchen::new().await;
    let Kitchen { identity, ada, bo, room } = &kitchen;
    identity.bind("bo@example.org", &bo.user_id);
    let path = room_path(room, "invite");
    ada.post(&path, &kitchen.invite("bo@example.org")).await.expect_ok();
    assert!(identity.asked("/store-invite").is_empty());
    assert_eq!(ada.state(room, "m.room.member", &bo.user_id).await["membership"], "invite");
    bo.join(room).await;
    let answer = ada.post(&path, &kitchen.invite("bo@example.org")).await;
    answer.expect_error(403, "M_FORBIDDEN");

    bo.leave(room).await;
    let config = format!(
        "/_matrix/client/v3/user/{}/account_data/m.invite_permission_config",
        encoded(&bo.user_id)
    );
    bo.put(&config, &json!({ "default_action": "block" })).await.expect_ok();
    let answer = ada.post(&path, &kitchen.invite("bo@example.org")).await;
    answer.expect_error(403, "M_INVITE_BLOCKED");
}

/// Spec: identity service API, `POST /lookup`: "Clients SHOULD make a call to `/hash_details` to get a new pepper".
#[tokio::test]
async fn a_changed_pepper_is_asked_for_once_more() {
    if synapse_departs_from("make a call to /hash_details to get a new pepper in this scenario") {
        return;
    }
    let kitchen = Kitchen::new().await;
    let Kitchen { identity, ada, bo, room } = &kitchen;
    identity.bind("bo@example.org", &bo.user_id);
    let invite = kitchen.invite_but("id_access_token", "rotating");
    ada.post(&room_path(room, "invite"), &invite).await.expect_ok();
    assert_eq!(identity.asked("/hash_details").len(), 2);
    assert_eq!(ada.state(room, "m.room.member", &bo.user_id).await["membership"], "invite");
}

/// Spec: room versions, "Authorisation rules": the invitation's event has the key, and without it nobody is let in.
#[tokio::test]
async fn an_invitation_that_was_taken_back_lets_nobody_in() {
    let kitchen = Kitchen::new().await;
    let Kitchen { ada, room, .. } = &kitchen;
    let invite = kitchen.invite("bo@example.org");
    ada.post(&room_path(room, "invite"), &invite).await.expect_ok();
    let token = kitchen.invitations(room).await[0].0.clone();
    ada.set_state(room, KIND, &token, &json!({})).await;
    kitchen.join_signed(&token).await.expect_error(403, "M_FORBIDDEN");
    kitchen.join_signed("another").await.expect_error(403, "M_FORBIDDEN");
}

/// Spec: `POST /rooms/{roomId}/invite`: "The inviter is not currently in the room", "The inviter's power level is
/// insufficient". No mail is sent for them.
#[tokio::test]
async fn the_identity_server_is_not_asked_for_those_who_may_not_invite() {
    let kitchen = Kitchen::new().await;
    let Kitchen { identity, ada, bo, room } = &kitchen;
    let (path, invite) = (room_path(room, "invite"), kitchen.invite("cy@example.org"));
    bo.post(&path, &invite).await.expect_error(403, "M_FORBIDDEN");

    ada.invite(room, bo).await;
    bo.join(room).await;
    let mut levels = ada.state(room, "m.room.power_levels", "").await;
    levels["invite"] = json!(50);
    ada.set_state(room, "m.room.power_levels", "", &levels).await;
    bo.post(&path, &invite).await.expect_error(403, "M_FORBIDDEN");
    if !synapse_departs_from("risk of denial of service attacks by flooding […] identity servers")
    {
        let nowhere = room_path("!nowhere:hearth.test", "invite");
        ada.post(&nowhere, &invite).await.expect_error(404, "M_NOT_FOUND");
        assert!(identity.asked("").is_empty());
    }

    ada.post(&path, &invite).await.expect_ok();
}

#[tokio::test]
async fn an_invitation_that_is_not_whole_or_makes_no_sense_is_refused() {
    let kitchen = Kitchen::new().await;
    let Kitchen { identity, ada, room, .. } = &kitchen;
    let path = room_path(room, "invite");
    for missing in ["id_server", "id_access_token", "medium", "address"] {
        let mut invite = kitchen.invite("bo@example.org");
        invite.as_object_mut().expect("an object").remove(missing);
        ada.post(&path, &invite).await.expect_error(400, "M_MISSING_PARAM");
        let body = json!({ "invite_3pid": [invite] });
        let answer = ada.post(CREATE, &body).await;
        answer.expect_error_of(&[(400, "M_BAD_JSON"), (400, "M_MISSING_PARAM")]);
    }
    if synapse_departs_from("M_SERVER_NOT_TRUSTED; 3PID Types") {
        return;
    }
    for (key, value, status, errcode) in [
        ("id_server", "id.example.org", 403, "M_SERVER_NOT_TRUSTED"),
        ("id_server", "127.0.0.1", 403, "M_SERVER_NOT_TRUSTED"),
        ("address", "bo", 400, "M_INVALID_PARAM"),
        ("address", "Bo <bo@example.org>", 400, "M_INVALID_PARAM"),
        ("medium", "msisdn", 400, "M_INVALID_PARAM"),
        ("medium", "pigeon", 400, "M_THREEPID_MEDIUM_NOT_SUPPORTED"),
    ] {
        let invite = kitchen.invite_but(key, value);
        ada.post(&path, &invite).await.expect_error(status, errcode);
        let body = json!({ "invite_3pid": [invite] });
        ada.post(CREATE, &body).await.expect_error(status, errcode);
    }
    assert!(identity.asked("").is_empty());
}

#[tokio::test]
async fn an_identity_server_that_fails_is_an_error_and_no_invitation() {
    if synapse_departs_from("M_TERMS_NOT_SIGNED: the user must accept new terms of service") {
        return;
    }
    let kitchen = Kitchen::new().await;
    let Kitchen { ada, room, .. } = &kitchen;
    for (key, value, status, errcode) in [
        ("id_access_token", "terms", 403, "M_TERMS_NOT_SIGNED"),
        ("id_access_token", "wrong", 403, "M_FORBIDDEN"),
        ("id_access_token", "new\nline", 403, "M_FORBIDDEN"),
        ("id_access_token", "taken", 400, "M_THREEPID_IN_USE"),
        ("id_access_token", "broken", 502, "M_UNKNOWN"),
        ("id_access_token", "nonsense", 502, "M_UNKNOWN"),
        ("id_access_token", "huge", 502, "M_UNKNOWN"),
        ("id_access_token", "slow", 502, "M_UNKNOWN"),
        ("id_server", NOBODY, 502, "M_UNKNOWN"),
    ] {
        let invite = kitchen.invite_but(key, value);
        let answer = ada.post(&room_path(room, "invite"), &invite).await;
        answer.expect_error(status, errcode);
    }
    let mut by_phone = kitchen.invite_but("medium", "msisdn");
    by_phone["address"] = json!("+18005552067");
    let answer = ada.post(&room_path(room, "invite"), &by_phone).await;
    answer.expect_error(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED");
    assert!(kitchen.invitations(room).await.is_empty());
}

#[tokio::test]
async fn an_identity_server_is_asked_only_where_its_address_and_certificate_are_allowed() {
    if Homeserver::chosen() == Homeserver::Synapse {
        return;
    }
    let nothing_trusted = ("HEARTH_OUTGOING__TRUSTED_CERTIFICATES", "[]");
    for settings in [&[][..], &[LOOPBACK, nothing_trusted]] {
        let kitchen = Kitchen::with(FakeIdentityServer::start().await, settings).await;
        let Kitchen { identity, ada, room, .. } = &kitchen;
        let invite = kitchen.invite("bo@example.org");
        let answer = ada.post(&room_path(room, "invite"), &invite).await;
        answer.expect_error(502, "M_UNKNOWN");
        assert!(identity.asked("").is_empty());
    }
}

#[tokio::test]
async fn an_identity_server_may_be_configured_to_be_asked_without_tls() {
    if Homeserver::chosen() == Homeserver::Synapse {
        return;
    }
    let identity = FakeIdentityServer::start_without_tls().await;
    let trusted = format!(r#"["http://{}"]"#, identity.name());
    let settings = [LOOPBACK, ("HEARTH_IDENTITY_SERVERS__TRUSTED", &trusted)];
    let kitchen = Kitchen::on(Server::start_with(&settings).await, identity).await;
    let invite = kitchen.invite("bo@example.org");
    kitchen.ada.post(&room_path(&kitchen.room, "invite"), &invite).await.expect_ok();
    assert_eq!(kitchen.invitations(&kitchen.room).await.len(), 1);
}

/// Spec: `POST /createRoom`, `invite_3pid`.
#[tokio::test]
async fn a_room_begins_with_invitations_by_address() {
    let kitchen = Kitchen::new().await;
    let Kitchen { identity, ada, bo, .. } = &kitchen;
    identity.bind("bo@example.org", &bo.user_id);
    let alias = unique("tea");
    let invites = |token: &str| {
        let mut stranger = kitchen.invite("cy@example.org");
        stranger["id_access_token"] = json!(token);
        json!({
            "preset": "private_chat", "name": "Tea", "room_alias_name": alias, "is_direct": true,
            "invite_3pid": [kitchen.invite("bo@example.org"), stranger],
        })
    };
    // The room is made whole or not at all, so its alias is not taken.
    if !synapse_departs_from("the identity server fails before there is a room") {
        ada.post(CREATE, &invites("broken")).await.expect_error(502, "M_UNKNOWN");
    }
    let room = ada.create_room_with(&invites("good")).await;

    let member = ada.get(&state_path(&room, "m.room.member", &bo.user_id)).await.expect_ok();
    assert_eq!(member["membership"], "invite");
    if !synapse_departs_from("set the is_direct flag on […] users in `invite` and `invite_3pid`")
    {
        assert_eq!(member["is_direct"], true);
    }
    let [(token, _)] = &kitchen.invitations(&room).await[..] else { panic!("one invitation") };
    assert!(token.starts_with("token-"), "{token}");
    let [stored] = &identity.asked("/store-invite")[..] else { panic!("one invitation is stored") };
    let stored = stored.json();
    assert_eq!((&stored["room_id"], &stored["room_name"]), (&json!(room), &json!("Tea")));
    assert_eq!(stored["room_alias"], format!("#{alias}:hearth.test"));

    if synapse_departs_from("Defending against these is left to the implementer's discretion") {
        return;
    }
    let many = vec![kitchen.invite("cy@example.org"); 11];
    let answer = ada.post(CREATE, &json!({ "invite_3pid": many })).await;
    answer.expect_error(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn mails_are_sent_for_one_user_only_so_often() {
    if Homeserver::chosen() == Homeserver::Synapse {
        return;
    }
    let settings = [
        LOOPBACK,
        ("HEARTH_RATE_LIMITS__ENABLED", "true"),
        ("HEARTH_RATE_LIMITS__THIRD_PARTY_INVITES", "{per_second=0.005, burst=2}"),
    ];
    let kitchen = Kitchen::with(FakeIdentityServer::start().await, &settings).await;
    let Kitchen { identity, ada, bo, room } = &kitchen;
    let (path, invite) = (room_path(room, "invite"), kitchen.invite("cy@example.org"));
    ada.post(&path, &invite).await.expect_ok();
    let body = json!({ "invite_3pid": [invite, invite] });
    ada.post(CREATE, &body).await.expect_error(429, "M_LIMIT_EXCEEDED");
    ada.post(&path, &invite).await.expect_error(429, "M_LIMIT_EXCEEDED");
    assert_eq!(identity.asked("/store-invite").len(), 1);
    ada.invite(room, bo).await;
}
