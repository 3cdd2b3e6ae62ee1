//! Whether a user may do something when no request of theirs is at hand, whose session would tell.
//! Spec: client-server API, "Account locking", "Account suspension".

use store::{Restrictions, UserNumber, UserStatus};

use crate::{RoomError, Rooms};

impl Rooms {
    /// Fails with [`RoomError::Forbidden`] for a user whose account is closed, locked or suspended.
    pub(crate) async fn check_standing(&self, user: UserNumber) -> Result<(), RoomError> {
        let Some(account) = self.store().user(user).await? else { return Ok(()) };
        let Restrictions { locked, suspended } = account.restrictions;
        if account.status == UserStatus::Deactivated || locked || suspended {
            return Err(RoomError::Forbidden("the sender's account is not in use".to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use store::{Batch, UserKind, UserRecord};

    use super::*;
    use crate::testing::{ada, registered, rooms_on_memory_store};

    #[tokio::test]
    async fn only_users_whose_account_is_whole_act() {
        let rooms = rooms_on_memory_store().await;
        registered(&rooms, ada(), UserKind::Registered).await;
        let user = rooms.store().number_user(ada()).await.unwrap();
        let whole = rooms.store().user(user).await.unwrap().unwrap();
        let with = |locked, suspended| UserRecord {
            restrictions: Restrictions { locked, suspended },
            ..whole.clone()
        };
        let closed = UserRecord { status: UserStatus::Deactivated, ..whole.clone() };
        let mut before = whole.clone();
        for (account, may) in [
            (with(true, false), false),
            (with(false, true), false),
            (closed, false),
            (with(false, false), true),
        ] {
            let mut batch = Batch::new();
            batch.change_user(user, &before, &account).unwrap();
            rooms.store().commit(batch).await.unwrap();
            assert_eq!(rooms.check_standing(user).await.is_ok(), may, "{account:?}");
            before = account;
        }
    }
}
