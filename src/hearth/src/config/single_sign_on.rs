//! Where else people may sign on.

use accounts::{ClientUrl, Namesakes, Newcomers};
use ruma::OwnedMxcUri;
use serde::{Deserialize, Serialize};
use url::Url;

use super::Secret;

/// Where providers send browsers back to: Synapse's path, which those know that were set up for it.
const CALLBACK: &str = "/_synapse/client/oidc/callback";

/// Signing on elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SingleSignOn {
    /// Clients at or below these URLs get tokens without a question.
    pub(crate) trusted_clients: Vec<String>,
    /// Where people may sign on.
    pub(crate) providers: Vec<IdentityProvider>,
}

/// Somewhere where people may sign on.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentityProvider {
    /// What clients name it by. Accounts hang on it.
    pub(crate) id: String,
    /// What users call it.
    pub(crate) name: String,
    /// A picture.
    pub(crate) icon: Option<OwnedMxcUri>,
    /// What it is known as to clients.
    pub(crate) brand: Option<String>,
    /// The URL it is known by.
    pub(crate) issuer: String,
    /// What it calls this server.
    pub(crate) client_id: String,
    /// What this server proves itself with.
    pub(crate) client_secret: Option<Secret>,
    /// What it is asked for.
    #[serde(default = "scopes")]
    pub(crate) scopes: Vec<String>,
    /// The claim that new user names are made of.
    #[serde(default = "localpart_claim")]
    pub(crate) localpart_claim: String,
    /// The claim that is the display name of new users.
    #[serde(default = "display_name_claim")]
    pub(crate) display_name_claim: String,
    /// Whether people get accounts who have none.
    #[serde(default = "registration")]
    pub(crate) registration: bool,
    /// Whether somebody who has none gets the account of their name.
    #[serde(default)]
    pub(crate) link_existing: bool,
}

fn scopes() -> Vec<String> {
    ["openid", "profile"].map(ToOwned::to_owned).into()
}

fn localpart_claim() -> String {
    "preferred_username".to_owned()
}

fn display_name_claim() -> String {
    "name".to_owned()
}

const fn registration() -> bool {
    true
}

impl SingleSignOn {
    /// Where providers send browsers back to.
    pub(crate) fn callback(base_url: Option<&str>) -> String {
        format!("{}{CALLBACK}", base_url.unwrap_or_default().trim_end_matches('/'))
    }

    /// The clients that get tokens without a question.
    pub(crate) fn trusted(&self) -> Vec<ClientUrl> {
        self.trusted_clients.iter().filter_map(|url| ClientUrl::parse(url)).collect()
    }

    /// What makes no sense.
    pub(super) fn problems(&self, base_url: Option<&str>) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.providers.is_empty() && base_url.is_none() {
            problems.push("providers send users back to server.client_base_url".to_owned());
        }
        for url in &self.trusted_clients {
            if ClientUrl::parse(url).is_none() {
                problems.push(format!("trusted client {url:?} is no URL of a client"));
            }
        }
        for (place, provider) in self.providers.iter().enumerate() {
            let id = &provider.id;
            if self.providers[..place].iter().any(|other| other.id == *id) {
                problems.push(format!("there are two providers {id:?}"));
            }
            problems
                .extend(provider.problems().map(|problem| format!("provider {id:?}: {problem}")));
        }
        problems
    }
}

impl IdentityProvider {
    fn problems(&self) -> impl Iterator<Item = &'static str> {
        // Spec: appendices, "Opaque Identifiers" and "Common Namespaced Identifier Grammar".
        let opaque = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let branded =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
        let made_of = |text: &str, valid: fn(u8) -> bool| {
            (1..=255).contains(&text.len()) && text.bytes().all(valid)
        };
        let issuer = Url::parse(&self.issuer);
        let is_issuer = issuer.is_ok_and(|url| {
            ["https", "http"].contains(&url.scheme())
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let brand = self.brand.as_deref().unwrap_or("none");
        let checks = [
            (made_of(&self.id, opaque), "id has 1 to 255 letters, digits and -._~"),
            (!self.name.is_empty(), "name is empty"),
            (made_of(brand, branded), "brand has 1 to 255 of a-z, 0-9 and -._"),
            (self.icon.as_ref().is_none_or(|icon| icon.is_valid()), "icon is no mxc URI"),
            (is_issuer, "issuer is no https URL, or has a query"),
            (!self.client_id.is_empty(), "client_id is empty"),
            (self.scopes.iter().any(|scope| scope == "openid"), "scopes lack \"openid\""),
        ];
        checks.into_iter().filter(|(fine, _)| !fine).map(|(_, problem)| problem)
    }
}

impl From<&IdentityProvider> for accounts::IdentityProvider {
    fn from(provider: &IdentityProvider) -> Self {
        let secret = provider.client_secret.as_ref();
        let IdentityProvider { registration, link_existing, .. } = *provider;
        let provider = provider.clone();
        Self {
            id: provider.id,
            name: provider.name,
            icon: provider.icon,
            brand: provider.brand,
            issuer: provider.issuer,
            client_id: provider.client_id,
            client_secret: secret.map(|secret| accounts::Secret::new(secret.expose())),
            scopes: provider.scopes,
            localpart_claim: provider.localpart_claim,
            display_name_claim: provider.display_name_claim,
            newcomers: if registration { Newcomers::Welcome } else { Newcomers::Refused },
            namesakes: if link_existing { Namesakes::Themselves } else { Namesakes::Others },
        }
    }
}
