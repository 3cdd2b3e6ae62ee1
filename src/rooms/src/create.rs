//! Creating rooms.

mod plan;

use futures_util::future::try_join_all;
use protocol::room_version;
use ruma::events::TimelineEventType;
use ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomId, RoomVersionId, UserId};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use store::{AliasRecord, Batch, Publication, StoreError};

use self::plan::Plan;
use crate::aliases::check_length;
use crate::assembly::Draft;
use crate::founding::Founding;
use crate::membership::member_content;
use crate::third_party_invites::Addressee;
use crate::{RoomError, Rooms, ThirdPartyInvite};

/// How a room is set up at first. Spec: client-server API, `POST /createRoom`, `preset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// `private_chat`: by invitation.
    PrivateChat,
    /// `trusted_private_chat`: by invitation, and the invited are the creator's equals.
    TrustedPrivateChat,
    /// `public_chat`: for everybody.
    PublicChat,
}

/// What an invitation is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invitation {
    /// A room.
    Ordinary,
    /// A chat of two.
    Direct,
}

/// One state event that a room begins with.
#[derive(Debug, Clone)]
pub struct InitialState {
    /// Its type.
    pub kind: TimelineEventType,
    /// Its state key.
    pub state_key: String,
    /// Its content, a JSON object.
    pub content: Box<RawValue>,
}

/// What a room is to be. Spec: client-server API, `POST /createRoom`.
#[derive(Debug, Clone)]
pub struct CreateRoom {
    /// The version; the server's default if `None`.
    pub version: Option<RoomVersionId>,
    /// More keys of `m.room.create`.
    pub creation_content: Map<String, Value>,
    /// How it is set up.
    pub preset: Preset,
    /// What state it begins with, beside and instead of the preset's.
    pub initial_state: Vec<InitialState>,
    /// Its name.
    pub name: Option<String>,
    /// Its topic.
    pub topic: Option<String>,
    /// An alias to create for it.
    pub alias: Option<OwnedRoomAliasId>,
    /// Whom to invite.
    pub invite: Vec<OwnedUserId>,
    /// Whom to invite of whom only an address is known.
    pub invite_third_party: Vec<ThirdPartyInvite>,
    /// What these are invited to.
    pub invitation: Invitation,
    /// Keys that replace those of the default power levels.
    pub power_levels: Map<String, Value>,
    /// Whether it is listed to everybody.
    pub publication: Publication,
}

/// The most users invited, of these by an address, and the most initial state events of one request.
const MAX_INVITES: usize = 100;
const MAX_THIRD_PARTY_INVITES: usize = 10;
const MAX_INITIAL_STATE: usize = 500;

impl Rooms {
    /// Creates a room, whole or not at all, and returns its ID once it is durable.
    ///
    /// Fails with [`RoomError::UnsupportedVersion`], [`RoomError::AliasInUse`], [`RoomError::InvalidRoomState`] when the
    /// room's rules do not allow an event that the request adds, and as that event or an invitation would. Spec: client-server
    /// API, `POST /createRoom`.
    #[tracing::instrument(skip_all, fields(%creator))]
    pub async fn create_room(
        &self,
        creator: &UserId,
        wish: CreateRoom,
    ) -> Result<OwnedRoomId, RoomError> {
        self.create_room_with(creator, wish, |_, _| Ok(())).await
    }

