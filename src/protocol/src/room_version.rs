//! The room versions served, and their rules.

use std::{ops::Deref, sync::LazyLock};

use ruma::{RoomVersionId, room_version_rules::RoomVersionRules};

use crate::auth::StateOwnership;

/// Versions 10 and 11 in which users own state: MSC3757.
const OWNED_STATE: [(&str, RoomVersionRules); 2] = [
    ("org.matrix.msc3757.10", RoomVersionRules::V10),
    ("org.matrix.msc3757.11", RoomVersionRules::V11),
];

static SUPPORTED: LazyLock<Vec<RoomVersionId>> = LazyLock::new(|| {
    let experiments = OWNED_STATE.iter().map(|(name, _)| RoomVersionId::try_from(*name));
    STABLE.into_iter().chain(experiments.flatten()).collect()
});

/// The versions that the specification has, oldest first. Spec: room versions.
const STABLE: [RoomVersionId; 12] = [
    RoomVersionId::V1,
    RoomVersionId::V2,
    RoomVersionId::V3,
    RoomVersionId::V4,
    RoomVersionId::V5,
    RoomVersionId::V6,
    RoomVersionId::V7,
    RoomVersionId::V8,
    RoomVersionId::V9,
    RoomVersionId::V10,
    RoomVersionId::V11,
    RoomVersionId::V12,
];

/// The version of a room whose creator asks for none.
pub const DEFAULT: RoomVersionId = RoomVersionId::V12;

/// What goes in rooms of one version: what ruma knows of it, and what only we do.
#[derive(Debug, Clone)]
pub struct Rules {
    specified: RoomVersionRules,
    pub(crate) state_ownership: StateOwnership,
}

impl Deref for Rules {
    type Target = RoomVersionRules;

    fn deref(&self) -> &RoomVersionRules {
        &self.specified
    }
}

/// The room versions served, oldest first, then those that are experiments.
pub fn supported() -> &'static [RoomVersionId] {
    &SUPPORTED
}

/// Whether the specification has a version.
pub fn is_stable(version: &RoomVersionId) -> bool {
    const { &STABLE }.contains(version)
}

/// The rules of `version`; `None` if it is not served.
pub fn rules(version: &RoomVersionId) -> Option<Rules> {
    if is_stable(version) {
        let specified = version.rules()?;
        return Some(Rules { specified, state_ownership: StateOwnership::Strict });
    }
    let (_, specified) = OWNED_STATE.into_iter().find(|(name, _)| *name == version.as_str())?;
    Some(Rules { specified, state_ownership: StateOwnership::Ranked })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_1_to_12_have_rules_and_are_stable() {
        for number in 1..=12 {
            let version = RoomVersionId::try_from(number.to_string()).unwrap();
            assert!(supported().contains(&version) && rules(&version).is_some(), "{version}");
            assert!(is_stable(&version));
        }
        assert!(supported().contains(&DEFAULT));
    }

    #[test]
    fn experiments_have_rules_and_what_is_not_served_has_none() {
        for name in ["org.matrix.msc3757.10", "org.matrix.msc3757.11"] {
            let version = RoomVersionId::try_from(name).unwrap();
            assert!(supported().contains(&version) && rules(&version).is_some(), "{version}");
            assert!(!is_stable(&version));
        }
        for unknown in ["0", "13", "org.example.custom", "org.matrix.msc3757.12"] {
            let version = RoomVersionId::try_from(unknown).unwrap();
            assert!(rules(&version).is_none() && !supported().contains(&version), "{unknown}");
        }
    }
}
