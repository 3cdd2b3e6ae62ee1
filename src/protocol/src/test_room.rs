//! A room for tests: makes events the way a server does and keeps the state.

use std::{collections::HashMap, sync::Arc};

use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomVersionId,
    UInt, UserId,
    events::{StateEventType, TimelineEventType},
    owned_room_id, server_name,
    state_res::{StateMap, utils::event_id_set::EventIdSet},
};
use serde_json::{Value, json, value::RawValue};

use crate::{
    Depth, Pdu, SigningKey,
    auth::{AuthError, auth_types, authorise, check_auth_events},
    event_builder::{EventTemplate, build},
    power_levels::PowerLevels,
    room_version::{self, Rules},
};

pub(crate) const ADA: &str = "@ada:hearth.test";
pub(crate) const BO: &str = "@bo:hearth.test";
pub(crate) const CY: &str = "@cy:other.test";

pub(crate) fn user(id: &str) -> OwnedUserId {
    UserId::parse(id).unwrap()
}

/// One branch of a room's history. A clone is a fork: give it another `clock`, so that its events differ.
#[derive(Clone)]
pub(crate) struct TestRoom {
    pub(crate) version: RoomVersionId,
    pub(crate) rules: Rules,
    room_id: Option<OwnedRoomId>,
    pub(crate) events: HashMap<OwnedEventId, Arc<Pdu>>,
    pub(crate) state: StateMap<OwnedEventId>,
    head: Option<Arc<Pdu>>,
    pub(crate) clock: u32,
}

impl TestRoom {
    /// A public room that Ada made; she has level 100 where creators have a level.
    pub(crate) fn new(version: RoomVersionId) -> Self {
        let rules = room_version::rules(&version).unwrap();
        let names_itself = rules.authorization.room_create_event_id_as_room_id;
        let room_id = (!names_itself).then(|| owned_room_id!("!kitchen:hearth.test"));
        let (events, state) = (HashMap::new(), StateMap::new());
        let mut room = Self { version, rules, room_id, events, state, head: None, clock: 1 };
        room.send_state(
            ADA,
            "m.room.create",
            "",
            &json!({ "creator": ADA, "room_version": room.version }),
        );
        room.send_state(ADA, "m.room.member", ADA, &json!({ "membership": "join" }));
        let levels = if names_itself { json!({}) } else { json!({ "users": { ADA: 100 } }) };
        room.send_state(ADA, "m.room.power_levels", "", &levels);
        room.send_state(ADA, "m.room.join_rules", "", &json!({ "join_rule": "public" }));
        room
    }

    /// Every supported version's room.
    pub(crate) fn of_all_versions() -> impl Iterator<Item = Self> {
        room_version::supported().iter().cloned().map(Self::new)
    }

    /// An event on this branch's head, naming the auth events it should; neither checked nor added.
    pub(crate) fn event(
        &mut self,
        sender: &str,
        kind: &str,
        state_key: Option<&str>,
        content: &Value,
    ) -> Arc<Pdu> {
        self.event_with(sender, kind, state_key, content, |_| {})
    }

    pub(crate) fn event_with(
        &mut self,
        sender: &str,
        kind: &str,
        state_key: Option<&str>,
        content: &Value,
        change: impl FnOnce(&mut EventTemplate),
    ) -> Arc<Pdu> {
        self.clock += 1;
        let content = RawValue::from_string(content.to_string()).unwrap();
        let kind = TimelineEventType::from(kind);
        let mut template = EventTemplate::new(self.room_id.clone(), user(sender), kind, content);
        template.state_key = state_key.map(ToOwned::to_owned);
        let wanted =
            auth_types(&template.kind, &template.sender, state_key, &template.content, &self.rules)
                .unwrap_or_default();
        template.auth_events =
            wanted.iter().filter_map(|key| self.state.get(key)).cloned().collect();
        template.prev_events = self.head.iter().map(|head| head.event_id.clone()).collect();
        template.depth = Depth::after(self.head.iter().map(|head| head.depth));
        template.origin_server_ts = MilliSecondsSinceUnixEpoch(UInt::from(self.clock));
        template.id_localpart = Some(format!("event{}", self.clock));
        change(&mut template);
        let key = SigningKey::from_seed([7; 32], "1".to_owned()).unwrap();
        build(template, &self.version, key.key_pair(), server_name!("hearth.test")).unwrap().0
    }

