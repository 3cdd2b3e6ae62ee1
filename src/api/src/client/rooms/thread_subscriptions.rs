//! Spec: MSC4306, thread subscriptions, and MSC4308, what changed of them.

use std::collections::BTreeMap;

use rooms::tokens::PaginationToken;
use rooms::{Rooms, Subscribing};
use ruma::api::client::threads::get_thread_subscriptions_changes::unstable::{
    ThreadSubscription, ThreadUnsubscription,
};
use ruma::api::error::ErrorKind;
use ruma::{OwnedEventId, OwnedRoomId, UInt};
use store::{ChangedSubscription, StreamPosition, Subscription};

use crate::{Endpoints, MatrixError, Requester};

/// How many changes a client is told of that names no limit.
const CHANGES: u32 = 100;

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    let feature = "org.matrix.msc4306";
    endpoints.at(subscription).at(subscribe).at(unsubscribe).at(changes).feature(feature)
}

mod changes {
    use ruma::UInt;
    use ruma::api::{auth_scheme::AccessToken, metadata};

    use super::{Subscribed, Unsubscribed};

    metadata! {
        method: GET,
        rate_limited: true,
        authentication: AccessToken,
        path: "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions",
    }

    #[ruma::api::request]
    pub(super) struct Request {
        #[ruma_api(query)]
        pub(super) dir: String,
        #[ruma_api(query)]
        pub(super) from: Option<String>,
        #[ruma_api(query)]
        pub(super) to: Option<String>,
        #[ruma_api(query)]
        pub(super) limit: Option<UInt>,
    }

    #[ruma::api::response]
    pub(super) struct Response {
        #[serde(skip_serializing_if = "Subscribed::is_empty")]
        pub(super) subscribed: Subscribed,
        #[serde(skip_serializing_if = "Unsubscribed::is_empty")]
        pub(super) unsubscribed: Unsubscribed,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) end: Option<String>,
    }
}

type Subscribed = BTreeMap<OwnedRoomId, BTreeMap<OwnedEventId, ThreadSubscription>>;
type Unsubscribed = BTreeMap<OwnedRoomId, BTreeMap<OwnedEventId, ThreadUnsubscription>>;

mod get {
    use ruma::api::{auth_scheme::AccessToken, metadata};
    use ruma::{OwnedEventId, OwnedRoomId};

    metadata! {
        method: GET,
        rate_limited: true,
        authentication: AccessToken,
        path: "/_matrix/client/unstable/io.element.msc4306/rooms/{room_id}/thread/{thread_root}/subscription",
    }

    #[ruma::api::request]
    pub(super) struct Request {
        #[ruma_api(path)]
        pub(super) room_id: OwnedRoomId,
        #[ruma_api(path)]
        pub(super) thread_root: OwnedEventId,
    }

    #[ruma::api::response]
    pub(super) struct Response {
        pub(super) automatic: bool,
    }
}

mod put {
    use ruma::api::{auth_scheme::AccessToken, metadata};
    use ruma::{OwnedEventId, OwnedRoomId};

    metadata! {
        method: PUT,
        rate_limited: true,
        authentication: AccessToken,
        path: "/_matrix/client/unstable/io.element.msc4306/rooms/{room_id}/thread/{thread_root}/subscription",
    }

    #[ruma::api::request]
    pub(super) struct Request {
        #[ruma_api(path)]
        pub(super) room_id: OwnedRoomId,
        #[ruma_api(path)]
        pub(super) thread_root: OwnedEventId,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) automatic: Option<OwnedEventId>,
    }

    #[ruma::api::response]
    pub(super) struct Response {}
}

mod delete {
    use ruma::api::{auth_scheme::AccessToken, metadata};
    use ruma::{OwnedEventId, OwnedRoomId};

    metadata! {
        method: DELETE,
        rate_limited: true,
        authentication: AccessToken,
        path: "/_matrix/client/unstable/io.element.msc4306/rooms/{room_id}/thread/{thread_root}/subscription",
    }

    #[ruma::api::request]
    pub(super) struct Request {
        #[ruma_api(path)]
        pub(super) room_id: OwnedRoomId,
        #[ruma_api(path)]
        pub(super) thread_root: OwnedEventId,
    }

    #[ruma::api::response]
    pub(super) struct Response {}
}

async fn subscription(
    rooms: Rooms,
    requester: Requester,
    request: get::Request,
) -> Result<get::Response, MatrixError> {
    let (room_id, root) = (&request.room_id, &request.thread_root);
    let subscription = rooms.thread_subscription(requester.user_id(), room_id, root).await?;
    Ok(get::Response { automatic: subscription == store::Subscription::Automatic })
}

async fn subscribe(
    rooms: Rooms,
    requester: Requester,
    request: put::Request,
) -> Result<put::Response, MatrixError> {
    let how = request.automatic.as_deref().map_or(Subscribing::Manually, Subscribing::BecauseOf);
    let (room_id, root) = (&request.room_id, &request.thread_root);
    rooms.subscribe_to_thread(requester.user_id(), room_id, root, how).await?;
    Ok(put::Response {})
}

async fn unsubscribe(
    rooms: Rooms,
    requester: Requester,
    request: delete::Request,
) -> Result<delete::Response, MatrixError> {
    let (room_id, root) = (&request.room_id, &request.thread_root);
    rooms.unsubscribe_from_thread(requester.user_id(), room_id, root).await?;
    Ok(delete::Response {})
}

/// What changed, backwards from one position to another: those of simplified sliding sync, or of this endpoint.
async fn changes(
    rooms: Rooms,
    requester: Requester,
    request: changes::Request,
) -> Result<changes::Response, MatrixError> {
    let invalid = |message: &str| MatrixError::bad_request(ErrorKind::InvalidParam, message);
    if request.dir != "b" {
        return Err(invalid("dir must be b"));
    }
    let limit = request.limit.unwrap_or(CHANGES.into());
    if limit == UInt::MIN {
        return Err(invalid("limit must be greater than zero"));
    }
    let position = |token: Option<String>| {
        let token = token.map(|token| token.parse::<PaginationToken>()).transpose();
        let token = token.map_err(|_| invalid("not a token of this server"))?;
        Ok::<_, MatrixError>(token.map(|token| token.0.stream_position()))
    };
    let until = position(request.from)?.unwrap_or(StreamPosition(u64::MAX));
    let since = position(request.to)?.unwrap_or(StreamPosition::START);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let user = requester.session().user;
    let page = rooms.thread_subscription_changes(user, since, until, limit).await?;
    let end = page.next.map(|next| PaginationToken::after(next.into()).to_string());
    let (subscribed, unsubscribed) = (Subscribed::new(), Unsubscribed::new());
    let mut response = changes::Response { subscribed, unsubscribed, end };
    for (room_id, ChangedSubscription { root, changed, .. }) in page.changes {
        let bump_stamp = UInt::new_saturating(changed.since.0);
        if changed.subscription == Subscription::Ended {
            let ended = ThreadUnsubscription::new(bump_stamp);
            response.unsubscribed.entry(room_id).or_default().insert(root, ended);
        } else {
            let is_automatic = changed.subscription == Subscription::Automatic;
            let subscription = ThreadSubscription::new(is_automatic, bump_stamp);
            response.subscribed.entry(room_id).or_default().insert(root, subscription);
        }
    }
    Ok(response)
}
