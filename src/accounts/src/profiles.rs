//! What users tell of themselves. Spec: client-server API, "Profiles".

use protocol::words::words;
use ruma::{
    UserId,
    profile::{ProfileFieldName, UserProfile},
};
use serde_json::Value;
use store::{
    Batch, MemberField, PropagateTo, Propagation, RoomNumber, StoreError, UserNumber, UserStatus,
};

use crate::{ATTEMPTS, Accounts, Session};

/// Bytes of a whole profile. Spec: client-server API, "Profiles".
const MAX_PROFILE: usize = 65_536;

/// Bytes of a field's name. Spec: appendices, "Common Namespaced Identifier Grammar".
const MAX_FIELD: usize = 255;

/// Bytes of a display name or the URL of a picture: they stand in every event about the user's memberships.
pub(crate) const MAX_MEMBER_FIELD: usize = 1_000;

/// How many former values a room may have that is to follow a change it has missed.
const MAX_FORMER: usize = 16;

/// What can go wrong with profiles.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// There is no such user here.
    #[error("there is no profile of {0}")]
    UnknownUser(ruma::OwnedUserId),
    /// The name of the field is longer than 255 bytes.
    #[error("the name of a profile field has at most {MAX_FIELD} bytes")]
    FieldTooLong,
    /// The name of the field does not follow the grammar.
    #[error(
        "the name of a profile field has just a-z, 0-9, -, _ and dots, and begins with a letter"
    )]
    FieldName,
    /// The value cannot be that of the field.
    #[error("{0} must be a string")]
    WrongType(ProfileFieldName),
    /// The value is longer than others take it.
    #[error("{0} has at most {MAX_MEMBER_FIELD} bytes")]
    ValueTooLong(ProfileFieldName),
    /// The profile would be larger than 64 KiB.
    #[error("a profile has at most {MAX_PROFILE} bytes")]
    TooLarge,
    /// The store failed.
    #[error("profile store failed")]
    Store(#[from] StoreError),
}

/// In which of a user's rooms a changed name or picture is to be stated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PropagateProfile {
    /// In all. Spec: client-server API, "Events on Change of Profile Information".
    #[default]
    Everywhere,
    /// In those where the user has not chosen another one.
    WhereUnchanged,
    /// In none.
    Nowhere,
}

/// Spec: client-server API, `PUT /profile/{userId}/{keyName}`, `keyName`.
fn check_name(field: &ProfileFieldName) -> Result<(), ProfileError> {
    let name = field.as_str();
    if name.len() > MAX_FIELD {
        return Err(ProfileError::FieldTooLong);
    }
    let is_allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
    };
    let is_name = name.starts_with(|first: char| first.is_ascii_lowercase());
    if is_name && name.bytes().all(is_allowed) { Ok(()) } else { Err(ProfileError::FieldName) }
}

/// The words by which a user is found. Spec: client-server API, "User Directory".
fn directory_words(user_id: &UserId, display_name: Option<&str>) -> Vec<String> {
    let mut all = words(user_id.localpart());
    all.extend(display_name.map(words).unwrap_or_default());
    all.sort_unstable();
    all.dedup();
    all
}

impl Accounts {
    /// The profile of a user of this server whose account is not closed.
    pub async fn profile(&self, user_id: &UserId) -> Result<UserProfile, ProfileError> {
        let account = self.account(user_id).await?;
        let account = account.filter(|(_, record)| record.status == UserStatus::Active);
        let (number, _) = account.ok_or_else(|| ProfileError::UnknownUser(user_id.to_owned()))?;
        Ok(self.store().profile(number).await?)
    }

    /// Sets a field of the session's user. Clients take a name or a picture back by setting it to nothing.
    ///
    /// A change of name or picture is noted as one to be stated in the rooms that `rooms` says.
    #[tracing::instrument(skip_all, fields(user_id = %session.user_id))]
    pub async fn set_profile_field(
        &self,
        session: &Session,
        field: &ProfileFieldName,
        value: Value,
        rooms: PropagateProfile,
    ) -> Result<(), ProfileError> {
        check_name(field)?;
        let is_member_field = MemberField::named(field.as_str()).is_some();
        if is_member_field && (value.is_null() || value.as_str() == Some("")) {
            return self.change_profile(session, field, None, rooms).await;
        }
        if is_member_field || *field == ProfileFieldName::TimeZone {
            let text = value.as_str().ok_or_else(|| ProfileError::WrongType(field.clone()))?;
            if is_member_field && text.len() > MAX_MEMBER_FIELD {
                return Err(ProfileError::ValueTooLong(field.clone()));
            }
        }
        self.change_profile(session, field, Some(value), rooms).await
    }

    /// Removes a field of the session's user.
    #[tracing::instrument(skip_all, fields(user_id = %session.user_id))]
    pub async fn delete_profile_field(
        &self,
        session: &Session,
        field: &ProfileFieldName,
        rooms: PropagateProfile,
    ) -> Result<(), ProfileError> {
        check_name(field)?;
        self.change_profile(session, field, None, rooms).await
    }

