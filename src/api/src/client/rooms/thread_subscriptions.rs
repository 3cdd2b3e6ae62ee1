//! Spec: MSC4306, thread subscriptions. Not announced in `/versions`: clients that see it leave it to push rules of
//! the server, which are not there yet, to be quiet about other threads.

use rooms::{Rooms, Subscribing};

use crate::{Endpoints, MatrixError, Requester};

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    endpoints.at(subscription).at(subscribe).at(unsubscribe)
}

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
