//! What users tell of themselves. Spec: client-server API, "Profiles".

use ruma::{
    UserId,
    profile::{ProfileFieldName, UserProfile},
};
use serde_json::Value;
use store::{Batch, StoreError, UserNumber};

use crate::{ATTEMPTS, Accounts, Session};

/// Bytes of a whole profile. Spec: client-server API, "Profiles".
const MAX_PROFILE: usize = 65_536;

/// Bytes of a field's name. Spec: appendices, "Common Namespaced Identifier Grammar".
const MAX_FIELD: usize = 255;

/// What can go wrong with profiles.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// There is no such user here.
    #[error("there is no profile of {0}")]
    UnknownUser(ruma::OwnedUserId),
    /// The name of the field is empty or longer than 255 bytes.
    #[error("the name of a profile field has 1 to {MAX_FIELD} bytes")]
    FieldName,
    /// The value cannot be that of the field.
    #[error("{0} must be a string")]
    WrongType(ProfileFieldName),
    /// The profile would be larger than 64 KiB.
    #[error("a profile has at most {MAX_PROFILE} bytes")]
    TooLarge,
    /// The store failed.
    #[error("profile store failed")]
    Store(#[from] StoreError),
}

impl Accounts {
    /// The profile of a user of this server.
    pub async fn profile(&self, user_id: &UserId) -> Result<UserProfile, ProfileError> {
        let account = self.account(user_id).await?;
        let (number, _) = account.ok_or_else(|| ProfileError::UnknownUser(user_id.to_owned()))?;
        Ok(self.store().profile(number).await?)
    }

    /// Sets a field of the session's user; `null` removes it. Says the profile as it is now, for the user's rooms.
    #[tracing::instrument(skip_all, fields(user_id = %session.user_id))]
    pub async fn set_profile_field(
        &self,
        session: &Session,
        field: &ProfileFieldName,
        value: Value,
    ) -> Result<UserProfile, ProfileError> {
        let name = field.as_str();
        if name.is_empty() || name.len() > MAX_FIELD {
            return Err(ProfileError::FieldName);
        }
        let text = matches!(
            field,
            ProfileFieldName::DisplayName
                | ProfileFieldName::AvatarUrl
                | ProfileFieldName::TimeZone
        );
        if text && !value.is_string() && !value.is_null() {
            return Err(ProfileError::WrongType(field.clone()));
        }
        // Clients take a picture or name back by setting it to nothing.
        let removed = value.is_null() || (text && value.as_str() == Some(""));
        for _ in 0..ATTEMPTS {
            let before = self.store().profile(session.user).await?;
            let mut after = before.clone();
            if removed {
                after.remove(name);
            } else {
                after.set(name.to_owned(), value.clone());
            }
            let mut batch = Batch::new();
            batch.set_profile(session.user, &before, &after).map_err(|error| match error {
                StoreError::TooLarge(_) => ProfileError::TooLarge,
                error => error.into(),
            })?;
            match self.store().commit(batch).await {
                Ok(_) => return Ok(after),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Puts the profile of a new user into a batch.
    pub(crate) fn put_first_profile(
        batch: &mut Batch,
        user: UserNumber,
        display_name: &str,
    ) -> Result<(), StoreError> {
        let mut profile = UserProfile::new();
        profile.set(ProfileFieldName::DisplayName.to_string(), display_name.into());
        batch.set_profile(user, &UserProfile::new(), &profile)
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use serde_json::json;

    use super::*;
    use crate::testing::accounts;

    #[tokio::test]
    async fn fields_are_set_and_removed_one_by_one() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let set = async |field: &str, value: Value| {
            accounts.set_profile_field(&session, &field.into(), value).await
        };
        set("avatar_url", json!("mxc://hearth.test/a")).await.unwrap();
        set("displayname", json!("Ada")).await.unwrap();
        set("org.example.pets", json!(["cat"])).await.unwrap();
        set("avatar_url", json!("")).await.unwrap();

        let profile = accounts.profile(&ada.user_id).await.unwrap();
        assert_eq!(
            serde_json::to_value(&profile).unwrap(),
            json!({ "displayname": "Ada", "org.example.pets": ["cat"] })
        );
        assert!(matches!(set("displayname", json!(1)).await, Err(ProfileError::WrongType(_))));
        assert!(matches!(set("", json!("x")).await, Err(ProfileError::FieldName)));
        let large = json!("x".repeat(MAX_PROFILE));
        assert!(matches!(set("large", large).await, Err(ProfileError::TooLarge)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn two_fields_set_at_once_are_both_set() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let all: Vec<_> = (0..10)
            .map(|number| {
                let (accounts, session) = (accounts.clone(), session.clone());
                let field = ProfileFieldName::from(format!("field{number}"));
                tokio::spawn(async move {
                    accounts.set_profile_field(&session, &field, json!(1)).await.unwrap();
                })
            })
            .collect();
        for one in all {
            one.await.unwrap();
        }
        assert_eq!(accounts.profile(&ada.user_id).await.unwrap().iter().count(), 11);
    }

    #[tokio::test]
    async fn users_of_other_servers_have_no_profile_here() {
        let (accounts, _) = accounts().await;
        for user_id in [user_id!("@ada:other.test"), user_id!("@nobody:hearth.test")] {
            let outcome = accounts.profile(user_id).await;
            assert!(matches!(outcome, Err(ProfileError::UnknownUser(_))));
        }
    }
}
