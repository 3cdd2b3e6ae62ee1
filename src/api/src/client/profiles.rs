//! What users tell of themselves. Spec: client-server API, "Profiles".

use accounts::{Accounts, PropagateProfile};
use rooms::Rooms;
use ruma::{
    OwnedUserId,
    api::{
        IncomingRequest,
        client::profile::{
            delete_profile_field, get_profile, get_profile_field, set_profile_field,
        },
        error::{DeserializationError, ErrorKind},
    },
    profile::{ProfileFieldName, ProfileFieldValue},
};
use serde::{
    Deserialize,
    de::{Error, value::SeqDeserializer},
};
use serde_json::Value;
use store::MemberField;

use crate::{Endpoints, MatrixError, Requester, stand_in::stand_in};

/// Profiles.
#[derive(Clone)]
pub struct Profiles {
    accounts: Accounts,
    rooms: Rooms,
}

/// [`set_profile_field::v3::Request`], which in ruma 0.17 cannot take a name or picture away with `null`, as
/// clients did before they could delete fields.
pub struct SetProfileField {
    user_id: OwnedUserId,
    field: ProfileFieldName,
    /// `None` when the body does not have it.
    value: Option<Value>,
    rooms: PropagateProfile,
}

stand_in!(SetProfileField, set_profile_field::v3::Request);

impl IncomingRequest for SetProfileField {
    type EndpointError = <set_profile_field::v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = set_profile_field::v3::Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let arguments =
            SeqDeserializer::<_, serde::de::value::Error>::new(path_args.iter().copied());
        let (user_id, field) = <(OwnedUserId, ProfileFieldName)>::deserialize(arguments)?;
        let mut body: serde_json::Map<String, Value> = serde_json::from_slice(request.body())?;
        let value = body.remove(field.as_str());
        let rooms = rooms_to_tell(request.uri().query().unwrap_or_default())?;
        Ok(Self { user_id, field, value, rooms })
    }
}

/// [`delete_profile_field::v3::Request`] with the rooms that are to be told.
pub struct DeleteProfileField {
    user_id: OwnedUserId,
    field: ProfileFieldName,
    rooms: PropagateProfile,
}

stand_in!(DeleteProfileField, delete_profile_field::v3::Request);

impl IncomingRequest for DeleteProfileField {
    type EndpointError = <delete_profile_field::v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = delete_profile_field::v3::Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let rooms = rooms_to_tell(request.uri().query().unwrap_or_default())?;
        let delete_profile_field::v3::Request { user_id, field, .. } =
            IncomingRequest::try_from_http_request_inner(request, path_args)?;
        Ok(Self { user_id, field, rooms })
    }
}

/// In which rooms a change is to be stated. Spec: MSC4466, `propagate_to`.
fn rooms_to_tell(query: &str) -> Result<PropagateProfile, DeserializationError> {
    const PARAMETERS: [&str; 2] = ["propagate_to", "computer.gingershaped.msc4466.propagate_to"];
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.find(|(name, _)| PARAMETERS.contains(name)).map(|(_, value)| value);
    match value {
        None | Some("all") => Ok(PropagateProfile::Everywhere),
        Some("unchanged") => Ok(PropagateProfile::WhereUnchanged),
        Some("none") => Ok(PropagateProfile::Nowhere),
        Some(other) => {
            let message = format!("propagate_to is all, unchanged or none, not {other}");
            Err(serde::de::value::Error::custom(message).into())
        }
    }
}

impl Profiles {
    /// A user's whole profile.
    async fn profile(
        self,
        (): (),
        request: get_profile::v3::Request,
    ) -> Result<get_profile::v3::Response, MatrixError> {
        Ok(self.accounts.profile(&request.user_id).await?.into())
    }

    /// One field of a user's profile.
    async fn field(
        self,
        (): (),
        request: get_profile_field::v3::Request,
    ) -> Result<get_profile_field::v3::Response, MatrixError> {
        let profile = self.accounts.profile(&request.user_id).await?;
        let name = request.field.as_str();
        let value = profile.get(name).cloned();
        let value = value.ok_or_else(|| MatrixError::not_found("the profile has no such field"))?;
        let value = ProfileFieldValue::new(name, value);
        let value = value.map_err(|error| MatrixError::internal(&error))?;
        Ok(get_profile_field::v3::Response::new(value))
    }

