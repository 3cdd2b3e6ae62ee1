//! Who people are elsewhere that have accounts here.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `external_id` | provider, subject | user number |
//! | `external_id_of_user` | user number, provider, subject | nothing |

use crate::key::{Key, KeyReader};
use crate::{Batch, Direction, KeyRange, Store, StoreError, Table, UserNumber};

const EXTERNAL_ID: Table = Table::new(57, "external_id");
const EXTERNAL_ID_OF_USER: Table = Table::new(59, "external_id_of_user");

/// Who somebody is to a provider that they sign on at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExternalId {
    /// What the provider is called in the configuration.
    pub provider: String,
    /// What the provider calls them.
    pub subject: String,
}

impl ExternalId {
    fn key(&self) -> Vec<u8> {
        Key::new().text(&self.provider).last(&self.subject).into_bytes()
    }

    fn key_of_user(&self, user: UserNumber) -> Vec<u8> {
        Key::new().user(user).text(&self.provider).last(&self.subject).into_bytes()
    }
}

impl Store {
    /// Whose account somebody has who signs on elsewhere; `None` when they have none here.
    pub async fn user_of_external_id(
        &self,
        id: &ExternalId,
    ) -> Result<Option<UserNumber>, StoreError> {
        self.get(EXTERNAL_ID, id.key()).await
    }

    /// At most `limit` of those who sign on elsewhere as this user, in the order of providers.
    pub async fn external_ids(
        &self,
        user: UserNumber,
        limit: usize,
    ) -> Result<Vec<ExternalId>, StoreError> {
        let range = KeyRange::prefix(Key::new().user(user).into_bytes());
        let entries = self.scan(EXTERNAL_ID_OF_USER, range, Direction::Ascending, limit).await?;
        let id = |key: &[u8]| {
            let mut reader = KeyReader::new(key);
            reader.u64()?;
            let provider = reader.text()?.to_owned();
            Some(ExternalId { provider, subject: reader.last()?.to_owned() })
        };
        let undecodable = || StoreError::Undecodable {
            table: EXTERNAL_ID_OF_USER.name(),
            reason: "not a provider and a subject".to_owned(),
        };
        entries.iter().map(|(key, _)| id(key).ok_or_else(undecodable)).collect()
    }
}

impl Batch {
    /// Gives somebody who signs on elsewhere a user's account. Committing fails with [`StoreError::Conflict`] when they
    /// have one.
    pub fn link_external_id(
        &mut self,
        id: &ExternalId,
        user: UserNumber,
    ) -> Result<(), StoreError> {
        self.insert_new(EXTERNAL_ID, id.key(), &user)?;
        self.insert(EXTERNAL_ID_OF_USER, id.key_of_user(user), &())
    }

    /// Takes a user's account from somebody who signs on elsewhere. Committing fails with [`StoreError::Conflict`] when
    /// they do not have it any more.
    pub fn unlink_external_id(
        &mut self,
        id: &ExternalId,
        user: UserNumber,
    ) -> Result<(), StoreError> {
        self.expect(EXTERNAL_ID, id.key(), Some(&user))?;
        self.remove(EXTERNAL_ID, id.key());
        self.remove(EXTERNAL_ID_OF_USER, id.key_of_user(user));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(provider: &str, subject: &str) -> ExternalId {
        ExternalId { provider: provider.to_owned(), subject: subject.to_owned() }
    }

    #[tokio::test]
    async fn an_external_id_is_of_one_user_and_found_from_both_sides() {
        let store = Store::in_memory().await;
        let (ada, bo) = (UserNumber(1), UserNumber(2));
        let ids = [id("club", "ada"), id("work", "1"), id("work", "é 2")];
        let mut batch = Batch::new();
        for id in &ids {
            batch.link_external_id(id, ada).unwrap();
        }
        batch.link_external_id(&id("wor", "k1"), bo).unwrap();
        store.commit(batch).await.unwrap();

        assert_eq!(store.external_ids(ada, 9).await.unwrap(), ids);
        assert_eq!(store.external_ids(ada, 2).await.unwrap(), ids[..2]);
        assert_eq!(store.user_of_external_id(&ids[2]).await.unwrap(), Some(ada));
        assert_eq!(store.user_of_external_id(&id("work", "2")).await.unwrap(), None);
        let mut second = Batch::new();
        second.link_external_id(&ids[0], bo).unwrap();
        assert!(matches!(store.commit(second).await, Err(StoreError::Conflict)));

        let mut batch = Batch::new();
        batch.unlink_external_id(&ids[0], ada).unwrap();
        batch.link_external_id(&id("club", "bo"), bo).unwrap();
        store.commit(batch).await.unwrap();
        assert_eq!(store.external_ids(ada, 9).await.unwrap(), ids[1..]);
        assert_eq!(store.user_of_external_id(&ids[0]).await.unwrap(), None);
    }
}
