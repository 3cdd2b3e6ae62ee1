//! Which threads a user follows. Spec: MSC4306.

use ruma::{EventId, OwnedRoomId, RoomId, UserId};
use store::{
    Batch, ChangedSubscription, RelationKind, RoomNumber, StoreError, StreamPosition, Subscription,
    ThreadSubscription, TimelinePosition, UserNumber,
};

use crate::relations::Relation;
use crate::{RoomError, Rooms};

/// How often a change is tried again when the same user changes it from elsewhere.
const ATTEMPTS: usize = 20;

/// How many changes are read at once, whatever is asked for.
const MOST_CHANGES: usize = 1_000;

/// How somebody comes to follow a thread.
#[derive(Debug, Clone, Copy)]
pub enum Subscribing<'a> {
    /// They said so.
    Manually,
    /// Their client does, because of this event of the thread.
    BecauseOf(&'a EventId),
}

/// Why a subscription did not change.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionError {
    /// The user does not follow the thread.
    #[error("you are not subscribed to this thread")]
    NotSubscribed,
    /// The event that is to be the cause is not part of the thread.
    #[error("the event is not in this thread")]
    NotInThread,
    /// The user has unsubscribed since the event that is to be the cause.
    #[error("you have unsubscribed since that event")]
    Unsubscribed,
    /// The room could not be read, or is closed to the user.
    #[error(transparent)]
    Room(#[from] RoomError),
}

impl From<StoreError> for SubscriptionError {
    fn from(error: StoreError) -> Self {
        Self::Room(error.into())
    }
}

/// A page of changed subscriptions, the last change first.
#[derive(Debug, Default)]
pub struct SubscriptionPage {
    /// The changes, and the rooms they are in.
    pub changes: Vec<(OwnedRoomId, ChangedSubscription)>,
    /// Up to where there are more; `None`: there are none.
    pub next: Option<StreamPosition>,
}

impl Rooms {
    /// A page of a user's subscriptions that changed after `since` up to `until`. Spec: MSC4308.
    pub async fn thread_subscription_changes(
        &self,
        user: UserNumber,
        since: StreamPosition,
        until: StreamPosition,
        limit: usize,
    ) -> Result<SubscriptionPage, RoomError> {
        // A page of none would have no place to go on from.
        let limit = limit.clamp(1, MOST_CHANGES);
        let mut changes =
            self.store().thread_subscription_changes(user, since, until, limit + 1).await?;
        let has_more = changes.len() > limit;
        changes.truncate(limit);
        let last = changes.last().filter(|_| has_more);
        let next = last.map(|last| StreamPosition(last.changed.since.0.saturating_sub(1)));
        let mut page = SubscriptionPage { changes: Vec::with_capacity(changes.len()), next };
        for change in changes {
            let room_id = self.store().room_id(change.room).await?;
            page.changes.extend(room_id.map(|room_id| (room_id, change)));
        }
        Ok(page)
    }

    /// Whether a user follows a thread manually or automatically.
    ///
    /// Fails with [`SubscriptionError::NotSubscribed`], and with [`RoomError::UnknownEvent`] for a root that the
    /// user does not see.
    pub async fn thread_subscription(
        &self,
        user: &UserId,
        room_id: &RoomId,
        root: &EventId,
    ) -> Result<Subscription, SubscriptionError> {
        let room = self.room_of_thread(user, room_id, root).await?;
        let user = self.store().number_user(user).await?;
        match self.store().thread_subscription(user, room, root).await? {
            None | Some(ThreadSubscription { subscription: Subscription::Ended, .. }) => {
                Err(SubscriptionError::NotSubscribed)
            }
            Some(known) => Ok(known.subscription),
        }
    }

