//! What this server is. Spec: server-server API, "`GET /_matrix/federation/v1/version`".

use ruma::api::{
    auth_scheme::NoAuthentication, federation::discovery::get_server_version, metadata, request,
    response,
};

use crate::{Endpoints, MatrixError};

/// The name and version of this server.
#[derive(Clone)]
pub struct Version(());

mod front {
    //! `GET /`: a word for whoever opens the server's address in a browser.

    use http::header::CONTENT_TYPE;

    use super::{NoAuthentication, metadata, request, response};

    metadata! {
        method: GET,
        rate_limited: false,
        authentication: NoAuthentication,
        path: "/",
    }

    #[request]
    pub(crate) struct Request {}

    #[response]
    pub(crate) struct Response {
        #[ruma_api(header = CONTENT_TYPE)]
        pub(crate) content_type: String,
        #[ruma_api(raw_body)]
        pub(crate) text: Vec<u8>,
    }
}

impl Version {
    async fn version(
        self,
        (): (),
        _: get_server_version::v1::Request,
    ) -> Result<get_server_version::v1::Response, MatrixError> {
        let mut server = get_server_version::v1::Server::new();
        server.name = Some("hearth".to_owned());
        server.version = Some(env!("CARGO_PKG_VERSION").to_owned());
        let mut response = get_server_version::v1::Response::new();
        response.server = Some(server);
        Ok(response)
    }

    async fn front(self, (): (), _: front::Request) -> Result<front::Response, MatrixError> {
        let text = "This is hearth, a Matrix homeserver. Point a Matrix client at this address.\n";
        Ok(front::Response {
            content_type: "text/plain; charset=utf-8".to_owned(),
            text: text.as_bytes().to_vec(),
        })
    }
}

/// What the server says about itself.
pub fn endpoints() -> Endpoints<Version> {
    Endpoints::new(Version(())).at(Version::version).at(Version::front)
}
