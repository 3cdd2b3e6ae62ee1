//! Rooms: Synapse's room API.

use accounts::Accounts;
use rooms::{
    Block, EventShape, MoreRoomDetails, RoomDetails, RoomError, RoomFilter, RoomOrder, Rooms,
    Viewer,
};
use ruma::{
    OwnedRoomId, OwnedUserId, RoomAliasId, RoomId, RoomOrAliasId, UInt, UserId,
    api::{Direction, error::ErrorKind},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Publication;

use super::{Administrator, Answer, answer::endpoint, paging::Page};
use crate::{Endpoints, MatrixError};

endpoint!(list: GET "/_synapse/admin/v1/rooms" {
    #[ruma_api(query_all)]
    pub(crate) query: super::Query,
});
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

/// Which rooms are asked for.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Query {
    from: Option<UInt>,
    limit: Option<UInt>,
    #[serde(default = "crate::admin::forward")]
    dir: Direction,
    #[serde(default)]
    order_by: Order,
    search_term: Option<String>,
    empty_rooms: Option<bool>,
    public_rooms: Option<bool>,
}

/// Synapse's names of orders.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    #[default]
    #[serde(alias = "alphabetical")]
    Name,
    CanonicalAlias,
    #[serde(alias = "size")]
    JoinedMembers,
    JoinedLocalMembers,
    Version,
    Creator,
    Encryption,
    Federatable,
    Public,
    JoinRules,
    GuestAccess,
    HistoryVisibility,
    StateEvents,
}

impl From<Order> for RoomOrder {
    fn from(order: Order) -> Self {
        match order {
            Order::Name => Self::Name,
            Order::CanonicalAlias => Self::CanonicalAlias,
            Order::JoinedMembers => Self::JoinedMembers,
            Order::JoinedLocalMembers => Self::JoinedLocalMembers,
            Order::Version => Self::Version,
            Order::Creator => Self::Creator,
            Order::Encryption => Self::Encryption,
            Order::Federatable => Self::Federatable,
            Order::Public => Self::Public,
            Order::JoinRules => Self::JoinRules,
            Order::GuestAccess => Self::GuestAccess,
            Order::HistoryVisibility => Self::HistoryVisibility,
            Order::StateEvents => Self::StateEvents,
        }
    }
}

/// A room as it is shown in a list.
#[derive(Serialize)]
struct Row {
    room_id: OwnedRoomId,
    name: Option<String>,
    canonical_alias: Option<String>,
    joined_members: u64,
    joined_local_members: usize,
    version: String,
    creator: Option<String>,
    encryption: Option<String>,
    federatable: bool,
    public: bool,
    join_rules: Option<String>,
    guest_access: Option<String>,
    history_visibility: Option<String>,
    state_events: u64,
    room_type: Option<String>,
}

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

impl From<RoomDetails> for Row {
    fn from(room: RoomDetails) -> Self {
        let state = room.state;
        Self {
            room_id: room.room_id,
            name: state.name,
            canonical_alias: state.canonical_alias,
            joined_members: room.joined,
            joined_local_members: room.joined_local,
            version: room.version.to_string(),
            creator: room.creator,
            encryption: state.encryption,
            federatable: state.federatable,
            public: room.publication == Publication::Published,
            join_rules: state.join_rules,
            guest_access: state.guest_access,
            history_visibility: state.history_visibility,
            state_events: room.state_events,
            room_type: state.room_type,
        }
    }
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
    async fn list(self, _: Administrator, request: list::Request) -> Result<Answer, MatrixError> {
        let query = request.query;
        if query.search_term.as_deref() == Some("") {
            let message = "search_term is empty";
            return Err(MatrixError::bad_request(ErrorKind::InvalidParam, message));
        }
        let publication = query
            .public_rooms
            .map(|public| if public { Publication::Published } else { Publication::Private });
        let filter =
            RoomFilter { search: query.search_term, empty: query.empty_rooms, publication };
        let direction = match query.dir {
            Direction::Forward => store::Direction::Ascending,
            Direction::Backward => store::Direction::Descending,
        };
        let page = Page::new(query.from, query.limit);
        let order = (query.order_by.into(), direction);
        let found = self.rooms.room_list(&filter, order, (page.from, page.limit)).await?;
        let rows: Vec<Row> = found.entries.into_iter().map(Row::from).collect();
        let mut answer = json!({ "rooms": rows, "offset": page.from, "total_rooms": found.total });
        if let Some(next) = page.next(found.total) {
            answer["next_batch"] = json!(next);
        }
        if page.from > 0 {
            answer["prev_batch"] = json!(page.from.saturating_sub(page.limit));
        }
        Answer::new(&answer)
    }

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
    Endpoints::new(rooms)
        .at(AdminRooms::list)
        .at(AdminRooms::details)
        .at(AdminRooms::members)
        .at(AdminRooms::state)
        .at(AdminRooms::block)
        .at(AdminRooms::set_block)
        .at(AdminRooms::join)
        .at(AdminRooms::make_room_admin)
}
