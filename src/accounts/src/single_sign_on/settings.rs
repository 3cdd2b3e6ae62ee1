//! What is to be known of a provider before it is asked.

use ruma::OwnedMxcUri;

use crate::Secret;

/// Where people sign on. Spec: client-server API, "SSO client login/authentication".
#[derive(Debug, Clone)]
pub struct IdentityProvider {
    /// What clients name it by. Users' accounts hang on it.
    pub id: String,
    /// What users call it.
    pub name: String,
    /// A picture of it.
    pub icon: Option<OwnedMxcUri>,
    /// What it is known as, so that clients show it as people expect.
    pub brand: Option<String>,
    /// The URL that it is known by, and found at.
    pub issuer: String,
    /// What it calls this server.
    pub client_id: String,
    /// What this server proves itself with.
    pub client_secret: Option<Secret>,
    /// What it is asked for.
    pub scopes: Vec<String>,
    /// The claim that new user names are made of.
    pub localpart_claim: String,
    /// The claim that is the display name of new users.
    pub display_name_claim: String,
    /// Whether people get accounts who have none.
    pub newcomers: Newcomers,
    /// What is done with accounts that have a newcomer's name.
    pub namesakes: Namesakes,
}

/// Whether people get accounts who have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newcomers {
    /// Everybody who signs on.
    Welcome,
    /// Nobody.
    Refused,
}

/// What is done with accounts that have the name of somebody who signs on for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namesakes {
    /// They are those of others.
    Others,
    /// They are theirs: the provider gives each name to the one who has it here.
    Themselves,
}
