//! Where users are told of notifications. Spec: client-server API, "Push Notifications".

use ruma::DeviceId;
use ruma::api::client::push::{Pusher, PusherIds, PusherKind};
use store::{Batch, PusherKey, PusherRecord, StoreError, UserNumber};

use crate::{ATTEMPTS, Accounts, Session};

/// How many pushers a user may have.
const MAX_PUSHERS: usize = 100;

/// How many other users' pushers of the same name are removed.
const MAX_OTHERS: usize = 1_000;

/// Characters of an app ID, and bytes of a pushkey. Spec: client-server API, `POST /pushers/set`.
const MAX_APP_ID: usize = 64;
const MAX_PUSHKEY: usize = 512;

/// Bytes of a whole pusher.
const MAX_PUSHER: usize = 16_384;

/// The path of every push gateway. Spec: client-server API, `POST /pushers/set`, `data.url`.
const GATEWAY_PATH: &str = "_matrix/push/v1/notify";

/// What can go wrong with pushers.
#[derive(Debug, thiserror::Error)]
pub enum PusherError {
    /// The app ID is empty or too long.
    #[error("an app_id has 1 to {MAX_APP_ID} characters")]
    AppId,
    /// The pushkey is empty or too long.
    #[error("a pushkey has 1 to {MAX_PUSHKEY} bytes")]
    Pushkey,
    /// The gateway's URL is none.
    #[error("the url of a push gateway is http or https and has the path /{GATEWAY_PATH}")]
    Gateway,
    /// Pushers of this kind do not exist here.
    #[error("there are pushers of the kind http only")]
    Kind,
    /// The user has as many pushers as a user may have.
    #[error("a user has at most {MAX_PUSHERS} pushers")]
    TooMany,
    /// The pusher is too large to keep.
    #[error("a pusher has at most {MAX_PUSHER} bytes")]
    TooLarge,
    /// The session has ended meanwhile.
    #[error("the device is logged out")]
    LoggedOut,
    /// The pusher cannot be read or written as JSON.
    #[error("a pusher is damaged")]
    Json(#[from] serde_json::Error),
    /// The store failed.
    #[error("pusher store failed")]
    Store(#[from] StoreError),
}

/// What becomes of other users' pushers of the same application and pushkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherPushers {
    /// They stay: several users share the application.
    Kept,
    /// They go: the device changed hands.
    Removed,
}

fn key_of(ids: &PusherIds) -> PusherKey<'_> {
    PusherKey { app_id: &ids.app_id, pushkey: &ids.pushkey }
}

fn check(pusher: &Pusher) -> Result<(), PusherError> {
    let PusherIds { app_id, pushkey, .. } = &pusher.ids;
    if app_id.is_empty() || app_id.chars().count() > MAX_APP_ID {
        return Err(PusherError::AppId);
    }
    if pushkey.is_empty() || pushkey.len() > MAX_PUSHKEY {
        return Err(PusherError::Pushkey);
    }
    let PusherKind::Http(data) = &pusher.kind else { return Err(PusherError::Kind) };
    let rest = data.url.strip_prefix("https://").or_else(|| data.url.strip_prefix("http://"));
    match rest.and_then(|rest| rest.split_once('/')) {
        Some((host, GATEWAY_PATH)) if !host.is_empty() => Ok(()),
        _ => Err(PusherError::Gateway),
    }
}

impl Accounts {
    /// The pushers of the session's user.
    pub async fn pushers(&self, session: &Session) -> Result<Vec<Pusher>, PusherError> {
        let records = self.store().pushers(session.user, MAX_PUSHERS).await?;
        let pushers = records.iter().map(|record| serde_json::from_str(&record.json));
        Ok(pushers.collect::<Result<_, _>>()?)
    }

