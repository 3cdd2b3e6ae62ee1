//! Whom a user ignores. Spec: client-server API, "Ignoring Users".

use std::collections::HashSet;

use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use store::{RelatedEvent, UserNumber};

use crate::{RoomError, Rooms, StoredEvent};

/// The type of account data that names them.
const LIST: &str = "m.ignored_user_list";

/// How many ignored users count; who ignores more sees those after them.
const MOST: usize = 1_000;

/// Whom one user ignores.
#[derive(Debug, Default)]
pub(crate) struct Ignored(HashSet<UserNumber>);

impl Ignored {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = UserNumber> {
        self.0.iter().copied()
    }

    /// Whether an event that relates to another was sent by one of them.
    pub(crate) fn sent(&self, related: &RelatedEvent) -> bool {
        self.0.contains(&related.sender)
    }

    /// Whether an event of this sender is not to be shown. State always is.
    pub(crate) fn hides(&self, sender: UserNumber, event: &StoredEvent) -> bool {
        event.pdu.state_key.is_none() && self.0.contains(&sender)
    }
}

/// Those whom a list of ignored users names. What is no user ID names nobody, and takes no other name away.
pub fn ignored_users(content: &RawValue) -> Vec<OwnedUserId> {
    #[derive(Deserialize)]
    struct List {
        ignored_users: Map<String, Value>,
    }
    let list = serde_json::from_str::<List>(content.get());
    let names = list.map(|list| list.ignored_users).unwrap_or_default().into_iter();
    names.filter_map(|(name, _)| OwnedUserId::try_from(name).ok()).collect()
}

impl Rooms {
    /// Whom a user ignores.
    pub(crate) async fn ignored_by(&self, user: &UserId) -> Result<Ignored, RoomError> {
        let Some(number) = self.store().user_number(user).await? else {
            return Ok(Ignored::default());
        };
        let stored = self.store().account_data(number, None, LIST).await?;
        let list = stored.map(|data| ignored_users(&data.content)).unwrap_or_default();
        let mut ignored = HashSet::new();
        for user in list.into_iter().take(MOST) {
            ignored.extend(self.store().user_number(&user).await?);
        }
        Ok(Ignored(ignored))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::to_raw_value;

    use super::*;

    #[test]
    fn a_name_that_is_none_takes_no_other_from_the_list() {
        let list =
            json!({ "ignored_users": { "@ada:hearth.test": {}, "bo": {}, "@cy:hearth.test": 5 } });
        for (content, wanted) in [
            (list, vec!["@ada:hearth.test", "@cy:hearth.test"]),
            (json!({ "ignored_users": [] }), vec![]),
            (json!({}), vec![]),
        ] {
            assert_eq!(ignored_users(&to_raw_value(&content).unwrap()), wanted, "{content}");
        }
    }
}
