//! What a client is told when a search fails.

use rooms::SearchError;

use crate::MatrixError;

impl From<SearchError> for MatrixError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Room(error) => error.into(),
            SearchError::Store(_) | SearchError::Index(_) | SearchError::Stopped(_) => {
                Self::internal(&error)
            }
        }
    }
}
