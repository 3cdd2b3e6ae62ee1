//! User-interactive authentication. Spec: client-server API, "User-Interactive Authentication API".

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use quick_cache::sync::Cache;
use ruma::{
    MilliSecondsSinceUnixEpoch, UserId,
    api::{
        client::uiaa::{AuthData, AuthFlow, AuthType, UiaaInfo, UserIdentifier},
        error::{ErrorKind, StandardErrorBody},
    },
};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use store::{StoreError, UserNumber};

use crate::{
    Accounts, LoginError, PasswordError, Secret, Session, after, login::Owner,
    usernames::existing_user_id,
};

/// How many authentications may be under way; the oldest end when there are more.
const MAX_SESSIONS: usize = 10_000;

/// How long an authentication may take.
const LIFETIME: Duration = Duration::from_mins(30);

/// What somebody authenticates for. An authentication counts for this one operation only, so a client that was
/// tricked into completing one cannot have it used for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    name: &'static str,
    digest: [u8; 32],
}

impl Operation {
    /// The operation of an endpoint, called `name`, on what `parts` say.
    pub fn new<'a>(name: &'static str, parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hash = Sha256::new();
        for part in std::iter::once(name).chain(parts) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self { name, digest: hash.finalize().into() }
    }

    /// The operation called `name` on the account of the session's user, or on one that its owner will name.
    pub(crate) fn of_owner(name: &'static str, session: Option<&Session>) -> Self {
        Self::new(name, session.map(|session| session.user_id.as_str()))
    }
}

