//! User-interactive authentication. Spec: client-server API, "User-Interactive Authentication API".

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use quick_cache::sync::Cache;
use ruma::{
    MilliSecondsSinceUnixEpoch,
    api::{
        client::uiaa::{AuthData, AuthFlow, AuthType, UiaaInfo, UserIdentifier},
        error::{ErrorKind, StandardErrorBody},
    },
};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use store::StoreError;

use crate::{
    Accounts, LoginError, PasswordError, Secret, Session, after, passwords::Verdict,
    usernames::existing_user_id,
};

/// How many authentications may be under way; the oldest end when there are more.
const MAX_SESSIONS: usize = 10_000;

/// How long an authentication may take.
const LIFETIME: Duration = Duration::from_mins(30);

/// What somebody authenticates for. An authentication counts for this one operation only, so a client that was
/// tricked into completing one cannot have it used for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation([u8; 32]);

impl Operation {
    /// The operation of an endpoint, called `name`, on what `parts` say.
    pub fn new<'a>(name: &'a str, parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hash = Sha256::new();
        for part in std::iter::once(name).chain(parts) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
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
}

#[derive(Debug)]
struct InteractiveSession {
    operation: Operation,
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

    fn find(
        &self,
        id: &str,
        operation: Operation,
        now: MilliSecondsSinceUnixEpoch,
    ) -> Option<Arc<Mutex<InteractiveSession>>> {
        let found = self.0.get(id)?;
        let session = found.lock().unwrap_or_else(PoisonError::into_inner);
        let valid = session.operation == operation && now < session.expires_at;
        drop(session);
        valid.then_some(found)
    }
}

/// What became of one stage.
enum Stage {
    Completed(AuthType),
    Failed(&'static str),
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
            return Err(self.challenge(operation, flows, None));
        };
        let now = self.now();
        let (id, session) = match auth.session() {
            Some(id) => {
                let Some(session) = self.0.interactive.find(id, operation, now) else {
                    return Err(self.challenge(operation, flows, Some("the session is unknown")));
                };
                (id.to_owned(), session)
            }
            None => self.begin(operation),
        };
        let mut token = None;
        let stage = self.check_stage(flows, requester, auth, &mut token).await?;
        let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = match stage {
            Some(Stage::Completed(stage)) => {
                if !session.completed.contains(&stage) {
                    session.completed.push(stage);
                }
                session.passed.registration_token =
                    token.or(session.passed.registration_token.take());
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

    /// Asks for the user's own password: for what a stolen access token alone must not be able to do.
    pub async fn require_password(
        &self,
        operation: Operation,
        session: &Session,
        auth: Option<&AuthData>,
    ) -> Result<(), InteractiveAuthError> {
        let flows = [AuthFlow::new(vec![AuthType::Password])];
        self.authenticate_interactively(operation, &flows, Some(session), auth).await.map(drop)
    }

    /// Checks what the client sent for one stage; `None` when it only asks how far it is.
    async fn check_stage(
        &self,
        flows: &[AuthFlow],
        requester: Option<&Session>,
        auth: &AuthData,
        token: &mut Option<String>,
    ) -> Result<Option<Stage>, InteractiveAuthError> {
        let Some(kind) = auth.auth_type() else { return Ok(None) };
        if !flows.iter().any(|flow| flow.stages.contains(&kind)) {
            return Ok(Some(Stage::Failed("this kind of authentication is not offered")));
        }
        let failure = match (auth, requester) {
            (AuthData::Dummy(_), _) => None,
            (AuthData::RegistrationToken(shown), _) => {
                if self.registration_token_is_valid(&shown.token).await? {
                    *token = Some(shown.token.clone());
                    None
                } else {
                    Some("the registration token is not valid")
                }
            }
            (AuthData::Password(shown), Some(requester)) => {
                self.check_own_password(requester, &shown.identifier, &shown.password).await?
            }
            _ => Some("this kind of authentication is not offered"),
        };
        Ok(Some(failure.map_or(Stage::Completed(kind), Stage::Failed)))
    }

    async fn check_own_password(
        &self,
        requester: &Session,
        identifier: &UserIdentifier,
        password: &str,
    ) -> Result<Option<&'static str>, InteractiveAuthError> {
        let UserIdentifier::Matrix(user) = identifier else {
            return Ok(Some("users are known by their user ID only"));
        };
        let named = existing_user_id(&user.user, self.server_name());
        let same =
            |named: &ruma::UserId| named.as_str().eq_ignore_ascii_case(requester.user_id.as_str());
        if !named.as_deref().is_some_and(same) {
            return Err(InteractiveAuthError::OtherUser);
        }
        match self.is_own_password(requester, password).await {
            Ok(Verdict::Right) => Ok(None),
            Ok(Verdict::Wrong) => Ok(Some("the password is wrong")),
            Err(LoginError::Password(error)) => Err(error.into()),
            Err(LoginError::Store(error)) => Err(error.into()),
            Err(LoginError::WrongPassword | LoginError::Deactivated) => {
                Err(InteractiveAuthError::OtherUser)
            }
        }
    }

    fn begin(&self, operation: Operation) -> (String, Arc<Mutex<InteractiveSession>>) {
        let id = Secret::random("uia", &mut rand::rng()).into_exposed();
        let session = Arc::new(Mutex::new(InteractiveSession {
            operation,
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
        failure: Option<&'static str>,
    ) -> InteractiveAuthError {
        let (id, _) = self.begin(operation);
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
    use ruma::api::client::uiaa::{Dummy, MatrixUserIdentifier, Password};

    use super::*;
    use crate::testing::accounts;

    fn dummy(session: Option<String>) -> AuthData {
        let mut dummy = Dummy::new();
        dummy.session = session;
        AuthData::Dummy(dummy)
    }

    fn password(user: &str, password: &str) -> AuthData {
        let user = UserIdentifier::Matrix(MatrixUserIdentifier::new(user.to_owned()));
        AuthData::Password(Password::new(user, password.to_owned()))
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
        let ask = async |name: &str, auth: Option<AuthData>| {
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
    async fn only_ones_own_password_counts() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        accounts.with_user("bo").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let ask = async |auth: &AuthData| {
            accounts.require_password(Operation::new("x", []), &session, Some(auth)).await
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
