//! The pages themselves.

use accounts::IdentityProvider;
use base64::{Engine, engine::general_purpose::STANDARD};
use ruma::api::client::uiaa::AuthType;
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("page.css");
const LOGIN_SCRIPT: &str = include_str!("login.js");
const DONE_SCRIPT: &str = include_str!("done.js");

/// A page and what it may do.
pub(in crate::client) struct Page {
    pub(in crate::client) html: String,
    pub(in crate::client) policy: String,
}

impl Page {
    /// The page that logs in by itself, with a password or by signing on at one of `providers`.
    pub(in crate::client) fn login(providers: &[IdentityProvider]) -> Self {
        let link = |provider: &IdentityProvider| {
            let (id, name) = (escaped(&provider.id), escaped(&provider.name));
            format!(r#"<p><a class="button" data-provider="{id}">Sign on at {name}</a></p>"#)
        };
        let links: Vec<String> = providers.iter().map(link).collect();
        let form = r#"<form id="login">
<label>User name <input id="user" autocomplete="username" autocapitalize="none" required autofocus></label>
<label>Password <input id="password" type="password" autocomplete="current-password" required></label>
<button>Log in</button>
<p id="message" role="alert"></p>
</form>"#;
        let body = format!("{form}\n{}", links.join("\n"));
        Self::new("Log in", &body, Some(LOGIN_SCRIPT))
    }

    /// The page of a stage; `None` for a stage that has none. `failure` is why it failed the last time.
    pub(in crate::client) fn stage(
        stage: &AuthType,
        session: &str,
        failure: Option<&str>,
    ) -> Option<Self> {
        let (title, fields) = match stage {
            AuthType::Dummy => ("Continue", ""),
            AuthType::RegistrationToken => (
                "Registration token",
                r#"<label>Token <input name="token" autocomplete="off" required autofocus></label>
"#,
            ),
            _ => return None,
        };
        let (session, failure) = (escaped(session), escaped(failure.unwrap_or_default()));
        let body = format!(
            r#"<form method="post">
<input type="hidden" name="session" value="{session}">
{fields}<button>Continue</button>
<p role="alert">{failure}</p>
</form>"#
        );
        Some(Self::new(title, &body, None))
    }

    /// The page of a stage that is completed; it tells the client.
    pub(in crate::client) fn done() -> Self {
        Self::new("Done", "<p>You can close this window.</p>", Some(DONE_SCRIPT))
    }

    /// `title` and `body` are HTML already.
    pub(in crate::client) fn new(title: &str, body: &str, script: Option<&str>) -> Self {
        let policy = format!(
            "default-src 'none'; style-src '{}'; script-src {}; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            source(STYLE),
            script.map_or("'none'".to_owned(), |script| format!("'{}'", source(script))),
        );
        let script = script.map_or(String::new(), |script| format!("<script>{script}</script>\n"));
        let html = format!(
            r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
{script}</body>
</html>
"#
        );
        Self { html, policy }
    }
}

/// What a policy knows an inline style or script by.
fn source(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

/// Text as it may stand in HTML, inside quotes too.
pub(in crate::client) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_comes_from_outside_is_escaped() {
        let session = r#""><script>alert('x')</script>&"#;
        let page = Page::stage(&AuthType::Dummy, session, Some("<b>")).unwrap();
        assert!(!page.html.contains("<script>") && !page.html.contains("<b>"), "{}", page.html);
        assert!(page.html.contains("&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)"), "{}", page.html);
    }

    proptest! {
        #[test]
        fn escaped_text_has_nothing_that_html_reads(text in ".*") {
            let html = escaped(&text);
            prop_assert!(!html.contains(['<', '>', '"', '\'']));
            let back = [
                ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&"),
            ];
            let back = back.iter().fold(html, |html, (code, text)| html.replace(code, text));
            prop_assert_eq!(back, text);
        }
    }

    #[test]
    fn a_policy_names_the_script_of_its_page() {
        for (page, script) in [(Page::login(&[]), LOGIN_SCRIPT), (Page::done(), DONE_SCRIPT)] {
            assert!(page.policy.contains(&source(script)));
            assert!(page.html.contains(script));
        }
        let plain = Page::stage(&AuthType::RegistrationToken, "s", None).unwrap();
        assert!(plain.policy.contains("script-src 'none'"), "{}", plain.policy);
    }

    #[test]
    fn stages_that_clients_know_have_no_page() {
        assert!(Page::stage(&AuthType::Password, "s", None).is_none());
    }
}
