//! Key documents: what servers say about their signing keys, and signing JSON in general.
//! Spec: server-server API, "Retrieving server keys"; appendices, "Signing JSON".

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, MilliSecondsSinceUnixEpoch, ServerName,
    serde::Base64,
    signatures::{self, JsonError, PublicKeyMap, PublicKeySet, VerificationError},
};

use crate::SigningKey;

/// A signing key that is no longer in use: kept so that what it signed can still be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldKey {
    /// Its id, `ed25519:<version>`.
    pub id: String,
    /// Its public half.
    pub public_key: [u8; 32],
    /// When it was given up.
    pub expired: MilliSecondsSinceUnixEpoch,
}

/// Adds the signature of `server_name` with `key` to an object. `signatures` and `unsigned` are not covered by it.
///
/// Fails if `signatures` is there and not an object of objects.
pub fn sign_json(
    object: &mut CanonicalJsonObject,
    server_name: &ServerName,
    key: &SigningKey,
) -> Result<(), JsonError> {
    signatures::sign_json(server_name.as_str(), key.key_pair(), object)
}

/// Checks that an object is signed by `server_name`: at least one signature with one of `keys`, and none with one of them wrong.
/// Signatures of others are not looked at.
pub fn verify_json(
    object: &CanonicalJsonObject,
    server_name: &ServerName,
    keys: &PublicKeySet,
) -> Result<(), VerificationError> {
    let mut object = object.clone();
    if let Some(CanonicalJsonValue::Object(by_server)) = object.get_mut("signatures") {
        by_server.retain(|server, _| server == server_name.as_str());
        if by_server.is_empty() {
            return Err(VerificationError::NoSignaturesForEntity(server_name.to_string()));
        }
    }
    let keys = PublicKeyMap::from([(server_name.to_string(), keys.clone())]);
    signatures::verify_json(&keys, &object)
}

/// This server's key document, signed.
pub fn key_document(
    server_name: &ServerName,
    key: &SigningKey,
    old_keys: &[OldKey],
    valid_until: MilliSecondsSinceUnixEpoch,
) -> Result<CanonicalJsonObject, JsonError> {
    let text = |text: &str| CanonicalJsonValue::String(text.to_owned());
    let object = |fields: Vec<(&str, CanonicalJsonValue)>| -> CanonicalJsonValue {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        fields.collect::<CanonicalJsonObject>().into()
    };
    let old_key = |old: &OldKey| {
        let key = STANDARD_NO_PAD.encode(old.public_key);
        (
            old.id.clone(),
            object(vec![("expired_ts", old.expired.get().into()), ("key", text(&key))]),
        )
    };
    let old_keys: CanonicalJsonObject = old_keys.iter().map(old_key).collect();
    let current = object(vec![("key", text(&key.public_key()))]);
    let mut document = CanonicalJsonObject::from([
        ("server_name".to_owned(), text(server_name.as_str())),
        ("valid_until_ts".to_owned(), valid_until.get().into()),
        ("verify_keys".to_owned(), object(vec![(&key.id(), current)])),
        ("old_verify_keys".to_owned(), old_keys.into()),
    ]);
    sign_json(&mut document, server_name, key)?;
    Ok(document)
}

/// Why a key document is not believed.
#[derive(Debug, thiserror::Error)]
pub enum KeyDocumentError {
    /// It is the document of another server.
    #[error("the document is not of the server that was asked")]
    ServerName,
    /// It has no `verify_keys` that can be read.
    #[error("the document has no keys")]
    NoKeys,
    /// It is not signed with one of its own keys.
    #[error("the document is not signed by its own keys: {0}")]
    Signature(#[from] VerificationError),
}

/// Checks that a key document is that of `server_name` and signed with a key that it lists.
pub fn verify_key_document(
    document: &CanonicalJsonObject,
    server_name: &ServerName,
) -> Result<(), KeyDocumentError> {
    let named = document.get("server_name").and_then(CanonicalJsonValue::as_str);
    if named != Some(server_name.as_str()) {
        return Err(KeyDocumentError::ServerName);
    }
    let listed = document.get("verify_keys").and_then(CanonicalJsonValue::as_object);
    let read = |(id, key): (&String, &CanonicalJsonValue)| {
        let key = Base64::parse(key.as_object()?.get("key")?.as_str()?).ok()?;
        Some((id.clone(), key))
    };
    let keys: BTreeMap<_, _> = listed.into_iter().flatten().filter_map(read).collect();
    if keys.is_empty() {
        return Err(KeyDocumentError::NoKeys);
    }
    Ok(verify_json(document, server_name, &keys)?)
}

#[cfg(test)]
mod tests {
    use ruma::{server_name, uint};
    use serde_json::json;

