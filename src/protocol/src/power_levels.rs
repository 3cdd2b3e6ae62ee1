//! Who may do what in a room.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use ruma::{
    Int, OwnedUserId, UserId,
    events::{StateEventType, TimelineEventType, room::power_levels::UserPowerLevel},
    int,
    room_version_rules::RoomVersionRules,
    state_res::events::{RoomCreateEvent, RoomPowerLevelsEvent, RoomPowerLevelsIntField as Field},
};

use crate::Pdu;

/// The power levels in force in a room: read once from its state, then asked often.
///
/// Whatever the events do not say, or say in a way the room version does not know, has the specification's default. The
/// authorisation rules stay the judge of what is allowed; this is for asking before, and for what they leave open.
/// Spec: client-server API, `m.room.power_levels`.
#[derive(Debug, Clone)]
pub struct PowerLevels {
    users: BTreeMap<OwnedUserId, Int>,
    events: BTreeMap<TimelineEventType, Int>,
    notifications: BTreeMap<String, Int>,
    users_default: Int,
    events_default: Int,
    state_default: Int,
    ban: Int,
    kick: Int,
    invite: Int,
    redact: Int,
    /// Those whom no power level binds: the creators, from room version 12 on.
    privileged: HashSet<OwnedUserId>,
}

impl PowerLevels {
    /// The levels that `power_levels`, the room's `m.room.power_levels` event, and its `create` event set.
    pub fn new(
        power_levels: Option<&Arc<Pdu>>,
        create: Option<&Arc<Pdu>>,
        rules: &RoomVersionRules,
    ) -> Self {
        let auth = &rules.authorization;
        let creators = create
            .and_then(|create| RoomCreateEvent::new(create.clone()).creators(auth).ok())
            .unwrap_or_default();
        let event = power_levels.map(|event| RoomPowerLevelsEvent::new(event.clone()));
        let level = |field: Field| {
            let set = event.as_ref().and_then(|event| event.get_as_int(field, auth).ok().flatten());
            set.unwrap_or_else(|| field.default_value())
        };
        let mut users = match &event {
            Some(event) => event.users(auth).ok().flatten().cloned().unwrap_or_default(),
            None => creators.iter().map(|creator| (creator.clone(), int!(100))).collect(),
        };
        let privileged =
            if auth.explicitly_privilege_room_creators { creators } else { HashSet::new() };
        users.retain(|user, _| !privileged.contains(user));
        let events = event.as_ref().and_then(|event| event.events(auth).ok().flatten());
        let notifications =
            event.as_ref().and_then(|event| event.notifications(auth).ok().flatten());
        Self {
            users_default: level(Field::UsersDefault),
            events_default: level(Field::EventsDefault),
            state_default: level(Field::StateDefault),
            ban: level(Field::Ban),
            kick: level(Field::Kick),
            invite: level(Field::Invite),
            redact: level(Field::Redact),
            users,
            events: events.unwrap_or_default(),
            notifications: notifications.unwrap_or_default(),
            privileged,
        }
    }

    /// The level of a user, in the room or not.
    pub fn of(&self, user: &UserId) -> UserPowerLevel {
        if self.privileged.contains(user) {
            return UserPowerLevel::Infinite;
        }
        self.users.get(user).copied().unwrap_or(self.users_default).into()
    }

    /// The level needed to send messages of this type. Redacting another's event needs [`PowerLevels::redact`] besides.
    pub fn to_send_message(&self, kind: &TimelineEventType) -> Int {
        self.events.get(kind).copied().unwrap_or(self.events_default)
    }

    /// The level needed to set state of this type; memberships have rules of their own.
    pub fn to_send_state(&self, kind: &StateEventType) -> Int {
        self.events.get(&kind.to_string().into()).copied().unwrap_or(self.state_default)
    }

    /// The level needed to notify, say, the whole `room`.
    pub fn to_notify(&self, key: &str) -> Int {
        self.notifications.get(key).copied().unwrap_or(int!(50))
    }

    /// The level needed to ban.
    pub fn ban(&self) -> Int {
        self.ban
    }

    /// The level needed to kick.
    pub fn kick(&self) -> Int {
        self.kick
    }

    /// The level needed to invite.
    pub fn invite(&self) -> Int {
        self.invite
    }

    /// The level needed to redact the event of another.
    pub fn redact(&self) -> Int {
        self.redact
    }

    /// Whether `user` may send messages of this type.
    pub fn can_send_message(&self, user: &UserId, kind: &TimelineEventType) -> bool {
        self.of(user) >= self.to_send_message(kind)
    }

    /// Whether `user` may set state of this type.
    pub fn can_send_state(&self, user: &UserId, kind: &StateEventType) -> bool {
        self.of(user) >= self.to_send_state(kind)
    }

    /// Whether `user` may invite.
    pub fn can_invite(&self, user: &UserId) -> bool {
        self.of(user) >= self.invite
    }

    /// Whether `user` may kick `target`, or take back an invitation or a knock of theirs.
    pub fn can_kick(&self, user: &UserId, target: &UserId) -> bool {
        self.of(user) >= self.kick && self.of(target) < self.of(user)
    }

    /// Whether `user` may ban `target`.
    pub fn can_ban(&self, user: &UserId, target: &UserId) -> bool {
        self.of(user) >= self.ban && self.of(target) < self.of(user)
    }

    /// Whether `user` may lift the ban of `target`: that takes the levels to ban and to kick.
    pub fn can_unban(&self, user: &UserId, target: &UserId) -> bool {
        self.can_ban(user, target) && self.can_kick(user, target)
    }

