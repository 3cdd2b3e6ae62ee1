//! Which names a new user may have. Spec: appendices, "User Identifiers".

use ruma::{OwnedUserId, ServerName, UserId};

/// Why a name cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum UsernameError {
    /// It is empty or holds a character that no user ID may have.
    #[error("a user name is made of a-z, 0-9 and ._=-/+ only")]
    BadCharacter,
    /// The user ID would be longer than 255 bytes.
    #[error("the user name is too long")]
    TooLong,
    /// Names of this kind are the server's own.
    #[error("a user name cannot begin with an underscore")]
    Reserved,
}

/// The user ID of a new user. Capitals are lowered, as other servers do: no two users differ in case only.
pub(crate) fn new_user_id(
    username: &str,
    server_name: &ServerName,
) -> Result<OwnedUserId, UsernameError> {
    let localpart = username.to_ascii_lowercase();
    let valid =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._=-/+".contains(&byte);
    if localpart.is_empty() || !localpart.bytes().all(valid) {
        return Err(UsernameError::BadCharacter);
    }
    // Application services own such names by custom, so a person with one would be taken for a bridge's puppet.
    if localpart.starts_with('_') {
        return Err(UsernameError::Reserved);
    }
    let user_id = format!("@{localpart}:{server_name}");
    if user_id.len() > protocol::limits::IDENTIFIER {
        return Err(UsernameError::TooLong);
    }
    UserId::parse(user_id).map_err(|_| UsernameError::BadCharacter)
}

/// The user ID that somebody who logs in means: a full ID or the part before the colon, in any case.
pub(crate) fn existing_user_id(name: &str, server_name: &ServerName) -> Option<OwnedUserId> {
    let exact = UserId::parse_with_server_name(name, server_name).ok()?;
    (exact.server_name() == server_name).then_some(exact)
}

#[cfg(test)]
mod tests {
    use ruma::server_name;

    use super::*;

    fn id(username: &str) -> Result<OwnedUserId, UsernameError> {
        new_user_id(username, server_name!("hearth.test"))
    }

    #[test]
    fn capitals_are_lowered() {
        assert_eq!(id("Ada-L").unwrap(), "@ada-l:hearth.test");
    }

    #[test]
    fn the_characters_of_the_grammar_are_accepted_and_no_others() {
        assert!(id("q3._=-/+").is_ok());
        for bad in ["", "a b", "ü", "a:b", "@a", "a\n", "a'", "a{", "a\0"] {
            assert!(matches!(id(bad), Err(UsernameError::BadCharacter)), "{bad:?}");
        }
        assert!(matches!(id("_bridge"), Err(UsernameError::Reserved)));
    }

    #[test]
    fn a_user_id_has_at_most_255_bytes() {
        let longest = 255 - "@:hearth.test".len();
        assert!(id(&"a".repeat(longest)).is_ok());
        assert!(matches!(id(&"a".repeat(longest + 1)), Err(UsernameError::TooLong)));
    }
}