    /// Whether the current state allows the event.
    pub(crate) fn check(&self, event: &Pdu) -> Result<(), AuthError> {
        check_auth_events(event, |id| self.fetch(id), &self.rules)?;
        authorise(event, |kind, state_key| self.get(kind, state_key), &self.rules)
    }

    /// Adds an event to this branch.
    pub(crate) fn add(&mut self, event: &Arc<Pdu>) {
        if event.kind == TimelineEventType::RoomCreate {
            self.room_id = Some(event.room_id.clone());
        }
        if let Some((kind, state_key)) = event.state_entry() {
            self.state.insert((kind, state_key.to_owned()), event.event_id.clone());
        }
        self.events.insert(event.event_id.clone(), event.clone());
        self.head = Some(event.clone());
    }

    /// Sends state if it is allowed.
    pub(crate) fn try_state(
        &mut self,
        sender: &str,
        kind: &str,
        key: &str,
        content: &Value,
    ) -> Result<Arc<Pdu>, AuthError> {
        let event = self.event(sender, kind, Some(key), content);
        self.check(&event)?;
        self.add(&event);
        Ok(event)
    }

    /// Sends state that must be allowed.
    pub(crate) fn send_state(
        &mut self,
        sender: &str,
        kind: &str,
        key: &str,
        content: &Value,
    ) -> Arc<Pdu> {
        self.try_state(sender, kind, key, content).unwrap()
    }

    pub(crate) fn join(&mut self, who: &str) -> Arc<Pdu> {
        self.send_state(who, "m.room.member", who, &json!({ "membership": "join" }))
    }

    /// Sets the membership of `target` if it is allowed.
    pub(crate) fn membership(
        &mut self,
        sender: &str,
        target: &str,
        membership: &str,
    ) -> Result<Arc<Pdu>, AuthError> {
        self.try_state(sender, "m.room.member", target, &json!({ "membership": membership }))
    }

    /// Sets the power levels; Ada's own are added where they must be.
    pub(crate) fn levels(&mut self, content: &Value) -> Arc<Pdu> {
        let mut content = content.clone();
        if !self.rules.authorization.explicitly_privilege_room_creators {
            content["users"][ADA] = json!(100);
        }
        self.send_state(ADA, "m.room.power_levels", "", &content)
    }

    pub(crate) fn power_levels(&self) -> PowerLevels {
        let levels = self.get(&StateEventType::RoomPowerLevels, "");
        let create = self.get(&StateEventType::RoomCreate, "");
        PowerLevels::new(levels.as_ref(), create.as_ref(), &self.rules)
    }

    pub(crate) fn fetch(&self, id: &EventId) -> Option<Arc<Pdu>> {
        self.events.get(id).cloned()
    }

    pub(crate) fn get(&self, kind: &StateEventType, state_key: &str) -> Option<Arc<Pdu>> {
        self.fetch(self.state.get(&(kind.clone(), state_key.to_owned()))?)
    }

    /// All events that the state's events stand on.
    pub(crate) fn auth_chain(&self) -> EventIdSet<OwnedEventId> {
        let mut chain = EventIdSet::new();
        let mut open: Vec<_> = self.state.values().cloned().collect();
        while let Some(id) = open.pop() {
            for auth_event in &self.events[&id].auth_events {
                if chain.insert(auth_event.clone()) {
                    open.push(auth_event.clone());
                }
            }
        }
        chain
    }
}
