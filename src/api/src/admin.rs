//! Administration, by the paths existing tools expect: Synapse's.

mod answer;
mod authentication;
mod devices;
mod paging;
mod registration_tokens;
mod reports;
mod server_notices;
pub mod shared_secret;
mod users;
mod version;

use accounts::Accounts;
use rooms::Rooms;

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
    let notices = server_notices::ServerNotices {
        accounts: accounts.clone(),
        rooms: rooms.clone(),
        display_name: notices_name.to_owned(),
    };
    all.with(version::endpoints())
        .with(users::endpoints(users))
        .with(devices::endpoints(whereabouts))
        .with(registration_tokens::endpoints(accounts))
        .with(reports::endpoints(Endpoints::new(rooms)))
        .with(server_notices::endpoints(notices))
}
