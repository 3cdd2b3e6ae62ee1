//! Secrets in the configuration.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A string that is never printed by accident.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
