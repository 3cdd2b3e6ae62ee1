//! Whom a user ignores. Spec: client-server API, "Ignoring Users".

use std::collections::HashSet;

use ruma::UserId;
use ruma::events::ignored_user_list::IgnoredUserListEventContent;
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

impl Rooms {
    /// Whom a user ignores.
    pub(crate) async fn ignored_by(&self, user: &UserId) -> Result<Ignored, RoomError> {
        let Some(number) = self.store().user_number(user).await? else {
            return Ok(Ignored::default());
        };
        let stored = self.store().account_data(number, None, LIST).await?;
        let list = stored.and_then(|data| {
            serde_json::from_str::<IgnoredUserListEventContent>(data.content.get()).ok()
        });
        let mut ignored = HashSet::new();
        for user in list.into_iter().flat_map(|list| list.ignored_users.into_keys()).take(MOST) {
            ignored.extend(self.store().user_number(&user).await?);
        }
        Ok(Ignored(ignored))
    }
}
