//! Sessions: who sends a request, told by an access token.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ruma::{DeviceId, MilliSecondsSinceUnixEpoch, OwnedDeviceId, OwnedUserId, UserId};
use store::{
    Batch, DeviceRecord, LastSeen, PairState, Restrictions, Role, StoreError, TokenHash, TokenPair,
    UserKind, UserNumber, UserStatus,
};

use crate::{
    ATTEMPTS, Accounts, NewDevice, Secret, Tokens, after, new_device::new_device_id,
    session_cache::Cached,
};

/// How often at most it is written down when a device was seen.
const SEEN_INTERVAL: Duration = Duration::from_mins(5);

/// Bytes of the longest name of a client that is kept.
const MAX_USER_AGENT: usize = 256;

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The client's address.
    pub address: IpAddr,
    /// What the client calls itself.
    pub user_agent: Option<&'a str>,
}

impl Origin<'_> {
    fn seen(origin: Option<Self>, at: MilliSecondsSinceUnixEpoch) -> LastSeen {
        let kept = |name: &str| name[..name.floor_char_boundary(MAX_USER_AGENT)].to_owned();
        LastSeen {
            at,
            address: origin.map(|origin| origin.address),
            user_agent: origin.and_then(|origin| origin.user_agent).map(kept),
        }
    }
}

/// Somebody who sends requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The user.
    pub user_id: OwnedUserId,
    /// The user's number.
    pub user: UserNumber,
    /// The device the request comes from.
    pub device_id: OwnedDeviceId,
    /// What the user may do on the server.
    pub role: Role,
    /// Whether the user is a guest.
    pub kind: UserKind,
    /// What an administrator took from the user. Whoever serves requests sees to it.
    pub restrictions: Restrictions,
}

/// Why an access token is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    /// It belongs to no session.
    #[error("the access token is unknown")]
    UnknownToken,
    /// It was valid and must be refreshed. Spec: client-server API, "Soft logout".
    #[error("the access token has expired")]
    Expired,
    /// The store failed.
    #[error("session store failed")]
    Store(#[from] StoreError),
}

/// What a client gets that has logged in.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The user.
    pub user_id: OwnedUserId,
    /// The device.
    pub device_id: OwnedDeviceId,
    /// The access token.
    pub access_token: Secret,
    /// The refresh token, if one was asked for.
    pub refresh_token: Option<Secret>,
    /// How long the access token is accepted; `None`: until logout.
    pub expires_in: Option<Duration>,
}

/// Tokens that are not stored yet, and their stored form.
pub(crate) struct NewTokens {
    pub(crate) access: Secret,
    pub(crate) refresh: Option<Secret>,
    pub(crate) expires_in: Option<Duration>,
    pub(crate) pair: TokenPair,
}

impl Accounts {
    /// The session behind an access token of a request from `origin`.
    ///
    /// On the way of every request: a session that was seen before costs one hash and one look into memory.
    pub async fn authenticate(
        &self,
        token: &str,
        origin: Option<Origin<'_>>,
    ) -> Result<Arc<Session>, AuthenticationError> {
        let token = TokenHash::of(token);
        let cached = match self.0.sessions.get(token) {
            Some(cached) => cached,
            None => self.load_session(token).await?,
        };
        let now = self.now();
        if cached.expires_at.is_some_and(|at| at <= now) {
            return Err(AuthenticationError::Expired);
        }
        self.see(&cached, now, origin).await?;
        Ok(Arc::clone(&cached.session))
    }

    async fn load_session(&self, token: TokenHash) -> Result<Arc<Cached>, AuthenticationError> {
        for _ in 0..ATTEMPTS {
            let owner = self.store().access_token(token).await?;
            let owner = owner.ok_or(AuthenticationError::UnknownToken)?;
            // Before the records are read: what changes them afterwards changes the epoch too.
            let epoch = self.0.sessions.epoch(owner.user);
            let device = self.store().device(owner.user, &owner.device_id).await?;
            let user = self.store().user(owner.user).await?;
            let user_id = self.store().user_id(owner.user).await?;
            let (Some(device), Some(user), Some(user_id)) = (device, user, user_id) else {
                return Err(AuthenticationError::UnknownToken);
            };
            let pair = device.tokens.iter().find(|pair| pair.access == token);
            let pair = pair.filter(|_| user.status == UserStatus::Active);
            let pair = pair.ok_or(AuthenticationError::UnknownToken)?.clone();
            if pair.state == PairState::Unconfirmed {
                self.confirm(owner.user, &owner.device_id, &device, pair).await?;
                continue;
            }
            let seen = self.store().device_seen(owner.user, &owner.device_id).await?;
            let seen = AtomicU64::new(seen.map_or(0, |seen| seen.at.get().into()));
            let session = Arc::new(Session {
                user_id,
                user: owner.user,
                device_id: owner.device_id,
                role: user.role,
                kind: user.kind,
                restrictions: user.restrictions,
            });
            let cached = Arc::new(Cached { session, expires_at: pair.expires_at, epoch, seen });
            self.0.sessions.insert(token, Arc::clone(&cached));
            return Ok(cached);
        }
        Err(StoreError::Conflict.into())
    }

