//! Names of users from names elsewhere. Spec: appendices, "Mapping from other character sets".

use std::fmt::Write;

/// The local part that a name is written with. Of a name within the grammar, only capitals change.
pub(super) fn localpart(name: &str) -> String {
    let mut localpart = String::with_capacity(name.len());
    for byte in name.bytes() {
        let byte = byte.to_ascii_lowercase();
        let is_plain = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'/' | b'+' => true,
            // One that leads is reserved for the users of application services.
            b'_' => !localpart.is_empty(),
            _ => false,
        };
        if is_plain {
            localpart.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(localpart, "={byte:02x}");
        }
    }
    localpart
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ruma::server_name;

    use super::*;
    use crate::usernames::new_user_id;

    #[test]
    fn a_name_is_written_within_the_grammar() {
        for (name, written) in [
            ("Ada.L-1_x/y+z", "ada.l-1_x/y+z"),
            ("ada@example.org", "ada=40example.org"),
            ("Zoë", "zo=c3=ab"),
            ("a=b c", "a=3db=20c"),
            ("_bridge", "=5fbridge"),
        ] {
            assert_eq!(localpart(name), written);
        }
    }

    proptest! {
        #[test]
        fn every_name_that_is_not_too_long_makes_a_user_id(name in ".{1,20}") {
            prop_assert!(new_user_id(&localpart(&name), server_name!("hearth.test")).is_ok());
        }

        #[test]
        fn names_that_differ_not_only_in_case_stay_different(one in ".{1,8}", other in ".{1,8}") {
            let same = one.eq_ignore_ascii_case(&other);
            prop_assert_eq!(same, localpart(&one) == localpart(&other));
        }
    }
}
