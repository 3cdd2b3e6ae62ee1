//! Seeing out of rooms who has to leave them: users whose accounts are closed, and guests where they are no longer
//! welcome. What is to be done stands in the store until it is done, so it goes on after a restart.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, TryStreamExt, stream};
use ruma::{OwnedRoomId, OwnedUserId};
use store::{
    Batch, Change, Membership, Observer, RoomNumber, StreamPosition, UserKind, UserNumber,
};
use tokio::sync::Notify;

use crate::membership::Change as MembershipChange;
use crate::worker::rest;
use crate::{RoomError, Rooms};

/// How many departing users or closed rooms are read at once.
const PAGE: usize = 16;

/// How many members of a closed room are looked at at once.
const MEMBERS: usize = 256;

/// How many rooms are left, or guests seen out, at once. They share flushes.
const AT_ONCE: usize = 16;

/// Wakes who sees others out.
#[derive(Debug, Default)]
pub(crate) struct Departures {
    committed: AtomicBool,
    wake: Notify,
}

impl Observer for Departures {
    fn committed(&self, _: StreamPosition, changes: &[Change]) {
        if changes.contains(&Change::Departures) {
            self.committed.store(true, Ordering::Release);
        }
    }

    fn published(&self, _: StreamPosition) {
        if self.committed.swap(false, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }
}

impl Rooms {
    /// Sees out who has to leave, now and whenever there is somebody. Never ends.
    /// Spec: client-server API, "Account deactivation" and "Guest Access".
    pub async fn see_out(&self) {
        loop {
            rest(self.see_all_out().await, "departures", &self.departures().wake).await;
        }
    }

    async fn see_all_out(&self) -> Result<(), RoomError> {
        loop {
            let users = self.store().departing_users(PAGE).await?;
            let rooms = self.store().closed_rooms(PAGE).await?;
            if users.is_empty() && rooms.is_empty() {
                return Ok(());
            }
            let mut done = Batch::new();
            for user in users {
                self.leave_everywhere(user).await?;
                self.erase_data_of(user).await?;
                done.end_departure(user);
            }
            for room in rooms {
                self.see_guests_out(room).await?;
                done.closed_to_guests(room);
            }
            self.store().commit(done).await?;
        }
    }

    /// Has a user leave all rooms, and refuse all invitations.
    async fn leave_everywhere(&self, user: UserNumber) -> Result<(), RoomError> {
        let Some(user_id) = self.store().user_id(user).await? else { return Ok(()) };
        let mut rooms = Vec::new();
        for known in self.store().memberships(user).await? {
            if !matches!(known.membership, Membership::Leave | Membership::Ban)
                && let Some(room_id) = self.store().room_id(known.room).await?
            {
                rooms.push((room_id, user_id.clone()));
            }
        }
        self.all_leave(rooms).await
    }

    /// Erases the account data of a user who wants everything erased: whoever closed the account may not have got that
    /// far.
    async fn erase_data_of(&self, user: UserNumber) -> Result<(), RoomError> {
        let Some(user_id) = self.store().user_id(user).await? else { return Ok(()) };
        if self.store().erasure(&user_id).await?.is_some() {
            self.store().erase_account_data(user).await?;
        }
        Ok(())
    }

    /// Has all guests of this server leave a room.
    async fn see_guests_out(&self, room: RoomNumber) -> Result<(), RoomError> {
        let Some(room_id) = self.store().room_id(room).await? else { return Ok(()) };
        let mut after = None;
        loop {
            let members = self.store().room_members(room, Membership::Join, after, MEMBERS).await?;
            let Some(last) = members.last() else { return Ok(()) };
            after = Some(*last);
            let mut guests = Vec::new();
            for member in members {
                let record = self.store().user(member.user).await?;
                if record.is_some_and(|record| record.kind == UserKind::Guest)
                    && let Some(user_id) = self.store().user_id(member.user).await?
                {
                    guests.push((room_id.clone(), user_id));
                }
            }
            self.all_leave(guests).await?;
        }
    }

