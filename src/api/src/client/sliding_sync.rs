//! Spec: MSC4186, simplified sliding sync, under the path and names that clients use.

use std::time::Duration;

use ruma::presence::PresenceState;
use sync::{SlidingAnswer, SlidingError, SlidingRequest, Sync};

use crate::{EdgeBuilder, Endpoints, MatrixError, Requester, Settings, Shutdown};

/// What the handler works with.
#[derive(Clone)]
struct Services {
    sync: Sync,
    shutdown: Shutdown,
}

mod slide {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use ruma::OwnedRoomId;
    use ruma::api::auth_scheme::AccessToken;
    use ruma::api::client::sync::sync_events::v5::response::Extensions;
    use ruma::api::{metadata, request, response};
    use ruma::presence::PresenceState;
    use serde::Deserialize;
    use sync::{ListAnswer, RoomAnswer, Wanted};

    metadata! {
        method: POST,
        rate_limited: false,
        authentication: AccessToken,
        history: {
            unstable("org.matrix.simplified_msc3575") =>
                "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync",
        }
    }

    /// What the proposal came to have in the body stands in the query as well, where clients have it.
    #[request]
    pub(super) struct Request {
        #[ruma_api(query)]
        pub(super) pos: Option<String>,
        #[ruma_api(query)]
        #[serde(with = "ruma::serde::duration::opt_ms", default)]
        pub(super) timeout: Option<Duration>,
        #[ruma_api(query)]
        pub(super) set_presence: Option<PresenceState>,
        #[ruma_api(body)]
        pub(super) body: Body,
    }

    #[derive(Clone, Debug, Deserialize)]
    pub(super) struct Body {
        pub(super) pos: Option<String>,
        #[serde(with = "ruma::serde::duration::opt_ms", default)]
        pub(super) timeout: Option<Duration>,
        pub(super) set_presence: Option<PresenceState>,
        pub(super) txn_id: Option<String>,
        #[serde(flatten)]
        pub(super) wanted: Wanted,
    }

    #[response]
    pub(super) struct Response {
        pub(super) pos: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) txn_id: Option<String>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub(super) lists: BTreeMap<String, ListAnswer>,
        pub(super) rooms: BTreeMap<OwnedRoomId, RoomAnswer>,
        pub(super) extensions: Extensions,
    }
}

/// Simplified sliding sync.
pub fn endpoints(all: EdgeBuilder, sync: &Sync, shutdown: &Shutdown) -> EdgeBuilder {
    let services = Services { sync: sync.clone(), shutdown: shutdown.clone() };
    all.with(Endpoints::new(services).at_with(Settings::default().long_poll(), answer))
}

async fn answer(
    Services { sync, shutdown }: Services,
    requester: Requester,
    slide::Request { pos, timeout, set_presence, body }: slide::Request,
) -> Result<slide::Response, MatrixError> {
    let pos = pos.or(body.pos);
    // A client with the position of another server, or of an older one, begins anew as well.
    let since = pos.as_deref().map(str::parse).transpose();
    let presence = set_presence.or(body.set_presence).unwrap_or(PresenceState::Online);
    let request = SlidingRequest {
        user_id: requester.user_id(),
        device_id: requester.device_id(),
        wanted: &body.wanted,
        since: since.map_err(|_| SlidingError::UnknownPosition)?,
        presence: super::presence::state(&presence)?,
        timeout: timeout.or(body.timeout).unwrap_or(Duration::ZERO),
    };
    let answer = |timeout| sync.slide(SlidingRequest { timeout, ..request });
    let answer = shutdown.cut_short(request.timeout, answer).await?;
    Ok(response(answer, body.txn_id))
}

fn response(answer: SlidingAnswer, txn_id: Option<String>) -> slide::Response {
    let SlidingAnswer { next, lists, rooms, extensions } = answer;
    slide::Response { pos: next.to_string(), txn_id, lists, rooms, extensions }
}
