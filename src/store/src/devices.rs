//! Devices of local users, and the tokens they hold.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `device` | user number, device ID | [`DeviceRecord`] |
//! | `device_seen` | user number, device ID | [`LastSeen`] |
//! | `access_token` | SHA-256 of the token | [`TokenOwner`] |
//! | `refresh_token` | SHA-256 of the token | [`TokenOwner`] |
//!
//! A device's record lists its tokens and decides whether one is valid; the token tables only say where to look.
//! Every change of tokens has the device's record as its precondition, so the tables cannot disagree.

use std::fmt;
use std::net::IpAddr;

use ruma::{DeviceId, MilliSecondsSinceUnixEpoch, OwnedDeviceId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::key::{Key, KeyReader};
use crate::store::decode;
use crate::{Batch, Change, Direction, KeyRange, Store, StoreError, Table, UserNumber};

const DEVICE: Table = Table::new(42, "device");
const DEVICE_SEEN: Table = Table::new(43, "device_seen");
const ACCESS_TOKEN: Table = Table::new(44, "access_token");
const REFRESH_TOKEN: Table = Table::new(45, "refresh_token");

/// A token as it is stored: whoever reads the database cannot use it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token as the client sends it.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenHash(..)")
    }
}

/// An access token and the refresh token that was given out with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenPair {
    /// The access token.
    pub access: TokenHash,
    /// The refresh token, if the client asked for one.
    pub refresh: Option<TokenHash>,
    /// When the access token stops being accepted; `None`: never by itself.
    pub expires_at: Option<MilliSecondsSinceUnixEpoch>,
    /// Whether the client is known to hold the pair. Until then the pair it replaces stays valid.
    pub state: PairState,
}

/// Whether a pair of tokens has arrived at its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PairState {
    /// Given out by a refresh and not used since.
    Unconfirmed,
    /// In use: no other pair of the device is valid.
    Confirmed,
}

/// A device of a local user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// The name its user sees.
    pub display_name: Option<String>,
    /// When it logged in first.
    pub created_at: MilliSecondsSinceUnixEpoch,
    /// Its valid tokens: none, one pair, or an old and a new one while a refresh is not confirmed.
    pub tokens: Vec<TokenPair>,
}

/// When and from where a device was seen last. Written now and then, not with every request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSeen {
    /// When.
    pub at: MilliSecondsSinceUnixEpoch,
    /// From where, if that is known.
    pub address: Option<IpAddr>,
    /// What the client called itself.
    pub user_agent: Option<String>,
}

/// Whose a token is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenOwner {
    /// The user.
    pub user: UserNumber,
    /// The user's device.
    pub device_id: OwnedDeviceId,
}

fn key(user: UserNumber, device_id: &DeviceId) -> Vec<u8> {
    Key::new().user(user).last(device_id.as_str()).into_bytes()
}

impl Store {
    /// A device of a user.
    pub async fn device(
        &self,
        user: UserNumber,
        device_id: &DeviceId,
    ) -> Result<Option<DeviceRecord>, StoreError> {
        self.get(DEVICE, key(user, device_id)).await
    }

    /// All devices of a user, in the order of their IDs.
    pub async fn devices(
        &self,
        user: UserNumber,
    ) -> Result<Vec<(OwnedDeviceId, DeviceRecord)>, StoreError> {
        let range = KeyRange::prefix(Key::new().user(user).into_bytes());
        let entries = self.scan(DEVICE, range, Direction::Ascending, usize::MAX).await?;
        let device = |(key, value): (Vec<u8>, Vec<u8>)| {
            let mut reader = KeyReader::new(&key);
            let id = reader.u64().and_then(|_| reader.last()).ok_or_else(|| {
                StoreError::Undecodable { table: DEVICE.name(), reason: "not a key".to_owned() }
            })?;
            Ok((OwnedDeviceId::from(id), decode(DEVICE, &value)?))
        };
        entries.into_iter().map(device).collect()
    }

    /// When a device was seen last; `None` when it was not, or only just.
    pub async fn device_seen(
        &self,
        user: UserNumber,
        device_id: &DeviceId,
    ) -> Result<Option<LastSeen>, StoreError> {
        self.get(DEVICE_SEEN, key(user, device_id)).await
    }

    /// Whose access token this is. The device's record decides whether it is still valid.
    pub async fn access_token(&self, token: TokenHash) -> Result<Option<TokenOwner>, StoreError> {
        self.get(ACCESS_TOKEN, token.0).await
    }

    /// Whose refresh token this is. The device's record decides whether it is still valid.
    pub async fn refresh_token(&self, token: TokenHash) -> Result<Option<TokenOwner>, StoreError> {
        self.get(REFRESH_TOKEN, token.0).await
    }
}

impl Batch {
    /// Makes or changes a device, its tokens with it. Committing fails with [`StoreError::Conflict`] when the
    /// device is not `before` any more.
    pub fn put_device(
        &mut self,
        user: UserNumber,
        device_id: &DeviceId,
        before: Option<&DeviceRecord>,
        after: &DeviceRecord,
    ) -> Result<(), StoreError> {
        self.expect(DEVICE, key(user, device_id), before)?;
        self.insert(DEVICE, key(user, device_id), after)?;
        self.remove_tokens(user, before, &after.tokens);
        let owner = TokenOwner { user, device_id: device_id.to_owned() };
        for pair in &after.tokens {
            if before.is_none_or(|before| before.tokens.iter().all(|old| old.access != pair.access))
            {
                self.insert(ACCESS_TOKEN, pair.access.0, &owner)?;
                if let Some(refresh) = pair.refresh {
                    self.insert(REFRESH_TOKEN, refresh.0, &owner)?;
                }
            }
        }
        Ok(())
    }