    use super::*;

    fn object(value: serde_json::Value) -> CanonicalJsonObject {
        serde_json::from_value(value).unwrap()
    }

    fn key(seed: u8, version: &str) -> SigningKey {
        SigningKey::from_seed([seed; 32], version.to_owned()).unwrap()
    }

    fn later() -> MilliSecondsSinceUnixEpoch {
        MilliSecondsSinceUnixEpoch(uint!(5_000))
    }

    #[test]
    fn a_key_document_lists_the_keys_and_proves_itself() {
        let old = OldKey { id: "ed25519:old".to_owned(), public_key: [3; 32], expired: later() };
        let server = server_name!("hearth.test");
        let document = key_document(server, &key(1, "new"), &[old], later()).unwrap();
        verify_key_document(&document, server).unwrap();
        let text = serde_json::to_string(&document).unwrap();
        assert!(
            text.contains(r#""old_verify_keys":{"ed25519:old":{"expired_ts":5000,"key":"AwMD"#),
            "{text}"
        );
        assert!(
            text.contains(r#""server_name":"hearth.test""#)
                && text.contains(r#""valid_until_ts":5000"#)
        );
        let other = verify_key_document(&document, server_name!("other.test"));
        assert!(matches!(other, Err(KeyDocumentError::ServerName)));
    }

    #[test]
    fn a_document_that_was_changed_or_has_no_keys_is_not_believed() {
        let server = server_name!("hearth.test");
        let document = key_document(server, &key(1, "new"), &[], later()).unwrap();
        let mut longer = document.clone();
        longer.insert("valid_until_ts".to_owned(), uint!(6_000).into());
        assert!(matches!(
            verify_key_document(&longer, server),
            Err(KeyDocumentError::Signature(_))
        ));
        let mut keyless = document.clone();
        keyless.insert("verify_keys".to_owned(), object(json!({ "ed25519:new": {} })).into());
        assert!(matches!(verify_key_document(&keyless, server), Err(KeyDocumentError::NoKeys)));
        let mut unsigned = document;
        unsigned.insert("signatures".to_owned(), object(json!({ "other.test": {} })).into());
        assert!(matches!(
            verify_key_document(&unsigned, server),
            Err(KeyDocumentError::Signature(_))
        ));
    }

    #[test]
    fn signatures_of_others_are_kept_and_not_looked_at() {
        let server = server_name!("hearth.test");
        let mut json =
            object(json!({ "a": 1, "signatures": { "notary.test": { "ed25519:x": "bogus" } } }));
        sign_json(&mut json, server, &key(1, "1")).unwrap();
        let keys = PublicKeySet::from([(
            "ed25519:1".to_owned(),
            Base64::parse(key(1, "1").public_key()).unwrap(),
        )]);
        verify_json(&json, server, &keys).unwrap();
        assert!(serde_json::to_string(&json).unwrap().contains("notary.test"));
        let wrong = PublicKeySet::from([(
            "ed25519:1".to_owned(),
            Base64::parse(key(2, "1").public_key()).unwrap(),
        )]);
        assert!(verify_json(&json, server, &wrong).is_err());
        assert!(sign_json(&mut object(json!({ "signatures": 1 })), server, &key(1, "1")).is_err());
        assert!(verify_json(&object(json!({})), server, &keys).is_err());
    }

    /// Spec: appendices, "Cryptographic Test Vectors", "JSON Signing".
    #[test]
    fn the_specifications_json_signatures() {
        let text = "ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1";
        let key = SigningKey::from_text(text).unwrap();
        for (value, signature) in [
            (
                json!({}),
                "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ",
            ),
            (
                json!({ "one": 1, "two": "Two" }),
                "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
            ),
        ] {
            let mut signed = object(value.clone());
            sign_json(&mut signed, server_name!("domain"), &key).unwrap();
            let mut expected = value;
            expected["signatures"] = json!({ "domain": { "ed25519:1": signature } });
            assert_eq!(signed, object(expected));
        }
    }
}