    /// As [`Rooms::create_room`], with more to put into the same batch once the room's ID is known.
    pub(crate) async fn create_room_with(
        &self,
        creator: &UserId,
        mut wish: CreateRoom,
        also: impl FnOnce(&mut Batch, &RoomId) -> Result<(), StoreError>,
    ) -> Result<OwnedRoomId, RoomError> {
        check_size(&wish)?;
        let version = wish.version.clone();
        let version = version.unwrap_or_else(|| self.settings().default_version.clone());
        let rules = room_version::rules(&version)
            .ok_or_else(|| RoomError::UnsupportedVersion(version.clone()))?;
        if let Some(alias) = &wish.alias {
            check_length(alias)?;
            if self.store().alias(alias).await?.is_some() {
                return Err(RoomError::AliasInUse(alias.clone()));
            }
        }
        if wish.publication == Publication::Published {
            self.check_publisher(creator).await?;
        }
        let third_party = self.sort_out(&mut wish).await?;
        let plan = Plan { creator, rules: rules.clone(), wish: &wish };
        let (create, drafts) = (plan.create_content(), self.drafts(&plan).await?);
        let publication = wish.publication;
        let founding =
            Founding { creator, version, rules, create, drafts, third_party, publication };
        let add_alias = |batch: &mut Batch, room_id: &RoomId| {
            if let Some(alias) = &wish.alias {
                let record =
                    AliasRecord { room_id: room_id.to_owned(), creator: creator.to_owned() };
                batch.create_alias(alias, &record)?;
            }
            also(batch, room_id)
        };
        match (self.found(founding, add_alias).await, &wish.alias) {
            (Err(RoomError::Store(StoreError::Conflict)), Some(alias)) => {
                Err(RoomError::AliasInUse(alias.clone()))
            }
            (Err(RoomError::Forbidden(reason)), _) => Err(RoomError::InvalidRoomState(reason)),
            (outcome, _) => outcome,
        }
    }

    /// Has identity servers tell who is meant by addresses: users are invited as such, the others are left.
    async fn sort_out(&self, wish: &mut CreateRoom) -> Result<Vec<Addressee>, RoomError> {
        let addressees = wish.invite_third_party.iter().map(|invite| self.addressee(invite));
        let addressees = addressees.collect::<Result<Vec<_>, _>>()?;
        let users = try_join_all(addressees.iter().map(Addressee::user)).await?;
        let mut left = Vec::new();
        for (addressee, user) in addressees.into_iter().zip(users) {
            match user {
                Some(user) if wish.invite.contains(&user) => {}
                Some(user) => wish.invite.push(user),
                None => left.push(addressee),
            }
        }
        Ok(left)
    }

    /// What follows the create event, in the order that the specification gives.
    async fn drafts(&self, plan: &Plan<'_>) -> Result<Vec<Draft>, RoomError> {
        let wish = plan.wish;
        if wish.initial_state.iter().any(|state| state.kind == TimelineEventType::RoomCreate) {
            return Err(RoomError::InvalidRoomState("a room is created once".to_owned()));
        }
        let profile = self.profile_of(plan.creator).await?;
        let mut drafts = vec![plan.state(
            "m.room.member",
            plan.creator.as_str(),
            &member_content("join", &profile, None),
        )];
        let power_levels = wish.initial_state.iter().rfind(|state| {
            state.kind == TimelineEventType::RoomPowerLevels && state.state_key.is_empty()
        });
        drafts.push(match power_levels {
            Some(given) => plan.given(given),
            None => plan.state("m.room.power_levels", "", &plan.power_levels()),
        });
        if let Some(alias) = &wish.alias {
            drafts.push(plan.state("m.room.canonical_alias", "", &json!({ "alias": alias })));
        }
        drafts.extend(plan.preset_state());
        drafts.extend(plan.initial_state());
        if let Some(name) = &wish.name {
            drafts.push(plan.state("m.room.name", "", &json!({ "name": name })));
        }
        if let Some(topic) = &wish.topic {
            let rich = json!({ "m.text": [{ "body": topic }] });
            drafts.push(plan.state(
                "m.room.topic",
                "",
                &json!({ "topic": topic, "m.topic": rich }),
            ));
        }
        for invited in &wish.invite {
            self.check_invite(invited, plan.creator).await?;
            let profile = self.profile_of(invited).await?;
            let mut content = member_content("invite", &profile, None);
            if wish.invitation == Invitation::Direct {
                content["is_direct"] = Value::Bool(true);
            }
            drafts.push(plan.state("m.room.member", invited.as_str(), &content));
        }
        Ok(drafts)
    }
}

