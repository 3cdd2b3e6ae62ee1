//! The first checks of an event from another server: its format, its signatures, its hash.
//!
//! [`Received::read`] says which servers' keys are needed; with them, [`Received::verify`] makes it an event that may be looked at.
//! What comes after are the authorisation rules in [`crate::auth`].
//! Spec: server-server API, "Checks performed on receipt of a PDU", steps 1 to 3.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, MilliSecondsSinceUnixEpoch, OwnedEventId,
    OwnedServerName,
    events::TimelineEventType,
    room_version_rules::{EventIdFormatVersion, RoomVersionRules},
    serde::Base64,
    signatures::{
        PublicKeyMap, PublicKeySet, VerificationError, Verified, reference_hash,
        required_server_signatures_to_verify_event, verify_event,
    },
};

use crate::{Pdu, PduError, limits, redaction};

/// Why an event from another server is dropped.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// It is not an object of canonical JSON.
    #[error("not canonical JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Its fields are not those of an event of its room version.
    #[error(transparent)]
    Format(#[from] PduError),
    /// It has no valid `event_id` (room versions 1 and 2) or none can be computed.
    #[error("event without a valid id")]
    EventId,
    /// A part of it, or the `event` as a whole, is over its limit.
    #[error("{0} is over the limit")]
    TooLarge(&'static str),
    /// A signature that it needs is missing or wrong.
    #[error("signature check failed: {0}")]
    Signature(#[from] VerificationError),
    /// It could not be redacted, though its hash is wrong.
    #[error(transparent)]
    Redaction(#[from] redaction::RedactionError),
}

/// A key of another server, as far as it is known how long it counts.
#[derive(Debug, Clone)]
pub struct VerifyKey {
    /// The public key.
    pub key: Base64,
    /// Until when events may be signed with it.
    pub validity: Validity,
}

/// How long a key counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// In use, and promised until then: the lesser of `valid_until_ts` and seven days after it was fetched. Room versions 1 to 4
    /// do not ask.
    Until(MilliSecondsSinceUnixEpoch),
    /// Given up then; no room version takes an event made later.
    Expired(MilliSecondsSinceUnixEpoch),
}

impl Validity {
    fn covers(self, time: MilliSecondsSinceUnixEpoch, rules: &RoomVersionRules) -> bool {
        match self {
            Self::Until(until) => !rules.enforce_key_validity || time <= until,
            Self::Expired(at) => time <= at,
        }
    }
}

/// The known keys of some servers, by server and key id.
pub type VerifyKeys = BTreeMap<OwnedServerName, BTreeMap<String, VerifyKey>>;

/// An event from another server, well-formed and nothing more: nobody says yet that its sender sent it.
#[derive(Debug)]
pub struct Received {
    object: CanonicalJsonObject,
    json: String,
    pdu: Pdu,
    rules: RoomVersionRules,
}

/// An event whose signatures are right.
#[derive(Debug)]
pub struct Checked {
    /// The event.
    pub pdu: Pdu,
    /// Its canonical JSON, to be stored and sent on.
    pub json: String,
    /// Whether its hash is right. If not, the event was redacted: someone before us may have done so, or changed it.
    pub intact: bool,
}

impl Received {
    /// Reads the JSON of an event: format and limits, but neither signature nor hash. `unsigned` is thrown away, as anyone on the way may
    /// have written it.
    pub fn read(json: &str, rules: &RoomVersionRules) -> Result<Self, ReceiptError> {
        let mut object: CanonicalJsonObject = serde_json::from_str(json)?;
        object.remove("unsigned");
        let json = serde_json::to_string(&object)?;
        if json.len() > limits::EVENT {
            return Err(ReceiptError::TooLarge("event"));
        }
        let event_id = event_id(&object, rules)?;
        let pdu = Pdu::from_json(&json, event_id, rules)?;
        check_limits(&pdu)?;
        Ok(Self { object, json, pdu, rules: rules.clone() })
    }

    /// The event as it claims to be, for finding out what is needed to check it.
    pub fn claimed(&self) -> &Pdu {
        &self.pdu
    }

    /// The servers that must have signed the event, with the ids of the keys that they claim to have used.
    /// Spec: server-server API, "Validating hashes and signatures on received events".
    pub fn signers(&self) -> Result<BTreeMap<OwnedServerName, BTreeSet<String>>, ReceiptError> {
        let rules = self.signature_rules();
        let servers = required_server_signatures_to_verify_event(&self.object, &rules.signatures)?;
        let signatures = self.object.get("signatures").and_then(CanonicalJsonValue::as_object);
        let key_ids = |server: &OwnedServerName| {
            let by_key =
                signatures.and_then(|signatures| signatures.get(server.as_str())?.as_object());
            by_key.into_iter().flat_map(BTreeMap::keys).cloned().collect()
        };
        Ok(servers.into_iter().map(|server| (server.clone(), key_ids(&server))).collect())
    }

    /// Checks the signatures with the known `keys`, and the hash. An event whose hash is wrong goes on in its redacted form.
    pub fn verify(self, keys: &VerifyKeys) -> Result<Checked, ReceiptError> {
        let made = self.pdu.origin_server_ts;
        let usable = |keys: &BTreeMap<String, VerifyKey>| -> PublicKeySet {
            let counts = keys.iter().filter(|(_, key)| key.validity.covers(made, &self.rules));
            counts.map(|(id, key)| (id.clone(), key.key.clone())).collect()
        };
        let keys: PublicKeyMap =
            keys.iter().map(|(server, keys)| (server.to_string(), usable(keys))).collect();
        if verify_event(&keys, &self.object, &self.signature_rules())? == Verified::All {
            return Ok(Checked { pdu: self.pdu, json: self.json, intact: true });
        }
        let mut object = self.object;
        redaction::redact(&mut object, &self.rules)?;
        let json = serde_json::to_string(&object)?;
        let pdu = Pdu::from_json(&json, self.pdu.event_id, &self.rules)?;
        Ok(Checked { pdu, json, intact: false })
    }

    /// The rules by which signatures are checked. Only of a membership event is the signature of the server needed that let a restricted
    /// join pass; ruma asks for it wherever the content has such a key.
    fn signature_rules(&self) -> RoomVersionRules {
        let mut rules = self.rules.clone();
        if self.pdu.kind != TimelineEventType::RoomMember {
            rules.signatures.check_join_authorised_via_users_server = false;
        }
        rules
    }
}

/// The id of an event: the one it has in room versions 1 and 2, else its reference hash.
/// Spec: room versions 1, 3 and 4, "Event IDs".
pub fn event_id(
    object: &CanonicalJsonObject,
    rules: &RoomVersionRules,
) -> Result<OwnedEventId, ReceiptError> {
    let id = if rules.event_id_format == EventIdFormatVersion::V1 {
        let id = object.get("event_id").and_then(CanonicalJsonValue::as_str);
        id.ok_or(ReceiptError::EventId)?.to_owned()
    } else {
        format!("${}", reference_hash(object, rules).map_err(|_| ReceiptError::EventId)?)
    };
    EventId::parse(id).map_err(|_| ReceiptError::EventId)
}

fn check_limits(pdu: &Pdu) -> Result<(), ReceiptError> {
    let strings = [
        ("sender", pdu.sender.as_str().len()),
        ("room_id", pdu.room_id.as_str().len()),
        ("event_id", pdu.event_id.as_str().len()),
        ("type", pdu.kind.to_string().len()),
        ("state_key", pdu.state_key.as_deref().map_or(0, str::len)),
    ];
    let too_long = strings.into_iter().find(|(_, length)| *length > limits::IDENTIFIER);
    if let Some((field, _)) = too_long {
        return Err(ReceiptError::TooLarge(field));
    }
    if pdu.prev_events.len() > limits::PREV_EVENTS {
        return Err(ReceiptError::TooLarge("prev_events"));
    }
    if pdu.auth_events.len() > limits::AUTH_EVENTS {
        return Err(ReceiptError::TooLarge("auth_events"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