    /// Has a user follow a thread. What they said themselves is not changed by what their client does.
    ///
    /// Fails with [`SubscriptionError::NotInThread`] and [`SubscriptionError::Unsubscribed`].
    #[tracing::instrument(skip_all, fields(%room_id))]
    pub async fn subscribe_to_thread(
        &self,
        user: &UserId,
        room_id: &RoomId,
        root: &EventId,
        how: Subscribing<'_>,
    ) -> Result<(), SubscriptionError> {
        let room = self.room_of_thread(user, room_id, root).await?;
        let (after, cause) = match how {
            Subscribing::Manually => (Subscription::Manual, None),
            Subscribing::BecauseOf(event) => {
                (Subscription::Automatic, Some(self.place_in_thread(room, root, event).await?))
            }
        };
        self.change_subscription(user, room, root, |before| match (before, cause) {
            (None, _) => Ok(Some(after)),
            (Some(known), Some(cause)) if known.subscription == Subscription::Ended => {
                if cause <= TimelinePosition::from(known.since) {
                    return Err(SubscriptionError::Unsubscribed);
                }
                Ok(Some(after))
            }
            (Some(known), Some(_)) if known.subscription == Subscription::Manual => Ok(None),
            (Some(known), _) => Ok((known.subscription != after).then_some(after)),
        })
        .await
    }

    /// Has a user follow a thread no more; nothing changes when they do not.
    #[tracing::instrument(skip_all, fields(%room_id))]
    pub async fn unsubscribe_from_thread(
        &self,
        user: &UserId,
        room_id: &RoomId,
        root: &EventId,
    ) -> Result<(), SubscriptionError> {
        let room = self.room_of_thread(user, room_id, root).await?;
        self.change_subscription(user, room, root, |before| {
            let is_subscribed =
                before.is_some_and(|known| known.subscription != Subscription::Ended);
            Ok(is_subscribed.then_some(Subscription::Ended))
        })
        .await
    }

    async fn change_subscription(
        &self,
        user: &UserId,
        room: RoomNumber,
        root: &EventId,
        change: impl Fn(Option<&ThreadSubscription>) -> Result<Option<Subscription>, SubscriptionError>,
    ) -> Result<(), SubscriptionError> {
        let user = self.store().number_user(user).await?;
        for _ in 0..ATTEMPTS {
            let before = self.store().thread_subscription(user, room, root).await?;
            let Some(after) = change(before.as_ref())? else { return Ok(()) };
            let mut batch = Batch::new();
            let slot = batch.slot();
            batch.set_thread_subscription((user, room), root, before.as_ref(), after, slot)?;
            match self.store().commit(batch).await {
                Err(StoreError::Conflict) => {}
                outcome => return outcome.map(|_| ()).map_err(Into::into),
            }
        }
        Err(RoomError::Busy.into())
    }

    /// The room of a thread whose root a user may see.
    async fn room_of_thread(
        &self,
        user: &UserId,
        room_id: &RoomId,
        root: &EventId,
    ) -> Result<RoomNumber, RoomError> {
        // Spec: MSC4306: 404 where "the thread does not exist, or the thread is inaccessible".
        let hide_room = |error| match error {
            RoomError::NotInRoom => RoomError::UnknownEvent(root.to_owned()),
            other => other,
        };
        let room = self.number_of_seen(room_id).await.map_err(hide_room)?;
        self.visible_event_of(user, room, root).await.map_err(hide_room)?;
        Ok(room)
    }

    /// Where an event of a thread stands.
    async fn place_in_thread(
        &self,
        room: RoomNumber,
        root: &EventId,
        event: &EventId,
    ) -> Result<TimelinePosition, SubscriptionError> {
        let (index, event) = match self.event_by_id(room, event).await {
            Err(RoomError::UnknownEvent(_)) => return Err(SubscriptionError::NotInThread),
            outcome => outcome?,
        };
        let relation = Relation::of(&event.pdu);
        let is_reply = relation.is_some_and(|relation| {
            relation.kind == RelationKind::Thread && relation.parent == root
        });
        if is_reply { Ok(index.position) } else { Err(SubscriptionError::NotInThread) }
    }
}
