//! What a search asks and is told. Other than ruma's types these tell whether context is asked for, and lists are
//! there even when they are empty, as clients expect.

use std::collections::BTreeMap;

use ruma::api::IncomingRequest;
use ruma::api::client::filter::RoomEventFilter;
use ruma::api::client::search::search_events;
use ruma::api::error::DeserializationError;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::stand_in::stand_in;

#[ruma::api::request]
struct Parts {
    #[ruma_api(query)]
    next_batch: Option<String>,
    search_categories: Categories,
}

stand_in!(Parts, search_events::v3::Request);

/// A search.
pub(super) struct SearchRequest {
    pub(super) next_batch: Option<String>,
    pub(super) search_categories: Categories,
}

stand_in!(SearchRequest, search_events::v3::Request);

impl IncomingRequest for SearchRequest {
    type EndpointError = <search_events::v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let Parts { next_batch, search_categories } =
            Parts::try_from_http_request_inner(request, path_args)?;
        Ok(Self { next_batch, search_categories })
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Categories {
    pub(super) room_events: Option<Criteria>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Criteria {
    pub(super) search_term: String,
    pub(super) keys: Option<Vec<String>>,
    #[serde(default)]
    pub(super) filter: RoomEventFilter,
    pub(super) order_by: Option<String>,
    pub(super) event_context: Option<EventContext>,
    #[serde(default)]
    pub(super) include_state: bool,
    #[serde(default)]
    pub(super) groupings: Groupings,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct EventContext {
    #[serde(default = "usual_context")]
    pub(super) before_limit: usize,
    #[serde(default = "usual_context")]
    pub(super) after_limit: usize,
    #[serde(default)]
    pub(super) include_profile: bool,
}

/// Spec: `POST /search`, `before_limit` and `after_limit`.
fn usual_context() -> usize {
    5
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Groupings {
    #[serde(default)]
    pub(super) group_by: Vec<Grouping>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Grouping {
    pub(super) key: String,
}

#[ruma::api::response]
pub(super) struct Response {
    pub(super) search_categories: ResultCategories,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct ResultCategories {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) room_events: Option<RoomEvents>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct RoomEvents {
    pub(super) count: usize,
    pub(super) highlights: Vec<String>,
    pub(super) results: Vec<SearchResult>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) state: BTreeMap<OwnedRoomId, Vec<Box<RawValue>>>,
    /// By key, and then by value of that key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) groups: BTreeMap<String, BTreeMap<String, ResultGroup>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_batch: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct SearchResult {
    pub(super) rank: f32,
    pub(super) result: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) context: Option<ResultContext>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct ResultContext {
    pub(super) start: String,
    pub(super) end: String,
    pub(super) events_before: Vec<Box<RawValue>>,
    pub(super) events_after: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) profile_info: Option<BTreeMap<OwnedUserId, Profile>>,
}

/// A user's name and picture at the time.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Profile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) displayname: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) avatar_url: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct ResultGroup {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_batch: Option<String>,
    pub(super) order: usize,
    pub(super) results: Vec<OwnedEventId>,
}
