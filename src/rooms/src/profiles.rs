//! Users' names and pictures in their rooms. Spec: client-server API, "Events on Change of Profile Information".
//!
//! A change is written down with the profile, as what is still to be stated in the user's rooms. The first rooms are done
//! at once, so that whoever is in a few sees the change everywhere; the rest, and what a process left behind that
//! ended, is done in the background, some rooms of each user in turn.

use futures_util::{StreamExt, stream};
use ruma::UserId;
use ruma::events::{StateEventType, TimelineEventType};
use serde_json::{Map, Value};
use store::{
    Batch, MemberField, Membership, PendingPropagation, PropagateTo, Propagation, RoomNumber,
    StoreError,
};

use crate::assembly::Draft;
use crate::create::raw;
use crate::joining::AUTHORISED_VIA;
use crate::{RoomError, Rooms, membership};

/// In how many rooms a change is stated before it is another user's turn. They share flushes.
const AT_ONCE: usize = 32;

/// How many changes of users are looked at in one go.
const USERS: usize = 100;

/// Whether a change is stated in all rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// There may be more rooms.
    Unfinished,
    /// There is nothing to do.
    Done,
}

impl Rooms {
    /// States a changed name or picture in the first of the user's rooms; [`Rooms::propagate_profiles`] does the rest.
    /// Who sees the user's presence is told in any case.
    #[tracing::instrument(skip_all, fields(%user))]
    pub async fn propagate_profile(
        &self,
        user: &UserId,
        field: MemberField,
    ) -> Result<(), RoomError> {
        let Some(number) = self.store().user_number(user).await? else { return Ok(()) };
        self.presence().rename(number);
        let Some(propagation) = self.store().propagation(number, field).await? else {
            return Ok(());
        };
        let pending = PendingPropagation { user: number, field, propagation };
        if self.propagate_on(&pending).await? == Progress::Unfinished {
            self.propagations().notify_one();
        }
        Ok(())
    }

