//! Tables of messages that wait for devices.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `to_device` | user number, device ID, time of the device's login, stream position | message |
//! | `to_device_transaction` | user number, device ID, time of the device's login, type, transaction ID | nothing |
//!
//! A device that is deleted and logs in again under its ID has another time of login, so it is never given what was
//! for the one before it. Spec: client-server API, "Send-to-Device messaging".

use std::ops::Bound;

use ruma::{DeviceId, MilliSecondsSinceUnixEpoch, OwnedUserId};
use serde::{Deserialize, Serialize};

use crate::batch::{Slot, Stamp, StampEncoding, encode};
use crate::key::Key;
use crate::store::decode;
use crate::{
    Batch, Change, Direction, KeyRange, Store, StoreError, StreamPosition, Table, UserNumber,
};

const TO_DEVICE: Table = Table::new(56, "to_device");
const TO_DEVICE_TRANSACTION: Table = Table::new(58, "to_device_transaction");

/// A device between its login and its deletion.
#[derive(Debug, Clone, Copy)]
pub struct LoggedIn<'a> {
    /// Whose it is.
    pub user: UserNumber,
    /// Its ID.
    pub device_id: &'a DeviceId,
    /// When it logged in first.
    pub created_at: MilliSecondsSinceUnixEpoch,
}

impl LoggedIn<'_> {
    fn key(&self) -> Key {
        let key = Key::new().user(self.user).text(self.device_id.as_str());
        key.u64(self.created_at.get().into())
    }
}

/// A message to a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToDeviceMessage {
    /// Who sent it.
    pub sender: OwnedUserId,
    /// Its type.
    pub kind: String,
    /// Its content: a JSON object.
    pub content: String,
}

/// A message, and where it stands among those of its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingMessage {
    /// Where.
    pub position: StreamPosition,
    /// The message.
    pub message: ToDeviceMessage,
}

impl Store {
    /// At most `limit` of the messages to a device that came after `since` up to `until`, the oldest first.
    pub async fn to_device_messages(
        &self,
        device: LoggedIn<'_>,
        since: StreamPosition,
        until: StreamPosition,
        limit: usize,
    ) -> Result<Vec<WaitingMessage>, StoreError> {
        if since >= until {
            return Ok(Vec::new());
        }
        let after = |position: StreamPosition| {
            device.key().position(StreamPosition(position.0.saturating_add(1))).into_bytes()
        };
        let (start, end) = (Bound::Included(after(since)), Bound::Excluded(after(until)));
        let range = KeyRange { start, end };
        let found = self.scan(TO_DEVICE, range, Direction::Ascending, limit).await?;
        let waiting = |(key, value): (Vec<u8>, Vec<u8>)| {
            let position = key.last_chunk::<8>().ok_or_else(|| StoreError::Undecodable {
                table: TO_DEVICE.name(),
                reason: "not a key".to_owned(),
            })?;
            let position = StreamPosition(u64::from_be_bytes(*position));
            Ok(WaitingMessage { position, message: decode(TO_DEVICE, &value)? })
        };
        found.into_iter().map(waiting).collect()
    }

    /// Whether a device has sent messages of this type in a transaction.
    pub async fn has_sent_to_devices(
        &self,
        sender: LoggedIn<'_>,
        kind: &str,
        transaction_id: &str,
    ) -> Result<bool, StoreError> {
        let key = sender.key().text(kind).last(transaction_id).into_bytes();
        Ok(self.get_bytes(TO_DEVICE_TRANSACTION, &key).await?.is_some())
    }

    /// Puts the removal of what is kept of a device's messages and transactions into a batch, of at most `limit` each.
    pub async fn put_to_device_removal(
        &self,
        batch: &mut Batch,
        device: LoggedIn<'_>,
        limit: usize,
    ) -> Result<(), StoreError> {
        for table in [TO_DEVICE, TO_DEVICE_TRANSACTION] {
            let range = KeyRange::prefix(device.key().into_bytes());
            for (key, _) in self.scan(table, range, Direction::Ascending, limit).await? {
                batch.remove(table, key);
            }
        }
        Ok(())
    }
}

