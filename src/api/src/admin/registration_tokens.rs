//! Tokens that let their holders register: Synapse's API.

use accounts::{Accounts, RegistrationTokenLimits};
use ruma::{MilliSecondsSinceUnixEpoch, UInt, api::error::ErrorKind};
use serde::Serialize;
use serde_json::{Map, Value, json};
use store::RegistrationTokenRecord;

use super::{Administrator, Answer, answer::endpoint};
use crate::{Endpoints, MatrixError};

endpoint!(tokens: GET "/_synapse/admin/v1/registration_tokens" {
    #[ruma_api(query)]
    pub(crate) valid: Option<bool>,
});
endpoint!(new_token: POST "/_synapse/admin/v1/registration_tokens/new" {
    #[ruma_api(body)]
    pub(crate) body: serde_json::Map<String, serde_json::Value>,
});
endpoint!(token: GET "/_synapse/admin/v1/registration_tokens/{token}" {
    #[ruma_api(path)]
    pub(crate) token: String,
});
endpoint!(change_token: PUT "/_synapse/admin/v1/registration_tokens/{token}" {
    #[ruma_api(path)]
    pub(crate) token: String,
    #[ruma_api(body)]
    pub(crate) body: serde_json::Map<String, serde_json::Value>,
});
endpoint!(delete_token: DELETE "/_synapse/admin/v1/registration_tokens/{token}" {
    #[ruma_api(path)]
    pub(crate) token: String,
});

/// A token as it is shown. hearth counts a use when the account is made, so none is ever pending.
#[derive(Serialize)]
struct Row {
    token: String,
    uses_allowed: Option<u64>,
    pending: u64,
    completed: u64,
    expiry_time: Option<MilliSecondsSinceUnixEpoch>,
}

impl Row {
    fn new(token: String, record: &RegistrationTokenRecord) -> Self {
        Self {
            token,
            uses_allowed: record.uses_allowed,
            pending: 0,
            completed: record.uses,
            expiry_time: record.expires_at,
        }
    }
}

async fn tokens(
    accounts: Accounts,
    _: Administrator,
    request: tokens::Request,
) -> Result<Answer, MatrixError> {
    let tokens = accounts.registration_tokens(request.valid).await;
    let tokens = tokens.map_err(|error| MatrixError::internal(&error))?;
    let rows: Vec<Row> =
        tokens.into_iter().map(|(token, record)| Row::new(token, &record)).collect();
    Answer::new(&json!({ "registration_tokens": rows }))
}

async fn new_token(
    accounts: Accounts,
    _: Administrator,
    request: new_token::Request,
) -> Result<Answer, MatrixError> {
    let body = request.body;
    let token = match body.get("token") {
        None => accounts.random_registration_token(length(body.get("length"))?),
        Some(Value::String(token)) => token.clone(),
        Some(_) => return Err(invalid("token must be a string")),
    };
    let limits = limits(&body, RegistrationTokenLimits::default())?;
    let token = accounts.create_registration_token(Some(&token), limits).await?;
    show(&accounts, token).await
}

async fn token(
    accounts: Accounts,
    _: Administrator,
    request: token::Request,
) -> Result<Answer, MatrixError> {
    show(&accounts, request.token).await
}

async fn change_token(
    accounts: Accounts,
    _: Administrator,
    request: change_token::Request,
) -> Result<Answer, MatrixError> {
    // What is wrong with the request is told before it is looked what there is to change.
    limits(&request.body, RegistrationTokenLimits::default())?;
    let change = |before| limits(&request.body, before).unwrap_or(before);
    accounts.change_registration_token(&request.token, change).await?;
    show(&accounts, request.token).await
}

async fn delete_token(
    accounts: Accounts,
    _: Administrator,
    request: delete_token::Request,
) -> Result<Answer, MatrixError> {
    accounts.delete_registration_token(&request.token).await?;
    Ok(Answer::empty())
}

async fn show(accounts: &Accounts, token: String) -> Result<Answer, MatrixError> {
    let record = accounts.registration_token(&token).await?;
    Answer::new(&Row::new(token, &record))
}

fn length(given: Option<&Value>) -> Result<usize, MatrixError> {
    let Some(given) = given else { return Ok(16) };
    let length = given.as_u64().and_then(|length| usize::try_from(length).ok());
    let length = length.filter(|length| (1..=64).contains(length));
    length.ok_or_else(|| invalid("length must be a number from 1 to 64"))
}

/// A limit in a request.
#[derive(Clone, Copy)]
enum Given<T> {
    /// It is left out.
    Missing,
    /// `null`: there is none.
    Unlimited,
    Limit(T),
}

impl<T> Given<T> {
    /// The limit, where one that is left out is `before`.
    fn or(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Missing => before,
            Self::Unlimited => None,
            Self::Limit(limit) => Some(limit),
        }
    }
}

/// What a request changes of `before`.
fn limits(
    body: &Map<String, Value>,
    before: RegistrationTokenLimits,
) -> Result<RegistrationTokenLimits, MatrixError> {
    let uses = number(body, "uses_allowed")?.or(before.uses.and_then(|uses| uses.try_into().ok()));
    let expires_at = number(body, "expiry_time")?.or(before.expires_at.map(|at| at.get()));
    Ok(RegistrationTokenLimits {
        uses: uses.map(u64::from),
        expires_at: expires_at.map(MilliSecondsSinceUnixEpoch),
    })
}

fn number(body: &Map<String, Value>, key: &str) -> Result<Given<UInt>, MatrixError> {
    match body.get(key) {
        None => Ok(Given::Missing),
        Some(Value::Null) => Ok(Given::Unlimited),
        Some(value) => {
            let number = value.as_u64().and_then(|number| UInt::try_from(number).ok());
            let message = format!("{key} must be a number, not negative, or null");
            number.map(Given::Limit).ok_or_else(|| invalid(&message))
        }
    }
}

fn invalid(message: &str) -> MatrixError {
    MatrixError::bad_request(ErrorKind::InvalidParam, message)
}

pub(super) fn endpoints(accounts: Accounts) -> Endpoints<Accounts> {
    Endpoints::new(accounts).at(tokens).at(new_token).at(token).at(change_token).at(delete_token)
}
