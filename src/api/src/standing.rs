//! Who may call which endpoint: guests, suspended users and locked users call a part of the API only.

use accounts::{Session, UserKind};
use http::{Method, StatusCode};
use ruma::api::{
    Metadata,
    client::{
        account, alias, authenticated_media, context, device, directory, keys, knock, membership,
        message, peeking, profile, room, session, state, sync, to_device,
    },
    error::ErrorKind,
};

use crate::{Authentication, MatrixError, Paths, endpoints::paths_of};

/// Whose requests an endpoint serves besides those of everybody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    guests: Served,
    suspended: Served,
    locked: Served,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Served {
    #[default]
    Yes,
    No,
}

impl From<bool> for Served {
    fn from(served: bool) -> Self {
        if served { Self::Yes } else { Self::No }
    }
}

impl Standing {
    /// No difference is made.
    pub(crate) const EVERYBODY: Self =
        Self { guests: Served::Yes, suspended: Served::Yes, locked: Served::Yes };

    /// What the endpoint of a request requires.
    pub(crate) fn required_by<R>() -> Self
    where
        R: Metadata<Authentication: Authentication, PathBuilder: Paths>,
    {
        Self {
            guests: guests_call::<R>().into(),
            suspended: (!others_see::<R>()).into(),
            locked: ends_sessions::<R>().into(),
        }
    }

    pub(crate) fn without_guests(self) -> Self {
        Self { guests: Served::No, ..self }
    }

    pub(crate) fn without_suspended(self) -> Self {
        Self { suspended: Served::No, ..self }
    }

    /// Fails when the session's user is not served.
    pub(crate) fn check(self, session: &Session) -> Result<(), MatrixError> {
        let forbidden = |kind, message| Err(MatrixError::new(StatusCode::FORBIDDEN, kind, message));
        if session.restrictions.locked && self.locked == Served::No {
            return Err(MatrixError::locked());
        }
        if session.restrictions.suspended && self.suspended == Served::No {
            let message = "you cannot do this while you are suspended";
            return forbidden(ErrorKind::UserSuspended, message);
        }
        if session.kind == UserKind::Guest && self.guests == Served::No {
            return forbidden(ErrorKind::GuestAccessForbidden, "guests cannot do this");
        }
        Ok(())
    }
}

/// Whether requests of two types go to the same endpoint; ours that stand in for ruma's do.
fn same<R: Metadata<PathBuilder: Paths>, Other: Metadata<PathBuilder: Paths>>() -> bool {
    let (method, other): (Method, Method) = (R::METHOD, Other::METHOD);
    method == other && paths_of::<R>().first() == paths_of::<Other>().first()
}

/// Whether guests may call an endpoint. Spec: client-server API, "Guest Access", "Client behaviour".
fn guests_call<R>() -> bool
where
    R: Metadata<Authentication: Authentication, PathBuilder: Paths>,
{
    same::<R, state::get_state_events::v3::Request>()
        || same::<R, context::get_context::v3::Request>()
        || same::<R, room::get_room_event::v3::Request>()
        || same::<R, state::get_state_event_for_key::v3::Request>()
        || same::<R, message::get_message_events::v3::Request>()
        || same::<R, membership::get_member_events::v3::Request>()
        || same::<R, peeking::get_current_state::v3::Request>()
        || same::<R, sync::sync_events::v3::Request>()
        || same::<R, sync::sync_events::v5::Request>()
        || same::<R, peeking::listen_to_new_events::v3::Request>()
        || same::<R, authenticated_media::get_content::v1::Request>()
        || same::<R, authenticated_media::get_content_as_filename::v1::Request>()
        || same::<R, authenticated_media::get_content_thumbnail::v1::Request>()
        || same::<R, membership::join_room_by_id::v3::Request>()
        || same::<R, membership::leave_room::v3::Request>()
        || same::<R, message::send_message_event::v3::Request>()
        || same::<R, state::send_state_event::v3::Request>()
        || same::<R, to_device::send_event_to_device::v3::Request>()
        // Of their profile, the display name only: the handlers see to that.
        || same::<R, profile::set_profile_field::v3::Request>()
        || same::<R, profile::delete_profile_field::v3::Request>()
        || same::<R, device::get_devices::v3::Request>()
        || same::<R, device::get_device::v3::Request>()
        || same::<R, device::update_device::v3::Request>()
        || same::<R, account::whoami::v3::Request>()
        || same::<R, keys::upload_keys::v3::Request>()
        || same::<R, keys::get_keys::v3::Request>()
        || same::<R, keys::claim_keys::v3::Request>()
        || tells_anybody::<R>()
}

