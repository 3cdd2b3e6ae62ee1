//! The pages of signing on.

use std::fmt::Write;

use accounts::{IdentityProvider, NameWanted, Return, StageQuestion};

use super::requests::Wish;
use crate::client::fallback::{Page, escaped};

impl Page {
    /// Has the user choose a provider.
    pub(super) fn choice(providers: &[IdentityProvider], wish: &Wish) -> Self {
        let mut query = form(&[("redirectUrl", wish.redirect_url.as_deref().unwrap_or_default())]);
        if let Some(action) = &wish.action {
            query = format!("{query}&{}", form(&[("action", action.as_str())]));
        }
        // From wherever this page is: the endpoint has several versions.
        let link = |provider: &IdentityProvider| {
            let url = format!("../../../v3/login/sso/redirect/{}?{query}", provider.id);
            (provider.name.clone(), url)
        };
        let body = links(providers.iter().map(link));
        Self::new("Sign on", &format!("<p>Where do you want to sign on?</p>\n{body}"), None)
    }

    /// Asks whether the client is to get its token.
    pub(super) fn to_client(way: &Return) -> Self {
        let (client, user) = (escaped(&way.client.shown()), escaped(way.user_id.as_str()));
        let body = format!(
            r#"<p>You signed on as <strong>{user}</strong>.</p>
<p>If you continue, <strong>{client}</strong> gets access to this account. Continue only if you trust it and came from there.</p>
<p><a class="button" href="{url}">Continue</a></p>"#,
            url = escaped(&way.url),
        );
        Self::new(&format!("Continue to {client}"), &body, None)
    }

    /// Has somebody new choose a name.
    pub(super) fn name(wanted: &NameWanted) -> Self {
        let (form, name) = (escaped(wanted.form.expose()), escaped(&wanted.suggestion));
        let problem = escaped(wanted.problem.as_deref().unwrap_or_default());
        let body = format!(
            r#"<form method="post" action="username">
<input type="hidden" name="form" value="{form}">
<label>User name <input name="username" value="{name}" autocomplete="username" autocapitalize="none" required autofocus></label>
<button>Continue</button>
<p role="alert">{problem}</p>
</form>"#
        );
        Self::new("Choose a user name", &body, None)
    }

    /// Asks whether somebody knows what they are to confirm.
    pub(super) fn question(question: &StageQuestion) -> Self {
        let at = |(name, url): &(String, String)| (format!("Confirm at {name}"), url.clone());
        let body = format!(
            r"<p>A client asks for a change of your account: <strong>{operation}</strong>.</p>
<p>Sign on once more to confirm it. If you did not expect this, close this window: somebody else may have access to your account.</p>
{links}",
            operation = escaped(question.operation),
            links = links(question.providers.iter().map(at)),
        );
        Self::new("Confirm that it is you", &body, None)
    }

    /// Says why somebody did not sign on.
    pub(super) fn failure(reason: &str) -> Self {
        let reason = escaped(reason);
        let body = format!(
            r#"<p role="alert">{reason}</p>
<p>Go back to your client to try again.</p>"#
        );
        Self::new("You are not signed on", &body, None)
    }
}

/// Links that look like buttons.
fn links(links: impl Iterator<Item = (String, String)>) -> String {
    let mut html = String::new();
    for (text, url) in links {
        let (text, url) = (escaped(&text), escaped(&url));
        // Writing to a string does not fail.
        let _ = writeln!(html, r#"<p><a class="button" href="{url}">{text}</a></p>"#);
    }
    html
}

fn form(pairs: &[(&str, &str)]) -> String {
    serde_html_form::to_string(pairs).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use accounts::{ClientUrl, Secret, Trust};
    use ruma::user_id;

    use super::*;

    const EVIL: &str = r#""><script>alert('x')</script>&"#;

    #[test]
    fn what_comes_from_outside_is_escaped() {
        let client = ClientUrl::parse("https://a.example/?x=\"><script>'").unwrap();
        let way = Return {
            url: format!("https://a.example/?{EVIL}"),
            client,
            user_id: user_id!("@ada:hearth.test").to_owned(),
            trust: Trust::Unknown,
        };
        let wanted = NameWanted {
            form: Secret::new(EVIL),
            suggestion: EVIL.to_owned(),
            problem: Some(EVIL.to_owned()),
        };
        let question = StageQuestion {
            operation: "delete devices",
            providers: vec![(EVIL.to_owned(), EVIL.to_owned())],
            browser: Secret::new(""),
        };
        let wish = Wish { redirect_url: Some(EVIL.to_owned()), action: None };
        for page in [
            Page::to_client(&way),
            Page::name(&wanted),
            Page::question(&question),
            Page::failure(EVIL),
            Page::choice(&[], &wish),
        ] {
            assert!(!page.html.contains("<script"), "{}", page.html);
            assert!(page.policy.contains("script-src 'none'"), "{}", page.policy);
            assert!(page.policy.contains("frame-ancestors 'none'"), "{}", page.policy);
        }
    }
}
