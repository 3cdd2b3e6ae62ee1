//! The cookie that tells the browser that began to sign on from others.

use accounts::Secret;

const NAME: &str = "hearth_sign_on";

/// Seconds that it is kept: as long as signing on may take.
const MAX_AGE: u32 = 15 * 60;

/// Writes cookies. One that is kept is sent where the provider sends the browser, and by no other site's forms or frames.
#[derive(Clone, Debug)]
pub(super) struct Cookies {
    attributes: String,
}

impl Cookies {
    /// Cookies for the folder of `callback`; sent over HTTPS only, where that is what it is reached by.
    pub(super) fn of(callback: &str) -> Self {
        let uri = callback.parse::<http::Uri>().unwrap_or_default();
        let path = uri.path().rsplit_once('/').map_or("/", |(folder, _)| folder);
        let secure = if uri.scheme_str() == Some("http") { "" } else { "; Secure" };
        Self { attributes: format!("Path={path}; HttpOnly; SameSite=Lax{secure}") }
    }

    pub(super) fn set(&self, value: &Secret) -> String {
        format!("{NAME}={}; Max-Age={MAX_AGE}; {}", value.expose(), self.attributes)
    }

    pub(super) fn clear(&self) -> String {
        format!("{NAME}=; Max-Age=0; {}", self.attributes)
    }

    /// What a browser sends; nothing if it has no such cookie.
    pub(super) fn get(header: Option<&str>) -> &str {
        let mut pairs =
            header.unwrap_or_default().split(';').filter_map(|pair| pair.split_once('='));
        pairs.find(|(name, _)| name.trim() == NAME).map_or("", |(_, value)| value.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_sent_to_the_callback_only_and_read_back() {
        let cookies = Cookies::of("https://hearth.example/sub/_synapse/client/oidc/callback");
        let set = cookies.set(&Secret::new("value"));
        assert_eq!(
            set,
            "hearth_sign_on=value; Max-Age=900; Path=/sub/_synapse/client/oidc; HttpOnly; \
             SameSite=Lax; Secure"
        );
        assert_eq!(Cookies::get(Some("a=b; hearth_sign_on=value; c=d")), "value");
        for other in [None, Some(""), Some("hearth_sign_on"), Some("x_hearth_sign_on=value")] {
            assert_eq!(Cookies::get(other), "");
        }
        let plain = Cookies::of("http://127.0.0.1:8008/_synapse/client/oidc/callback");
        assert!(!plain.clear().contains("Secure"));
    }
}
