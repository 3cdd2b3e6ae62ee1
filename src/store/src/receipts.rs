//! Tables of read receipts.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `receipt` | room number, user number, kind, thread | stream position, record |
//! | `receipt_stream` | room number, stream position | record |
//!
//! A receipt stands once in the stream of its room: where it moved last. Both entries hold the whole receipt, so
//! that what changed in a room is read in one scan.

use std::ops::Bound;

use ruma::events::receipt::ReceiptThread;
use ruma::{MilliSecondsSinceUnixEpoch, OwnedEventId};
use serde::{Deserialize, Serialize};

use crate::batch::{Stamp, StampEncoding, encode};
use crate::engine::{Direction, KeyRange};
use crate::key::{Key, KeyReader};
use crate::store::decode;
use crate::{Batch, Change, RoomNumber, Store, StoreError, StreamPosition, Table, UserNumber};
use crate::{Slot, TimelinePosition};

pub(crate) const RECEIPT: Table = Table::new(70, "receipt");
pub(crate) const RECEIPT_STREAM: Table = Table::new(71, "receipt_stream");

/// Who sees a receipt. Spec: client-server API, "Receipts".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReceiptKind {
    /// `m.read`: everybody in the room.
    Public,
    /// `m.read.private`: the reader alone.
    Private,
}

impl ReceiptKind {
    fn byte(self) -> u8 {
        match self {
            Self::Public => 0,
            Self::Private => 1,
        }
    }
}

/// Up to where a user has read a room, or one thread of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The reader.
    pub user: UserNumber,
    /// Who sees it.
    pub kind: ReceiptKind,
    /// What was read.
    pub thread: ReceiptThread,
    /// The last event that was read.
    pub event_id: OwnedEventId,
    /// Where that event stands in the room's timeline.
    pub event_position: TimelinePosition,
    /// When it was read.
    pub read_at: MilliSecondsSinceUnixEpoch,
}

/// A receipt and when it came to stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReceipt {
    /// The receipt.
    pub receipt: Receipt,
    /// The position of the commit that moved it there.
    pub moved: StreamPosition,
}

#[derive(Serialize, Deserialize)]
struct Record {
    user: UserNumber,
    kind: ReceiptKind,
    thread: Option<String>,
    event_id: OwnedEventId,
    event_position: TimelinePosition,
    read_at: u64,
}

impl Record {
    fn of(receipt: &Receipt) -> Self {
        Self {
            user: receipt.user,
            kind: receipt.kind,
            thread: receipt.thread.as_str().map(ToOwned::to_owned),
            event_id: receipt.event_id.clone(),
            event_position: receipt.event_position,
            read_at: receipt.read_at.get().into(),
        }
    }

    fn receipt(self, table: Table) -> Result<Receipt, StoreError> {
        let damaged = |reason: &str| StoreError::Undecodable {
            table: table.name(),
            reason: reason.to_owned(),
        };
        let read_at = self.read_at.try_into().map_err(|_| damaged("not a time"))?;
        Ok(Receipt {
            user: self.user,
            kind: self.kind,
            thread: self.thread.try_into().map_err(|_| damaged("not a thread"))?,
            event_id: self.event_id,
            event_position: self.event_position,
            read_at: MilliSecondsSinceUnixEpoch(read_at),
        })
    }
}

/// How many receipts one look-up reads at once.
const PAGE: usize = 1_000;

fn receipt_key(room: RoomNumber, receipt: &Receipt) -> Vec<u8> {
    let kind = Key::new().room(room).user(receipt.user).raw(&[receipt.kind.byte()]);
    kind.last(receipt.thread.as_str().unwrap_or_default()).into_bytes()
}

fn stream_key(room: RoomNumber, position: StreamPosition) -> Vec<u8> {
    Key::new().room(room).position(position).into_bytes()
}

fn read_receipt(bytes: &[u8]) -> Result<StoredReceipt, StoreError> {
    let (moved, record) = bytes.split_first_chunk::<8>().ok_or_else(|| {
        StoreError::Undecodable { table: RECEIPT.name(), reason: "too short".to_owned() }
    })?;
    let receipt = decode::<Record>(RECEIPT, record)?.receipt(RECEIPT)?;
    Ok(StoredReceipt { receipt, moved: StreamPosition(u64::from_be_bytes(*moved)) })
}

impl StoredReceipt {
    fn bytes(&self) -> Result<Vec<u8>, StoreError> {
        let mut bytes = self.moved.0.to_be_bytes().to_vec();
        bytes.extend(encode(RECEIPT, &Record::of(&self.receipt))?);
        Ok(bytes)
    }
}

impl Store {
    /// The receipt that `new` would take the place of: same room, reader, kind and thread.
    pub async fn receipt_before(
        &self,
        room: RoomNumber,
        new: &Receipt,
    ) -> Result<Option<StoredReceipt>, StoreError> {
        let bytes = self.get_bytes(RECEIPT, &receipt_key(room, new)).await?;
        bytes.map(|bytes| read_receipt(&bytes)).transpose()
    }

    /// A user's receipts in a room: of both kinds and all threads.
    pub async fn user_receipts(
        &self,
        room: RoomNumber,
        user: UserNumber,
    ) -> Result<Vec<StoredReceipt>, StoreError> {
        let mut receipts = Vec::new();
        let mut range = KeyRange::prefix(Key::new().room(room).user(user).into_bytes());
        loop {
            let page = self.scan(RECEIPT, range.clone(), Direction::Ascending, PAGE).await?;
            for (_, value) in &page {
                receipts.push(read_receipt(value)?);
            }
            let full = page.len() == PAGE;
            match page.into_iter().next_back() {
                Some((last, _)) if full => range.start = Bound::Excluded(last),
                _ => return Ok(receipts),
            }
        }
    }

