//! Networks behind bridges. Spec: client-server API, "Third-party Networks".
//!
//! Application services bridge them, and none is registered: there are no protocols, and nobody behind one.

use std::collections::BTreeMap;

use ruma::api::client::thirdparty::{
    get_location_for_protocol, get_location_for_room_alias, get_protocol, get_protocols,
    get_user_for_protocol, get_user_for_user_id,
};

use crate::{Endpoints, MatrixError, Requester};

/// Networks that application services bridge.
#[derive(Clone)]
pub struct ThirdParty(());

fn unknown_protocol() -> MatrixError {
    MatrixError::not_found("no application service bridges this protocol")
}

impl ThirdParty {
    async fn protocols(
        self,
        _: Requester,
        _: get_protocols::v3::Request,
    ) -> Result<get_protocols::v3::Response, MatrixError> {
        Ok(get_protocols::v3::Response::new(BTreeMap::new()))
    }

    async fn protocol(
        self,
        _: Requester,
        _: get_protocol::v3::Request,
    ) -> Result<get_protocol::v3::Response, MatrixError> {
        Err(unknown_protocol())
    }

    async fn locations(
        self,
        _: Requester,
        _: get_location_for_protocol::v3::Request,
    ) -> Result<get_location_for_protocol::v3::Response, MatrixError> {
        Err(unknown_protocol())
    }

    async fn users(
        self,
        _: Requester,
        _: get_user_for_protocol::v3::Request,
    ) -> Result<get_user_for_protocol::v3::Response, MatrixError> {
        Err(unknown_protocol())
    }

    async fn locations_of_alias(
        self,
        _: Requester,
        _: get_location_for_room_alias::v3::Request,
    ) -> Result<get_location_for_room_alias::v3::Response, MatrixError> {
        Err(MatrixError::not_found("no bridged place has this alias"))
    }

    async fn users_of_id(
        self,
        _: Requester,
        _: get_user_for_user_id::v3::Request,
    ) -> Result<get_user_for_user_id::v3::Response, MatrixError> {
        Err(MatrixError::not_found("no bridged user has this id"))
    }
}

/// The endpoints of third-party networks.
pub fn endpoints() -> Endpoints<ThirdParty> {
    Endpoints::new(ThirdParty(()))
        .at(ThirdParty::protocols)
        .at(ThirdParty::protocol)
        .at(ThirdParty::locations)
        .at(ThirdParty::users)
        .at(ThirdParty::locations_of_alias)
        .at(ThirdParty::users_of_id)
}