    /// Sets a field of one's own profile.
    async fn set_field(
        self,
        requester: Requester,
        request: SetProfileField,
    ) -> Result<set_profile_field::v3::Response, MatrixError> {
        requester.must_be(&request.user_id)?;
        let SetProfileField { field, value, rooms, .. } = request;
        check_guest(&requester, &field)?;
        let value = value.ok_or_else(|| {
            let message = format!("the body has no {field}");
            MatrixError::bad_request(ErrorKind::MissingParam, message)
        })?;
        self.accounts.set_profile_field(requester.session(), &field, value, rooms).await?;
        self.propagate(&requester, &field).await?;
        Ok(set_profile_field::v3::Response::new())
    }

    /// Removes a field of one's own profile.
    async fn delete_field(
        self,
        requester: Requester,
        request: DeleteProfileField,
    ) -> Result<delete_profile_field::v3::Response, MatrixError> {
        requester.must_be(&request.user_id)?;
        let DeleteProfileField { field, rooms, .. } = request;
        check_guest(&requester, &field)?;
        self.accounts.delete_profile_field(requester.session(), &field, rooms).await?;
        self.propagate(&requester, &field).await?;
        Ok(delete_profile_field::v3::Response::new())
    }

    /// Tells the user's rooms of a new name or picture.
    async fn propagate(
        &self,
        requester: &Requester,
        field: &ProfileFieldName,
    ) -> Result<(), MatrixError> {
        if let Some(field) = MemberField::named(field.as_str()) {
            self.rooms.propagate_profile(requester.user_id(), field).await?;
        }
        Ok(())
    }
}

/// Guests change their display name and nothing else. Spec: client-server API, "Guest Access".
fn check_guest(requester: &Requester, field: &ProfileFieldName) -> Result<(), MatrixError> {
    if *field == ProfileFieldName::DisplayName {
        return Ok(());
    }
    requester.must_not_be_guest()
}

/// The endpoints of profiles.
pub fn endpoints(accounts: Accounts, rooms: Rooms) -> Endpoints<Profiles> {
    Endpoints::new(Profiles { accounts, rooms })
        .at(Profiles::profile)
        .at(Profiles::field)
        .at(Profiles::set_field)
        .at(Profiles::delete_field)
        .feature("computer.gingershaped.msc4466")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(
        path: &str,
        field: &str,
        body: &str,
    ) -> Result<(Option<Value>, PropagateProfile), DeserializationError> {
        let request = http::Request::builder().uri(path).body(body.as_bytes()).unwrap();
        let arguments = ["@ada:hearth.test", field];
        let set = SetProfileField::try_from_http_request_inner(request, &arguments)?;
        Ok((set.value, set.rooms))
    }

    fn value(field: &str, body: &str) -> Option<Value> {
        parse("/", field, body).unwrap().0
    }

    #[test]
    fn a_name_or_picture_may_be_null() {
        for field in ["displayname", "avatar_url"] {
            assert_eq!(value(field, "{}"), None);
            assert_eq!(value(field, &format!(r#"{{"{field}":null}}"#)), Some(Value::Null));
            assert_eq!(value(field, &format!(r#"{{"{field}":"x"}}"#)), Some("x".into()));
        }
        assert_eq!(value("org.example.pets", "{}"), None);
        assert!(parse("/", "displayname", "").is_err());
    }

    #[test]
    fn the_rooms_to_tell_are_named_in_the_query() {
        for (query, expected) in [
            ("", PropagateProfile::Everywhere),
            ("?propagate_to=unchanged", PropagateProfile::WhereUnchanged),
            ("?a=b&computer.gingershaped.msc4466.propagate_to=none", PropagateProfile::Nowhere),
        ] {
            let (_, rooms) = parse(&format!("/{query}"), "displayname", "{}").unwrap();
            assert_eq!(rooms, expected, "{query}");
        }
        assert!(parse("/?propagate_to=some", "displayname", "{}").is_err());
    }
}