    async fn change_profile(
        &self,
        session: &Session,
        field: &ProfileFieldName,
        value: Option<Value>,
        rooms: PropagateProfile,
    ) -> Result<(), ProfileError> {
        let name = field.as_str();
        for _ in 0..ATTEMPTS {
            let before = self.store().profile(session.user).await?;
            let mut after = before.clone();
            match &value {
                Some(value) => after.set(name.to_owned(), value.clone()),
                None => _ = after.remove(name),
            }
            let mut batch = Batch::new();
            batch.set_profile(session.user, &before, &after).map_err(|error| match error {
                StoreError::TooLarge(_) => ProfileError::TooLarge,
                error => error.into(),
            })?;
            if let Some(field) = MemberField::named(name) {
                let former = before.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
                if field == MemberField::DisplayName {
                    let new = value.as_ref().and_then(Value::as_str);
                    let old = directory_words(&session.user_id, former.as_deref());
                    let new = directory_words(&session.user_id, new);
                    batch.change_directory_words(session.user, &old, &new)?;
                }
                self.begin_propagation(&mut batch, session.user, field, former, rooms).await?;
            }
            match self.store().commit(batch).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Notes in which rooms a change is to be stated, besides those that earlier changes have not reached yet.
    async fn begin_propagation(
        &self,
        batch: &mut Batch,
        user: UserNumber,
        field: MemberField,
        former: Option<String>,
        rooms: PropagateProfile,
    ) -> Result<(), StoreError> {
        let pending = self.store().propagation(user, field).await?;
        let to = match (rooms, pending.as_ref().map(|pending| &pending.to)) {
            (PropagateProfile::Nowhere, _) => return Ok(()),
            (PropagateProfile::Everywhere, _) | (_, Some(PropagateTo::All)) => PropagateTo::All,
            (PropagateProfile::WhereUnchanged, known) => {
                let mut all = vec![former];
                if let Some(PropagateTo::Unchanged(known)) = known {
                    all.extend(known.iter().take(MAX_FORMER).cloned());
                }
                PropagateTo::Unchanged(all)
            }
        };
        let begun = Propagation { done: RoomNumber(0), to };
        batch.move_propagation(user, field, pending.as_ref(), Some(&begun))
    }

    /// Puts the profile of a new user into a batch, and them into the user directory.
    pub(crate) fn put_first_profile(
        batch: &mut Batch,
        user: UserNumber,
        user_id: &UserId,
        display_name: &str,
    ) -> Result<(), StoreError> {
        batch.change_directory_words(user, &[], &directory_words(user_id, Some(display_name)))?;
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
        let everywhere = PropagateProfile::Everywhere;
        let set = async |field: &str, value: Value| {
            accounts.set_profile_field(&session, &field.into(), value, everywhere).await
        };
        set("avatar_url", json!("mxc://hearth.test/a")).await.unwrap();
        set("displayname", json!("Ada")).await.unwrap();
        set("org.example.pets", json!(["cat"])).await.unwrap();
        set("org.example.none", Value::Null).await.unwrap();
        set("org.example.gone", json!(1)).await.unwrap();
        set("avatar_url", json!("")).await.unwrap();
        let gone = "org.example.gone".into();
        accounts.delete_profile_field(&session, &gone, everywhere).await.unwrap();

        let profile = accounts.profile(&ada.user_id).await.unwrap();
        assert_eq!(
            serde_json::to_value(&profile).unwrap(),
            json!({ "displayname": "Ada", "org.example.pets": ["cat"], "org.example.none": null })
        );
        assert!(matches!(set("displayname", json!(1)).await, Err(ProfileError::WrongType(_))));
        assert!(matches!(set("m.tz", Value::Null).await, Err(ProfileError::WrongType(_))));
        for name in ["", "Org.example", "1.x", "org.example.\u{e9}"] {
            assert!(matches!(set(name, json!("x")).await, Err(ProfileError::FieldName)), "{name}");
        }
        let long = "a".repeat(MAX_FIELD + 1);
        assert!(matches!(set(&long, json!("x")).await, Err(ProfileError::FieldTooLong)));
        let long = json!("x".repeat(MAX_MEMBER_FIELD + 1));
        assert!(matches!(set("displayname", long).await, Err(ProfileError::ValueTooLong(_))));
        let large = json!("x".repeat(MAX_PROFILE));
        assert!(matches!(set("large", large).await, Err(ProfileError::TooLarge)));
    }

    #[tokio::test]
    async fn changes_that_rooms_have_missed_are_remembered_with_the_newest() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let name = ProfileFieldName::DisplayName;
        let former = |names: &[&str]| {
            PropagateTo::Unchanged(names.iter().map(|name| Some((*name).to_owned())).collect())
        };
        for (new, rooms, expected) in [
            ("A", PropagateProfile::Nowhere, None),
            ("B", PropagateProfile::WhereUnchanged, Some(former(&["A"]))),
            ("C", PropagateProfile::WhereUnchanged, Some(former(&["B", "A"]))),
            ("D", PropagateProfile::Everywhere, Some(PropagateTo::All)),
            ("E", PropagateProfile::WhereUnchanged, Some(PropagateTo::All)),
        ] {
            accounts.set_profile_field(&session, &name, json!(new), rooms).await.unwrap();
            let field = MemberField::DisplayName;
            let pending = accounts.store().propagation(session.user, field).await.unwrap();
            assert_eq!(pending.map(|pending| pending.to), expected, "{new}");
        }
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
                    let rooms = PropagateProfile::Everywhere;
                    accounts.set_profile_field(&session, &field, json!(1), rooms).await.unwrap();
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
