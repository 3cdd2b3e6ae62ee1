//! Rooms: a file per heading of the specification.

mod aliases;
mod creation;
mod directory;
mod invitations;
mod joining;
mod members;
mod membership;
mod messages_request;
mod mutual;
mod relations;
mod sending;
mod spaces;
mod state;
mod thread_subscriptions;
mod threads;
mod timeline;
mod timestamps;
mod upgrades;
mod visibility_request;

pub(super) use directory::visibility_of;
use rooms::{RoomError, Rooms, Viewer};
use ruma::serde::Raw;
use serde_json::value::RawValue;

use self::invitations::Inviting;
use crate::{EdgeBuilder, Endpoints, MatrixError, RateLimits, Requester};

/// All endpoints of rooms.
pub fn endpoints(all: EdgeBuilder, rooms: &Rooms, rate_limits: RateLimits) -> EdgeBuilder {
    let begin = || Endpoints::new(rooms.clone());
    let inviting = Inviting::new(rooms.clone(), rate_limits);
    all.with(creation::endpoints(Endpoints::new(inviting.clone())))
        .with(invitations::endpoints(Endpoints::new(inviting)))
        .with(joining::endpoints(begin()))
        .with(membership::endpoints(begin()))
        .with(mutual::endpoints(begin()))
        .with(spaces::endpoints(begin()))
        .with(upgrades::endpoints(begin()))
        .with(state::endpoints(begin()))
        .with(sending::endpoints(begin()))
        .with(aliases::endpoints(begin()))
        .with(directory::endpoints(begin()))
        .with(members::endpoints(begin()))
        .with(timeline::endpoints(begin()))
        .with(timestamps::endpoints(begin()))
        .with(threads::endpoints(begin()))
        .with(thread_subscriptions::endpoints(begin()))
        .with(relations::endpoints(begin()))
}

/// Events are shown to who asks.
fn viewer(requester: &Requester) -> Viewer<'_> {
    Viewer { user_id: requester.user_id(), device_id: Some(requester.device_id()) }
}

/// A raw value in the type a response wants it in; it was made from a valid event.
fn typed<T>(events: Vec<Box<RawValue>>) -> Vec<Raw<T>> {
    events.into_iter().map(Raw::from_json).collect()
}

/// A token that came as a parameter.
fn token(text: &str) -> Result<rooms::tokens::PaginationToken, MatrixError> {
    let parsed = text.parse::<rooms::tokens::PaginationToken>();
    Ok(parsed.map_err(|error| RoomError::InvalidParameter(error.to_string()))?)
}