    /// Ends the tokens that a refreshed pair replaces, now that the client is seen to have the new ones.
    async fn confirm(
        &self,
        user: UserNumber,
        device_id: &DeviceId,
        device: &DeviceRecord,
        pair: TokenPair,
    ) -> Result<(), StoreError> {
        let confirmed = TokenPair { state: PairState::Confirmed, ..pair };
        let after = DeviceRecord { tokens: vec![confirmed], ..device.clone() };
        let mut batch = Batch::new();
        batch.put_device(user, device_id, Some(device), &after)?;
        match self.store().commit(batch).await {
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Has it written down that a device was seen, now and then, without waiting for the disk.
    async fn see(
        &self,
        cached: &Cached,
        now: MilliSecondsSinceUnixEpoch,
        origin: Option<Origin<'_>>,
    ) -> Result<(), StoreError> {
        let (seen, millis) = (cached.seen.load(Ordering::Relaxed), u64::from(now.get()));
        let interval = u64::try_from(SEEN_INTERVAL.as_millis()).unwrap_or(u64::MAX);
        if millis.saturating_sub(seen) < interval
            || cached
                .seen
                .compare_exchange(seen, millis, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return Ok(());
        }
        let session = &cached.session;
        if let Some(device) = self.store().device(session.user, &session.device_id).await? {
            let mut batch = Batch::new();
            let seen = Origin::seen(origin, now);
            batch.see_device(session.user, &session.device_id, &device, &seen)?;
            // Nobody waits for it: a device that changed in between is noted the next time.
            drop(self.store().submit(batch));
        }
        Ok(())
    }

    /// New tokens, not stored yet.
    pub(crate) fn new_tokens(&self, tokens: Tokens, state: PairState) -> NewTokens {
        let mut random = rand::rng();
        let access = Secret::random("hat", &mut random);
        let (refresh, expires_in) = match tokens {
            Tokens::Lasting => (None, None),
            Tokens::Refreshable => {
                let refresh = Secret::random("hrt", &mut random);
                (Some(refresh), Some(self.settings().access_token_lifetime))
            }
        };
        let pair = TokenPair {
            access: TokenHash::of(access.expose()),
            refresh: refresh.as_ref().map(|token| TokenHash::of(token.expose())),
            expires_at: expires_in.map(|span| after(self.now(), span)),
            state,
        };
        NewTokens { access, refresh, expires_in, pair }
    }

    /// Puts a new session of a user into a batch. `known` is the device if it exists; its tokens end.
    /// Spec: client-server API, "Relationship between access tokens and devices".
    pub(crate) fn put_session(
        &self,
        batch: &mut Batch,
        user: UserNumber,
        user_id: &UserId,
        device: NewDevice,
        known: Option<&DeviceRecord>,
    ) -> Result<NewSession, StoreError> {
        let device_id = device.id.unwrap_or_else(new_device_id);
        let tokens = self.new_tokens(device.tokens, PairState::Confirmed);
        let record = match known {
            Some(known) => DeviceRecord { tokens: vec![tokens.pair], ..known.clone() },
            None => DeviceRecord {
                display_name: device.display_name,
                created_at: self.now(),
                tokens: vec![tokens.pair],
            },
        };
        batch.put_device(user, &device_id, known, &record)?;
        Ok(NewSession {
            user_id: user_id.to_owned(),
            device_id,
            access_token: tokens.access,
            refresh_token: tokens.refresh,
            expires_in: tokens.expires_in,
        })
    }

    /// Logs a device of a user in.
    pub(crate) async fn start_session(
        &self,
        user: UserNumber,
        user_id: &UserId,
        device: NewDevice,
    ) -> Result<NewSession, StoreError> {
        for _ in 0..ATTEMPTS {
            let known = match &device.id {
                Some(id) => self.store().device(user, id).await?,
                None => None,
            };
            let mut batch = Batch::new();
            let session =
                self.put_session(&mut batch, user, user_id, device.clone(), known.as_ref())?;
            match self.store().commit(batch).await {
                Ok(_) => return Ok(session),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict)
    }
}

#[cfg(test)]
mod tests {
    use protocol::Clock;
    use ruma::device_id;

    use super::*;
    use crate::testing::accounts;

    #[tokio::test]
    async fn a_token_tells_its_user_and_device() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        for _ in 0..2 {
            let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
            assert_eq!(session.user_id, "@ada:hearth.test");
            assert_eq!(session.device_id, ada.device_id);
        }
        let unknown = accounts.authenticate("hat_unknown", None).await;
        assert!(matches!(unknown, Err(AuthenticationError::UnknownToken)));
    }

    #[tokio::test]
    async fn a_cached_session_ends_with_its_logout() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        accounts.log_out(&session).await.unwrap();

        let again = accounts.authenticate(ada.access_token.expose(), None).await;
        assert!(matches!(again, Err(AuthenticationError::UnknownToken)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_request_after_a_logout_is_let_in_however_many_run_at_once() {
        let (accounts, _) = accounts().await;
        for round in 0..50 {
            let ada = accounts.with_user(&format!("ada{round}")).await;
            let token = ada.access_token.clone();
            let readers: Vec<_> = (0..8)
                .map(|_| {
                    let (accounts, token) = (accounts.clone(), token.clone());
                    tokio::spawn(async move {
                        for _ in 0..20 {
                            let _ = accounts.authenticate(token.expose(), None).await;
                            tokio::task::yield_now().await;
                        }
                    })
                })
                .collect();
            let session = accounts.authenticate(token.expose(), None).await.unwrap();
            accounts.log_out(&session).await.unwrap();
            let after = accounts.authenticate(token.expose(), None).await;
            assert!(matches!(after, Err(AuthenticationError::UnknownToken)), "round {round}");
            for reader in readers {
                reader.await.unwrap();
            }
            let after = accounts.authenticate(token.expose(), None).await;
            assert!(matches!(after, Err(AuthenticationError::UnknownToken)), "round {round}");
        }
    }

    #[tokio::test]
    async fn a_known_device_keeps_its_name_and_loses_its_old_token() {
        let (accounts, _) = accounts().await;
        accounts.with_user("ada").await;
        let device = |name: &str| NewDevice {
            id: Some(device_id!("PHONE").to_owned()),
            display_name: Some(name.to_owned()),
            tokens: Tokens::Lasting,
        };
        let one = accounts.log_in("ada", "secret", device("phone")).await.unwrap();
        accounts.authenticate(one.access_token.expose(), None).await.unwrap();
        let two = accounts.log_in("ada", "secret", device("another")).await.unwrap();

        let old = accounts.authenticate(one.access_token.expose(), None).await;
        assert!(matches!(old, Err(AuthenticationError::UnknownToken)));
        let session = accounts.authenticate(two.access_token.expose(), None).await.unwrap();
        let device = accounts.device(&session, device_id!("PHONE")).await.unwrap();
        assert_eq!(device.display_name.as_deref(), Some("phone"));
    }

    #[tokio::test]
    async fn an_expired_token_is_told_apart_from_an_unknown_one() {
        let (accounts, clock) = accounts().await;
        accounts.with_user("ada").await;
        let device = NewDevice { tokens: Tokens::Refreshable, ..NewDevice::default() };
        let session = accounts.log_in("ada", "secret", device).await.unwrap();
        let token = session.access_token.expose();
        accounts.authenticate(token, None).await.unwrap();

        clock.advance(session.expires_in.unwrap());

        let late = accounts.authenticate(token, None).await;
        assert!(matches!(late, Err(AuthenticationError::Expired)));
    }

    #[tokio::test]
    async fn a_device_is_seen_at_most_once_in_five_minutes() {
        let (accounts, clock) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let token = ada.access_token.expose();
        let name = "é".repeat(MAX_USER_AGENT);
        let address = IpAddr::from([127, 0, 0, 1]);
        let origin = Some(Origin { address, user_agent: Some(&name) });
        let seen = |at| {
            let user_agent = Some("é".repeat(MAX_USER_AGENT / 2));
            Some(LastSeen { at, address: Some(address), user_agent })
        };
        let session = accounts.authenticate(token, origin).await.unwrap();
        let first = clock.now();
        clock.advance(Duration::from_mins(4));
        accounts.authenticate(token, origin).await.unwrap();
        // Commits are in order: when this one is answered, what was submitted before is there.
        accounts.with_user("bo").await;
        let last = accounts.device(&session, &ada.device_id).await.unwrap().last_seen;
        assert_eq!(last, seen(first));

        clock.advance(Duration::from_mins(2));
        accounts.authenticate(token, origin).await.unwrap();
        accounts.with_user("cy").await;
        let last = accounts.device(&session, &ada.device_id).await.unwrap().last_seen;
        assert_eq!(last, seen(clock.now()));
    }
}
