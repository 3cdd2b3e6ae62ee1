//! Table of changed names and pictures that are not yet stated in all of their users' rooms.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `profile_propagation` | user number, field | [`Propagation`] |
//!
//! It is written with the change of the profile and moves on as rooms are done, so a change reaches the last room
//! whatever happens to the process.

use serde::{Deserialize, Serialize};

use crate::engine::{Direction, KeyRange};
use crate::key::{Key, KeyReader};
use crate::store::decode;
use crate::{Batch, RoomNumber, Store, StoreError, Table, UserNumber};

const PROFILE_PROPAGATION: Table = Table::new(60, "profile_propagation");

/// A field of a profile that stands in membership events too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MemberField {
    /// `displayname`.
    DisplayName,
    /// `avatar_url`.
    AvatarUrl,
}

impl MemberField {
    /// Both.
    pub const ALL: [Self; 2] = [Self::DisplayName, Self::AvatarUrl];

    /// Its name in profiles and in membership events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DisplayName => "displayname",
            Self::AvatarUrl => "avatar_url",
        }
    }

    /// The field of this name, if it is one of them.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == name)
    }

    fn byte(self) -> u8 {
        match self {
            Self::DisplayName => 0,
            Self::AvatarUrl => 1,
        }
    }

    fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.byte() == byte)
    }
}

/// In which rooms a changed field is to be stated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PropagateTo {
    /// In all.
    All,
    /// In those where it has one of these values: the profile's own before the change. In others the user is called
    /// something else on purpose.
    Unchanged(Vec<Option<String>>),
}

/// How far a change has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Propagation {
    /// The rooms with numbers up to this one are done.
    pub done: RoomNumber,
    /// In which rooms it is to be stated.
    pub to: PropagateTo,
}

/// A change that is not stated in all rooms yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingPropagation {
    /// Whose profile changed.
    pub user: UserNumber,
    /// Which field of it.
    pub field: MemberField,
    /// How far it has come.
    pub propagation: Propagation,
}

fn key(user: UserNumber, field: MemberField) -> Vec<u8> {
    Key::new().user(user).raw(&[field.byte()]).into_bytes()
}

fn pending(key: &[u8], value: &[u8]) -> Result<PendingPropagation, StoreError> {
    let damaged = || StoreError::Undecodable {
        table: PROFILE_PROPAGATION.name(),
        reason: "not a key".to_owned(),
    };
    let user = KeyReader::new(key).u64().map(UserNumber);
    let field = key.last().copied().and_then(MemberField::of_byte);
    let (user, field) = user.zip(field).ok_or_else(damaged)?;
    Ok(PendingPropagation { user, field, propagation: decode(PROFILE_PROPAGATION, value)? })
}

impl Store {
    /// How far the last change of a user's field has come; `None` when it is stated everywhere.
    pub async fn propagation(
        &self,
        user: UserNumber,
        field: MemberField,
    ) -> Result<Option<Propagation>, StoreError> {
        self.get(PROFILE_PROPAGATION, key(user, field)).await
    }

    /// At most `limit` changes that are not stated everywhere yet, those after `after` in order of user and field.
    pub async fn pending_propagations(
        &self,
        after: Option<(UserNumber, MemberField)>,
        limit: usize,
    ) -> Result<Vec<PendingPropagation>, StoreError> {
        let mut range = KeyRange::prefix(Vec::new());
        if let Some((user, field)) = after {
            range.start = std::ops::Bound::Excluded(key(user, field));
        }
        let entries = self.scan(PROFILE_PROPAGATION, range, Direction::Ascending, limit).await?;
        entries.iter().map(|(key, value)| pending(key, value)).collect()
    }
}

impl Batch {
    /// Sets how far a change has come; `None`: it is stated everywhere. Committing fails with
    /// [`StoreError::Conflict`] when that is not `before` any more.
    pub fn move_propagation(
        &mut self,
        user: UserNumber,
        field: MemberField,
        before: Option<&Propagation>,
        after: Option<&Propagation>,
    ) -> Result<(), StoreError> {
        self.expect(PROFILE_PROPAGATION, key(user, field), before)?;
        if let Some(after) = after {
            return self.insert(PROFILE_PROPAGATION, key(user, field), after);
        }
        self.remove(PROFILE_PROPAGATION, key(user, field));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: UserNumber = UserNumber(7);

    #[tokio::test]
    async fn a_change_is_pending_until_it_is_done() {
        let store = Store::in_memory().await;
        let begun = Propagation { done: RoomNumber(0), to: PropagateTo::All };
        let half = Propagation { done: RoomNumber(5), ..begun.clone() };
        let field = MemberField::AvatarUrl;
        let steps = [(None, Some(&begun)), (Some(&begun), Some(&half)), (Some(&half), None)];
        for (before, after) in steps {
            let mut batch = Batch::new();
            batch.move_propagation(ADA, field, before, after).unwrap();
            store.commit(batch).await.unwrap();
            assert_eq!(store.propagation(ADA, field).await.unwrap().as_ref(), after);
            let pending = store.pending_propagations(None, 10).await.unwrap();
            assert_eq!(pending.len(), usize::from(after.is_some()));
            assert!(pending.iter().all(|pending| (pending.user, pending.field) == (ADA, field)));
        }
        let mut batch = Batch::new();
        batch.move_propagation(ADA, field, Some(&half), Some(&begun)).unwrap();
        assert!(matches!(store.commit(batch).await, Err(StoreError::Conflict)));
    }

    #[tokio::test]
    async fn pending_changes_are_read_on_after_another() {
        let store = Store::in_memory().await;
        let begun = Propagation { done: RoomNumber(0), to: PropagateTo::Unchanged(vec![None]) };
        for user in 1..4 {
            let mut batch = Batch::new();
            for field in MemberField::ALL {
                batch.move_propagation(UserNumber(user), field, None, Some(&begun)).unwrap();
            }
            store.commit(batch).await.unwrap();
        }
        let after = Some((UserNumber(2), MemberField::DisplayName));
        let found = store.pending_propagations(after, 2).await.unwrap();
        let found: Vec<_> = found.iter().map(|found| (found.user.0, found.field)).collect();
        assert_eq!(found, [(2, MemberField::AvatarUrl), (3, MemberField::DisplayName)]);
    }
}
