//! Putting a new room into the store, whole or not at all.

use std::sync::Arc;

use protocol::Pdu;
use protocol::event_builder::{EventTemplate, build};
use protocol::room_version::Rules;
use ruma::events::TimelineEventType;
use ruma::room_version_rules::{EventIdFormatVersion, RoomIdFormatVersion};
use ruma::{MilliSecondsSinceUnixEpoch, OwnedRoomId, RoomId, RoomVersionId, UserId, uint};
use serde_json::{Map, Value, json};
use store::{Batch, Publication, RoomNumber, StoreError};

use crate::assembly::{Assembly, Draft, random_localpart};
use crate::create::raw;
use crate::third_party_invites::Addressee;
use crate::{RoomError, Rooms};

/// A room that is being made.
pub(crate) struct Founding<'a> {
    pub(crate) creator: &'a UserId,
    pub(crate) version: RoomVersionId,
    pub(crate) rules: Rules,
    /// What its create event says beside its version and its creator.
    pub(crate) create: Map<String, Value>,
    /// What follows the create event.
    pub(crate) drafts: Vec<Draft>,
    /// Who is invited, after these, of whom only an address is known.
    pub(crate) third_party: Vec<Addressee>,
    pub(crate) publication: Publication,
}

/// A room that is made once its batch is committed.
pub(crate) struct Founded {
    pub(crate) batch: Batch,
    pub(crate) room: RoomNumber,
    pub(crate) room_id: OwnedRoomId,
}

impl Rooms {
    /// Makes a room with all its first events, and what `also` puts into the same batch; returns its ID once it is
    /// durable. Fails with a conflict when what `also` expects does not hold.
    pub(crate) async fn found(
        &self,
        founding: Founding<'_>,
        also: impl FnOnce(&mut Batch, &RoomId) -> Result<(), StoreError>,
    ) -> Result<OwnedRoomId, RoomError> {
        let creator = founding.creator;
        let Founded { mut batch, room, room_id } = self.assemble_room(founding).await?;
        also(&mut batch, &room_id)?;
        self.store().commit(batch).await?;
        self.settle_in(creator, room).await;
        Ok(room_id)
    }

    /// A room with all its first events, to be committed.
    pub(crate) async fn assemble_room(&self, founding: Founding<'_>) -> Result<Founded, RoomError> {
        // Rooms of version 12 that are made alike at one time would be the same room.
        let mut made_at = self.clock().now();
        let (create, json) = loop {
            let (create, json) = self.build_create(&founding, made_at)?;
            if self.store().room_number(&create.room_id).await?.is_none() {
                break (create, json);
            }
            made_at = MilliSecondsSinceUnixEpoch(made_at.get().saturating_add(uint!(1)));
        };
        let Founding { creator, version, drafts, third_party, publication, .. } = founding;
        let room_id = create.room_id.clone();
        self.number_names(&drafts).await?;
        self.store().number_state_key(&"m.room.create".into(), "").await?;
        let room = self.store().number_room(&room_id).await?;

        let mut assembly = Assembly::new_room(self, room, room_id.clone(), version)?;
        assembly.add_create(create, &json).await?;
        for draft in drafts {
            assembly.add(draft).await?;
        }
        let invites = self.stored_invites(&assembly, creator, &third_party).await?;
        self.number_names(&invites).await?;
        for invite in invites {
            assembly.add(invite).await?;
        }
        assembly.publish(publication);
        let (batch, ..) = assembly.finish().await?;
        Ok(Founded { batch, room, room_id })
    }

    /// The create event; from version 12 on it makes the room's ID.
    fn build_create(
        &self,
        founding: &Founding<'_>,
        made_at: MilliSecondsSinceUnixEpoch,
    ) -> Result<(Arc<Pdu>, String), RoomError> {
        let Founding { creator, version, rules, create, .. } = founding;
        let room_id = match rules.room_id_format {
            RoomIdFormatVersion::V2 => None,
            _ => Some(RoomId::new_v1(self.server_name())),
        };
        let mut content = create.clone();
        content.insert("room_version".to_owned(), json!(version));
        if rules.authorization.use_room_create_sender {
            content.remove("creator");
        } else {
            content.insert("creator".to_owned(), json!(creator));
        }
        let (kind, content) = (TimelineEventType::RoomCreate, raw(&Value::Object(content)));
        let mut template = EventTemplate::new(room_id, (*creator).to_owned(), kind, content);
        template.state_key = Some(String::new());
        template.origin_server_ts = made_at;
        if rules.event_id_format == EventIdFormatVersion::V1 {
            template.id_localpart = Some(random_localpart());
        }
        Ok(build(template, version, self.signing_key().key_pair(), self.server_name())?)
    }
}
