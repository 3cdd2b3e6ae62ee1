//! Rooms: Synapse's room API.

mod list;

use accounts::Accounts;
use rooms::{Block, EventShape, MoreRoomDetails, RoomDetails, RoomError, Rooms, Viewer};
use ruma::{
    OwnedRoomId, OwnedUserId, RoomAliasId, RoomId, RoomOrAliasId, UserId, api::error::ErrorKind,
};
use serde::Serialize;
use serde_json::json;

use self::list::Row;
use super::{Administrator, Answer, answer::endpoint};
use crate::{Endpoints, MatrixError};

endpoint!(details: GET "/_synapse/admin/v1/rooms/{room_id}" {
    #[ruma_api(path)]
    pub(crate) room_id: ruma::OwnedRoomId,
});
endpoint!(members: GET "/_synapse/admin/v1/rooms/{room_id}/members" {
    #[ruma_api(path)]
    pub(crate) room_id: ruma::OwnedRoomId,
});
endpoint!(state: GET "/_synapse/admin/v1/rooms/{room_id}/state" {
    #[ruma_api(path)]
    pub(crate) room_id: ruma::OwnedRoomId,
    #[ruma_api(query)]
    #[serde(rename = "type")]
    pub(crate) kind: Option<ruma::events::TimelineEventType>,
});
endpoint!(block: GET "/_synapse/admin/v1/rooms/{room_id}/block" {
    #[ruma_api(path)]
    pub(crate) room_id: ruma::OwnedRoomId,
});
endpoint!(set_block: PUT "/_synapse/admin/v1/rooms/{room_id}/block" {
    #[ruma_api(path)]
    pub(crate) room_id: ruma::OwnedRoomId,
    pub(crate) block: bool,
});
endpoint!(join: POST "/_synapse/admin/v1/join/{room}" {
    #[ruma_api(path)]
    pub(crate) room: ruma::OwnedRoomOrAliasId,
    pub(crate) user_id: Option<ruma::OwnedUserId>,
});
endpoint!(make_room_admin: POST "/_synapse/admin/v1/rooms/{room}/make_room_admin" {
    #[ruma_api(path)]
    pub(crate) room: ruma::OwnedRoomOrAliasId,
    pub(crate) user_id: Option<ruma::OwnedUserId>,
});

/// A room with what only its own page shows.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    row: Row,
    topic: Option<String>,
    avatar: Option<String>,
    joined_local_devices: usize,
    forgotten: bool,
    tombstoned: bool,
    replacement_room: Option<String>,
}

impl Whole {
    fn new(room: RoomDetails, more: MoreRoomDetails) -> Self {
        Self {
            row: room.into(),
            topic: more.topic,
            avatar: more.avatar,
            joined_local_devices: more.joined_local_devices,
            forgotten: more.forgotten == store::Forgotten::Yes,
            tombstoned: more.tombstone.is_some(),
            replacement_room: more.tombstone.and_then(|tombstone| tombstone.replacement_room),
        }
    }
}

/// The services of the room API.
#[derive(Clone)]
pub(super) struct AdminRooms {
    pub(super) accounts: Accounts,
    pub(super) rooms: Rooms,
}

impl AdminRooms {
    async fn details(
        self,
        _: Administrator,
        request: details::Request,
    ) -> Result<Answer, MatrixError> {
        let (room, more) = self.rooms.room_details(&request.room_id).await?;
        Answer::new(&Whole::new(room, more))
    }

    async fn members(
        self,
        _: Administrator,
        request: members::Request,
    ) -> Result<Answer, MatrixError> {
        let members = self.rooms.joined_members(&request.room_id).await?;
        Answer::new(&json!({ "members": members, "total": members.len() }))
    }

    /// The whole state, whoever may see it.
    async fn state(
        self,
        admin: Administrator,
        request: state::Request,
    ) -> Result<Answer, MatrixError> {
        let room = self.rooms.number_of(&request.room_id).await?;
        let root = self.rooms.current_state(room).await?;
        let viewer = Viewer { user_id: admin.user_id(), device_id: None };
        let mut state = Vec::new();
        for event in self.rooms.state_events_at(room, root).await? {
            if request.kind.as_ref().is_none_or(|kind| event.pdu.kind == *kind) {
                state.push(self.rooms.client_event(viewer, &event, EventShape::Whole).await?);
            }
        }
        Answer::new(&json!({ "state": state }))
    }

    async fn block(self, _: Administrator, request: block::Request) -> Result<Answer, MatrixError> {
        match self.rooms.room_block(&request.room_id).await? {
            Some(admin) => Answer::new(&json!({ "block": true, "user_id": admin })),
            None => Answer::new(&json!({ "block": false })),
        }
    }

    async fn set_block(
        self,
        admin: Administrator,
        request: set_block::Request,
    ) -> Result<Answer, MatrixError> {
        let block = if request.block { Block::On } else { Block::Off };
        self.rooms.block_room(admin.user_id(), &request.room_id, block).await?;
        Answer::new(&json!({ "block": request.block }))
    }

    async fn join(
        self,
        admin: Administrator,
        request: join::Request,
    ) -> Result<Answer, MatrixError> {
        let user_id = request.user_id.ok_or_else(|| {
            MatrixError::bad_request(ErrorKind::MissingParam, "user_id is missing")
        })?;
        self.check_user(&user_id).await?;
        let room_id = self.room_named(&request.room).await?;
        self.rooms.join_for(admin.user_id(), &user_id, &room_id).await?;
        Answer::new(&json!({ "room_id": room_id }))
    }

    async fn make_room_admin(
        self,
        admin: Administrator,
        request: make_room_admin::Request,
    ) -> Result<Answer, MatrixError> {
        let user_id: OwnedUserId = match request.user_id {
            Some(user_id) => user_id,
            None => admin.user_id().to_owned(),
        };
        self.check_user(&user_id).await?;
        let room_id = self.room_named(&request.room).await?;
        match self.rooms.make_room_admin(&user_id, &room_id).await {
            Err(error @ RoomError::Forbidden(_)) => {
                Err(MatrixError::bad_request(ErrorKind::Unknown, error.to_string()))
            }
            outcome => Ok(outcome.map(|()| Answer::empty())?),
        }
    }

    /// The user must be one of this server.
    async fn check_user(&self, user_id: &UserId) -> Result<(), MatrixError> {
        if user_id.server_name() != self.rooms.server_name() {
            let message = "the user belongs to another server";
            return Err(MatrixError::bad_request(ErrorKind::Unknown, message));
        }
        let known = self.accounts.acting_for(user_id).await;
        let known = known.map_err(|error| MatrixError::internal(&error))?;
        known.map(drop).ok_or_else(|| MatrixError::not_found("the user is unknown"))
    }

    /// The room that is meant by an ID or an alias.
    async fn room_named(&self, name: &RoomOrAliasId) -> Result<OwnedRoomId, MatrixError> {
        if let Ok(room_id) = <&RoomId>::try_from(name) {
            return Ok(room_id.to_owned());
        }
        let alias = <&RoomAliasId>::try_from(name)
            .map_err(|_| RoomError::InvalidParameter("neither room id nor alias".to_owned()))?;
        Ok(self.rooms.room_of_alias(alias).await?)
    }
}

pub(super) fn endpoints(rooms: AdminRooms) -> Endpoints<AdminRooms> {
    list::endpoints(Endpoints::new(rooms))
        .at(AdminRooms::details)
        .at(AdminRooms::members)
        .at(AdminRooms::state)
        .at(AdminRooms::block)
        .at(AdminRooms::set_block)
        .at(AdminRooms::join)
        .at(AdminRooms::make_room_admin)
}
