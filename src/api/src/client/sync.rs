//! Spec: client-server API, "Syncing".

mod answer;

use std::borrow::Cow;
use std::time::Duration;

use accounts::check_filter;
use ruma::api::client::filter::FilterDefinition;
use ruma::api::client::sync::sync_events::v3::Filter;
use ruma::api::error::ErrorKind;
use sync::{DeviceMessages, Extent, Place, Sync, SyncRequest};

use self::answer::{SyncAnswer, SyncQuestion};
use crate::{EdgeBuilder, Endpoints, MatrixError, Requester, Settings, Shutdown};

/// What the handler works with.
#[derive(Clone)]
struct Services {
    sync: Sync,
    shutdown: Shutdown,
}

/// `/sync`.
pub fn endpoints(all: EdgeBuilder, sync: &Sync, shutdown: &Shutdown) -> EdgeBuilder {
    let services = Services { sync: sync.clone(), shutdown: shutdown.clone() };
    all.with(Endpoints::new(services).at_with(Settings::default().long_poll(), answer))
}

async fn answer(
    Services { sync, shutdown }: Services,
    requester: Requester,
    SyncQuestion { request, naming }: SyncQuestion,
) -> Result<SyncAnswer, MatrixError> {
    let invalid = |reason: &str| MatrixError::bad_request(ErrorKind::InvalidParam, reason);
    let since = request.since.as_deref().map(str::parse).transpose();
    let filter = filter(&sync, &requester, request.filter.as_ref()).await?;
    let request = SyncRequest {
        user_id: requester.user_id(),
        device_id: requester.device_id(),
        filter: &filter,
        since: since.map_err(|_| invalid("since is not a token of this server"))?,
        state: if request.full_state { Extent::Whole } else { Extent::Changes },
        presence: super::presence::state(&request.set_presence)?,
        place: if request.use_state_after { Place::AfterTimeline } else { Place::BeforeTimeline },
        device_messages: DeviceMessages::Told,
        timeout: request.timeout.unwrap_or(Duration::ZERO),
    };
    let answer = |timeout| sync.answer(SyncRequest { timeout, ..request });
    let answer = shutdown.cut_short(request.timeout, answer).await?;
    Ok(SyncAnswer::new(answer, naming))
}

/// The filter itself, whether it came with the request or was stored before.
async fn filter<'a>(
    sync: &Sync,
    requester: &Requester,
    filter: Option<&'a Filter>,
) -> Result<Cow<'a, FilterDefinition>, MatrixError> {
    match filter {
        None => Ok(Cow::Owned(FilterDefinition::default())),
        Some(Filter::FilterDefinition(filter)) => {
            check_filter(filter)?;
            Ok(Cow::Borrowed(filter))
        }
        Some(Filter::FilterId(json)) if json.starts_with('{') => Err(not_a_filter(json)),
        Some(Filter::FilterId(id)) => {
            let stored = sync.stored_filter(requester.user_id(), id).await?;
            let unknown = || MatrixError::bad_request(ErrorKind::InvalidParam, "no such filter");
            stored.map(Cow::Owned).ok_or_else(unknown)
        }
        Some(_) => Err(MatrixError::bad_request(ErrorKind::InvalidParam, "not a filter")),
    }
}

/// Why what begins like JSON is no filter. Spec: `GET /sync`: "by whether the first character is a `"{"`".
fn not_a_filter(json: &str) -> MatrixError {
    match serde_json::from_str::<FilterDefinition>(json) {
        Err(error) if !error.is_data() => {
            MatrixError::bad_request(ErrorKind::NotJson, "the filter is not JSON")
        }
        _ => MatrixError::bad_request(ErrorKind::BadJson, "the filter is none"),
    }
}
