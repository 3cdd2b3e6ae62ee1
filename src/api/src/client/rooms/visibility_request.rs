//! `PUT /directory/list/room/{roomId}` with the visibility that is meant when none is named: ruma wants one.

use ruma::OwnedRoomId;
use ruma::api::client::directory::set_room_visibility::v3::{Request, Response};
use ruma::api::client::room::Visibility;

use crate::stand_in::stand_in;

/// [`Request`] without its need for a visibility.
#[ruma::api::request]
pub(super) struct SetVisibility {
    #[ruma_api(path)]
    pub(super) room_id: OwnedRoomId,
    #[serde(default = "public")]
    pub(super) visibility: Visibility,
}

stand_in!(SetVisibility, Request);

/// Spec: "Defaults to `public`".
fn public() -> Visibility {
    Visibility::Public
}
