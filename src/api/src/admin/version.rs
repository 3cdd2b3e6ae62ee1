//! The version of this server, where tools look for Synapse's.

use ruma::api::{auth_scheme::NoAuthentication, metadata, request, response};

use crate::{Endpoints, MatrixError};

metadata! {
    method: GET,
    rate_limited: false,
    authentication: NoAuthentication,
    path: "/_synapse/admin/v1/server_version",
}

#[request]
struct Request {}

#[response]
struct Response {
    server_version: String,
}

async fn version((): (), (): (), _: Request) -> Result<Response, MatrixError> {
    Ok(Response { server_version: format!("hearth {}", env!("CARGO_PKG_VERSION")) })
}

pub(super) fn endpoints() -> Endpoints<()> {
    Endpoints::new(()).at(version)
}