impl Batch {
    /// Puts a message where its device finds it. A batch has at most one for a device at a slot.
    pub fn put_to_device(
        &mut self,
        device: LoggedIn<'_>,
        message: &ToDeviceMessage,
        slot: Slot,
    ) -> Result<(), StoreError> {
        let key = device.key();
        let offset = key.as_ref().len();
        let stamp = Stamp { offset, slot, encoding: StampEncoding::Stream };
        let key = key.position(StreamPosition::START).into_bytes();
        self.put_stamped(TO_DEVICE, key, Some(stamp), encode(TO_DEVICE, message)?, None)?;
        self.announce(Change::ToDevice(device.user));
        Ok(())
    }

    /// Takes a message away that its device has.
    pub fn remove_to_device(&mut self, device: LoggedIn<'_>, position: StreamPosition) {
        self.remove(TO_DEVICE, device.key().position(position).into_bytes());
    }

    /// Notes a transaction in which a device sends messages of a type. Committing fails with [`StoreError::Conflict`]
    /// when it did already.
    pub fn create_to_device_transaction(
        &mut self,
        sender: LoggedIn<'_>,
        kind: &str,
        transaction_id: &str,
    ) -> Result<(), StoreError> {
        let key = sender.key().text(kind).last(transaction_id).into_bytes();
        self.insert_new(TO_DEVICE_TRANSACTION, key, &())
    }
}

#[cfg(test)]
mod tests {
    use ruma::{device_id, owned_user_id, uint};

    use super::*;

    fn device(created_at: ruma::UInt) -> LoggedIn<'static> {
        let created_at = MilliSecondsSinceUnixEpoch(created_at);
        LoggedIn { user: UserNumber(1), device_id: device_id!("PHONE"), created_at }
    }

    async fn send(store: &Store, to: LoggedIn<'_>, content: &str) -> StreamPosition {
        let message = ToDeviceMessage {
            sender: owned_user_id!("@ada:hearth.test"),
            kind: "org.example".to_owned(),
            content: content.to_owned(),
        };
        let mut batch = Batch::new();
        let slot = batch.slot();
        batch.put_to_device(to, &message, slot).unwrap();
        store.commit(batch).await.unwrap()
    }

    async fn contents(store: &Store, of: LoggedIn<'_>, since: StreamPosition) -> Vec<String> {
        let found = store.to_device_messages(of, since, store.position(), 2).await.unwrap();
        found.into_iter().map(|waiting| waiting.message.content).collect()
    }

    #[tokio::test]
    async fn messages_stand_in_the_order_they_came_until_they_are_removed() {
        let (store, phone) = (Store::in_memory().await, device(uint!(1)));
        let first = send(&store, phone, "1").await;
        send(&store, phone, "2").await;
        send(&store, phone, "3").await;
        assert_eq!(contents(&store, phone, StreamPosition::START).await, ["1", "2"]);
        assert_eq!(contents(&store, phone, first).await, ["2", "3"]);

        let mut batch = Batch::new();
        batch.remove_to_device(phone, first);
        store.commit(batch).await.unwrap();

        assert_eq!(contents(&store, phone, StreamPosition::START).await, ["2", "3"]);
    }

    #[tokio::test]
    async fn who_logs_in_again_has_nothing_of_before() {
        let (store, before, after) = (Store::in_memory().await, device(uint!(1)), device(uint!(2)));
        send(&store, before, "1").await;
        let mut batch = Batch::new();
        batch.create_to_device_transaction(before, "org.example", "t").unwrap();
        store.commit(batch).await.unwrap();

        assert!(contents(&store, after, StreamPosition::START).await.is_empty());
        assert!(store.has_sent_to_devices(before, "org.example", "t").await.unwrap());
        assert!(!store.has_sent_to_devices(before, "org.other", "t").await.unwrap());
        assert!(!store.has_sent_to_devices(after, "org.example", "t").await.unwrap());

        let mut batch = Batch::new();
        store.put_to_device_removal(&mut batch, before, 10).await.unwrap();
        store.commit(batch).await.unwrap();
        assert!(contents(&store, before, StreamPosition::START).await.is_empty());
        assert!(!store.has_sent_to_devices(before, "org.example", "t").await.unwrap());
    }
}