/// Why an operation may not go on.
#[derive(Debug, thiserror::Error)]
pub enum InteractiveAuthError {
    /// The client is to authenticate, or to try again.
    #[error("authentication is required")]
    Required(Box<UiaaInfo>),
    /// Somebody else's password was given.
    #[error("the authentication is of another user")]
    OtherUser,
    /// The user was named by something else than their ID.
    #[error("users are known by their user ID only")]
    UnknownIdentifier,
    /// The account that was named is closed.
    #[error("the account is deactivated")]
    Deactivated,
    /// The account that was named is locked.
    #[error("the account is locked")]
    Locked,
    /// A password could not be compared.
    #[error("{0}")]
    Password(#[from] PasswordError),
    /// The store failed.
    #[error("account store failed")]
    Store(#[from] StoreError),
}

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

impl InteractiveSession {
    fn complete(&mut self, stage: AuthType, found: Passed) {
        if !self.completed.contains(&stage) {
            self.completed.push(stage);
        }
        self.passed = std::mem::take(&mut self.passed).and(found);
    }
}

#[derive(Debug)]
struct InteractiveSession {
    operation: Operation,
    /// Whose authentication it is, where that is known from the start.
    user: Option<UserNumber>,
    /// The stages that are of use.
    stages: Vec<AuthType>,
    expires_at: MilliSecondsSinceUnixEpoch,
    completed: Vec<AuthType>,
    passed: Passed,
}

/// Authentications under way. They live in memory only: a client whose server restarted begins again.
#[derive(Debug)]
pub(crate) struct InteractiveSessions(Cache<String, Arc<Mutex<InteractiveSession>>>);

impl InteractiveSessions {
    pub(crate) fn new() -> Self {
        Self(Cache::new(MAX_SESSIONS))
    }

    /// A session that is not too old and `meant`.
    fn find(
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
}

/// What became of one stage.
enum Stage {
    Completed(AuthType, Passed),
    Failed(&'static str),
}

/// Whether a stage that was tried apart from its request is completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageOutcome {
    /// It is: the client goes on.
    Completed,
    /// It is not, and can be tried again.
    Failed(&'static str),
    /// There is no such authentication under way, or this is no stage of it.
    UnknownSession,
}

impl Accounts {
    /// Has the client authenticate by one of `flows`, or passes. `requester` is whose password is asked for.
    pub(crate) async fn authenticate_interactively(
        &self,
        operation: Operation,
        flows: &[AuthFlow],
        requester: Option<&Session>,
        auth: Option<&AuthData>,
    ) -> Result<Passed, InteractiveAuthError> {
        let Some(auth) = auth else {
            return Err(self.challenge(operation, flows, requester, None));
        };
        let now = self.now();
        let (id, session) = match auth.session() {
            Some(id) => {
                let meant = |session: &InteractiveSession| session.operation == operation;
                let Some(session) = self.0.interactive.find(id, now, meant) else {
                    let failure = Some("the session is unknown");
                    return Err(self.challenge(operation, flows, requester, failure));
                };
                (id.to_owned(), session)
            }
            None => self.begin(operation, flows, requester),
        };
        let stage = self.check_stage(flows, requester, auth).await?;
        let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = match stage {
            Some(Stage::Completed(stage, found)) => {
                session.complete(stage, found);
                None
            }
            Some(Stage::Failed(reason)) => Some(reason),
            None => None,
        };
        let done =
            |flow: &AuthFlow| flow.stages.iter().all(|stage| session.completed.contains(stage));
        // Whoever takes the session out of the cache has it: it counts once, however many requests bring it.
        if failure.is_none() && flows.iter().any(done) && self.0.interactive.0.remove(&id).is_some()
        {
            return Ok(std::mem::take(&mut session.passed));
        }
        Err(info(flows, id, session.completed.clone(), failure))
    }

    /// Whether an authentication under way has a stage that is tried apart from its request.
    /// Spec: client-server API, "Fallback".
    pub fn has_stage(&self, session: &str, stage: &AuthType) -> bool {
        let meant = |session: &InteractiveSession| session.stages.contains(stage);
        self.0.interactive.find(session, self.now(), meant).is_some()
    }

    /// Tries a stage apart from its request, which the client sends again when it is completed. A password is none of
    /// these stages: it must be the requester's, and who that is only the request says.
    /// Spec: client-server API, "Fallback".
    pub async fn try_stage(&self, auth: &AuthData) -> Result<StageOutcome, InteractiveAuthError> {
        let (Some(id), Some(stage)) = (auth.session(), auth.auth_type()) else {
            return Ok(StageOutcome::UnknownSession);
        };
        if stage == AuthType::Password {
            return Ok(StageOutcome::UnknownSession);
        }
        let meant = |session: &InteractiveSession| session.stages.contains(&stage);
        let Some(session) = self.0.interactive.find(id, self.now(), meant) else {
            return Ok(StageOutcome::UnknownSession);
        };
        let flows = [AuthFlow::new(vec![stage])];
        match self.check_stage(&flows, None, auth).await? {
            Some(Stage::Completed(stage, found)) => {
                session.lock().unwrap_or_else(PoisonError::into_inner).complete(stage, found);
                Ok(StageOutcome::Completed)
            }
            Some(Stage::Failed(reason)) => Ok(StageOutcome::Failed(reason)),
            None => Ok(StageOutcome::UnknownSession),
        }
    }

    /// Whose authentication this is and what for, if it is under way and can be completed by signing on elsewhere.
    pub(crate) fn sign_on_stage(&self, session: &str) -> Option<(UserNumber, &'static str)> {
        let meant = |session: &InteractiveSession| session.stages.contains(&AuthType::Sso);
        let session = self.0.interactive.find(session, self.now(), meant)?;
        let session = session.lock().unwrap_or_else(PoisonError::into_inner);
        Some((session.user?, session.operation.name))
    }

    /// Completes the stage of an authentication whose user has signed on elsewhere.
    pub(crate) fn complete_sign_on(&self, session: &str, owner: Owner) -> StageOutcome {
        let meant = |session: &InteractiveSession| {
            session.stages.contains(&AuthType::Sso) && session.user == Some(owner.number)
        };
        let Some(session) = self.0.interactive.find(session, self.now(), meant) else {
            return StageOutcome::UnknownSession;
        };
        let found = Passed { owner: Some(owner), ..Passed::default() };
        session.lock().unwrap_or_else(PoisonError::into_inner).complete(AuthType::Sso, found);
        StageOutcome::Completed
    }

    /// Asks whoever owns the account to show that they do, for what a stolen access token alone must not be able to do:
    /// by the password, or by signing on where they do. Whoever has no session names the account along with the password.
    pub(crate) async fn require_owner(
        &self,
        operation: Operation,
        session: Option<&Session>,
        auth: Option<&AuthData>,
    ) -> Result<Owner, InteractiveAuthError> {
        let flows = self.owner_flows(session).await?;
        let passed = self.authenticate_interactively(operation, &flows, session, auth).await?;
        passed.owner.ok_or(InteractiveAuthError::OtherUser)
    }

    /// The ways in which somebody can show whose account it is. An account that has none is asked for a password.
    async fn owner_flows(&self, session: Option<&Session>) -> Result<Vec<AuthFlow>, StoreError> {
        let mut stages = vec![AuthType::Password];
        if let Some(session) = session
            && !self.linked_providers(session.user).await?.is_empty()
        {
            let record = self.store().user(session.user).await?;
            if record.is_some_and(|record| record.password_hash.is_none()) {
                stages.clear();
            }
            stages.push(AuthType::Sso);
        }
        Ok(stages.into_iter().map(|stage| AuthFlow::new(vec![stage])).collect())
    }

    /// Checks what the client sent for one stage; `None` when it only asks how far it is.
    async fn check_stage(
        &self,
        flows: &[AuthFlow],
        requester: Option<&Session>,
        auth: &AuthData,
    ) -> Result<Option<Stage>, InteractiveAuthError> {
        let Some(kind) = auth.auth_type() else { return Ok(None) };
        if !flows.iter().any(|flow| flow.stages.contains(&kind)) {
            return Ok(Some(Stage::Failed("this kind of authentication is not offered")));
        }
        // It is completed in a browser, apart from the request.
        if kind == AuthType::Sso {
            return Ok(None);
        }
        let mut found = Passed::default();
        let failure = match auth {
            AuthData::Dummy(_) => None,
            AuthData::RegistrationToken(shown) => {
                if self.registration_token_is_valid(&shown.token).await? {
                    found.registration_token = Some(shown.token.clone());
                    None
                } else {
                    Some("the registration token is not valid")
                }
            }
            AuthData::Password(shown) => {
                let (identifier, password) = (&shown.identifier, &shown.password);
                match self.check_own_password(requester, identifier, password).await? {
                    Ok(owner) => {
                        found.owner = Some(owner);
                        None
                    }
                    Err(reason) => Some(reason),
                }
            }
            _ => Some("this kind of authentication is not offered"),
        };
        Ok(Some(failure.map_or(Stage::Completed(kind, found), Stage::Failed)))
    }

    /// Whose password this is, or why it is nobody's. With a requester, it must be theirs.
    async fn check_own_password(
        &self,
        requester: Option<&Session>,
        identifier: &UserIdentifier,
        password: &str,
    ) -> Result<Result<Owner, &'static str>, InteractiveAuthError> {
        let UserIdentifier::Matrix(user) = identifier else {
            return Err(InteractiveAuthError::UnknownIdentifier);
        };
        let named = existing_user_id(&user.user, self.server_name());
        if let Some(requester) = requester {
            let same =
                |named: &UserId| named.as_str().eq_ignore_ascii_case(requester.user_id.as_str());
            if !named.as_deref().is_some_and(same) {
                return Err(InteractiveAuthError::OtherUser);
            }
        }
        let wanted = requester.map(|requester| &*requester.user_id).or(named.as_deref());
        match self.check_password(wanted, password).await {
            Ok(owner) => Ok(Ok(owner)),
            Err(LoginError::WrongPassword | LoginError::WrongToken) => {
                Ok(Err("the password is wrong"))
            }
            Err(LoginError::Deactivated) => Err(InteractiveAuthError::Deactivated),
            Err(LoginError::Locked) => Err(InteractiveAuthError::Locked),
            Err(LoginError::Password(error)) => Err(error.into()),
            Err(LoginError::Store(error)) => Err(error.into()),
        }
    }

    fn begin(
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

    fn challenge(
        &self,
        operation: Operation,
        flows: &[AuthFlow],
        requester: Option<&Session>,
        failure: Option<&'static str>,
    ) -> InteractiveAuthError {
        let (id, _) = self.begin(operation, flows, requester);
        info(flows, id, Vec::new(), failure)
    }
}

fn info(
    flows: &[AuthFlow],
    session: String,
    completed: Vec<AuthType>,
    failure: Option<&'static str>,
) -> InteractiveAuthError {
    let mut info = UiaaInfo::new(flows.to_vec());
    info.session = Some(session);
    info.completed = completed;
    // The specification requires `params`; none of our stages has any.
    info.params = RawValue::from_string("{}".to_owned()).ok();
    info.auth_error = failure
        .map(|reason| Box::new(StandardErrorBody::new(ErrorKind::Forbidden, reason.to_owned())));
    InteractiveAuthError::Required(Box::new(info))
}

#[cfg(test)]
mod tests {
    use ruma::api::client::uiaa::Dummy;

    use super::*;
    use crate::testing::{accounts, password};

    fn dummy(session: Option<String>) -> AuthData {
        let mut dummy = Dummy::new();
        dummy.session = session;
        AuthData::Dummy(dummy)
    }

    fn required(outcome: Result<Passed, InteractiveAuthError>) -> UiaaInfo {
        match outcome {
            Err(InteractiveAuthError::Required(info)) => *info,
            other => panic!("{other:?}"),
        }
    }

    fn flows() -> [AuthFlow; 1] {
        [AuthFlow::new(vec![AuthType::Dummy])]
    }

    #[tokio::test]
    async fn a_session_counts_once_and_for_its_operation_only() {
        let (accounts, _) = accounts().await;
        let ask = async |name: &'static str, auth: Option<AuthData>| {
            let operation = Operation::new(name, []);
            accounts.authenticate_interactively(operation, &flows(), None, auth.as_ref()).await
        };
        let session = required(ask("one", None).await).session;
        let other = required(ask("two", Some(dummy(session.clone()))).await);
        assert!(other.auth_error.is_some());

        ask("one", Some(dummy(session.clone()))).await.unwrap();

        let again = required(ask("one", Some(dummy(session.clone()))).await);
        assert_ne!(again.session, session);
    }

    #[tokio::test]
    async fn a_session_expires() {
        let (accounts, clock) = accounts().await;
        let operation = Operation::new("one", []);
        let ask = async |auth: Option<AuthData>| {
            accounts.authenticate_interactively(operation, &flows(), None, auth.as_ref()).await
        };
        let session = required(ask(None).await).session;
        clock.advance(LIFETIME);
        required(ask(Some(dummy(session))).await);
    }

    #[tokio::test]
    async fn a_stage_completed_apart_counts_when_the_request_comes_again() {
        let (accounts, _) = accounts().await;
        let operation = Operation::new("one", []);
        let ask = async |auth: Option<AuthData>| {
            accounts.authenticate_interactively(operation, &flows(), None, auth.as_ref()).await
        };
        let session = required(ask(None).await).session.unwrap();
        assert!(accounts.has_stage(&session, &AuthType::Dummy));
        assert!(!accounts.has_stage(&session, &AuthType::RegistrationToken));
        assert!(!accounts.has_stage("made up", &AuthType::Dummy));
        let again = AuthData::fallback_acknowledgement(session.clone());
        required(ask(Some(again.clone())).await);

        let outcome = accounts.try_stage(&dummy(Some(session.clone()))).await.unwrap();
        assert_eq!(outcome, StageOutcome::Completed);
        ask(Some(again)).await.unwrap();

        let late = accounts.try_stage(&dummy(Some(session))).await.unwrap();
        assert_eq!(late, StageOutcome::UnknownSession);
    }

    #[tokio::test]
    async fn a_password_does_not_count_apart_from_its_request() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        accounts.with_user("bo").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let operation = Operation::new("x", []);
        let asked = accounts.require_owner(operation, Some(&session), None).await;
        let Err(InteractiveAuthError::Required(info)) = asked else { panic!("{asked:?}") };
        let AuthData::Password(mut shown) = password("bo", "secret") else { panic!() };
        shown.session.clone_from(&info.session);

        let outcome = accounts.try_stage(&AuthData::Password(shown)).await.unwrap();

        assert_eq!(outcome, StageOutcome::UnknownSession);
    }

    #[tokio::test]
    async fn only_ones_own_password_counts() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        accounts.with_user("bo").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let ask = async |auth: &AuthData| {
            accounts.require_owner(Operation::new("x", []), Some(&session), Some(auth)).await
        };

        let wrong = ask(&password("ada", "wrong")).await;
        let Err(InteractiveAuthError::Required(info)) = wrong else { panic!("{wrong:?}") };
        assert_eq!(info.auth_error.unwrap().kind, ErrorKind::Forbidden);
        let other = ask(&password("bo", "secret")).await;
        assert!(matches!(other, Err(InteractiveAuthError::OtherUser)));
        let dummy = ask(&dummy(None)).await;
        assert!(matches!(dummy, Err(InteractiveAuthError::Required(_))));
        ask(&password("@ada:hearth.test", "secret")).await.unwrap();
        ask(&password("ada", "secret")).await.unwrap();
    }

    #[test]
    fn operations_differ_by_name_and_by_every_part() {
        let all = [
            Operation::new("a", []),
            Operation::new("a", ["b"]),
            Operation::new("a", ["b", "c"]),
            Operation::new("a", ["bc"]),
            Operation::new("ab", ["c"]),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| other != one));
        }
    }
}