    /// States changed names and pictures in all rooms where they are not stated yet; never ends.
    pub async fn propagate_profiles(&self) {
        loop {
            if let Err(error) = self.propagate_all().await {
                // What is left stays written down, and is done with the next change.
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "profiles are not stated"
                );
            }
            self.propagations().notified().await;
        }
    }

    /// Goes through the users with unstated changes, again and again, until there is none.
    async fn propagate_all(&self) -> Result<(), RoomError> {
        let mut after = None;
        loop {
            let pending = self.store().pending_propagations(after, USERS).await?;
            if pending.is_empty() && after.is_none() {
                return Ok(());
            }
            after = pending.last().map(|last| (last.user, last.field));
            for one in &pending {
                self.propagate_on(one).await?;
            }
        }
    }

    /// States a change in the next rooms.
    async fn propagate_on(&self, pending: &PendingPropagation) -> Result<Progress, RoomError> {
        let PendingPropagation { user: number, field, propagation } = pending;
        let user = self.store().user_id(*number).await?;
        let page = self.store().memberships_after(*number, propagation.done, AT_ONCE).await?;
        if let Some(user) = &user {
            let joined = page.iter().filter(|known| known.membership == Membership::Join);
            let states =
                joined.map(|known| self.try_restating(known.room, user, *field, propagation));
            let states: Vec<_> = states.collect();
            stream::iter(states).for_each_concurrent(AT_ONCE, |state| state).await;
        }
        let next = page.last().filter(|_| page.len() == AT_ONCE);
        let next = next.map(|last| Propagation { done: last.room, to: propagation.to.clone() });
        let mut batch = Batch::new();
        batch.move_propagation(*number, *field, Some(propagation), next.as_ref())?;
        match self.store().commit(batch).await {
            Ok(_) if next.is_none() => Ok(Progress::Done),
            // It changed again, or somebody else is at it too.
            Ok(_) | Err(StoreError::Conflict) => Ok(Progress::Unfinished),
            Err(error) => Err(error.into()),
        }
    }

    /// As [`Rooms::restate_profile`]; a room that does not let the user state it keeps what it has.
    async fn try_restating(
        &self,
        room: RoomNumber,
        user: &UserId,
        field: MemberField,
        propagation: &Propagation,
    ) {
        if let Err(error) = self.restate_profile(room, user, field, &propagation.to).await {
            tracing::warn!(%room, %error, "a changed profile is not stated in a room");
        }
    }

    /// States a user's name or picture anew in a room they are in, if it is one of those the change is for.
    async fn restate_profile(
        &self,
        room: RoomNumber,
        user: &UserId,
        field: MemberField,
        to: &PropagateTo,
    ) -> Result<(), RoomError> {
        let Some(cell) = self.cell(room).await? else { return Ok(()) };
        let root = self.current_state(room).await?;
        let before = self.state_at(room, root, &StateEventType::RoomMember, user.as_str()).await?;
        let before = before.filter(|event| membership::of(&event.pdu) == Some(Membership::Join));
        let Some(before) = before else { return Ok(()) };
        let damaged = |error: serde_json::Error| RoomError::Damaged(error.to_string());
        let before = self.after_redaction(&before).await?;
        let mut content: Map<String, Value> = before.content_as().map_err(damaged)?;
        // Spec: `m.room.member`: not to be copied, as the event would need the signature of another server.
        content.remove(AUTHORISED_VIA);
        let old = content.get(field.as_str()).and_then(Value::as_str).map(ToOwned::to_owned);
        if matches!(to, PropagateTo::Unchanged(former) if !former.contains(&old)) {
            return Ok(());
        }
        let new = self.profile_of(user).await?.field(field).cloned();
        if new.as_ref() == content.get(field.as_str()) {
            return Ok(());
        }
        match new {
            Some(new) => content.insert(field.as_str().to_owned(), new),
            None => content.remove(field.as_str()),
        };
        let state_key = Some(user.to_string());
        let kind = TimelineEventType::RoomMember;
        let draft = Draft::new(user.to_owned(), kind, state_key, raw(&Value::Object(content)));
        self.append(&cell, &[draft]).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ruma::RoomVersionId;
    use ruma::profile::UserProfile;
    use serde_json::json;

    use super::*;
    use crate::testing::{ada, bo, rooms_on_memory_store, wish};
    use crate::{MembershipChange, Preset};

    /// Gives Bo a name, as the service of accounts does.
    async fn rename(rooms: &Rooms, name: &str, to: PropagateTo) {
        let user = rooms.store().number_user(bo()).await.unwrap();
        let before = rooms.store().profile(user).await.unwrap();
        let mut after = UserProfile::new();
        after.set("displayname".to_owned(), name.into());
        let (field, known) = (MemberField::DisplayName, Propagation { done: RoomNumber(0), to });
        let pending = rooms.store().propagation(user, field).await.unwrap();
        let mut batch = Batch::new();
        batch.set_profile(user, &before, &after).unwrap();
        batch.move_propagation(user, field, pending.as_ref(), Some(&known)).unwrap();
        rooms.store().commit(batch).await.unwrap();
    }

    async fn name_in(rooms: &Rooms, room: &ruma::RoomId) -> Value {
        let number = rooms.number_of(room).await.unwrap();
        let root = rooms.current_state(number).await.unwrap();
        let kind = StateEventType::RoomMember;
        let event = rooms.state_at(number, root, &kind, bo().as_str()).await.unwrap();
        event.unwrap().pdu.content_as::<Value>().unwrap()["displayname"].clone()
    }

    async fn rooms_of_bo(rooms: &Rooms, count: usize) -> Vec<ruma::OwnedRoomId> {
        let mut all = Vec::new();
        for _ in 0..count {
            let room = rooms.create_room(ada(), wish(Preset::PublicChat, RoomVersionId::V11));
            let room = room.await.unwrap();
            let join = MembershipChange::Join;
            rooms.change_membership(&room, bo(), bo(), join, None).await.unwrap();
            all.push(room);
        }
        all
    }

    #[tokio::test]
    async fn a_name_reaches_many_rooms_even_if_the_process_ends_half_way() {
        let rooms = rooms_on_memory_store().await;
        let all = rooms_of_bo(&rooms, 2 * AT_ONCE + 3).await;
        rename(&rooms, "Bo", PropagateTo::All).await;
        rooms.propagate_profile(bo(), MemberField::DisplayName).await.unwrap();
        assert_eq!(name_in(&rooms, &all[0]).await, "Bo");
        assert_eq!(name_in(&rooms, &all[2 * AT_ONCE]).await, Value::Null);

        // Another process finds what is left.
        rooms.propagate_all().await.unwrap();

        for room in &all {
            assert_eq!(name_in(&rooms, room).await, "Bo");
        }
        assert!(rooms.store().pending_propagations(None, 1).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_name_given_for_one_room_stays_if_only_unchanged_ones_are_to_follow() {
        let rooms = rooms_on_memory_store().await;
        let all = rooms_of_bo(&rooms, 2).await;
        let content = raw(&json!({ "membership": "join", "displayname": "Chef" }));
        let kind = StateEventType::RoomMember;
        rooms.set_state(&all[0], bo(), &kind, bo().as_str(), content).await.unwrap();

        rename(&rooms, "Bo", PropagateTo::Unchanged(vec![None])).await;
        rooms.propagate_all().await.unwrap();
        assert_eq!(name_in(&rooms, &all[0]).await, "Chef");
        assert_eq!(name_in(&rooms, &all[1]).await, "Bo");

        rename(&rooms, "Bob", PropagateTo::All).await;
        rooms.propagate_all().await.unwrap();
        assert_eq!(name_in(&rooms, &all[0]).await, "Bob");
    }

    #[tokio::test]
    async fn rooms_that_were_left_are_not_told() {
        let rooms = rooms_on_memory_store().await;
        let all = rooms_of_bo(&rooms, 1).await;
        let leave = MembershipChange::Leave;
        rooms.change_membership(&all[0], bo(), bo(), leave, None).await.unwrap();
        rename(&rooms, "Bo", PropagateTo::All).await;
        rooms.propagate_all().await.unwrap();
        assert_eq!(name_in(&rooms, &all[0]).await, Value::Null);
    }
}
