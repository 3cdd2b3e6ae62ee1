//! What a client wants to see of events that relate to others. Spec: MSC3874.

use protocol::Pdu;
use serde::{Deserialize, Serialize};

/// A filter by the relation that events state, which stands among the other keys of a filter of room events.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub struct RelationFilter {
    /// Only events that relate in one of these ways.
    #[serde(rename = "org.matrix.msc3874.rel_types")]
    rel_types: Option<Vec<String>>,
    /// No events that relate in one of these ways.
    #[serde(rename = "org.matrix.msc3874.not_rel_types", default)]
    not_rel_types: Vec<String>,
}

impl RelationFilter {
    /// Whether an event passes.
    pub fn covers(&self, event: &Pdu) -> bool {
        if self.rel_types.is_none() && self.not_rel_types.is_empty() {
            return true;
        }
        let rel_type = rooms::rel_type(&event.content);
        let is_in = |all: &Vec<String>| rel_type.as_ref().is_some_and(|one| all.contains(one));
        self.rel_types.as_ref().is_none_or(is_in) && !is_in(&self.not_rel_types)
    }
}
