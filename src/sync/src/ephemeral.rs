//! Receipts and typing as events. Spec: client-server API, "Receipts" and "Typing notifications".

use std::collections::BTreeMap;

use ruma::events::AnySyncEphemeralRoomEvent;
use ruma::serde::Raw;
use ruma::{OwnedUserId, UserId};
use serde::Serialize;
use serde_json::value::to_raw_value;
use store::{ReceiptKind, Store, StoreError, StoredReceipt, UserNumber};

/// An event without sender and time.
#[derive(Serialize)]
struct Event<'a, C> {
    content: C,
    #[serde(rename = "type")]
    kind: &'a str,
}

/// What is said of one reader's receipt.
#[derive(Serialize)]
struct Reading<'a> {
    ts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<&'a str>,
}

type Readers<'a> = BTreeMap<OwnedUserId, Reading<'a>>;
type Content<'a> = BTreeMap<&'a str, BTreeMap<&'static str, Readers<'a>>>;

/// An event from its type and content.
pub(crate) fn event<T>(kind: &str, content: impl Serialize) -> Result<Raw<T>, serde_json::Error> {
    to_raw_value(&Event { content, kind }).map(Raw::from_json)
}

/// Who types.
pub(crate) fn typing(
    users: &[OwnedUserId],
) -> Result<Raw<AnySyncEphemeralRoomEvent>, serde_json::Error> {
    event("m.typing", serde_json::json!({ "user_ids": users }))
}

/// Receipts as `reader` sees them: others' private ones are left out, and those of users who are not `shown`. A user with
/// several receipts at one event, of several threads, takes several events: one has room for one of them.
pub(crate) async fn receipts(
    store: &Store,
    reader: UserNumber,
    receipts: &[StoredReceipt],
    shown: impl Fn(&UserId) -> bool,
) -> Result<Vec<Raw<AnySyncEphemeralRoomEvent>>, StoreError> {
    let mut contents: Vec<Content<'_>> = Vec::new();
    for StoredReceipt { receipt, .. } in receipts {
        let kind = match receipt.kind {
            ReceiptKind::Public => "m.read",
            ReceiptKind::Private if receipt.user == reader => "m.read.private",
            ReceiptKind::Private => continue,
        };
        let Some(user) = store.user_id(receipt.user).await?.filter(|user| shown(user)) else {
            continue;
        };
        let reading =
            Reading { ts: receipt.read_at.get().into(), thread_id: receipt.thread.as_str() };
        let event_id = receipt.event_id.as_str();
        let free = contents.iter().position(|content| !is_taken(content, event_id, kind, &user));
        let index = free.unwrap_or_else(|| {
            contents.push(Content::new());
            contents.len() - 1
        });
        let readers = contents[index].entry(event_id).or_default().entry(kind).or_default();
        readers.insert(user, reading);
    }
    let events = contents.into_iter().map(|content| event("m.receipt", content));
    // Maps of strings and numbers always serialise.
    Ok(events.filter_map(Result::ok).collect())
}

fn is_taken(content: &Content<'_>, event_id: &str, kind: &str, user: &UserId) -> bool {
    let readers = content.get(event_id).and_then(|kinds| kinds.get(kind));
    readers.is_some_and(|readers| readers.contains_key(user))
}

#[cfg(test)]
mod tests {
    use ruma::events::receipt::ReceiptThread;
    use ruma::{MilliSecondsSinceUnixEpoch, event_id, uint, user_id};
    use serde_json::{Value, json};
    use store::{Receipt, StreamPosition, TimelinePosition};

    use super::*;

    fn stored(user: UserNumber, kind: ReceiptKind, thread: ReceiptThread) -> StoredReceipt {
        let receipt = Receipt {
            user,
            kind,
            thread,
            event_id: event_id!("$tea").to_owned(),
            event_position: TimelinePosition(1),
            read_at: MilliSecondsSinceUnixEpoch(uint!(5)),
        };
        StoredReceipt { receipt, moved: StreamPosition(1) }
    }

    async fn contents(reader: UserNumber, store: &Store, all: &[StoredReceipt]) -> Vec<Value> {
        let events = receipts(store, reader, all, |_| true).await.unwrap();
        events.iter().map(|event| event.get_field("content").unwrap().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_private_receipt_is_seen_by_its_owner_alone() {
        let store = Store::in_memory().await;
        let ada = store.number_user(user_id!("@ada:hearth.test")).await.unwrap();
        let bo = store.number_user(user_id!("@bo:hearth.test")).await.unwrap();
        let all = [stored(ada, ReceiptKind::Private, ReceiptThread::Unthreaded)];

        assert!(contents(bo, &store, &all).await.is_empty());
        let own = contents(ada, &store, &all).await;
        assert_eq!(
            own,
            [json!({ "$tea": { "m.read.private": { "@ada:hearth.test": { "ts": 5 } } } })]
        );
    }

    #[tokio::test]
    async fn receipts_of_several_threads_at_one_event_all_arrive() {
        let store = Store::in_memory().await;
        let ada = store.number_user(user_id!("@ada:hearth.test")).await.unwrap();
        let all = [
            stored(ada, ReceiptKind::Public, ReceiptThread::Unthreaded),
            stored(ada, ReceiptKind::Public, ReceiptThread::Main),
        ];

        let contents = contents(ada, &store, &all).await;

        let threads: Vec<_> = contents
            .iter()
            .map(|content| &content["$tea"]["m.read"]["@ada:hearth.test"]["thread_id"])
            .collect();
        assert_eq!(threads, [&Value::Null, &json!("main")]);
    }
}
