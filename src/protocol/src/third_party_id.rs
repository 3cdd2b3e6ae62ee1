//! Third-party identifiers, each in its one form.

use std::fmt;

use ruma::thirdparty::Medium;

/// The longest email address that mail is delivered to (RFC 5321, 4.5.3.1.3, without its brackets).
const LONGEST_EMAIL: usize = 254;

/// The most digits of a telephone number (E.164).
const LONGEST_NUMBER: usize = 15;

/// An email address or a telephone number. Its `Debug` keeps it to itself, as it tells who somebody is.
/// Spec: appendices, "3PID Types".
#[derive(Clone, PartialEq, Eq)]
pub struct ThirdPartyId {
    medium: Medium,
    address: String,
}

/// Why something is no third-party identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidThirdPartyId {
    /// It is neither an email address nor a telephone number.
    #[error("only email addresses and telephone numbers are known here")]
    Medium,
    /// There is no such email address or telephone number.
    #[error("not a valid email address or telephone number")]
    Address,
}

impl ThirdPartyId {
    /// An address that may be written in another form than its one.
    pub fn new(medium: &Medium, address: &str) -> Result<Self, InvalidThirdPartyId> {
        let address = match medium {
            Medium::Email => email(address),
            Medium::Msisdn => number(address),
            _ => return Err(InvalidThirdPartyId::Medium),
        };
        let address = address.ok_or(InvalidThirdPartyId::Address)?;
        Ok(Self { medium: medium.clone(), address })
    }

    /// What kind it is.
    pub fn medium(&self) -> &Medium {
        &self.medium
    }

    /// The address.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Debug for ThirdPartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ThirdPartyId({})", self.medium)
    }
}

/// Spec: "the raw email address in `user@domain` form with the domain in lowercase", and case folding.
fn email(address: &str) -> Option<String> {
    let (user, domain) = address.trim().split_once('@')?;
    let plain = |part: &str| {
        let odd = |letter: char| {
            letter.is_whitespace() || letter.is_control() || "@<>,;:\"()[]\\".contains(letter)
        };
        !part.is_empty() && !part.contains(odd)
    };
    let email = format!("{}@{}", folded(user), domain.to_lowercase());
    (plain(user) && plain(domain) && email.len() <= LONGEST_EMAIL).then_some(email)
}

/// Case folding as Unicode has it ("Caseless Matching"): both cases of a letter become one text, so that `ß` is `ss` and a final
/// sigma is any sigma. A dotless i is no case of i.
fn folded(text: &str) -> String {
    let fold = |letter: char| {
        let upper = letter.to_lowercase().flat_map(char::to_uppercase);
        upper.flat_map(char::to_lowercase).collect::<String>()
    };
    let folded = text.chars().map(|letter| match letter {
        'ı' => "ı".to_owned(),
        letter => fold(letter),
    });
    folded.collect()
}

/// Spec: "MSISDNs do not include a leading '+'".
fn number(address: &str) -> Option<String> {
    let digits = address.trim();
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (1..=LONGEST_NUMBER).contains(&digits.len());
    is_number.then(|| digits.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn email_of(address: &str) -> Option<String> {
        Some(ThirdPartyId::new(&Medium::Email, address).ok()?.address().to_owned())
    }

    #[test]
    fn an_email_address_has_one_form() {
        for (written, expected) in [
            ("bob@Example.com", "bob@example.com"),
            ("Strauß@Example.com", "strauss@example.com"),
            ("STRAUẞ@example.com", "strauss@example.com"),
            (" bob+tea@example.com\n", "bob+tea@example.com"),
            ("ΣΑΣ@example.com", "σασ@example.com"),
            ("σας@example.com", "σασ@example.com"),
            ("kırık@example.com", "kırık@example.com"),
            ("bob@STRAßE.example", "bob@straße.example"),
        ] {
            assert_eq!(email_of(written).as_deref(), Some(expected), "{written}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_email_address_is_none() {
        let long = format!("{}@example.com", "b".repeat(250));
        for written in [
            "",
            "@",
            "bob",
            "bob@",
            "@example.com",
            "bob@example@com",
            "mailto:bob@example.com",
            "Bob <bob@example.com>",
            "bob the cook@example.com",
            "bob@example.com,cy@example.com",
            "bob@exam\u{0}ple.com",
            &long,
        ] {
            assert_eq!(email_of(written), None, "{written}");
        }
    }

    #[test]
    fn a_telephone_number_is_digits() {
        let number = |text: &str| {
            let id = ThirdPartyId::new(&Medium::Msisdn, text);
            id.ok().map(|id| id.address().to_owned())
        };
        assert_eq!(number("18005552067").as_deref(), Some("18005552067"));
        assert_eq!(number("+18005552067").as_deref(), Some("18005552067"));
        for written in ["", "+", "1800 555", "0x7f", "++1", "1234567890123456", "١٢٣"] {
            assert_eq!(number(written), None, "{written}");
        }
    }

    #[test]
    fn other_media_are_not_known() {
        let other = ThirdPartyId::new(&Medium::from("pigeon"), "coo");
        assert_eq!(other, Err(InvalidThirdPartyId::Medium));
    }

    proptest! {
        #[test]
        fn the_one_form_of_an_address_is_its_own(written in "\\PC{1,8}@\\PC{1,8}") {
            if let Some(email) = email_of(&written) {
                prop_assert_eq!(email_of(&email), Some(email));
            }
        }
    }
}