    async fn all_leave(&self, who: Vec<(OwnedRoomId, OwnedUserId)>) -> Result<(), RoomError> {
        let leave = async |(room_id, user_id): (OwnedRoomId, OwnedUserId)| {
            let change = MembershipChange::Leave;
            match self.change_membership(&room_id, &user_id, &user_id, change, None).await {
                Ok(()) => Ok(()),
                Err(error @ (RoomError::Store(_) | RoomError::Busy)) => Err(error),
                // It would be refused again and again, and the others are to leave all the same.
                Err(error) => {
                    tracing::warn!(%room_id, %user_id, %error, "a user cannot leave a room");
                    Ok(())
                }
            }
        };
        stream::iter(who).map(leave).buffer_unordered(AT_ONCE).try_collect::<()>().await
    }
}

#[cfg(test)]
mod tests {
    use ruma::RoomVersionId;
    use serde_json::json;

    use super::*;
    use crate::Preset;
    use crate::testing::{ada, bo, join, public_room, registered, rooms_on_memory_store, wish};

    async fn membership(rooms: &Rooms, room: &OwnedRoomId, user: &ruma::UserId) -> Membership {
        let room = rooms.number_of(room).await.unwrap();
        rooms.membership_of(user, room).await.unwrap().unwrap().membership
    }

    #[tokio::test]
    async fn a_departing_user_leaves_all_rooms_but_those_left_already() {
        let rooms = rooms_on_memory_store().await;
        let other = wish(Preset::PublicChat, RoomVersionId::V11);
        let other = rooms.create_room(ada(), other).await.unwrap();
        let (one, two) = (public_room(&rooms).await, other);
        for room in [&one, &two] {
            join(&rooms, room, bo()).await.unwrap();
        }
        let bo_number = rooms.store().number_user(bo()).await.unwrap();
        let mut batch = Batch::new();
        batch.begin_departure(bo_number).unwrap();
        rooms.store().commit(batch).await.unwrap();

        rooms.see_all_out().await.unwrap();

        for room in [&one, &two] {
            assert_eq!(membership(&rooms, room, bo()).await, Membership::Leave);
            assert_eq!(membership(&rooms, room, ada()).await, Membership::Join);
        }
        assert!(rooms.store().departing_users(1).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn of_an_erased_user_whose_departure_was_interrupted_no_account_data_is_left() {
        let rooms = rooms_on_memory_store().await;
        let (store, mut batch) = (rooms.store(), Batch::new());
        for user in [ada(), bo()] {
            let number = store.number_user(user).await.unwrap();
            let content = crate::create::raw(&json!({ "sugar": 1 }));
            batch.set_account_data(number, None, "org.example.tea", None, &content).unwrap();
            batch.begin_departure(number).unwrap();
        }
        let slot = batch.slot();
        batch.erase_user(bo(), slot).unwrap();
        store.commit(batch).await.unwrap();

        rooms.see_all_out().await.unwrap();

        for (user, left) in [(ada(), 1), (bo(), 0)] {
            let number = store.number_user(user).await.unwrap();
            assert_eq!(store.all_account_data(number).await.unwrap().len(), left, "{user}");
        }
    }

    #[tokio::test]
    async fn guests_are_seen_out_when_a_room_is_closed_to_them() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        registered(&rooms, bo(), UserKind::Guest).await;
        let refused = join(&rooms, &room, bo()).await;
        assert!(matches!(refused, Err(RoomError::GuestsForbidden)), "{refused:?}");
        let set = async |access: &str| {
            let content = crate::create::raw(&json!({ "guest_access": access }));
            let kind = ruma::events::StateEventType::RoomGuestAccess;
            rooms.set_state(&room, ada(), &kind, "", content).await.unwrap();
        };
        set("can_join").await;
        join(&rooms, &room, bo()).await.unwrap();
        assert!(rooms.store().closed_rooms(1).await.unwrap().is_empty());

        set("forbidden").await;
        rooms.see_all_out().await.unwrap();

        assert_eq!(membership(&rooms, &room, bo()).await, Membership::Leave);
        assert_eq!(membership(&rooms, &room, ada()).await, Membership::Join);
        assert!(rooms.store().closed_rooms(1).await.unwrap().is_empty());
    }
}
