//! User-interactive authentication. Spec: client-server API, "User-Interactive Authentication API".

mod sessions;
mod stages;

use std::sync::PoisonError;

use ruma::api::{
    client::uiaa::{AuthData, AuthFlow, AuthType, UiaaInfo},
    error::{ErrorKind, StandardErrorBody},
};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use store::{StoreError, UserNumber};

pub(crate) use self::sessions::{InteractiveSessions, Passed};
use self::{sessions::InteractiveSession, stages::Stage};
use crate::{Accounts, PasswordError, Session, login::Owner};

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
        if failure.is_none() && flows.iter().any(done) && self.0.interactive.end(&id) {
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

    use super::sessions::LIFETIME;
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
