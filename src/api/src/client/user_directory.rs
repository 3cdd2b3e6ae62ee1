//! Searching for users. Spec: client-server API, "User Directory".

use rooms::{FoundUser, Rooms};
use ruma::api::client::user_directory::search_users::v3::{Request, Response, User};

use crate::{Endpoints, MatrixError, Requester};

const MAX_LIMIT: usize = 50;

/// The users whom a term finds.
async fn search(
    rooms: Rooms,
    requester: Requester,
    request: Request,
) -> Result<Response, MatrixError> {
    let limit = usize::try_from(request.limit).unwrap_or(MAX_LIMIT).min(MAX_LIMIT);
    let found = rooms.search_users(requester.user_id(), &request.search_term, limit).await?;
    let users = found.users.into_iter().map(|found| {
        let FoundUser { user_id, display_name, avatar_url } = found;
        let mut user = User::new(user_id);
        user.display_name = display_name;
        user.avatar_url = avatar_url;
        user
    });
    Ok(Response::new(users.collect(), found.is_limited))
}

/// The search.
pub fn endpoints(rooms: Rooms) -> Endpoints<Rooms> {
    Endpoints::new(rooms).at(search)
}
