//! Lists of rooms.

use rooms::{RoomDetails, RoomFilter, RoomOrder};
use ruma::{
    OwnedRoomId, UInt,
    api::{Direction, error::ErrorKind},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Publication;

use super::AdminRooms;
use crate::admin::{Administrator, Answer, answer::endpoint, paging::Page};
use crate::direction::direction_of;
use crate::{Endpoints, MatrixError};

endpoint!(room_list: GET "/_synapse/admin/v1/rooms" {
    #[ruma_api(query_all)]
    pub(crate) query: super::Query,
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
pub(super) struct Row {
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

impl AdminRooms {
    async fn list(
        self,
        _: Administrator,
        request: room_list::Request,
    ) -> Result<Answer, MatrixError> {
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
        let direction = direction_of(query.dir);
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
}

pub(super) fn endpoints(rooms: Endpoints<AdminRooms>) -> Endpoints<AdminRooms> {
    rooms.at(AdminRooms::list)
}