    /// The receipts of a room that moved after `since` up to `until`, in the order in which they moved.
    pub async fn receipts_since(
        &self,
        room: RoomNumber,
        since: StreamPosition,
        until: StreamPosition,
    ) -> Result<Vec<StoredReceipt>, StoreError> {
        let mut receipts = Vec::new();
        let mut range = KeyRange {
            start: Bound::Excluded(stream_key(room, since)),
            end: Bound::Included(stream_key(room, until)),
        };
        loop {
            let page = self.scan(RECEIPT_STREAM, range.clone(), Direction::Ascending, PAGE).await?;
            for (key, value) in &page {
                let mut reader = KeyReader::new(key);
                let moved = reader.u64().and_then(|_room| reader.u64()).unwrap_or_default();
                let receipt = decode::<Record>(RECEIPT_STREAM, value)?.receipt(RECEIPT_STREAM)?;
                receipts.push(StoredReceipt { receipt, moved: StreamPosition(moved) });
            }
            let full = page.len() == PAGE;
            match page.into_iter().next_back() {
                Some((last, _)) if full => range.start = Bound::Excluded(last),
                _ => return Ok(receipts),
            }
        }
    }
}

impl Batch {
    /// Moves a receipt from `before` ([`Store::receipt_before`]), at the stream position of `slot`. Committing fails
    /// with [`StoreError::Conflict`] when it moved in between. Each slot takes one receipt.
    pub fn move_receipt(
        &mut self,
        room: RoomNumber,
        before: Option<&StoredReceipt>,
        receipt: &Receipt,
        slot: Slot,
    ) -> Result<(), StoreError> {
        let key = receipt_key(room, receipt);
        let expected = before.map(StoredReceipt::bytes).transpose()?;
        self.expect_bytes(RECEIPT, key.clone(), expected);
        if let Some(before) = before {
            self.remove(RECEIPT_STREAM, stream_key(room, before.moved));
        }
        let record = encode(RECEIPT, &Record::of(receipt))?;
        let stamp = |offset| Stamp { offset, slot, encoding: StampEncoding::Stream };
        let place = stream_key(room, StreamPosition::START);
        self.put_stamped(RECEIPT_STREAM, place, Some(stamp(8)), record.clone(), None)?;
        let value = [vec![0; 8], record].concat();
        self.put_stamped(RECEIPT, key, None, value, Some(stamp(0)))?;
        self.announce(Change::Receipt(room, receipt.user));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ruma::{event_id, uint};

    use super::*;

    const ROOM: RoomNumber = RoomNumber(7);

    fn receipt(user: u64, thread: ReceiptThread, event_position: i64) -> Receipt {
        Receipt {
            user: UserNumber(user),
            kind: ReceiptKind::Public,
            thread,
            event_id: event_id!("$tea").to_owned(),
            event_position: TimelinePosition(event_position),
            read_at: MilliSecondsSinceUnixEpoch(uint!(1000)),
        }
    }

    async fn move_receipt(store: &Store, receipt: &Receipt) -> StreamPosition {
        let before = store.receipt_before(ROOM, receipt).await.unwrap();
        let mut batch = Batch::new();
        let slot = batch.slot();
        batch.move_receipt(ROOM, before.as_ref(), receipt, slot).unwrap();
        store.commit(batch).await.unwrap()
    }

    #[tokio::test]
    async fn a_receipt_stands_in_the_stream_where_it_moved_last() {
        let store = Store::in_memory().await;
        let first = move_receipt(&store, &receipt(1, ReceiptThread::Unthreaded, 3)).await;
        move_receipt(&store, &receipt(2, ReceiptThread::Unthreaded, 4)).await;
        let last = move_receipt(&store, &receipt(1, ReceiptThread::Unthreaded, 5)).await;

        let all = store.receipts_since(ROOM, StreamPosition::START, last).await.unwrap();
        let users: Vec<_> = all.iter().map(|stored| stored.receipt.user.0).collect();
        assert_eq!(users, [2, 1]);
        assert_eq!(all[1].moved, last);
        assert_eq!(all[1].receipt, receipt(1, ReceiptThread::Unthreaded, 5));
        assert!(store.receipts_since(ROOM, last, last).await.unwrap().is_empty());
        let until_first = store.receipts_since(ROOM, StreamPosition::START, first).await.unwrap();
        assert!(until_first.is_empty(), "the first move is history");
    }

    #[tokio::test]
    async fn threads_have_receipts_of_their_own() {
        let store = Store::in_memory().await;
        let thread = ReceiptThread::Thread(event_id!("$root").to_owned());
        for thread in [ReceiptThread::Unthreaded, ReceiptThread::Main, thread] {
            move_receipt(&store, &receipt(1, thread, 3)).await;
        }
        let all = store.user_receipts(ROOM, UserNumber(1)).await.unwrap();
        assert_eq!(all.len(), 3);
        assert!(store.user_receipts(ROOM, UserNumber(2)).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn of_two_moves_at_once_one_is_refused() {
        let store = Store::in_memory().await;
        let mut outcomes = Vec::new();
        for position in [3, 4] {
            let mut batch = Batch::new();
            let slot = batch.slot();
            let receipt = receipt(1, ReceiptThread::Unthreaded, position);
            batch.move_receipt(ROOM, None, &receipt, slot).unwrap();
            outcomes.push(store.commit(batch).await.is_ok());
        }
        assert_eq!(outcomes, [true, false]);
    }
}
