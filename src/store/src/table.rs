//! Tables: the keyspaces of the store.

/// One keyspace: an ordered map from key bytes to value bytes.
///
/// Numbers below 10 are the store's own, 10 to 39 rooms and events, 40 to 69 accounts, 70 to 89 what readers see
/// (receipts, counters), 90 and up federation.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    id: u8,
    name: &'static str,
    immutable: bool,
}

impl Table {
    /// A table whose values change.
    pub(crate) const fn new(id: u8, name: &'static str) -> Self {
        Self { id, name, immutable: false }
    }

    /// A table in which a key, once written, always has the same value (or none). Submitted but not yet durable
    /// values of such tables can be read at once, because only who wrote them knows their keys.
    pub(crate) const fn immutable(id: u8, name: &'static str) -> Self {
        Self { id, name, immutable: true }
    }

    /// A table known by its number alone, as in an export.
    pub(crate) const fn numbered(id: u8) -> Self {
        Self { id, name: "any", immutable: false }
    }

    /// The number that separates this table's keys from others' where an engine has one map for all.
    pub fn id(self) -> u8 {
        self.id
    }

    /// The name, for messages, metrics and engines with named tables.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Whether values never change once written.
    pub(crate) fn is_immutable(self) -> bool {
        self.immutable
    }
}

/// Tables are told apart by their numbers.
impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Table {}

impl std::hash::Hash for Table {
    fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
        self.id.hash(hasher);
    }
}

/// The store's own facts: layout version, last stream position, number reserve.
pub(crate) const META: Table = Table::new(0, "meta");
