//! What clients may do here. Spec: client-server API, "Capabilities negotiation".

use accounts::{Accounts, Role};
use protocol::room_version;
use ruma::{
    RoomVersionId,
    api::{client::discovery::get_capabilities, response},
};
use serde_json::{Map, Value, json};
use store::Forgotten;

use crate::{Endpoints, MatrixError, Requester, stand_in::stand_in};

/// The capabilities that everybody has.
#[derive(Clone)]
pub struct Capabilities(Map<String, Value>);

/// [`get_capabilities::v3::Request`], whose answer in ruma leaves out what has its default value; clients and tests
/// want it said.
pub struct CapabilitiesRequest(());

stand_in!(CapabilitiesRequest, get_capabilities::v3::Request => Response);

/// Capabilities by name.
#[response]
pub struct Response {
    capabilities: Map<String, Value>,
}

impl Capabilities {
    fn new(rooms: &rooms::Settings, accounts: &Accounts) -> Self {
        let stability = |version: &RoomVersionId| {
            let stable = if room_version::is_stable(version) { "stable" } else { "unstable" };
            (version.to_string(), Value::from(stable))
        };
        let versions: Map<String, Value> =
            room_version::supported().iter().map(stability).collect();
        let forgets = rooms.after_leaving == Forgotten::Yes;
        let enabled = || json!({ "enabled": true });
        let disabled = || json!({ "enabled": false });
        let login_tokens = accounts.gives_out_login_tokens();
        let room_versions = json!({ "default": rooms.default_version, "available": versions });
        let all = [
            ("m.room_versions", room_versions),
            ("m.change_password", enabled()),
            ("m.set_displayname", enabled()),
            ("m.set_avatar_url", enabled()),
            ("m.profile_fields", enabled()),
            ("m.3pid_changes", disabled()),
            ("m.get_login_token", json!({ "enabled": login_tokens })),
            ("m.forget_forced_upon_leave", json!({ "enabled": forgets })),
        ];
        Self(all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    async fn capabilities(
        self,
        requester: Requester,
        _: CapabilitiesRequest,
    ) -> Result<Response, MatrixError> {
        let mut capabilities = self.0;
        if requester.session().role == Role::Admin {
            let value = json!({ "lock": true, "suspend": true });
            capabilities.insert("m.account_moderation".to_owned(), value);
        }
        Ok(Response { capabilities })
    }
}

/// The endpoint, of a server with these rooms and accounts.
pub fn endpoints(rooms: &rooms::Settings, accounts: &Accounts) -> Endpoints<Capabilities> {
    Endpoints::new(Capabilities::new(rooms, accounts)).at(Capabilities::capabilities)
}
