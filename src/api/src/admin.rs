//! Administration, by the paths existing tools expect: Synapse's.

mod answer;
mod authentication;
mod deletion;
mod devices;
mod history;
mod paging;
mod redaction;
mod registration_tokens;
mod reports;
mod rooms;
mod server_notices;
pub mod shared_secret;
mod users;
mod version;

use ::rooms::Rooms;
use accounts::Accounts;

use crate::{EdgeBuilder, Endpoints};

pub(crate) use answer::Answer;
pub(crate) use authentication::{AdminToken, Administrator};

/// All endpoints for server administrators. `notices_name` is what the user who sends server notices is called.
pub fn endpoints(
    all: EdgeBuilder,
    accounts: &Accounts,
    rooms: &Rooms,
    notices_name: &str,
) -> EdgeBuilder {
    let (accounts, rooms) = (accounts.clone(), rooms.clone());
    let users = users::Users { accounts: accounts.clone(), rooms: rooms.clone() };
    let whereabouts = devices::Whereabouts { accounts: accounts.clone(), rooms: rooms.clone() };
    let admin_rooms = rooms::AdminRooms { accounts: accounts.clone(), rooms: rooms.clone() };
    let notices = server_notices::ServerNotices {
        accounts: accounts.clone(),
        rooms: rooms.clone(),
        display_name: notices_name.to_owned(),
    };
    all.with(version::endpoints())
        .with(users::endpoints(users))
        .with(devices::endpoints(whereabouts))
        .with(rooms::endpoints(admin_rooms))
        .with(deletion::endpoints(rooms.clone()))
        .with(history::endpoints(rooms.clone()))
        .with(redaction::endpoints(rooms.clone()))
        .with(registration_tokens::endpoints(accounts))
        .with(reports::endpoints(Endpoints::new(rooms)))
        .with(server_notices::endpoints(notices))
}

/// The direction of lists where none is named.
fn forward() -> ruma::api::Direction {
    ruma::api::Direction::Forward
}