fn check_size(wish: &CreateRoom) -> Result<(), RoomError> {
    let third_party = wish.invite_third_party.len();
    if wish.invite.len() + third_party > MAX_INVITES
        || third_party > MAX_THIRD_PARTY_INVITES
        || wish.initial_state.len() > MAX_INITIAL_STATE
    {
        let limits = format!(
            "{MAX_INVITES} invitations, {MAX_THIRD_PARTY_INVITES} by third-party id, \
             {MAX_INITIAL_STATE} state events"
        );
        return Err(RoomError::InvalidParameter(format!("more than {limits}")));
    }
    Ok(())
}

/// A JSON value as text.
pub(crate) fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("a JSON value always serialises")
}

#[cfg(test)]
mod tests {
    use ruma::events::StateEventType;
    use ruma::owned_room_alias_id;

    use super::*;
    use crate::testing::{ada, bo, rooms_on_memory_store, wish};

    #[tokio::test]
    async fn a_room_of_every_version_and_preset_is_created_with_its_state() {
        for version in room_version::supported() {
            for preset in [Preset::PublicChat, Preset::PrivateChat, Preset::TrustedPrivateChat] {
                let rooms = rooms_on_memory_store().await;
                let mut wish = wish(preset, version.clone());
                wish.invite.push(bo().to_owned());
                let room_id = rooms.create_room(ada(), wish).await.unwrap();
                let (room, root) = rooms.visible_state(ada(), &room_id).await.unwrap();
                let state = rooms.state_events_at(room, root).await.unwrap();

                let name = rooms.state_at(room, root, &StateEventType::RoomName, "").await.unwrap();
                assert_eq!(name.unwrap().pdu.content.get(), r#"{"name":"Kitchen"}"#);
                assert_eq!(state.len(), 8, "{version} {preset:?}");
                let head = rooms.store().room_head(room).await.unwrap().unwrap();
                assert_eq!((head.joined, head.invited), (1, 1));
            }
        }
    }

    #[tokio::test]
    async fn an_alias_is_given_to_one_room_only() {
        let rooms = rooms_on_memory_store().await;
        let mut wish = wish(Preset::PublicChat, RoomVersionId::V12);
        wish.alias = Some(owned_room_alias_id!("#tea:hearth.test"));
        rooms.create_room(ada(), wish.clone()).await.unwrap();
        let again = rooms.create_room(ada(), wish).await;
        assert!(matches!(again, Err(RoomError::AliasInUse(_))));
    }

    #[tokio::test]
    async fn rooms_that_are_made_alike_at_one_time_are_not_the_same_room() {
        let rooms = rooms_on_memory_store().await;
        let make = || rooms.create_room(ada(), wish(Preset::PublicChat, RoomVersionId::V12));
        assert_ne!(make().await.unwrap(), make().await.unwrap());
    }

    #[tokio::test]
    async fn an_unknown_version_is_refused() {
        let rooms = rooms_on_memory_store().await;
        let version = RoomVersionId::try_from("org.example.99").unwrap();
        let refused = rooms.create_room(ada(), wish(Preset::PublicChat, version)).await;
        assert!(matches!(refused, Err(RoomError::UnsupportedVersion(_))));
    }

    #[tokio::test]
    async fn initial_state_takes_the_place_of_the_presets() {
        let rooms = rooms_on_memory_store().await;
        let mut wish = wish(Preset::PublicChat, RoomVersionId::V11);
        let content = json!({ "join_rule": "knock" });
        wish.initial_state.push(InitialState {
            kind: "m.room.join_rules".into(),
            state_key: String::new(),
            content: raw(&content),
        });
        let room_id = rooms.create_room(ada(), wish).await.unwrap();
        let (room, root) = rooms.visible_state(ada(), &room_id).await.unwrap();
        let kind = StateEventType::RoomJoinRules;
        let rules = rooms.state_at(room, root, &kind, "").await.unwrap().unwrap();
        assert_eq!(rules.pdu.content.get(), content.to_string());
    }
}
