//! Names that no other test uses, as servers are shared between tests.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(1);

/// `name` with a number that this run gives out once, so that tests on one server do not meet.
pub fn unique(name: &str) -> String {
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// `text` as one path segment or query value: everything but unreserved characters percent-encoded.
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string does not fail");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_characters_are_percent_encoded() {
        assert_eq!(encoded("#tea:hearth.test/é"), "%23tea%3Ahearth.test%2F%C3%A9");
    }

    #[test]
    fn names_are_given_out_once() {
        assert_ne!(unique("ada"), unique("ada"));
    }
}
