//! Why the program ends early, in words for whoever started it.

use std::{error::Error, fmt};

/// A sentence, and what caused it.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), cause: None }
    }

    /// For `map_err`: a sentence about what was attempted, with the error it met.
    pub(crate) fn because<E: Error + Send + Sync + 'static>(
        message: impl Into<String>,
    ) -> impl FnOnce(E) -> Self {
        let message = message.into();
        move |error| Self { message, cause: Some(Box::new(error)) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause: Option<&dyn Error> = self.cause.as_deref().map(|error| error as &dyn Error);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
