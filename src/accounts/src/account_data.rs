//! Account data. Spec: client-server API, "Client Config".

use protocol::push::{PUSH_RULES, content_of, rules_in};
use ruma::RoomId;
use serde_json::value::RawValue;
use store::{AccountData, Batch, RoomNumber, StoreError, UserNumber};

use crate::{ATTEMPTS, Accounts, Session};

/// Bytes of the longest event type.
pub(crate) const MAX_KIND: usize = protocol::limits::IDENTIFIER;

/// How many KiB of account data the clients of one user may keep. All of it is read for a first sync.
const MAX_KIB: u64 = 16 * 1024;

/// What can go wrong with account data.
#[derive(Debug, thiserror::Error)]
pub enum AccountDataError {
    /// There is none of this type.
    #[error("there is no such account data")]
    NotFound,
    /// The server writes data of this type itself.
    #[error("{0} cannot be set as account data")]
    Reserved(String),
    /// The type is longer than 255 bytes.
    #[error("an event type has at most {MAX_KIND} bytes")]
    KindTooLong,
    /// The content is too large to keep.
    #[error("account data has at most {} bytes", AccountData::MAX_CONTENT)]
    TooLarge,
    /// With this change the user has more than is kept for one.
    #[error("all account data of a user has at most {MAX_KIB} KiB")]
    Full,
    /// The name of a tag is longer than 255 bytes.
    #[error("the name of a tag has at most {MAX_KIND} bytes")]
    TagTooLong,
    /// The data cannot be written as JSON.
    #[error("account data is damaged")]
    Json(#[from] serde_json::Error),
    /// The store failed.
    #[error("account data store failed")]
    Store(#[from] StoreError),
}

/// Types that have endpoints of their own.
const RESERVED: [&str; 2] = [PUSH_RULES, "m.fully_read"];

impl Accounts {
    /// Account data of the session's user, of a room or of the account.
    pub async fn account_data(
        &self,
        session: &Session,
        room_id: Option<&RoomId>,
        kind: &str,
    ) -> Result<Box<RawValue>, AccountDataError> {
        let room = match room_id {
            None => None,
            Some(room_id) => {
                let number = self.store().room_number(room_id).await?;
                Some(number.ok_or(AccountDataError::NotFound)?)
            }
        };
        let found = self.store().account_data(session.user, room, kind).await?;
        let found = found.filter(|found| !found.is_deleted());
        let found = found.ok_or(AccountDataError::NotFound)?;
        if room.is_none() && kind == PUSH_RULES {
            let legacy_mentions = self.settings().legacy_mentions;
            let rules = rules_in(Some(&found.content), &session.user_id, legacy_mentions)?;
            return Ok(content_of(&rules)?);
        }
        Ok(found.content)
    }

    /// Sets account data of the session's user. `content` is a JSON object; an empty one deletes what is there.
    pub async fn set_account_data(
        &self,
        session: &Session,
        room_id: Option<&RoomId>,
        kind: &str,
        content: &RawValue,
    ) -> Result<(), AccountDataError> {
        if RESERVED.contains(&kind) {
            return Err(AccountDataError::Reserved(kind.to_owned()));
        }
        if kind.len() > MAX_KIND {
            return Err(AccountDataError::KindTooLong);
        }
        let room = match room_id {
            None => None,
            Some(room_id) => Some(self.store().number_room(room_id).await?),
        };
        if is_empty(content) {
            return self.change_account_data(session, room, kind, |_| Ok(deleted()?)).await;
        }
        self.change_account_data(session, room, kind, |_| Ok(content.to_owned())).await
    }

    /// Deletes account data of the session's user. What is not there is deleted already. Spec: MSC3391.
    pub async fn delete_account_data(
        &self,
        session: &Session,
        room_id: Option<&RoomId>,
        kind: &str,
    ) -> Result<(), AccountDataError> {
        match self.account_data(session, room_id, kind).await {
            Ok(_) => self.set_account_data(session, room_id, kind, &deleted()?).await,
            // The server writes it itself, whether there is some or not.
            Err(AccountDataError::NotFound) if RESERVED.contains(&kind) => {
                Err(AccountDataError::Reserved(kind.to_owned()))
            }
            Err(AccountDataError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Puts the deletion of an entry of the account into a batch, if it is there.
    pub(crate) async fn put_account_data_deletion(
        &self,
        batch: &mut Batch,
        user: UserNumber,
        kind: &str,
    ) -> Result<(), StoreError> {
        let before = self.store().account_data(user, None, kind).await?;
        let Some(before) = before.filter(|before| !before.is_deleted()) else { return Ok(()) };
        let content = deleted().map_err(|error| StoreError::Undecodable {
            table: "account_data",
            reason: error.to_string(),
        })?;
        batch.set_account_data(user, None, kind, Some(&before), &content)
    }

    /// Sets account data to what `change` makes of what is there. It is called again when somebody else was faster.
    pub(crate) async fn change_account_data(
        &self,
        session: &Session,
        room: Option<RoomNumber>,
        kind: &str,
        change: impl Fn(Option<&AccountData>) -> Result<Box<RawValue>, AccountDataError>,
    ) -> Result<(), AccountDataError> {
        for _ in 0..ATTEMPTS {
            let before = self.store().account_data(session.user, room, kind).await?;
            let content = change(before.as_ref())?;
            if content.get().len() > AccountData::MAX_CONTENT {
                return Err(AccountDataError::TooLarge);
            }
            let mut batch = Batch::new();
            self.count_account_data(&mut batch, session.user, before.as_ref(), &content).await?;
            batch.set_account_data(session.user, room, kind, before.as_ref(), &content)?;
            match self.store().commit(batch).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Counts a change of account data. Fails with [`AccountDataError::Full`] when it is for more and there is too much.
    async fn count_account_data(
        &self,
        batch: &mut Batch,
        user: UserNumber,
        before: Option<&AccountData>,
        content: &RawValue,
    ) -> Result<(), AccountDataError> {
        let (less, more) = (before.map_or(0, |before| kib(&before.content)), kib(content));
        if less == more {
            return Ok(());
        }
        let known = self.store().account_data_kib(user).await?;
        let after = known.saturating_add(more).saturating_sub(less);
        if after > MAX_KIB && more > less {
            return Err(AccountDataError::Full);
        }
        Ok(batch.count_account_data(user, known, after)?)
    }
}

/// What an entry counts: whole KiB, and one at least, as its name takes space too and deleted ones stay.
fn kib(content: &RawValue) -> u64 {
    content.get().len() as u64 / 1_024 + 1
}

/// The content that stands for none.
fn deleted() -> Result<Box<RawValue>, serde_json::Error> {
    RawValue::from_string(AccountData::DELETED.to_owned())
}

/// Whether a JSON object has no keys.
fn is_empty(object: &RawValue) -> bool {
    let inside = object.get().trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(|inside| inside.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use ruma::room_id;

    use super::*;
    use crate::testing::accounts;

    fn json(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn account_data_is_what_was_set_last() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        for room_id in [None, Some(room_id!("!kitchen:hearth.test"))] {
            let before = accounts.account_data(&session, room_id, "org.example").await;
            assert!(matches!(before, Err(AccountDataError::NotFound)));
            for text in [r#"{"n":1}"#, r#"{"n":2}"#] {
                accounts
                    .set_account_data(&session, room_id, "org.example", &json(text))
                    .await
                    .unwrap();
                let found = accounts.account_data(&session, room_id, "org.example").await.unwrap();
                assert_eq!(found.get(), text);
            }
        }
    }

    #[tokio::test]
    async fn an_empty_object_deletes() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        for empty in ["{}", "{ }", "{\n}"] {
            accounts.set_account_data(&session, None, "x", &json(r#"{"n":1}"#)).await.unwrap();
            accounts.set_account_data(&session, None, "x", &json(empty)).await.unwrap();
            let gone = accounts.account_data(&session, None, "x").await;
            assert!(matches!(gone, Err(AccountDataError::NotFound)), "{empty:?}");
        }
        accounts.delete_account_data(&session, None, "x").await.unwrap();
        accounts.delete_account_data(&session, None, "never set").await.unwrap();
        let reserved = accounts.delete_account_data(&session, None, "m.push_rules").await;
        assert!(matches!(reserved, Err(AccountDataError::Reserved(_))));
    }

    #[tokio::test]
    async fn all_account_data_of_a_user_has_a_bound() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let large = json(&format!(r#"{{"":"{}"}}"#, "x".repeat(60 * 1_024)));
        let set = async |number: u64, content: &RawValue| {
            let kind = format!("org.example.{number}");
            let room_id = number.is_multiple_of(2).then_some(room_id!("!kitchen:hearth.test"));
            accounts.set_account_data(&session, room_id, &kind, content).await
        };
        let fits = MAX_KIB / kib(&large);
        for number in 0..fits {
            set(number, &large).await.unwrap();
        }

        assert!(matches!(set(fits, &large).await, Err(AccountDataError::Full)));
        set(0, &large).await.unwrap();
        set(0, &json("{}")).await.unwrap();
        set(fits, &large).await.unwrap();
    }

    #[tokio::test]
    async fn reserved_and_oversized_account_data_is_refused() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let set = async |kind: &str, text: &str| {
            accounts.set_account_data(&session, None, kind, &json(text)).await
        };
        assert!(matches!(set("m.push_rules", "{}").await, Err(AccountDataError::Reserved(_))));
        assert!(matches!(set("m.fully_read", "{}").await, Err(AccountDataError::Reserved(_))));
        let text = |length: usize| format!(r#"{{"":"{}"}}"#, "x".repeat(length - 7));
        let fits = text(AccountData::MAX_CONTENT);
        assert_eq!(fits.len(), AccountData::MAX_CONTENT);
        set("x", &fits).await.unwrap();
        let large = set("x", &text(AccountData::MAX_CONTENT + 1)).await;
        assert!(matches!(large, Err(AccountDataError::TooLarge)));
        let kind = "x".repeat(MAX_KIND + 1);
        assert!(matches!(set(&kind, "{}").await, Err(AccountDataError::KindTooLong)));
    }
}
