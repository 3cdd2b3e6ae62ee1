//! Who may set state under the ID of a user. Spec: room versions, "Authorisation rules"; MSC3757.

use std::{borrow::Cow, sync::Arc};

use ruma::{OwnedUserId, UserId, events::StateEventType};

use super::AuthError;
use crate::{Pdu, power_levels::PowerLevels, room_version::Rules};

/// Who may set state whose key begins with `@`; memberships have rules of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StateOwnership {
    /// The user whose ID it is, and the key is nothing but the ID.
    Strict,
    /// The user with whose ID it begins, and who has a higher power level than they. MSC3757.
    Ranked,
}

/// The event as the specification's rules shall judge it.
///
/// Where state is owned by rank, this looks at its owner and then gives an event whose key is its sender's ID, which
/// the specification's rule about `@` lets pass; no other rule looks at the key of such state.
pub(super) fn as_specified<'a>(
    event: &'a Pdu,
    state: impl Fn(&StateEventType, &str) -> Option<Arc<Pdu>>,
    rules: &Rules,
) -> Result<Cow<'a, Pdu>, AuthError> {
    let owned = event.state_entry().filter(|(kind, key)| is_owned(kind, key));
    let is_specified = owned.is_none_or(|(_, key)| key == event.sender);
    if rules.state_ownership == StateOwnership::Strict || is_specified {
        return Ok(Cow::Borrowed(event));
    }
    let levels = state(&StateEventType::RoomPowerLevels, "");
    let create = state(&StateEventType::RoomCreate, "");
    check_owner(event, &PowerLevels::new(levels.as_ref(), create.as_ref(), rules))?;
    Ok(Cow::Owned(Pdu { state_key: Some(event.sender.to_string()), ..event.clone() }))
}

/// Whether state of this type and key is of a user. Memberships and invitations by third parties have rules of their own.
pub(crate) fn is_owned(kind: &StateEventType, state_key: &str) -> bool {
    state_key.starts_with('@')
        && !matches!(
            kind,
            StateEventType::RoomMember
                | StateEventType::RoomCreate
                | StateEventType::RoomThirdPartyInvite
        )
}

/// Fails unless the state is the sender's own, or of a user with less power.
pub(crate) fn check_owner(event: &Pdu, levels: &PowerLevels) -> Result<(), AuthError> {
    let key = event.state_key.as_deref().unwrap_or_default();
    let owner = owner(key).ok_or_else(|| {
        let wanted = "a user id, or one with an underscore and more behind it";
        AuthError::Malformed(format!("a state key that begins with @ is {wanted}"))
    })?;
    if owner == event.sender || levels.of(&event.sender) > levels.of(&owner) {
        return Ok(());
    }
    Err(AuthError::NotAllowed(format!("this state is of {owner}")))
}

/// The user with whose ID a state key begins: it ends with the key, or at the first underscore behind the colon, as no
/// server's name has one.
fn owner(state_key: &str) -> Option<OwnedUserId> {
    let colon = state_key.find(':')?;
    let end = state_key[colon..].find('_').map_or(state_key.len(), |at| colon + at);
    UserId::parse(&state_key[..end]).ok()
}

#[cfg(test)]
mod tests {
    use ruma::RoomVersionId;
    use serde_json::json;

    use super::*;
    use crate::test_room::{ADA, BO, CY, TestRoom, user};

    const KIND: &str = "com.example.test";

    /// Ada has level 100, Bo and Cy have 0 and may set this kind of state.
    fn room(version: &str) -> TestRoom {
        let mut room = TestRoom::new(RoomVersionId::try_from(version).unwrap());
        let levels = json!({ "users": { ADA: 100 }, "events": { KIND: 0 } });
        room.send_state(ADA, "m.room.power_levels", "", &levels);
        for joiner in [BO, CY] {
            room.send_state(joiner, "m.room.member", joiner, &json!({ "membership": "join" }));
        }
        room
    }

    #[test]
    fn the_owner_is_the_user_whose_id_the_key_begins_with() {
        let id = Some(user(BO));
        assert_eq!(owner(BO), id);
        for suffix in ["_", "_x", "_x:!@#$123", "_@ada:hearth.test"] {
            assert_eq!(owner(&format!("{BO}{suffix}")), id, "{suffix}");
        }
        assert_ne!(owner(&format!("{BO}x_y")), id);
        assert_eq!(owner("@a_b:hearth.test:8448_c"), Some(user("@a_b:hearth.test:8448")));
        for odd in ["@oops", "@", "@:", "@bo:_x", "@bo:hearth.test@x_y"] {
            assert_eq!(owner(odd), None, "{odd}");
        }
    }

    #[test]
    fn state_of_a_user_is_set_by_them_and_by_those_above_them() {
        for version in ["org.matrix.msc3757.10", "org.matrix.msc3757.11"] {
            let mut room = room(version);
            let mut try_state =
                |sender, key: &str| room.try_state(sender, KIND, key, &json!({})).is_ok();
            assert!(try_state(BO, BO));
            assert!(try_state(BO, &format!("{BO}_lamp")));
            assert!(try_state(ADA, BO));
            assert!(try_state(ADA, &format!("{BO}_lamp")));
            assert!(try_state(ADA, "@nobody:other.test_lamp"));
            assert!(!try_state(BO, CY), "as much power is not more");
            assert!(!try_state(BO, &format!("{CY}_lamp")));
            assert!(!try_state(BO, ADA));
            assert!(!try_state(BO, &format!("{BO}lamp")));
            assert!(!try_state(ADA, "@oops"));
            let mut elsewhere = |sender, kind: &str| {
                room.try_state(sender, kind, &format!("{sender}_lamp"), &json!({})).is_ok()
            };
            assert!(elsewhere(ADA, "m.room.topic"));
            assert!(!elsewhere(BO, "m.room.topic"), "the level of the type counts as ever");
        }
    }

    #[test]
    fn in_other_versions_the_key_is_the_senders_id() {
        for version in ["10", "11"] {
            let mut room = room(version);
            assert!(room.try_state(BO, KIND, BO, &json!({})).is_ok());
            for (sender, key) in [(BO, format!("{BO}_lamp")), (ADA, BO.to_owned())] {
                assert!(room.try_state(sender, KIND, &key, &json!({})).is_err(), "{key}");
            }
        }
    }
}
