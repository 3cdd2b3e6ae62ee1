//! What a server answered.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// A whole HTTP answer, with the request that it answers for the message of a failed expectation.
#[derive(Debug)]
#[must_use]
pub struct Answer {
    pub(crate) request: String,
    /// The HTTP status code.
    pub status: u16,
    /// The HTTP headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| {
            panic!("{}: body is not JSON ({error}): {}", self.request, self.text)
        })
    }

    /// The body of an answer that must be a success.
    #[track_caller]
    pub fn expect_ok(self) -> Value {
        assert_eq!(self.status, 200, "{} was answered {}", self.request, self.text);
        self.json()
    }

    /// The body of an answer that must be an error with this status and errcode.
    #[track_caller]
    pub fn expect_error(self, status: u16, errcode: &str) -> Value {
        self.expect_error_of(&[(status, errcode)])
    }

    /// As [`Self::expect_error`], where the specification leaves a choice between several.
    #[track_caller]
    pub fn expect_error_of(self, choices: &[(u16, &str)]) -> Value {
        let found = self.json();
        let errcode = found["errcode"].as_str().unwrap_or_default();
        assert!(
            choices.contains(&(self.status, errcode)),
            "{} was answered {} {}, not one of {choices:?}",
            self.request,
            self.status,
            self.text
        );
        assert!(found["error"].is_string(), "{}: no text in {}", self.request, self.text);
        found
    }

    /// The body of a user-interactive authentication challenge: status 401 with flows and a session.
    #[track_caller]
    pub fn expect_challenge(self) -> Value {
        assert_eq!(self.status, 401, "{} was answered {}", self.request, self.text);
        let challenge = self.json();
        assert!(challenge["flows"].is_array(), "{}: no flows in {challenge}", self.request);
        assert!(challenge["session"].is_string(), "{}: no session in {challenge}", self.request);
        challenge
    }
}
