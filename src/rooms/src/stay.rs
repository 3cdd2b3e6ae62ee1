//! Until when a user was in a room. Spec: client-server API, "Room history visibility": "After a user has left a room,
//! they may see any events which they were allowed to see before they left the room, but no events received after"; and
//! `POST /rooms/{roomId}/forget`: who forgot a room "will no longer be able to retrieve history for this room", until they
//! are in it again.

use std::sync::Arc;

use ruma::UserId;
use ruma::events::StateEventType;
use store::{Forgotten, Membership, RoomNumber, TimelinePosition};

use crate::{RoomError, Rooms, StoredEvent, membership};

/// How many of a user's memberships are looked at, from the last one back, to find when they were in a room: so often
/// somebody is invited, refuses, is banned and let in again before it is forgotten that they were there.
const MAX_LOOKED_AT: usize = 1_000;

/// The last time that a user was in a room.
#[derive(Debug)]
pub(crate) enum Stay {
    /// They are in it.
    Lasting,
    /// It ended with this event, which stands there. They may have been invited, banned and so on since.
    Ended(Arc<StoredEvent>, TimelinePosition),
    /// They never were in it, or forgot it.
    Never,
}

impl Stay {
    /// Up to where the user sees a room's timeline as who was in it.
    pub(crate) fn end(&self) -> Option<TimelinePosition> {
        match self {
            Self::Lasting => Some(TimelinePosition::MAX),
            Self::Ended(_, position) => Some(*position),
            Self::Never => None,
        }
    }
}

impl Rooms {
    /// The last time that a user was in a room. Costs a look-up of state for each change of their membership since.
    pub(crate) async fn last_stay(
        &self,
        user: &UserId,
        room: RoomNumber,
    ) -> Result<Stay, RoomError> {
        let known = self.membership_of(user, room).await?;
        let known = known.filter(|known| known.forgotten == Forgotten::No);
        let Some(known) = known else { return Ok(Stay::Never) };
        if known.membership == Membership::Join {
            return Ok(Stay::Lasting);
        }
        let forgotten = self.forgotten_stay(user, room).await?;
        let kind = StateEventType::RoomMember;
        let mut event = self.event(known.event).await?;
        for _ in 0..MAX_LOOKED_AT {
            let root = event.record.state_before;
            let Some(before) = self.state_at(room, root, &kind, user.as_str()).await? else {
                break;
            };
            if membership::of(&before.pdu) == Some(Membership::Join) {
                let index = self.store().event_index(&event.pdu.event_id).await?;
                let index =
                    index.ok_or_else(|| RoomError::Damaged("event not found".to_owned()))?;
                // A stay that was forgotten does not come back with a new invitation.
                let is_forgotten = forgotten.is_some_and(|until| index.position <= until);
                let stay = Stay::Ended(event, index.position);
                return Ok(if is_forgotten { Stay::Never } else { stay });
            }
            event = before;
        }
        Ok(Stay::Never)
    }

    async fn forgotten_stay(
        &self,
        user: &UserId,
        room: RoomNumber,
    ) -> Result<Option<TimelinePosition>, RoomError> {
        let Some(user) = self.store().user_number(user).await? else { return Ok(None) };
        Ok(self.store().forgotten_stay(user, room).await?.map(TimelinePosition::from))
    }
}

#[cfg(test)]
mod tests {
    use protocol::{FixedClock, SigningKey};
    use ruma::owned_server_name;
    use store::Store;

    use super::*;
    use crate::testing::{ada, bo, join, public_room, rooms_on_memory_store};
    use crate::{MembershipChange, Settings};

    #[tokio::test]
    async fn behind_a_new_invitation_is_the_last_stay_unless_departures_are_forgotten() {
        for after_leaving in [Forgotten::No, Forgotten::Yes] {
            let key = SigningKey::from_seed([7; 32], "test".to_owned()).unwrap();
            let settings = Settings { after_leaving, ..Settings::default() };
            let (store, clock) = (Store::in_memory().await, Arc::new(FixedClock::new(1_000)));
            let name = owned_server_name!("hearth.test");
            let rooms = Rooms::new(store, name, key, clock, settings);
            let room = public_room(&rooms).await;
            let number = rooms.number_of(&room).await.unwrap();
            assert!(rooms.last_stay(bo(), number).await.unwrap().end().is_none());
            join(&rooms, &room, bo()).await.unwrap();
            let end = rooms.last_stay(bo(), number).await.unwrap().end();
            assert_eq!(end, Some(TimelinePosition::MAX));
            let leave = MembershipChange::Leave;
            rooms.change_membership(&room, bo(), bo(), leave, None).await.unwrap();
            let known = rooms.membership_of(bo(), number).await.unwrap().unwrap();
            let left = TimelinePosition::from(known.since);

            for change in [MembershipChange::Invite, MembershipChange::Ban] {
                rooms.change_membership(&room, ada(), bo(), change, None).await.unwrap();
                let end = rooms.last_stay(bo(), number).await.unwrap().end();
                let wanted = (after_leaving == Forgotten::No).then_some(left);
                assert_eq!(end, wanted, "{change:?} {after_leaving:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_stay_that_was_forgotten_is_not_behind_a_new_invitation_but_a_later_one_is() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let number = rooms.number_of(&room).await.unwrap();
        let end = async || rooms.last_stay(bo(), number).await.unwrap().end();
        let change = async |by, change| {
            rooms.change_membership(&room, by, bo(), change, None).await.unwrap();
        };
        change(bo(), MembershipChange::Join).await;
        change(bo(), MembershipChange::Leave).await;
        rooms.forget(bo(), &room).await.unwrap();
        assert_eq!(end().await, None);

        change(ada(), MembershipChange::Invite).await;
        assert_eq!(end().await, None);
        change(bo(), MembershipChange::Join).await;
        assert_eq!(end().await, Some(TimelinePosition::MAX));
        change(bo(), MembershipChange::Leave).await;
        let left = rooms.membership_of(bo(), number).await.unwrap().unwrap().since;
        change(ada(), MembershipChange::Invite).await;
        assert_eq!(end().await, Some(TimelinePosition::from(left)));
    }
}
