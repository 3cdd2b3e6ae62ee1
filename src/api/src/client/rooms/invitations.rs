//! Spec: client-server API, "Joining rooms", `POST /rooms/{roomId}/invite`; "Third-party invites".

use federation::identity::AccessToken;
use rooms::{MembershipChange, Rooms, ThirdPartyInvite};
use ruma::api::client::membership::{Invite3pid, Invite3pidInit, invite_user};
use ruma::api::error::ErrorKind;
use ruma::thirdparty::Medium;
use ruma::{OwnedRoomId, OwnedUserId};

use crate::rate_limits::Key;
use crate::stand_in::stand_in;
use crate::{Endpoints, MatrixError, RateClass, RateLimits, Requester, Settings};

/// Where users are invited, and how often by third-party id.
#[derive(Clone)]
pub(super) struct Inviting {
    rooms: Rooms,
    rate_limits: RateLimits,
}

pub(super) fn endpoints(endpoints: Endpoints<Inviting>) -> Endpoints<Inviting> {
    endpoints
        .feature("org.matrix.msc4380")
        .feature("org.matrix.msc4380.stable")
        .feature("org.matrix.msc4155")
        .at_with(Settings::default().class(RateClass::Joins), Inviting::invite)
}

mod request {
    use ruma::api::client::membership::invite_user::v3::{Request, Response};

    use super::{Medium, OwnedRoomId, OwnedUserId, stand_in};

    /// [`Request`], which is of two forms and does not say what is missing.
    #[ruma::api::request]
    pub(super) struct Invite {
        #[ruma_api(path)]
        pub(super) room_id: OwnedRoomId,
        pub(super) user_id: Option<OwnedUserId>,
        pub(super) reason: Option<String>,
        pub(super) id_server: Option<String>,
        pub(super) id_access_token: Option<String>,
        pub(super) medium: Option<Medium>,
        pub(super) address: Option<String>,
    }

    stand_in!(Invite, Request);
}

impl Inviting {
    pub(super) fn new(rooms: Rooms, rate_limits: RateLimits) -> Self {
        Self { rooms, rate_limits }
    }

    pub(super) fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// An invitation by third-party id, counted against the inviter's limit.
    pub(super) fn counted(
        &self,
        requester: &Requester,
        invite: Invite3pid,
    ) -> Result<ThirdPartyInvite, MatrixError> {
        let (class, key) = (RateClass::ThirdPartyInvites, Key::User(requester.user_id()));
        self.rate_limits.check(class, &key).map_err(MatrixError::limit_exceeded)?;
        let Invite3pid { id_server, id_access_token, medium, address, .. } = invite;
        let id_access_token = AccessToken::new(id_access_token);
        Ok(ThirdPartyInvite { id_server, id_access_token, medium, address })
    }

    async fn invite(
        self,
        requester: Requester,
        request: request::Invite,
    ) -> Result<invite_user::v3::Response, MatrixError> {
        let (room_id, sender) = (&request.room_id, requester.user_id());
        if let Some(user) = &request.user_id {
            let (change, reason) = (MembershipChange::Invite, request.reason.as_deref());
            self.rooms.change_membership(room_id, sender, user, change, reason).await?;
        } else {
            let invite = self.counted(&requester, request.third_party()?)?;
            self.rooms.invite_third_party(&request.room_id, sender, &invite).await?;
        }
        Ok(invite_user::v3::Response::new())
    }
}

impl request::Invite {
    /// The invitation by third-party id. Fails with `M_MISSING_PARAM` where it is not whole.
    fn third_party(&self) -> Result<Invite3pid, MatrixError> {
        let is_by_address = self.medium.is_some() || self.address.is_some();
        let missing =
            |key| MatrixError::bad_request(ErrorKind::MissingParam, format!("{key} is missing"));
        if !is_by_address {
            return Err(missing("user_id"));
        }
        let wanted = |value: &Option<String>, key| value.clone().ok_or_else(|| missing(key));
        let invite = Invite3pidInit {
            id_server: wanted(&self.id_server, "id_server")?,
            id_access_token: wanted(&self.id_access_token, "id_access_token")?,
            medium: self.medium.clone().ok_or_else(|| missing("medium"))?,
            address: wanted(&self.address, "address")?,
        };
        Ok(invite.into())
    }
}
