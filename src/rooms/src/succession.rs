//! What a user keeps when one room takes the place of another.
//! Spec: client-server API, "Room upgrades": "the server should automatically transfer/replicate some of the user's
//! personalized settings".

use ruma::events::StateEventType;
use ruma::{OwnedRoomId, RoomId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{AccountData, Batch, Membership, RoomNumber, StoreError, UserNumber};

use crate::create::raw;
use crate::{RoomError, Rooms};

/// How often settings are written again that were changed by somebody else meanwhile.
const ATTEMPTS: usize = 16;

/// What one user keeps of one room for another.
struct Succession<'a> {
    user: UserNumber,
    old: RoomNumber,
    old_id: &'a RoomId,
    new: RoomNumber,
    new_id: &'a RoomId,
}

impl Rooms {
    /// Gives a local user who came into a room what they had set for the room before it: push rules, tags, whether
    /// it is a direct chat. What they set for the new room stays. They are in the room whatever becomes of it.
    pub(crate) async fn settle_in(&self, user: &UserId, new: RoomNumber) {
        if let Err(error) = self.inherit(user, new).await {
            tracing::warn!(%user, room = %new, %error, "settings of the old room are not taken over");
        }
    }

    async fn inherit(&self, user: &UserId, new: RoomNumber) -> Result<(), RoomError> {
        if user.server_name() != self.server_name() {
            return Ok(());
        }
        let Some(old_id) = self.predecessor(new).await? else { return Ok(()) };
        let Some(old) = self.store().room_number(&old_id).await? else { return Ok(()) };
        let Some(new_id) = self.store().room_id(new).await? else { return Ok(()) };
        let user = self.store().number_user(user).await?;
        let known = self.store().membership(user, old).await?.map(|known| known.membership);
        if !matches!(known, Some(Membership::Join | Membership::Leave)) {
            return Ok(());
        }
        let succession = Succession { user, old, old_id: &old_id, new, new_id: &new_id };
        for _ in 0..ATTEMPTS {
            let batch = self.inherited(&succession).await?;
            if batch.is_empty() {
                return Ok(());
            }
            match self.store().commit(batch).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(RoomError::Busy)
    }

    /// The room that a room says it takes the place of.
    async fn predecessor(&self, room: RoomNumber) -> Result<Option<OwnedRoomId>, RoomError> {
        #[derive(Deserialize)]
        struct Create {
            predecessor: Predecessor,
        }
        #[derive(Deserialize)]
        struct Predecessor {
            room_id: OwnedRoomId,
        }
        let root = self.current_state(room).await?;
        let create = self.state_at(room, root, &StateEventType::RoomCreate, "").await?;
        let content = create.and_then(|create| create.pdu.content_as::<Create>().ok());
        Ok(content.map(|content| content.predecessor.room_id))
    }

    /// All that changes in the account data of one user.
    async fn inherited(&self, succession: &Succession<'_>) -> Result<Batch, RoomError> {
        let Succession { user, old, old_id, new, new_id } = *succession;
        let mut batch = Batch::new();
        for (kind, change) in [
            ("m.push_rules", inherit_push_rules as fn(&mut Value, &RoomId, &RoomId) -> bool),
            ("m.direct", inherit_direct),
        ] {
            let Some(before) = self.store().account_data(user, None, kind).await? else { continue };
            let Ok(mut content) = serde_json::from_str(before.content.get()) else { continue };
            if change(&mut content, old_id, new_id) {
                put(&mut batch, user, None, kind, Some(&before), &content)?;
            }
        }
        let kind = "m.tag";
        let before = self.store().account_data(user, Some(new), kind).await?;
        let tags = self.store().account_data(user, Some(old), kind).await?;
        if let (None, Some(tags)) = (before, tags) {
            batch.set_account_data(user, Some(new), kind, None, &tags.content)?;
        }
        Ok(batch)
    }
}

/// Sets account data, unless it has grown larger than it may be.
fn put(
    batch: &mut Batch,
    user: UserNumber,
    room: Option<RoomNumber>,
    kind: &str,
    before: Option<&AccountData>,
    content: &Value,
) -> Result<(), RoomError> {
    let content = raw(content);
    if content.get().len() <= AccountData::MAX_CONTENT {
        batch.set_account_data(user, room, kind, before, &content)?;
    }
    Ok(())
}

/// Adds, after each rule for the old room, the same for the new one. Clients mute a room by an override rule that has
/// the room's ID for its own. Tells whether anything changed.
fn inherit_push_rules(content: &mut Value, old: &RoomId, new: &RoomId) -> bool {
    let mut changed = false;
    for kind in ["override", "room", "underride"] {
        let rules = content.pointer_mut(&format!("/global/{kind}")).and_then(Value::as_array_mut);
        let Some(rules) = rules else { continue };
        let place = |id: &RoomId, rules: &[Value]| {
            rules.iter().position(|rule| rule["rule_id"] == id.as_str())
        };
        if place(new, rules).is_some() {
            continue;
        }
        let Some(at) = place(old, rules) else { continue };
        let mut rule = rules[at].clone();
        rule["rule_id"] = json!(new);
        let conditions = rule.get_mut("conditions").and_then(Value::as_array_mut);
        for condition in conditions.into_iter().flatten() {
            if condition["key"] == "room_id" && condition["pattern"] == old.as_str() {
                condition["pattern"] = json!(new);
            }
        }
        rules.insert(at + 1, rule);
        changed = true;
    }
    changed
}

/// Names the new room wherever the old one is a direct chat. Tells whether anything changed.
fn inherit_direct(content: &mut Value, old: &RoomId, new: &RoomId) -> bool {
    let mut changed = false;
    let lists = content.as_object_mut().into_iter().flatten();
    for list in lists.filter_map(|(_, list)| list.as_array_mut()) {
        let has = |id: &RoomId| list.iter().any(|room| *room == id.as_str());
        if has(old) && !has(new) {
            list.push(json!(new));
            changed = true;
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use ruma::room_id;

    use super::*;

    fn old() -> &'static RoomId {
        room_id!("!old:hearth.test")
    }

    fn new() -> &'static RoomId {
        room_id!("!new:hearth.test")
    }

    #[test]
    fn push_rules_of_the_old_room_are_repeated_for_the_new_once() {
        let mute = |id: &RoomId| {
            json!({
                "rule_id": id, "actions": [], "default": false, "enabled": true,
                "conditions": [{ "kind": "event_match", "key": "room_id", "pattern": id }],
            })
        };
        let loud = |id: &RoomId| json!({ "rule_id": id, "actions": ["notify"], "enabled": false });
        let other = json!({ "rule_id": "other" });
        let mut content =
            json!({ "global": { "override": [mute(old()), other], "room": [loud(old())] } });

        assert!(inherit_push_rules(&mut content, old(), new()));

        let expected = json!({ "global": {
            "override": [mute(old()), mute(new()), other], "room": [loud(old()), loud(new())],
        } });
        assert_eq!(content, expected);
        assert!(!inherit_push_rules(&mut content, old(), new()));
        for odd in [json!({}), json!([]), json!({ "global": { "room": 5 } })] {
            assert!(!inherit_push_rules(&mut odd.clone(), old(), new()), "{odd}");
        }
    }

    #[test]
    fn a_direct_chat_stays_one() {
        let mut content = json!({ "@bo:hearth.test": [old()], "@cy:hearth.test": [], "x": 5 });
        assert!(inherit_direct(&mut content, old(), new()));
        let expected = json!({ "@bo:hearth.test": [old(), new()], "@cy:hearth.test": [], "x": 5 });
        assert_eq!(content, expected);
        assert!(!inherit_direct(&mut content, old(), new()));
        assert!(!inherit_direct(&mut json!([old()]), old(), new()));
    }
}
