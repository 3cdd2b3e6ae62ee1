//! What a client needs to name a room. Spec: client-server API, "Calculating the display name for a room".

use rooms::{RoomError, Rooms};
use ruma::api::client::sync::sync_events::v3::RoomSummary;
use ruma::events::StateEventType;
use ruma::{OwnedUserId, UInt};
use serde::Deserialize;
use store::{Membership, RoomHead, RoomMember, RoomNumber, UserNumber};

/// How many members name a room without a name.
const HEROES: usize = 5;

/// The number of members of a room, and those who name it if nothing else does, as they are now.
pub(crate) async fn of_room(
    rooms: &Rooms,
    room: RoomNumber,
    reader: UserNumber,
) -> Result<RoomSummary, RoomError> {
    let mut summary = RoomSummary::new();
    let Some(head) = rooms.store().room_head(room).await? else { return Ok(summary) };
    summary.joined_member_count = Some(UInt::new_saturating(head.joined));
    summary.invited_member_count = Some(UInt::new_saturating(head.invited));
    if !has_name(rooms, room, &head).await? {
        summary.heroes = heroes(rooms, room, reader).await?;
    }
    Ok(summary)
}

async fn has_name(rooms: &Rooms, room: RoomNumber, head: &RoomHead) -> Result<bool, RoomError> {
    #[derive(Deserialize)]
    struct Content {
        name: Option<String>,
        alias: Option<String>,
    }
    for kind in [StateEventType::RoomName, StateEventType::RoomCanonicalAlias] {
        let Some(event) = rooms.state_at(room, head.state, &kind, "").await? else { continue };
        let Ok(content) = event.pdu.content_as::<Content>() else { continue };
        let name = match kind {
            StateEventType::RoomName => content.name,
            _ => content.alias,
        };
        if name.is_some_and(|name| !name.is_empty()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first others who are in the room or invited; if there are none, the first who were. The first are those whose
/// membership event is oldest. Spec: client-server API, `GET /sync`, `RoomSummary`.
async fn heroes(
    rooms: &Rooms,
    room: RoomNumber,
    reader: UserNumber,
) -> Result<Vec<OwnedUserId>, RoomError> {
    for memberships in
        [[Membership::Join, Membership::Invite], [Membership::Leave, Membership::Ban]]
    {
        let mut members = Vec::new();
        for membership in memberships {
            members.extend(rooms.store().room_members(room, membership, None, HEROES + 1).await?);
        }
        members.retain(|member| member.user != reader);
        members.sort_unstable_by_key(|member| member.event);
        members.truncate(HEROES);
        if !members.is_empty() {
            return names(rooms, &members).await;
        }
    }
    Ok(Vec::new())
}

async fn names(rooms: &Rooms, members: &[RoomMember]) -> Result<Vec<OwnedUserId>, RoomError> {
    let mut names = Vec::with_capacity(members.len());
    for member in members {
        names.extend(rooms.store().user_id(member.user).await?);
    }
    Ok(names)
}
