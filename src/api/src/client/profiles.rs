//! What users tell of themselves. Spec: client-server API, "Profiles".

use accounts::Accounts;
use rooms::Rooms;
use ruma::{
    OwnedUserId,
    api::{
        IncomingRequest,
        client::profile::{
            delete_profile_field, get_profile, get_profile_field, set_profile_field,
        },
        error::DeserializationError,
    },
    profile::{ProfileFieldName, ProfileFieldValue},
};
use serde::{
    Deserialize,
    de::{Error, value::SeqDeserializer},
};
use serde_json::Value;

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
    value: Value,
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
        let value = match (body.remove(field.as_str()), &field) {
            (Some(value), _) => value,
            // An absent name or picture is none, as in the years before `null` was told apart from it.
            (None, ProfileFieldName::DisplayName | ProfileFieldName::AvatarUrl) => Value::Null,
            (None, _) => {
                let message = format!("missing field `{field}`");
                return Err(serde_json::Error::custom(message).into());
            }
        };
        Ok(Self { user_id, field, value })
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
        self.change(&requester, &request.field, request.value).await?;
        Ok(set_profile_field::v3::Response::new())
    }

    /// Removes a field of one's own profile.
    async fn delete_field(
        self,
        requester: Requester,
        request: delete_profile_field::v3::Request,
    ) -> Result<delete_profile_field::v3::Response, MatrixError> {
        requester.must_be(&request.user_id)?;
        self.change(&requester, &request.field, Value::Null).await?;
        Ok(delete_profile_field::v3::Response::new())
    }

    /// Changes a field and tells the user's rooms of a new name or picture.
    async fn change(
        &self,
        requester: &Requester,
        field: &ProfileFieldName,
        value: Value,
    ) -> Result<(), MatrixError> {
        self.accounts.set_profile_field(requester.session(), field, value).await?;
        if matches!(field, ProfileFieldName::DisplayName | ProfileFieldName::AvatarUrl) {
            self.rooms.restate_profile_everywhere(requester.user_id()).await?;
        }
        Ok(())
    }
}

/// The endpoints of profiles.
pub fn endpoints(accounts: Accounts, rooms: Rooms) -> Endpoints<Profiles> {
    Endpoints::new(Profiles { accounts, rooms })
        .at(Profiles::profile)
        .at(Profiles::field)
        .at(Profiles::set_field)
        .at(Profiles::delete_field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(field: &str, body: &str) -> Result<Value, DeserializationError> {
        let request = http::Request::new(body.as_bytes());
        let arguments = ["@ada:hearth.test", field];
        SetProfileField::try_from_http_request_inner(request, &arguments).map(|set| set.value)
    }

    #[test]
    fn a_name_or_picture_may_be_null_or_absent() {
        for field in ["displayname", "avatar_url"] {
            assert_eq!(parse(field, "{}").unwrap(), Value::Null);
            assert_eq!(parse(field, &format!(r#"{{"{field}":null}}"#)).unwrap(), Value::Null);
            assert_eq!(parse(field, &format!(r#"{{"{field}":"x"}}"#)).unwrap(), "x");
        }
        assert!(parse("org.example.pets", "{}").is_err());
        assert!(parse("displayname", "").is_err());
    }
}