    /// Makes or changes a pusher of the session's user. It ends with the session's device.
    #[tracing::instrument(skip_all, fields(user_id = %session.user_id))]
    pub async fn set_pusher(
        &self,
        session: &Session,
        pusher: &Pusher,
        others: OtherPushers,
    ) -> Result<(), PusherError> {
        check(pusher)?;
        let json = serde_json::to_string(pusher)?;
        if json.len() > MAX_PUSHER {
            return Err(PusherError::TooLarge);
        }
        let PusherIds { app_id, pushkey, .. } = pusher.ids.clone();
        let (user, device_id) = (session.user, session.device_id.clone());
        let record = PusherRecord { device_id, app_id, pushkey, json };
        for _ in 0..ATTEMPTS {
            let known = self.store().pushers(user, MAX_PUSHERS).await?;
            let is_new = known.iter().all(|known| known.key() != record.key());
            if is_new && known.len() == MAX_PUSHERS {
                return Err(PusherError::TooMany);
            }
            let device = self.store().device(user, &session.device_id).await?;
            let device = device.ok_or(PusherError::LoggedOut)?;
            let mut batch = Batch::new();
            batch.expect_device(user, &session.device_id, &device)?;
            if others == OtherPushers::Removed {
                for other in self.store().users_of_pusher(record.key(), MAX_OTHERS).await? {
                    batch.delete_pusher(other, record.key());
                }
            }
            batch.put_pusher(user, &record)?;
            match self.store().commit(batch).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Deletes a pusher of the session's user; one that does not exist is gone already.
    #[tracing::instrument(skip_all, fields(user_id = %session.user_id))]
    pub async fn delete_pusher(
        &self,
        session: &Session,
        ids: &PusherIds,
    ) -> Result<(), PusherError> {
        let key = key_of(ids);
        // Longer ones were never taken, and may not fit into a key.
        if ids.app_id.chars().count() > MAX_APP_ID || ids.pushkey.len() > MAX_PUSHKEY {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.delete_pusher(session.user, key);
        self.store().commit(batch).await?;
        Ok(())
    }

    /// Puts the deletion of a device's pushers into a batch.
    pub(crate) async fn put_pusher_deletion(
        &self,
        batch: &mut Batch,
        user: UserNumber,
        device_id: &DeviceId,
    ) -> Result<(), StoreError> {
        for pusher in self.store().pushers(user, MAX_PUSHERS).await? {
            if pusher.device_id == device_id {
                batch.delete_pusher(user, pusher.key());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::accounts;

    fn pusher(pushkey: &str) -> Value {
        json!({
            "app_id": "org.example.app", "pushkey": pushkey, "kind": "http", "lang": "en",
            "app_display_name": "App", "device_display_name": "Phone",
            "data": { "url": "https://push.example/_matrix/push/v1/notify", "colour": "blue" },
        })
    }

    fn parsed(pusher: &Value) -> Pusher {
        serde_json::from_value(pusher.clone()).unwrap()
    }

    #[test]
    fn what_is_no_pusher_is_refused() {
        assert!(check(&parsed(&pusher("key"))).is_ok());
        let with = |field: &str, value: Value| {
            let mut pusher = pusher("key");
            pusher[field] = value;
            check(&parsed(&pusher))
        };
        let url = |url: &str| with("data", json!({ "url": url }));
        assert!(matches!(with("app_id", json!("a".repeat(65))), Err(PusherError::AppId)));
        assert!(matches!(with("pushkey", json!("")), Err(PusherError::Pushkey)));
        assert!(matches!(with("pushkey", json!("a".repeat(513))), Err(PusherError::Pushkey)));
        assert!(matches!(with("kind", json!("email")), Err(PusherError::Kind)));
        assert!(matches!(with("kind", json!("pigeon")), Err(PusherError::Kind)));
        for wrong in [
            "https://push.example/notify",
            "https:///_matrix/push/v1/notify",
            "ftp://push.example/_matrix/push/v1/notify",
            "push.example/_matrix/push/v1/notify",
            "",
        ] {
            assert!(matches!(url(wrong), Err(PusherError::Gateway)), "{wrong}");
        }
        assert!(url("http://localhost:7000/_matrix/push/v1/notify").is_ok());
    }

    #[tokio::test]
    async fn a_pusher_ends_with_its_device() {
        let (accounts, _) = accounts().await;
        let first = accounts.with_user("ada").await;
        let first = accounts.authenticate(first.access_token.expose(), None).await.unwrap();
        let second = accounts.log_in("ada", "secret", crate::NewDevice::default()).await.unwrap();
        let second = accounts.authenticate(second.access_token.expose(), None).await.unwrap();
        for (session, key) in [(&first, "one"), (&second, "two")] {
            let pusher = parsed(&pusher(key));
            accounts.set_pusher(session, &pusher, OtherPushers::Removed).await.unwrap();
        }

        accounts.log_out(&second).await.unwrap();

        let left = accounts.pushers(&first).await.unwrap();
        assert_eq!(serde_json::to_value(left).unwrap(), json!([pusher("one")]));
        let late = parsed(&pusher("three"));
        let outcome = accounts.set_pusher(&second, &late, OtherPushers::Removed).await;
        assert!(matches!(outcome, Err(PusherError::LoggedOut)));
    }

    #[tokio::test]
    async fn a_user_has_so_many_pushers_and_no_more() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let set = async |number: usize| {
            let pusher = parsed(&pusher(&number.to_string()));
            accounts.set_pusher(&session, &pusher, OtherPushers::Kept).await
        };
        for number in 0..MAX_PUSHERS {
            set(number).await.unwrap();
        }
        assert!(matches!(set(MAX_PUSHERS).await, Err(PusherError::TooMany)));
        set(0).await.unwrap();
    }
}
