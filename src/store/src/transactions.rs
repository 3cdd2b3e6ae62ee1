//! Table of clients' transactions, which make sending idempotent.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `transaction` | user number, device ID, room number, path, transaction ID | event ID |
//!
//! Spec: client-server API, "Transaction identifiers".

use ruma::{DeviceId, EventId, OwnedEventId};

use crate::key::Key;
use crate::{Batch, RoomNumber, Store, StoreError, Table, UserNumber};

const TRANSACTION: Table = Table::new(17, "transaction");

/// What names a transaction: identifiers are chosen by a device, anew for each path.
#[derive(Debug, Clone, Copy)]
pub struct TransactionKey<'a> {
    /// The user.
    pub user: UserNumber,
    /// The user's device.
    pub device_id: &'a DeviceId,
    /// The room that is sent to.
    pub room: RoomNumber,
    /// What the request's path says of the event: its type, and what it redacts.
    pub path: &'a str,
    /// What the device chose.
    pub transaction_id: &'a str,
}

impl TransactionKey<'_> {
    fn bytes(&self) -> Vec<u8> {
        let key = Key::new().user(self.user).text(self.device_id.as_str()).room(self.room);
        key.text(self.path).last(self.transaction_id).into_bytes()
    }
}

impl Store {
    /// The event that a transaction made; `None` when it was never seen.
    pub async fn transaction(
        &self,
        transaction: TransactionKey<'_>,
    ) -> Result<Option<OwnedEventId>, StoreError> {
        self.get(TRANSACTION, transaction.bytes()).await
    }
}

impl Batch {
    /// Notes the event that a transaction makes. Committing fails with [`StoreError::Conflict`] when it made one
    /// already.
    pub fn create_transaction(
        &mut self,
        transaction: TransactionKey<'_>,
        event_id: &EventId,
    ) -> Result<(), StoreError> {
        self.insert_new(TRANSACTION, transaction.bytes(), event_id)
    }

    /// Forgets a transaction, whose event is removed.
    pub fn remove_transaction(&mut self, transaction: TransactionKey<'_>) {
        self.remove(TRANSACTION, transaction.bytes());
    }
}
