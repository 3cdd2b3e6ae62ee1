//! Spec: client-server API, "Server Side Search".

mod body;

use std::collections::{BTreeMap, HashSet};

use rooms::tokens::PaginationToken;
use rooms::{
    EventShape, Findings, Found, RoomError, Rooms, Search, SearchKey, SearchOrder, SearchToken,
    SearchWanted, Stretch, Viewer,
};
use ruma::OwnedUserId;
use ruma::api::error::ErrorKind;
use ruma::events::StateEventType;
use serde_json::value::RawValue;
use sync::EventFilter;

use self::body::{
    Criteria, EventContext, Grouping, Profile, Response, ResultCategories, ResultContext,
    ResultGroup, RoomEvents, SearchRequest, SearchResult,
};
use crate::{Endpoints, MatrixError, Requester};

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 100;
/// The most events before, and as many after, a result.
const MAX_CONTEXT: usize = 50;

/// Search.
#[derive(Clone)]
pub struct Searching {
    rooms: Rooms,
    search: Search,
}

/// What results are grouped by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GroupKey {
    Room,
    Sender,
}

impl Searching {
    /// Searches for events.
    async fn search(
        self,
        requester: Requester,
        request: SearchRequest,
    ) -> Result<Response, MatrixError> {
        let Some(criteria) = &request.search_categories.room_events else {
            return Ok(Response { search_categories: ResultCategories::default() });
        };
        let results = self.results(&requester, criteria, request.next_batch.as_deref()).await?;
        Ok(Response { search_categories: ResultCategories { room_events: Some(results) } })
    }

    async fn results(
        &self,
        requester: &Requester,
        criteria: &Criteria,
        next_batch: Option<&str>,
    ) -> Result<RoomEvents, MatrixError> {
        let group_by: Vec<_> =
            criteria.groupings.group_by.iter().map(group_key).collect::<Result<_, _>>()?;
        let wanted = wanted(requester, criteria, next_batch)?;
        let filter = &criteria.filter;
        let covers = |event: &rooms::StoredEvent| {
            EventFilter::new(filter, &event.pdu.room_id).covers(&event.pdu)
        };
        let findings = self.search.find(wanted, covers).await?;
        let mut results = RoomEvents {
            count: findings.count,
            highlights: findings.highlights.iter().cloned().collect(),
            next_batch: findings.next.map(|next| next.to_string()),
            groups: groups(&findings, &group_by),
            ..RoomEvents::default()
        };
        for found in &findings.results {
            let result = self.result(requester, found, criteria.event_context.as_ref()).await?;
            results.results.push(result);
            let room_id = &found.placed.1.pdu.room_id;
            if criteria.include_state && !results.state.contains_key(room_id) {
                results.state.insert(room_id.clone(), self.state(requester, room_id).await?);
            }
        }
        Ok(results)
    }

    async fn result(
        &self,
        requester: &Requester,
        found: &Found,
        context: Option<&EventContext>,
    ) -> Result<SearchResult, RoomError> {
        let event = &found.placed.1;
        let shape = EventShape::Whole;
        let result = self.rooms.client_event(viewer(requester), event, shape).await?;
        let context = match context {
            Some(wanted) => Some(self.context(requester, found, wanted).await?),
            None => None,
        };
        Ok(SearchResult { rank: found.rank, result, context })
    }

    /// What stands around a result.
    async fn context(
        &self,
        requester: &Requester,
        found: &Found,
        wanted: &EventContext,
    ) -> Result<ResultContext, RoomError> {
        let (entry, event) = &found.placed;
        let (room, position) = (event.record.room, entry.position);
        let mut sight = self.rooms.sight(requester.user_id(), room).await?;
        let mut page = async |from, direction, limit: usize| {
            let limit = limit.min(MAX_CONTEXT);
            let stretch = Stretch { from, to: None, direction, limit };
            self.rooms.page(&mut sight, stretch, |_| true).await
        };
        let (before, after) = (PaginationToken::before(position), PaginationToken::after(position));
        let before = page(before, store::Direction::Descending, wanted.before_limit).await?.events;
        let after = page(after, store::Direction::Ascending, wanted.after_limit).await?.events;
        let first = before.last().unwrap_or(&found.placed).0.position;
        let end = after.last().unwrap_or(&found.placed).0.position;
        let profile_info = if wanted.include_profile {
            let all = before.iter().chain([&found.placed]).chain(&after);
            let senders = all.map(|(_, event)| event.pdu.sender.clone()).collect();
            Some(self.profiles(event, senders).await?)
        } else {
            None
        };
        Ok(ResultContext {
            start: PaginationToken::before(first).to_string(),
            end: PaginationToken::after(end).to_string(),
            events_before: self.shown(requester, &before).await?,
            events_after: self.shown(requester, &after).await?,
            profile_info,
        })
    }