    /// Deletes a device and its tokens. Committing fails with [`StoreError::Conflict`] when the device is not
    /// `before` any more.
    pub fn delete_device(
        &mut self,
        user: UserNumber,
        device_id: &DeviceId,
        before: &DeviceRecord,
    ) -> Result<(), StoreError> {
        self.expect(DEVICE, key(user, device_id), Some(before))?;
        self.remove(DEVICE, key(user, device_id));
        self.remove(DEVICE_SEEN, key(user, device_id));
        self.remove_tokens(user, Some(before), &[]);
        self.announce(Change::Sessions(user));
        Ok(())
    }

    /// Makes the commit depend on a device being as it is.
    pub fn expect_device(
        &mut self,
        user: UserNumber,
        device_id: &DeviceId,
        device: &DeviceRecord,
    ) -> Result<(), StoreError> {
        self.expect(DEVICE, key(user, device_id), Some(device))
    }

    /// Notes that a device was seen. Committing fails with [`StoreError::Conflict`] when the device changed in
    /// between, so that nothing is written of one that was deleted.
    pub fn see_device(
        &mut self,
        user: UserNumber,
        device_id: &DeviceId,
        device: &DeviceRecord,
        seen: &LastSeen,
    ) -> Result<(), StoreError> {
        self.expect(DEVICE, key(user, device_id), Some(device))?;
        self.insert(DEVICE_SEEN, key(user, device_id), seen)
    }

    fn remove_tokens(
        &mut self,
        user: UserNumber,
        before: Option<&DeviceRecord>,
        kept: &[TokenPair],
    ) {
        for pair in before.map_or(&[][..], |before| &before.tokens) {
            if kept.iter().any(|kept| kept.access == pair.access) {
                continue;
            }
            self.remove(ACCESS_TOKEN, pair.access.0);
            if let Some(refresh) = pair.refresh {
                self.remove(REFRESH_TOKEN, refresh.0);
            }
            self.announce(Change::Sessions(user));
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::{device_id, uint};

    use super::*;

    const USER: UserNumber = UserNumber(7);

    fn device(tokens: &[&str]) -> DeviceRecord {
        let pair = |token: &&str| TokenPair {
            access: TokenHash::of(token),
            refresh: Some(TokenHash::of(&format!("refresh {token}"))),
            expires_at: None,
            state: PairState::Confirmed,
        };
        DeviceRecord {
            display_name: Some("phone".to_owned()),
            created_at: MilliSecondsSinceUnixEpoch(uint!(1)),
            tokens: tokens.iter().map(pair).collect(),
        }
    }

    async fn put(store: &Store, before: Option<&DeviceRecord>, after: &DeviceRecord) {
        let mut batch = Batch::new();
        batch.put_device(USER, device_id!("D"), before, after).unwrap();
        store.commit(batch).await.unwrap();
    }

    #[tokio::test]
    async fn token_tables_follow_the_device() {
        let store = Store::in_memory().await;
        let (one, two) = (device(&["a", "b"]), device(&["b", "c"]));
        put(&store, None, &one).await;
        put(&store, Some(&one), &two).await;

        assert_eq!(store.device(USER, device_id!("D")).await.unwrap(), Some(two.clone()));
        for (token, valid) in [("a", false), ("b", true), ("c", true)] {
            let access = store.access_token(TokenHash::of(token)).await.unwrap();
            let refresh = TokenHash::of(&format!("refresh {token}"));
            let refresh = store.refresh_token(refresh).await.unwrap();
            assert_eq!((access.is_some(), refresh.is_some()), (valid, valid), "{token}");
        }

        let mut batch = Batch::new();
        batch.delete_device(USER, device_id!("D"), &two).unwrap();
        store.commit(batch).await.unwrap();
        assert_eq!(store.access_token(TokenHash::of("c")).await.unwrap(), None);
        assert!(store.devices(USER).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_device_changed_in_between_is_not_overwritten() {
        let store = Store::in_memory().await;
        let (one, two) = (device(&["a"]), device(&["b"]));
        put(&store, None, &one).await;
        put(&store, Some(&one), &two).await;

        let mut batch = Batch::new();
        batch.put_device(USER, device_id!("D"), Some(&one), &device(&["c"])).unwrap();

        assert!(matches!(store.commit(batch).await, Err(StoreError::Conflict)));
        assert_eq!(store.access_token(TokenHash::of("c")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn devices_of_neighbouring_users_stay_apart() {
        let store = Store::in_memory().await;
        for user in [6, 7, 8] {
            let mut batch = Batch::new();
            let id = OwnedDeviceId::from(format!("D{user}"));
            batch.put_device(UserNumber(user), &id, None, &device(&[])).unwrap();
            store.commit(batch).await.unwrap();
        }
        let ids: Vec<_> =
            store.devices(USER).await.unwrap().into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, ["D7"]);
    }
}
