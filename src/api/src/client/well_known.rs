//! How clients find the server. Spec: client-server API, "Server Discovery".

use ruma::api::client::discovery::discover_homeserver;

use crate::{Endpoints, MatrixError};

/// The base URL clients are told to use.
#[derive(Clone)]
pub struct WellKnown {
    base_url: String,
}

impl WellKnown {
    async fn discover(
        self,
        (): (),
        _: discover_homeserver::Request,
    ) -> Result<discover_homeserver::Response, MatrixError> {
        let homeserver = discover_homeserver::HomeserverInfo::new(self.base_url);
        Ok(discover_homeserver::Response::new(homeserver))
    }
}

/// `/.well-known/matrix/client`; without a base URL there is no such file.
pub fn endpoints(base_url: String) -> Endpoints<WellKnown> {
    Endpoints::new(WellKnown { base_url }).at(WellKnown::discover)
}
