//! Networks behind bridges. Spec: client-server API, "Third-party Networks".

use std::collections::BTreeMap;

use ruma::api::client::thirdparty::get_protocols;

use crate::{Endpoints, MatrixError, Requester};

/// Networks that application services bridge.
#[derive(Clone)]
pub struct ThirdParty(());

impl ThirdParty {
    /// The protocols of the registered application services: none is registered.
    async fn protocols(
        self,
        _: Requester,
        _: get_protocols::v3::Request,
    ) -> Result<get_protocols::v3::Response, MatrixError> {
        Ok(get_protocols::v3::Response::new(BTreeMap::new()))
    }
}

/// The endpoints of third-party networks.
pub fn endpoints() -> Endpoints<ThirdParty> {
    Endpoints::new(ThirdParty(())).at(ThirdParty::protocols)
}
