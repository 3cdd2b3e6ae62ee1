//! What can go wrong in the store.

/// A failure of the engine below: the disk, the files, the database server.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The files cannot be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Another process has this data folder open.
    #[error("another process is using {0}")]
    Locked(String),
    /// The data folder holds a database of another engine.
    #[error(
        "{folder} holds a database of the engine {found}, not {wanted}: choose {found}, or export and import the data"
    )]
    OtherEngine {
        /// The data folder.
        folder: String,
        /// The engine that wrote it.
        found: &'static str,
        /// The engine asked for.
        wanted: &'static str,
    },
    /// The database is damaged or was written by something else.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// The database library failed.
    #[error("the database failed: {0}")]
    Database(String),
}

impl StoreError {
    /// Whether a key or a value is too large to be stored, today and always.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge(_) | Self::TooLongKey(_))
    }
}

/// Why a read or a commit did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A precondition of the batch did not hold: somebody else was first. Read again and try again.
    #[error("the data changed in between")]
    Conflict,
    /// A value is larger than [`Batch::MAX_VALUE`](crate::Batch::MAX_VALUE).
    #[error("a value of {0} bytes is too large to store")]
    TooLarge(usize),
    /// A key is longer than [`Batch::MAX_KEY`](crate::Batch::MAX_KEY).
    #[error("a key of {0} bytes is too long to store")]
    TooLongKey(usize),
    /// What is stored cannot be understood.
    #[error("table {table}: stored value cannot be decoded: {reason}")]
    Undecodable {
        /// The table's name.
        table: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// The folder was written by a newer or older hearth whose layout this one does not know.
    #[error("the data has layout version {found}, this program knows {known}")]
    SchemaVersion {
        /// The version found.
        found: u32,
        /// The version this program writes.
        known: u32,
    },
    /// The store is closing; nothing is accepted any more.
    #[error("the store is closed")]
    Closed,
    /// The engine failed.
    #[error("the storage engine failed")]
    Engine(#[from] EngineError),
}