/// Whether an endpoint tells everybody the same, with a session or without.
fn tells_anybody<R: Metadata<Authentication: Authentication>>() -> bool {
    let method: Method = R::METHOD;
    method == Method::GET && !R::Authentication::NEEDS_SESSION
}

/// Whether an endpoint lets its caller do something that others see. Sending and redacting events is not among them:
/// that depends on the event. Spec: client-server API, "Account suspension".
fn others_see<R: Metadata<PathBuilder: Paths>>() -> bool {
    same::<R, membership::join_room_by_id::v3::Request>()
        || same::<R, membership::join_room_by_id_or_alias::v3::Request>()
        || same::<R, knock::knock_room::v3::Request>()
        || same::<R, membership::invite_user::v3::Request>()
        || same::<R, membership::kick_user::v3::Request>()
        || same::<R, membership::ban_user::v3::Request>()
        || same::<R, membership::unban_user::v3::Request>()
        || same::<R, room::create_room::v3::Request>()
        || same::<R, room::upgrade_room::v3::Request>()
        || same::<R, state::send_state_event::v3::Request>()
        || same::<R, alias::create_alias::v3::Request>()
        || same::<R, alias::delete_alias::v3::Request>()
        || same::<R, directory::set_room_visibility::v3::Request>()
        || same::<R, profile::set_profile_field::v3::Request>()
        || same::<R, profile::delete_profile_field::v3::Request>()
}

/// Whether an endpoint logs its caller out, which a locked user may. Spec: client-server API, "Account locking".
fn ends_sessions<R: Metadata<PathBuilder: Paths>>() -> bool {
    same::<R, session::logout::v3::Request>() || same::<R, session::logout_all::v3::Request>()
}

#[cfg(test)]
mod tests {
    use accounts::{Restrictions, Role};
    use ruma::{device_id, user_id};
    use store::UserNumber;

    use super::*;

    fn session(kind: UserKind, restrictions: Restrictions) -> Session {
        Session {
            user_id: user_id!("@ada:hearth.test").to_owned(),
            user: UserNumber(1),
            device_id: device_id!("LAPTOP").to_owned(),
            role: Role::User,
            kind,
            restrictions,
        }
    }

    fn is_served<R>(session: &Session) -> bool
    where
        R: Metadata<Authentication: Authentication, PathBuilder: Paths>,
    {
        Standing::required_by::<R>().check(session).is_ok()
    }

    #[test]
    fn guests_call_what_is_listed() {
        let guest = session(UserKind::Guest, Restrictions::default());
        assert!(is_served::<sync::sync_events::v3::Request>(&guest));
        assert!(is_served::<ruma::api::client::discovery::get_supported_versions::Request>(&guest));
        assert!(!is_served::<room::create_room::v3::Request>(&guest));
        assert!(!is_served::<membership::join_room_by_id_or_alias::v3::Request>(&guest));
        assert!(!is_served::<account::deactivate::v3::Request>(&guest));
        assert!(!is_served::<session::logout::v3::Request>(&guest));
    }

    #[test]
    fn the_suspended_read_and_leave() {
        let restrictions = Restrictions { suspended: true, ..Restrictions::default() };
        let suspended = session(UserKind::Registered, restrictions);
        assert!(is_served::<sync::sync_events::v3::Request>(&suspended));
        assert!(is_served::<membership::leave_room::v3::Request>(&suspended));
        assert!(is_served::<account::deactivate::v3::Request>(&suspended));
        assert!(!is_served::<membership::join_room_by_id::v3::Request>(&suspended));
        assert!(!is_served::<profile::set_profile_field::v3::Request>(&suspended));
    }

    #[test]
    fn the_locked_log_out() {
        let restrictions = Restrictions { locked: true, ..Restrictions::default() };
        let locked = session(UserKind::Registered, restrictions);
        assert!(is_served::<session::logout_all::v3::Request>(&locked));
        assert!(!is_served::<sync::sync_events::v3::Request>(&locked));
        assert!(!is_served::<account::deactivate::v3::Request>(&locked));
    }
}
