//! Authentications under way.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use quick_cache::sync::Cache;
use ruma::{
    MilliSecondsSinceUnixEpoch,
    api::client::uiaa::{AuthFlow, AuthType},
};
use store::UserNumber;

use super::Operation;
use crate::{Accounts, Secret, Session, after, login::Owner};

/// How many authentications may be under way; the oldest end when there are more.
const MAX_SESSIONS: usize = 10_000;

/// How long an authentication may take.
pub(super) const LIFETIME: Duration = Duration::from_mins(30);

/// What was found out by an authentication that is complete.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// The registration token that was shown.
    pub(crate) registration_token: Option<String>,
    /// The user whose password was given, or who signed on elsewhere.
    pub(crate) owner: Option<Owner>,
}

impl Passed {
    /// With what was found out since.
    fn and(self, more: Self) -> Self {
        Self {
            registration_token: more.registration_token.or(self.registration_token),
            owner: more.owner.or(self.owner),
        }
    }
}

/// An authentication under way.
#[derive(Debug)]
pub(super) struct InteractiveSession {
    pub(super) operation: Operation,
    /// Whose authentication it is, where that is known from the start.
    pub(super) user: Option<UserNumber>,
    /// The stages that are of use.
    pub(super) stages: Vec<AuthType>,
    pub(super) expires_at: MilliSecondsSinceUnixEpoch,
    pub(super) completed: Vec<AuthType>,
    pub(super) passed: Passed,
}

impl InteractiveSession {
    pub(super) fn complete(&mut self, stage: AuthType, found: Passed) {
        if !self.completed.contains(&stage) {
            self.completed.push(stage);
        }
        self.passed = std::mem::take(&mut self.passed).and(found);
    }
}

/// Authentications under way. They live in memory only: a client whose server restarted begins again.
#[derive(Debug)]
pub(crate) struct InteractiveSessions(Cache<String, Arc<Mutex<InteractiveSession>>>);

impl InteractiveSessions {
    pub(crate) fn new() -> Self {
        Self(Cache::new(MAX_SESSIONS))
    }

    /// A session that is not too old and `meant`.
    pub(super) fn find(
        &self,
        id: &str,
        now: MilliSecondsSinceUnixEpoch,
        meant: impl Fn(&InteractiveSession) -> bool,
    ) -> Option<Arc<Mutex<InteractiveSession>>> {
        let found = self.0.get(id)?;
        let session = found.lock().unwrap_or_else(PoisonError::into_inner);
        let valid = meant(&session) && now < session.expires_at;
        drop(session);
        valid.then_some(found)
    }

    /// Ends a session for whom it counts: once, however many requests bring it. `false` for the others.
    pub(super) fn end(&self, id: &str) -> bool {
        self.0.remove(id).is_some()
    }
}

impl Accounts {
    /// Begins an authentication.
    pub(super) fn begin(
        &self,
        operation: Operation,
        flows: &[AuthFlow],
        requester: Option<&Session>,
    ) -> (String, Arc<Mutex<InteractiveSession>>) {
        let id = Secret::random("uia", &mut rand::rng()).into_exposed();
        let session = Arc::new(Mutex::new(InteractiveSession {
            operation,
            user: requester.map(|requester| requester.user),
            stages: flows.iter().flat_map(|flow| flow.stages.clone()).collect(),
            expires_at: after(self.now(), LIFETIME),
            completed: Vec::new(),
            passed: Passed::default(),
        }));
        self.0.interactive.0.insert(id.clone(), Arc::clone(&session));
        (id, session)
    }
}