    /// Whether `user` may redact events that others sent.
    pub fn can_redact_others(&self, user: &UserId) -> bool {
        self.can_send_message(user, &TimelineEventType::RoomRedaction)
            && self.of(user) >= self.redact
    }

    /// Whether `user` may notify, say, the whole `room`.
    pub fn can_notify(&self, user: &UserId, key: &str) -> bool {
        self.of(user) >= self.to_notify(key)
    }

    /// Whoever has more than the default level, with that level; the creators of a version 12 room besides.
    /// Of them comes the server that a request to the room is best sent to.
    pub fn users(&self) -> impl Iterator<Item = (&UserId, UserPowerLevel)> {
        let privileged = self.privileged.iter().map(|user| (&**user, UserPowerLevel::Infinite));
        privileged.chain(self.users.iter().map(|(user, level)| (&**user, (*level).into())))
    }
}

#[cfg(test)]
mod tests {
    use ruma::RoomVersionId;
    use serde_json::json;

    use super::*;
    use crate::test_room::{ADA, BO, CY, TestRoom, user};

    #[test]
    fn a_creator_has_100_until_levels_are_set_and_infinite_power_from_version_12() {
        for mut room in TestRoom::of_all_versions() {
            room.state.remove(&(StateEventType::RoomPowerLevels, String::new()));
            let levels = room.power_levels();
            let expected = if room.rules.authorization.explicitly_privilege_room_creators {
                UserPowerLevel::Infinite
            } else {
                UserPowerLevel::Int(int!(100))
            };
            assert_eq!(levels.of(&user(ADA)), expected);
            assert_eq!(levels.of(&user(BO)), int!(0));
            assert!(!levels.can_send_state(&user(BO), &StateEventType::RoomName));
            assert!(levels.can_send_message(&user(BO), &TimelineEventType::RoomMessage));
            assert!(levels.can_invite(&user(BO)) && !levels.can_notify(&user(BO), "room"));
        }
    }

    #[test]
    fn additional_creators_are_above_every_level() {
        let mut room = TestRoom::new(RoomVersionId::V12);
        let content = json!({ "room_version": "12", "additional_creators": [BO] });
        let create = room.event_with(ADA, "m.room.create", Some(""), &content, |template| {
            template.room_id = None;
            template.prev_events.clear();
        });
        let levels = PowerLevels::new(None, Some(&create), &room.rules);
        assert_eq!(levels.of(&user(BO)), UserPowerLevel::Infinite);
        assert!(!levels.can_kick(&user(BO), &user(ADA)) && levels.can_ban(&user(BO), &user(CY)));
        assert_eq!(levels.users().count(), 2);
    }

    #[test]
    fn each_action_asks_its_own_level() {
        let mut room = TestRoom::new(RoomVersionId::V11);
        room.levels(&json!({
            "users": { BO: 50, CY: 40 }, "users_default": 1, "events_default": 2, "state_default": 45,
            "ban": 41, "kick": 42, "invite": 43, "redact": 44, "notifications": { "room": 46 },
            "events": { "m.room.topic": 3, "m.room.redaction": 47 },
        }));
        let levels = room.power_levels();
        let (bo, cy, nobody) = (user(BO), user(CY), user("@nobody:x"));
        assert_eq!(
            (
                levels.ban(),
                levels.kick(),
                levels.invite(),
                levels.redact(),
                levels.to_notify("room")
            ),
            (int!(41), int!(42), int!(43), int!(44), int!(46))
        );
        assert_eq!(levels.of(&nobody), int!(1));
        assert!(
            levels.can_ban(&bo, &cy) && levels.can_kick(&bo, &cy) && levels.can_unban(&bo, &cy)
        );
        assert!(
            !levels.can_ban(&cy, &nobody)
                && !levels.can_ban(&bo, &user(ADA))
                && !levels.can_ban(&bo, &bo)
        );
        assert!(levels.can_invite(&bo) && !levels.can_invite(&cy));
        assert!(levels.can_send_state(&cy, &StateEventType::RoomTopic));
        assert!(!levels.can_send_state(&cy, &StateEventType::RoomName));
        assert!(!levels.can_send_message(&nobody, &TimelineEventType::RoomMessage));
        assert!(levels.can_redact_others(&bo) && !levels.can_redact_others(&cy));
        assert!(levels.can_notify(&bo, "room") && !levels.can_notify(&cy, "room"));
        assert_eq!(levels.to_notify("unheard_of"), int!(50));
    }

    #[test]
    fn levels_as_strings_count_before_version_10() {
        let mut room = TestRoom::new(RoomVersionId::V9);
        let content = json!({ "users": { ADA: " +0100 ", BO: "-5" }, "ban": "0060", "events": { "m.x": "7" } });
        room.send_state(ADA, "m.room.power_levels", "", &content);
        let levels = room.power_levels();
        assert_eq!(
            (levels.of(&user(ADA)), levels.of(&user(BO))),
            (int!(100).into(), int!(-5).into())
        );
        assert_eq!((levels.ban(), levels.to_send_message(&"m.x".into())), (int!(60), int!(7)));
    }

    #[test]
    fn malformed_levels_are_as_good_as_none() {
        let mut room = TestRoom::new(RoomVersionId::V11);
        let content = json!({ "users": [], "ban": "60", "events": 1, "notifications": null });
        let event = room.event(ADA, "m.room.power_levels", Some(""), &content);
        let levels = PowerLevels::new(Some(&event), None, &room.rules);
        assert_eq!((levels.of(&user(ADA)), levels.ban()), (int!(0).into(), int!(50)));
    }
}
