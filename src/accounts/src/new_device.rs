//! Devices that are to log in.
//! Spec: client-server API, "Relationship between access tokens and devices".

use ruma::OwnedDeviceId;

use crate::{devices::MAX_NAME, secret::random_name};

/// Bytes of the longest ID of a device.
const MAX_ID: usize = 512;

/// A device that is to log in.
#[derive(Debug, Clone, Default)]
pub struct NewDevice {
    /// Its ID; `None`: the server makes one up.
    pub(crate) id: Option<OwnedDeviceId>,
    /// Its name, if it is a new one.
    pub(crate) display_name: Option<String>,
    /// What tokens it gets.
    pub(crate) tokens: Tokens,
}

/// What tokens a device gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tokens {
    /// An access token that is valid until logout.
    #[default]
    Lasting,
    /// An access token that expires and a refresh token to replace it.
    Refreshable,
}

/// Why there cannot be such a device.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NewDeviceError {
    /// The ID is empty or too long.
    #[error("a device ID has 1 to {MAX_ID} bytes")]
    Id,
    /// The name is too long.
    #[error("the name of a device has at most {MAX_NAME} bytes")]
    Name,
}

impl NewDevice {
    /// A device with an ID and a name, if it is to have them.
    pub fn new(
        id: Option<OwnedDeviceId>,
        display_name: Option<String>,
        tokens: Tokens,
    ) -> Result<Self, NewDeviceError> {
        if id.as_ref().is_some_and(|id| !(1..=MAX_ID).contains(&id.as_bytes().len())) {
            return Err(NewDeviceError::Id);
        }
        if display_name.as_ref().is_some_and(|name| name.len() > MAX_NAME) {
            return Err(NewDeviceError::Name);
        }
        Ok(Self { id, display_name, tokens })
    }
}

/// An ID for a device that brings none.
pub(crate) fn new_device_id() -> OwnedDeviceId {
    random_name(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 10, &mut rand::rng()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_have_a_largest_length_and_no_id_is_empty() {
        let with_id = |id: &str| NewDevice::new(Some(id.into()), None, Tokens::Lasting).err();
        assert_eq!(with_id(""), Some(NewDeviceError::Id));
        assert_eq!(with_id(&"x".repeat(MAX_ID)), None);
        assert_eq!(with_id(&"x".repeat(MAX_ID + 1)), Some(NewDeviceError::Id));
        let named = |name: String| NewDevice::new(None, Some(name), Tokens::Lasting).err();
        assert_eq!(named("x".repeat(MAX_NAME)), None);
        assert_eq!(named("x".repeat(MAX_NAME + 1)), Some(NewDeviceError::Name));
    }
}
