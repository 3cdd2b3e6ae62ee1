//! The room versions served, and their rules.

use ruma::{RoomVersionId, room_version_rules::RoomVersionRules};

/// Every room version served, oldest first. All of them are stable.
/// Spec: room versions.
pub const SUPPORTED: [RoomVersionId; 12] = [
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

/// The room versions served, oldest first.
pub fn supported() -> &'static [RoomVersionId] {
    const { &SUPPORTED }
}

/// The rules of `version`; `None` if it is not served.
pub fn rules(version: &RoomVersionId) -> Option<RoomVersionRules> {
    supported().contains(version).then(|| version.rules()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_1_to_12_have_rules_and_no_other_has() {
        for number in 1..=12 {
            let version = RoomVersionId::try_from(number.to_string()).unwrap();
            assert!(supported().contains(&version) && rules(&version).is_some(), "{version}");
        }
        for unknown in ["0", "13", "org.example.custom"] {
            assert!(rules(&RoomVersionId::try_from(unknown).unwrap()).is_none(), "{unknown}");
        }
        assert!(supported().contains(&DEFAULT));
    }
}
