//! Users' names and pictures in their rooms. Spec: client-server API, "Events on Change of Profile Information".

use futures_util::{StreamExt, stream};
use ruma::UserId;
use store::Membership;

use crate::{RoomError, Rooms};

/// In how many rooms at once a new name is stated. They share flushes.
const AT_ONCE: usize = 32;

impl Rooms {
    /// States a user's name and picture anew in all rooms they are in. A room that does not let them keeps the old.
    #[tracing::instrument(skip_all, fields(%user))]
    pub async fn restate_profile_everywhere(&self, user: &UserId) -> Result<(), RoomError> {
        let Some(number) = self.store().user_number(user).await? else { return Ok(()) };
        let memberships = self.store().memberships(number).await?;
        let joined = memberships.into_iter().filter(|known| known.membership == Membership::Join);
        let restate = async |room| {
            if let Err(error) = self.restate_profile(room, user).await {
                tracing::warn!(%room, %error, "a changed profile is not stated in a room");
            }
        };
        stream::iter(joined).for_each_concurrent(AT_ONCE, |known| restate(known.room)).await;
        Ok(())
    }
}
