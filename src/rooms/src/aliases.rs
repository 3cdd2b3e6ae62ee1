//! Room aliases of this server.

use protocol::limits;
use protocol::power_levels::PowerLevels;
use ruma::events::StateEventType;
use ruma::events::room::canonical_alias::RoomCanonicalAliasEventContent;
use ruma::{OwnedRoomAliasId, OwnedRoomId, RoomAliasId, RoomId, UserId};
use store::{AliasRecord, Batch, Membership, RoomNumber, StoreError};

use crate::{RoomError, Rooms};

/// The most aliases of one room that are listed.
const MAX_LISTED: usize = 1_000;

impl Rooms {
    /// Points a new local alias at a room.
    ///
    /// Fails with [`RoomError::AliasNotLocal`] for another server's alias, [`RoomError::InvalidParameter`] for one that
    /// is too long, [`RoomError::AliasTaken`] if it exists, [`RoomError::NotInRoom`] if its creator is not in the room.
    /// Spec: client-server API, `PUT /directory/room/{roomAlias}`.
    #[tracing::instrument(skip_all, fields(%alias, %room_id))]
    pub async fn create_alias(
        &self,
        creator: &UserId,
        alias: &RoomAliasId,
        room_id: &RoomId,
    ) -> Result<(), RoomError> {
        self.check_local(alias)?;
        check_length(alias)?;
        let room = self.number_of(room_id).await?;
        let membership = self.membership_of(creator, room).await?;
        if membership.is_none_or(|known| known.membership != Membership::Join) {
            return Err(RoomError::NotInRoom);
        }
        let record = AliasRecord { room_id: room_id.to_owned(), creator: creator.to_owned() };
        let mut batch = Batch::default();
        batch.create_alias(alias, &record)?;
        match self.store().commit(batch).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict) => Err(RoomError::AliasTaken(alias.to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    /// The room that a local alias points at. Fails with [`RoomError::UnknownAlias`].
    pub async fn room_of_alias(&self, alias: &RoomAliasId) -> Result<OwnedRoomId, RoomError> {
        let record = self.store().alias(alias).await?;
        record.map(|record| record.room_id).ok_or_else(|| RoomError::UnknownAlias(alias.to_owned()))
    }

    /// Deletes a local alias: its creator may, who may set the room's canonical alias, and administrators of the
    /// server.
    ///
    /// Fails with [`RoomError::UnknownAlias`], [`RoomError::Forbidden`].
    /// Spec: client-server API, `DELETE /directory/room/{roomAlias}`.
    #[tracing::instrument(skip_all, fields(%alias))]
    pub async fn delete_alias(&self, user: &UserId, alias: &RoomAliasId) -> Result<(), RoomError> {
        self.check_local(alias)?;
        let unknown = || RoomError::UnknownAlias(alias.to_owned());
        let record = self.store().alias(alias).await?.ok_or_else(unknown)?;
        let may = record.creator == user
            || self.may_set_aliases(user, &record.room_id).await?
            || self.is_administrator(user).await?;
        if !may {
            return Err(RoomError::Forbidden("you may not delete this alias".to_owned()));
        }
        let mut batch = Batch::default();
        batch.delete_alias(alias, &record)?;
        match self.store().commit(batch).await {
            Ok(_) => self.unlist(user, alias, &record.room_id).await,
            Err(StoreError::Conflict) => Err(unknown()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a deleted alias out of the room's canonical alias event, where `user` may change that.
    /// Spec: client-server API, `DELETE /directory/room/{roomAlias}`.
    async fn unlist(
        &self,
        user: &UserId,
        alias: &RoomAliasId,
        room_id: &RoomId,
    ) -> Result<(), RoomError> {
        let room = self.number_of(room_id).await?;
        let kind = StateEventType::RoomCanonicalAlias;
        let root = self.current_state(room).await?;
        let Some(event) = self.state_at(room, root, &kind, "").await? else { return Ok(()) };
        let event = self.after_redaction(&event).await?;
        let Ok(mut content) = event.content_as::<RoomCanonicalAliasEventContent>() else {
            return Ok(());
        };
        let before = (content.alias.clone(), content.alt_aliases.len());
        content.alias = content.alias.filter(|listed| listed != alias);
        content.alt_aliases.retain(|listed| listed != alias);
        if before == (content.alias.clone(), content.alt_aliases.len()) {
            return Ok(());
        }
        let content = serde_json::value::to_raw_value(&content)
            .map_err(|error| RoomError::Damaged(error.to_string()))?;
        match self.set_state(room_id, user, &kind, "", content).await {
            Ok(_) | Err(RoomError::Forbidden(_) | RoomError::NotInRoom) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The local aliases of a room. Fails with [`RoomError::NotInRoom`] for who is not in it, unless it is open to
    /// the world.
    /// Spec: client-server API, `GET /rooms/{roomId}/aliases`.
    pub async fn aliases(
        &self,
        user: &UserId,
        room_id: &RoomId,
    ) -> Result<Vec<OwnedRoomAliasId>, RoomError> {
        let seen = match self.number_of_joined(user, room_id).await {
            Err(RoomError::NotInRoom) => self.open_state(room_id).await.map(|(room, _)| room),
            outcome => outcome,
        };
        seen?;
        Ok(self.store().aliases_of(room_id, MAX_LISTED).await?)
    }

    fn check_local(&self, alias: &RoomAliasId) -> Result<(), RoomError> {
        if alias.server_name() == self.server_name() {
            return Ok(());
        }
        Err(RoomError::AliasNotLocal(alias.to_owned()))
    }

    async fn may_set_aliases(&self, user: &UserId, room_id: &RoomId) -> Result<bool, RoomError> {
        let room = self.number_of(room_id).await?;
        self.moderates_aliases(user, room).await
    }

    /// The power levels in force in a room.
    pub async fn power_levels(&self, room: RoomNumber) -> Result<PowerLevels, RoomError> {
        let root = self.current_state(room).await?;
        self.power_levels_at(room, root).await
    }

    /// The power levels that were in force in a state of a room.
    pub async fn power_levels_at(
        &self,
        room: RoomNumber,
        root: store::StateRoot,
    ) -> Result<PowerLevels, RoomError> {
        let levels = self.state_at(room, root, &StateEventType::RoomPowerLevels, "").await?;
        let create = self.state_at(room, root, &StateEventType::RoomCreate, "").await?;
        let rules = self.rules_of(room).await?;
        Ok(PowerLevels::new(
            levels.as_ref().map(|event| &event.pdu),
            create.as_ref().map(|event| &event.pdu),
            &rules,
        ))
    }
}

/// Fails with [`RoomError::InvalidParameter`] for an alias that is longer than aliases may be.
/// Spec: appendices, "Room aliases".
pub(crate) fn check_length(alias: &RoomAliasId) -> Result<(), RoomError> {
    if alias.as_str().len() <= limits::IDENTIFIER {
        return Ok(());
    }
    Err(RoomError::InvalidParameter("the alias is too long".to_owned()))
}
