//! What the server says to its users. Spec: client-server API, "Server Notices".

use ruma::events::{StateEventType, TimelineEventType};
use ruma::{DeviceId, OwnedEventId, OwnedRoomId, OwnedUserId, UserId};
use serde_json::value::RawValue;
use serde_json::{Map, json};
use store::{Membership, Publication, StoreError, UserStatus};

use crate::{
    CreateRoom, Invitation, MembershipChange, Message, Preset, RoomError, Rooms, StoredEvent,
    membership,
};

/// How often a room that somebody else made meanwhile is looked up again.
const ATTEMPTS: usize = 8;

/// The device in whose transactions notices are sent.
const DEVICE: &str = "NOTICES";

/// In whose name the server speaks.
#[derive(Debug, Clone)]
pub struct NoticeSettings {
    /// The user who sends notices.
    pub sender: OwnedUserId,
    /// What the rooms of notices are called.
    pub room_name: String,
}

/// What the server says.
#[derive(Debug, Clone, Copy)]
pub struct Notice<'a> {
    /// Its event type.
    pub kind: &'a TimelineEventType,
    /// Its state key, for a state event.
    pub state_key: Option<&'a str>,
    /// Its content, a JSON object.
    pub content: &'a RawValue,
    /// What names it: saying it again says nothing new.
    pub transaction_id: &'a str,
}

/// A notice that was sent.
#[derive(Debug, Clone)]
pub struct SentNotice {
    /// The event.
    pub event_id: OwnedEventId,
    /// Its room.
    pub room_id: OwnedRoomId,
    /// Whether the user was in the room or is only asked in now.
    pub recipient: Recipient,
}

/// How a user stands to the room of their notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipient {
    /// They are in it or were invited before.
    Known,
    /// They were invited for this notice.
    Invited,
}

impl Rooms {
    /// Says something to a user of this server, in the one room there is for that. Who left the room is invited again.
    ///
    /// Fails with [`RoomError::NoServerNotices`] when the server is not to send any.
    #[tracing::instrument(skip_all, fields(%user))]
    pub async fn send_server_notice(
        &self,
        user: &UserId,
        notice: Notice<'_>,
    ) -> Result<SentNotice, RoomError> {
        let settings = self.settings().server_notices.as_ref();
        let settings = settings.ok_or(RoomError::NoServerNotices)?;
        let (room_id, recipient) = self.room_of_notices(settings, user).await?;
        let event_id = if let Some(state_key) = notice.state_key {
            let kind = StateEventType::from(notice.kind.to_string());
            let content = notice.content.to_owned();
            self.set_state(&room_id, &settings.sender, &kind, state_key, content).await?
        } else {
            let message = Message {
                sender: &settings.sender,
                device_id: <&DeviceId>::from(DEVICE),
                transaction_id: notice.transaction_id,
                kind: notice.kind,
                content: notice.content,
                redacts: None,
            };
            self.send_message(&room_id, message).await?
        };
        Ok(SentNotice { event_id, room_id, recipient })
    }

    /// The room of a user's notices, made if there is none, with the user in it or invited.
    async fn room_of_notices(
        &self,
        settings: &NoticeSettings,
        user: &UserId,
    ) -> Result<(OwnedRoomId, Recipient), RoomError> {
        let number = self.store().number_user(user).await?;
        for _ in 0..ATTEMPTS {
            let known = self.store().notice_room(number).await?;
            if let Some(room_id) = &known
                && let Some(recipient) = self.invite_again(settings, room_id, user).await?
            {
                return Ok((room_id.clone(), recipient));
            }
            let wish = settings.room_for(user);
            let made = self.create_room_with(&settings.sender, wish, |batch, room_id| {
                batch.set_notice_room(number, known.as_deref(), room_id)
            });
            match made.await {
                Ok(room_id) => return Ok((room_id, Recipient::Invited)),
                Err(RoomError::Store(StoreError::Conflict)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(RoomError::Busy)
    }

    /// Invites a user to the room of their notices if they are not in it; `None` when the room is not there any more.
    async fn invite_again(
        &self,
        settings: &NoticeSettings,
        room_id: &OwnedRoomId,
        user: &UserId,
    ) -> Result<Option<Recipient>, RoomError> {
        let room = match self.number_of(room_id).await {
            Err(RoomError::UnknownRoom(_)) => return Ok(None),
            outcome => outcome?,
        };
        let known = self.membership_of(user, room).await?.map(|known| known.membership);
        if matches!(known, Some(Membership::Join | Membership::Invite)) {
            return Ok(Some(Recipient::Known));
        }
        let change = MembershipChange::Invite;
        self.change_membership(room_id, &settings.sender, user, change, None).await?;
        Ok(Some(Recipient::Invited))
    }

    /// Fails with [`RoomError::NoticeInvitation`] when what makes `user` what they are to a room is an invitation to the
    /// server's notices: those are not refused while the account is in use.
    /// Spec: client-server API, "Server Notices".
    pub(crate) async fn check_refusal(
        &self,
        before: Option<&StoredEvent>,
        user: &UserId,
    ) -> Result<(), RoomError> {
        let settings = self.settings().server_notices.as_ref();
        let is_invitation = before.is_some_and(|event| {
            settings.is_some_and(|settings| settings.sender == event.pdu.sender)
                && membership::of(&event.pdu) == Some(Membership::Invite)
        });
        if !is_invitation {
            return Ok(());
        }
        let Some(number) = self.store().user_number(user).await? else { return Ok(()) };
        let account = self.store().user(number).await?;
        if account.is_some_and(|account| account.status == UserStatus::Active) {
            return Err(RoomError::NoticeInvitation);
        }
        Ok(())
    }
}

impl NoticeSettings {
    /// A room in which only the server speaks.
    fn room_for(&self, user: &UserId) -> CreateRoom {
        let mut power_levels = Map::new();
        power_levels.insert("users_default".to_owned(), json!(-10));
        CreateRoom {
            version: None,
            creation_content: Map::new(),
            preset: Preset::PrivateChat,
            initial_state: Vec::new(),
            name: Some(self.room_name.clone()),
            topic: None,
            alias: None,
            invite: vec![user.to_owned()],
            invite_third_party: Vec::new(),
            invitation: Invitation::Ordinary,
            power_levels,
            publication: Publication::Private,
        }
    }
}
