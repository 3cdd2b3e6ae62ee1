//! Who comes in, and who puts others out.

use super::*;

#[test]
fn a_banned_user_cannot_come_back_until_unbanned() {
    for mut room in TestRoom::of_all_versions() {
        room.join(BO);
        assert!(room.membership(BO, ADA, "ban").is_err());
        room.membership(ADA, BO, "ban").unwrap();
        for (sender, membership) in [(BO, "join"), (BO, "leave"), (ADA, "invite")] {
            assert!(
                room.membership(sender, BO, membership).is_err(),
                "{} {membership}",
                room.version
            );
        }
        room.membership(ADA, BO, "leave").unwrap();
        room.join(BO);
        assert!(is_joined(&room, BO));
    }
}

#[test]
fn an_invitation_opens_a_closed_room_to_its_addressee() {
    for mut room in TestRoom::of_all_versions() {
        room.send_state(ADA, "m.room.join_rules", "", &json!({ "join_rule": "invite" }));
        assert!(room.membership(BO, BO, "join").is_err());
        assert!(room.membership(BO, BO, "leave").is_err(), "nothing to leave");
        room.membership(ADA, BO, "invite").unwrap();
        assert!(room.membership(CY, BO, "join").is_err(), "nobody joins for another");
        room.join(BO);
        assert!(room.membership(ADA, BO, "invite").is_err(), "joined already");
        room.membership(BO, BO, "leave").unwrap();
        assert!(room.membership(BO, BO, "nonsense").is_err());
    }
}

#[test]
fn kicking_takes_the_level_and_a_lower_target() {
    for mut room in TestRoom::of_all_versions() {
        room.join(BO);
        room.join(CY);
        assert!(room.membership(BO, CY, "leave").is_err());
        room.levels(&json!({ "users": { BO: 50, CY: 50 } }));
        assert!(room.membership(BO, CY, "leave").is_err(), "{}: equals", room.version);
        room.levels(&json!({ "users": { BO: 50, CY: 49 } }));
        room.membership(BO, CY, "leave").unwrap();
        assert!(room.membership(BO, ADA, "leave").is_err());
    }
}

#[test]
fn knocking_exists_from_version_7_on() {
    for mut room in TestRoom::of_all_versions() {
        room.send_state(ADA, "m.room.join_rules", "", &json!({ "join_rule": "knock" }));
        let knock = room.membership(BO, BO, "knock");
        assert_eq!(knock.is_ok(), room.rules.authorization.knocking, "{}", room.version);
        assert!(room.membership(BO, BO, "join").is_err());
        assert!(room.membership(CY, BO, "knock").is_err());
        assert_eq!(room.membership(BO, BO, "leave").is_ok(), room.rules.authorization.knocking);
        room.send_state(ADA, "m.room.join_rules", "", &json!({ "join_rule": "knock_restricted" }));
        let knock = room.membership(BO, BO, "knock");
        assert_eq!(
            knock.is_ok(),
            room.rules.authorization.knock_restricted_join_rule,
            "{}",
            room.version
        );
    }
}

#[test]
fn a_restricted_join_needs_a_member_who_may_invite() {
    for mut room in TestRoom::of_all_versions() {
        room.join(CY);
        room.levels(&json!({ "invite": 50 }));
        room.send_state(
            ADA,
            "m.room.join_rules",
            "",
            &json!({ "join_rule": "restricted", "allow": [] }),
        );
        let via =
            |user: &str| json!({ "membership": "join", "join_authorised_via_users_server": user });
        assert!(room.membership(BO, BO, "join").is_err());
        assert!(room.try_state(BO, "m.room.member", BO, &via(CY)).is_err(), "may not invite");
        assert!(room.try_state(BO, "m.room.member", BO, &via("@gone:x")).is_err(), "not a member");
        let joined = room.try_state(BO, "m.room.member", BO, &via(ADA));
        assert_eq!(
            joined.is_ok(),
            room.rules.authorization.restricted_join_rule,
            "{}",
            room.version
        );
    }
}

/// A third party's invitation of Bo, with `forged` wrong signatures beside a right one, to a token with `keys` keys.
fn third_party_invite(
    room: &mut TestRoom,
    change: impl FnOnce(&mut serde_json::Value),
    forged: usize,
    keys: usize,
) -> Result<(), AuthError> {
    let party = crate::SigningKey::from_seed([9; 32], "0".to_owned()).unwrap();
    let public_keys: Vec<_> =
        (0..keys).map(|_| json!({ "public_key": party.public_key() })).collect();
    let token = json!({
        "display_name": "B", "key_validity_url": "https://id.test", "public_key": party.public_key(), "public_keys": public_keys,
    });
    room.send_state(ADA, "m.room.third_party_invite", "token", &token);
    let mut signed: ruma::CanonicalJsonObject =
        serde_json::from_value(json!({ "mxid": BO, "token": "token" })).unwrap();
    crate::server_keys::sign_json(&mut signed, ruma::server_name!("id.test"), &party).unwrap();
    let mut content = json!({ "membership": "invite", "third_party_invite": { "display_name": "B", "signed": signed } });
    for number in 0..forged {
        let wrong = json!(
            content["third_party_invite"]["signed"]["signatures"]["id.test"]["ed25519:0"]
                .as_str()
                .unwrap()
                .replace('A', "B")
        );
        content["third_party_invite"]["signed"]["signatures"][format!("a{number}.test")] =
            json!({ "ed25519:0": wrong });
    }
    change(&mut content["third_party_invite"]["signed"]);
    let invite = room.event(ADA, "m.room.member", Some(BO), &content);
    room.check(&invite)
}

#[test]
fn a_third_party_invites_with_its_signature() {
    for mut room in TestRoom::of_all_versions() {
        assert_eq!(third_party_invite(&mut room, |_| {}, 0, 1), Ok(()), "{}", room.version);
        assert_eq!(third_party_invite(&mut room, |_| {}, 3, 2), Ok(()), "{}", room.version);
        for change in [
            |signed: &mut serde_json::Value| signed["mxid"] = json!(CY),
            |signed: &mut serde_json::Value| signed["token"] = json!("other"),
            |signed: &mut serde_json::Value| signed["more"] = json!(1),
            |signed: &mut serde_json::Value| signed["signatures"] = json!({}),
        ] {
            assert!(third_party_invite(&mut room, change, 0, 1).is_err(), "{}", room.version);
        }
        room.membership(ADA, BO, "ban").unwrap();
        assert!(third_party_invite(&mut room, |_| {}, 0, 1).is_err(), "{}: banned", room.version);
    }
}

#[test]
fn a_third_partys_invitation_with_countless_signatures_is_refused_unseen() {
    let mut room = version(11);
    let refused = third_party_invite(&mut room, |_| {}, 200, 300);
    assert_eq!(
        refused,
        Err(AuthError::NotAllowed("too many third-party signatures and keys".to_owned()))
    );
}