    async fn shown(
        &self,
        requester: &Requester,
        events: &[rooms::Placed],
    ) -> Result<Vec<Box<RawValue>>, RoomError> {
        let mut shown = Vec::with_capacity(events.len());
        for (_, event) in events {
            let event = self.rooms.client_event(viewer(requester), event, EventShape::Whole);
            shown.push(event.await?);
        }
        Ok(shown)
    }

    /// The names and pictures that users had when an event was sent.
    async fn profiles(
        &self,
        event: &rooms::StoredEvent,
        users: HashSet<OwnedUserId>,
    ) -> Result<BTreeMap<OwnedUserId, Profile>, RoomError> {
        let (room, root) = (event.record.room, event.record.state_before);
        let mut profiles = BTreeMap::new();
        for user in users {
            let kind = StateEventType::RoomMember;
            let member = self.rooms.state_at(room, root, &kind, user.as_str()).await?;
            let profile = match member {
                Some(member) => self.rooms.after_redaction(&member).await?.content_as().ok(),
                None => None,
            };
            profiles.insert(user, profile.unwrap_or_default());
        }
        Ok(profiles)
    }

    async fn state(
        &self,
        requester: &Requester,
        room_id: &ruma::RoomId,
    ) -> Result<Vec<Box<RawValue>>, RoomError> {
        let (room, root) = self.rooms.visible_state(requester.user_id(), room_id).await?;
        let mut state = Vec::new();
        for event in self.rooms.state_events_at(room, root).await? {
            let event = self.rooms.client_event(viewer(requester), &event, EventShape::Whole);
            state.push(event.await?);
        }
        Ok(state)
    }
}

fn viewer(requester: &Requester) -> Viewer<'_> {
    Viewer { user_id: requester.user_id(), device_id: Some(requester.device_id()) }
}

fn wanted<'a>(
    requester: &'a Requester,
    criteria: &'a Criteria,
    next_batch: Option<&str>,
) -> Result<SearchWanted<'a>, MatrixError> {
    let invalid = |what: &str| MatrixError::bad_request(ErrorKind::InvalidParam, what);
    let order = match criteria.order_by.as_deref() {
        None | Some("rank") => SearchOrder::Rank,
        Some("recent") => SearchOrder::Recent,
        Some(_) => return Err(invalid("order_by is neither rank nor recent")),
    };
    let keys = match &criteria.keys {
        None => SearchKey::ALL.to_vec(),
        Some(keys) => keys.iter().filter_map(|key| search_key(key)).collect(),
    };
    let next = next_batch.filter(|token| !token.is_empty()).map(str::parse::<SearchToken>);
    let limit = criteria.filter.limit.and_then(|limit| usize::try_from(limit).ok());
    Ok(SearchWanted {
        reader: requester.user_id(),
        term: &criteria.search_term,
        keys,
        rooms: criteria.filter.rooms.as_deref(),
        senders: criteria.filter.senders.as_deref(),
        order,
        limit: limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT),
        next: next.transpose().map_err(|error| invalid(&error.to_string()))?,
    })
}

fn search_key(key: &str) -> Option<SearchKey> {
    match key {
        "content.body" => Some(SearchKey::Body),
        "content.name" => Some(SearchKey::Name),
        "content.topic" => Some(SearchKey::Topic),
        _ => None,
    }
}

fn group_key(grouping: &Grouping) -> Result<GroupKey, MatrixError> {
    match grouping.key.as_str() {
        "room_id" => Ok(GroupKey::Room),
        "sender" => Ok(GroupKey::Sender),
        _ => Err(MatrixError::bad_request(
            ErrorKind::InvalidParam,
            "results are grouped by room_id or sender",
        )),
    }
}

/// The results by room and by sender, as far as that is asked for.
fn groups(
    findings: &Findings,
    group_by: &[GroupKey],
) -> BTreeMap<String, BTreeMap<String, ResultGroup>> {
    let mut groups: BTreeMap<String, BTreeMap<String, ResultGroup>> = BTreeMap::new();
    for key in group_by {
        let name = match key {
            GroupKey::Room => "room_id",
            GroupKey::Sender => "sender",
        };
        let by_value = groups.entry(name.to_owned()).or_default();
        for (place, found) in findings.results.iter().enumerate() {
            let event = &found.placed.1.pdu;
            let (value, next) = match key {
                GroupKey::Room => (event.room_id.to_string(), found.next_in_room),
                GroupKey::Sender => (event.sender.to_string(), found.next_of_sender),
            };
            let group = by_value
                .entry(value)
                .or_insert_with(|| ResultGroup { order: place, ..ResultGroup::default() });
            group.results.push(found.placed.1.pdu.event_id.clone());
            // Only where there may be more at all.
            group.next_batch = findings.next.map(|_| next.to_string());
        }
    }
    groups
}

/// The endpoint of searching.
pub fn endpoints(rooms: Rooms, search: Search) -> Endpoints<Searching> {
    Endpoints::new(Searching { rooms, search }).at(Searching::search)
}
