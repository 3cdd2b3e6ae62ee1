//! Invitations of those who have no user yet. Spec: identity service API, "Invitation storage".

use http::Method;
use protocol::{ThirdPartyId, limits};
use ruma::UserId;
use ruma::room::RoomSummary;
use ruma::third_party_invite::IdentityServerBase64PublicKey;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{AccessToken, IdentityError, IdentityServer};

/// How many keys may sign for an invitation. Servers give two.
const MOST_KEYS: usize = 10;

/// The most bytes of a key's URL, and of what an invited is called.
const LONGEST_TEXT: usize = 1_024;

/// The bytes of an Ed25519 key.
const KEY_BYTES: usize = 32;

/// Who is wanted where, and what they are told of it.
#[derive(Debug, Clone, Copy)]
pub struct WantedInvite<'a> {
    /// Who is invited.
    pub id: &'a ThirdPartyId,
    /// To which room.
    pub room: &'a RoomSummary,
    /// By whom.
    pub sender: &'a UserId,
    /// What the sender is called.
    pub sender_display_name: Option<&'a str>,
    /// The sender's picture.
    pub sender_avatar_url: Option<&'a str>,
}

/// What an identity server keeps of an invitation, for the room's `m.room.third_party_invite`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StoredInvite {
    /// What is to be signed.
    pub token: String,
    /// By which keys; there is one at least.
    pub public_keys: Vec<PublicKey>,
    /// What the invited is called, not by the address.
    pub display_name: String,
}

/// A key of an identity server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    /// The key, in Base64.
    pub public_key: String,
    /// Where it is told whether the key is good still.
    pub key_validity_url: String,
}

impl IdentityServer {
    /// Has the server tell whoever has an address that they are invited, and keep it until they have a user.
    #[tracing::instrument(skip_all, fields(server = %self.server, room_id = %wanted.room.room_id))]
    pub async fn store_invite(
        &self,
        token: &AccessToken,
        wanted: WantedInvite<'_>,
    ) -> Result<StoredInvite, IdentityError> {
        let body = Value::Object(wanted.body());
        let stored: StoredInvite =
            self.ask(Method::POST, "store-invite", token, Some(&body)).await?;
        if stored.makes_sense() { Ok(stored) } else { Err(IdentityError::Nonsense) }
    }
}

impl WantedInvite<'_> {
    /// Spec: identity service API, `POST /store-invite`: "Optional fields […] should be populated to the best of the
    /// server's ability".
    fn body(&self) -> Map<String, Value> {
        let room = self.room;
        let all = [
            ("medium", Some(json!(self.id.medium()))),
            ("address", Some(json!(self.id.address()))),
            ("room_id", Some(json!(room.room_id))),
            ("sender", Some(json!(self.sender))),
            ("room_alias", room.canonical_alias.as_ref().map(|alias| json!(alias))),
            ("room_avatar_url", room.avatar_url.as_ref().map(|url| json!(url))),
            ("room_join_rules", Some(json!(room.join_rule.as_str()))),
            ("room_name", room.name.as_ref().map(|name| json!(name))),
            ("room_type", room.room_type.as_ref().map(|kind| json!(kind))),
            ("sender_display_name", self.sender_display_name.map(|name| json!(name))),
            ("sender_avatar_url", self.sender_avatar_url.map(|url| json!(url))),
        ];
        let known = all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        known.collect()
    }
}

impl StoredInvite {
    /// Whether it is as specified, so that who shows it is let in.
    fn makes_sense(&self) -> bool {
        let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b".=_-".contains(&byte);
        let token = self.token.as_bytes();
        (1..=limits::IDENTIFIER).contains(&token.len())
            && token.iter().all(|byte| in_token(*byte))
            && (1..=MOST_KEYS).contains(&self.public_keys.len())
            && self.public_keys.iter().all(PublicKey::makes_sense)
            && self.display_name.len() <= LONGEST_TEXT
    }
}

impl PublicKey {
    fn makes_sense(&self) -> bool {
        let key = IdentityServerBase64PublicKey(self.public_key.clone()).decode();
        key.is_ok_and(|key| key.len() == KEY_BYTES) && self.key_validity_url.len() <= LONGEST_TEXT
    }
}

#[cfg(test)]
mod tests {
    use ruma::room::JoinRuleSummary;
    use ruma::thirdparty::Medium;
    use ruma::{room_id, uint, user_id};

    use super::*;

    fn stored(token: &str, keys: &[&str]) -> StoredInvite {
        let key = |key: &&str| PublicKey {
            public_key: (*key).to_owned(),
            key_validity_url: "https://id.example.org/_matrix/identity/v2/pubkey/isvalid"
                .to_owned(),
        };
        let public_keys = keys.iter().map(key).collect();
        StoredInvite { token: token.to_owned(), public_keys, display_name: "b...".to_owned() }
    }

    const KEY: &str = "2RsMwJuiDwOCgXpUhXSYGhaXS0Vv4Jwdp+q5eoD8Nqw";
    const URL_SAFE: &str = "2RsMwJuiDwOCgXpUhXSYGhaXS0Vv4Jwdp-q5eoD8Nqw";

    #[test]
    fn an_invitation_is_kept_with_a_token_and_keys() {
        assert!(stored("some.token_=-", &[KEY, URL_SAFE]).makes_sense());
        for (token, keys) in [
            ("", &[KEY][..]),
            ("to ken", &[KEY]),
            ("töken", &[KEY]),
            (&"t".repeat(256), &[KEY]),
            ("token", &[]),
            ("token", &[KEY; 11]),
            ("token", &["c2hvcnQ"]),
            ("token", &["!"]),
        ] {
            assert!(!stored(token, keys).makes_sense(), "{token} {keys:?}");
        }
    }

    #[test]
    fn the_invited_are_told_what_is_known_of_the_room() {
        let room_id = room_id!("!kitchen:hearth.test").to_owned();
        let mut room = RoomSummary::new(room_id, JoinRuleSummary::Invite, false, uint!(1), false);
        room.name = Some("Kitchen".to_owned());
        let id = ThirdPartyId::new(&Medium::Email, "bo@example.org").unwrap();
        let wanted = WantedInvite {
            id: &id,
            room: &room,
            sender: user_id!("@ada:hearth.test"),
            sender_display_name: Some("Ada"),
            sender_avatar_url: None,
        };
        let expected = json!({
            "medium": "email", "address": "bo@example.org", "room_id": "!kitchen:hearth.test",
            "sender": "@ada:hearth.test", "room_join_rules": "invite", "room_name": "Kitchen",
            "sender_display_name": "Ada",
        });
        assert_eq!(Value::Object(wanted.body()), expected);
    }
}
