//! Who users are elsewhere, as administrators see and set it.

use std::collections::BTreeSet;

use ruma::{OwnedUserId, UserId};
use store::{Batch, ExternalId, StoreError, UserNumber};

use crate::{ATTEMPTS, Accounts, IdentityProvider};

/// How many external IDs a user may have.
pub(crate) const MAX_IDS: usize = 100;

/// Bytes of the longest name of a provider or subject. Spec: `OpenID` Connect Core, section 2, "sub".
pub(crate) const MAX_NAME: usize = 255;

/// Why a user's external IDs were not set.
#[derive(Debug, thiserror::Error)]
pub enum ExternalIdError {
    /// There is no such account.
    #[error("the user is unknown")]
    UnknownUser,
    /// Another user has one of them.
    #[error("the external ID is in use by another user")]
    InUse,
    /// One is empty or too long.
    #[error("a provider and an external ID have 1 to {MAX_NAME} bytes each")]
    Length,
    /// They are too many.
    #[error("a user has at most {MAX_IDS} external IDs")]
    TooMany,
    /// The store failed.
    #[error("account store failed")]
    Store(#[from] StoreError),
}

impl Accounts {
    /// Who a user is elsewhere; nobody when there is no such account.
    pub async fn external_ids(&self, user_id: &UserId) -> Result<Vec<ExternalId>, StoreError> {
        match self.store().user_number(user_id).await? {
            Some(user) => self.store().external_ids(user, MAX_IDS).await,
            None => Ok(Vec::new()),
        }
    }

    /// Where else people may sign on.
    pub fn identity_providers(&self) -> &[IdentityProvider] {
        &self.settings().identity_providers
    }

    /// The providers, by ID, at which a user may sign on.
    pub(crate) async fn linked_providers(
        &self,
        user: UserNumber,
    ) -> Result<BTreeSet<String>, StoreError> {
        let providers = self.identity_providers();
        if providers.is_empty() {
            return Ok(BTreeSet::new());
        }
        let ids = self.store().external_ids(user, MAX_IDS).await?.into_iter();
        let ids = ids.map(|id| id.provider);
        Ok(ids.filter(|id| providers.iter().any(|provider| provider.id == *id)).collect())
    }

    /// The user here who is this elsewhere.
    pub async fn user_of_external_id(
        &self,
        id: &ExternalId,
    ) -> Result<Option<OwnedUserId>, StoreError> {
        match self.store().user_of_external_id(id).await? {
            Some(user) => self.store().user_id(user).await,
            None => Ok(None),
        }
    }

    /// Says who a user is elsewhere, instead of what was said before.
    #[tracing::instrument(skip_all, fields(%user_id, ids = wanted.len()))]
    pub async fn set_external_ids(
        &self,
        user_id: &UserId,
        wanted: &BTreeSet<ExternalId>,
    ) -> Result<(), ExternalIdError> {
        check_external_ids(wanted)?;
        for _ in 0..ATTEMPTS {
            let account = self.account(user_id).await?;
            let (user, _) = account.ok_or(ExternalIdError::UnknownUser)?;
            let batch = self.external_id_changes(user, wanted).await?;
            if batch.is_empty() {
                return Ok(());
            }
            match self.store().commit(batch).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn external_id_changes(
        &self,
        user: UserNumber,
        wanted: &BTreeSet<ExternalId>,
    ) -> Result<Batch, ExternalIdError> {
        let mut batch = Batch::new();
        for id in self.store().external_ids(user, MAX_IDS).await? {
            if !wanted.contains(&id) {
                batch.unlink_external_id(&id, user)?;
            }
        }
        for id in wanted {
            match self.store().user_of_external_id(id).await? {
                Some(owner) if owner == user => {}
                Some(_) => return Err(ExternalIdError::InUse),
                None => batch.link_external_id(id, user)?,
            }
        }
        Ok(batch)
    }
}

/// Fails for what no user may be called elsewhere, whoever has it.
pub(crate) fn check_external_ids(ids: &BTreeSet<ExternalId>) -> Result<(), ExternalIdError> {
    if ids.len() > MAX_IDS {
        return Err(ExternalIdError::TooMany);
    }
    let fits = |name: &str| (1..=MAX_NAME).contains(&name.len());
    if !ids.iter().all(|id| fits(&id.provider) && fits(&id.subject)) {
        return Err(ExternalIdError::Length);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::accounts;

    fn ids<const N: usize>(ids: [(&str, &str); N]) -> BTreeSet<ExternalId> {
        let id = |(provider, subject): (&str, &str)| ExternalId {
            provider: provider.to_owned(),
            subject: subject.to_owned(),
        };
        ids.map(id).into()
    }

    #[tokio::test]
    async fn what_is_set_replaces_what_was_and_belongs_to_one_user() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await.user_id;
        let bo = accounts.with_user("bo").await.user_id;
        let both = ids([("club", "1"), ("work", "ada")]);
        accounts.set_external_ids(&ada, &both).await.unwrap();
        accounts.set_external_ids(&ada, &both).await.unwrap();
        assert_eq!(accounts.external_ids(&ada).await.unwrap(), Vec::from_iter(both));

        let taken = accounts.set_external_ids(&bo, &ids([("club", "1")])).await;
        assert!(matches!(taken, Err(ExternalIdError::InUse)));
        accounts.set_external_ids(&ada, &ids([("work", "ada")])).await.unwrap();
        accounts.set_external_ids(&bo, &ids([("club", "1")])).await.unwrap();

        let club = ids([("club", "1")]).pop_first().unwrap();
        assert_eq!(accounts.user_of_external_id(&club).await.unwrap(), Some(bo));
        assert_eq!(accounts.external_ids(&ada).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn external_ids_have_a_length_and_a_number() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await.user_id;
        let long = "x".repeat(MAX_NAME + 1);
        for wrong in [("", "1"), ("club", ""), ("club", &long), (&long, "1")] {
            let refused = accounts.set_external_ids(&ada, &ids([wrong])).await;
            assert!(matches!(refused, Err(ExternalIdError::Length)), "{wrong:?}");
        }
        let many = (0..=MAX_IDS)
            .map(|number| ExternalId { provider: "club".to_owned(), subject: number.to_string() });
        let refused = accounts.set_external_ids(&ada, &many.collect()).await;
        assert!(matches!(refused, Err(ExternalIdError::TooMany)));
        let nobody = ruma::user_id!("@nobody:hearth.test");
        let refused = accounts.set_external_ids(nobody, &BTreeSet::new()).await;
        assert!(matches!(refused, Err(ExternalIdError::UnknownUser)));
    }
}
