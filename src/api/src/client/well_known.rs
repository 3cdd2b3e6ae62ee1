//! How clients and servers find this server, and people its administrators.
//! Spec: client-server API, "Server Discovery"; server-server API, "Resolving server names".

use ruma::OwnedServerName;
use ruma::api::{
    auth_scheme::NoAuthentication,
    client::discovery::discover_support::{self, Contact},
    federation::discovery::discover_homeserver as discover_server,
    metadata, request, response,
};
use serde_json::{Map, Value, json};

use crate::{Endpoints, MatrixError};

/// What stands in the files of `/.well-known/matrix`. There is no file for what is not set.
#[derive(Clone, Debug, Default)]
pub struct WellKnown {
    /// The URL clients are told to use.
    pub client_base_url: Option<String>,
    /// More keys of the file for clients.
    pub client_extra: Map<String, Value>,
    /// Where other servers are told to connect.
    pub server: Option<OwnedServerName>,
    /// Whom to turn to.
    pub contacts: Vec<Contact>,
    /// A page with help.
    pub support_page: Option<String>,
}

mod client {
    //! `/.well-known/matrix/client`: ruma's type has no keys but those it knows.

    use super::{Map, NoAuthentication, Value, metadata, request, response};

    metadata! {
        method: GET,
        rate_limited: false,
        authentication: NoAuthentication,
        path: "/.well-known/matrix/client",
    }

    #[request]
    pub(crate) struct Request {}

    #[response]
    pub(crate) struct Response {
        #[ruma_api(body)]
        pub(crate) file: Map<String, Value>,
    }
}

fn no_file() -> MatrixError {
    MatrixError::not_found("there is no such file here")
}

impl WellKnown {
    async fn client(self, (): (), _: client::Request) -> Result<client::Response, MatrixError> {
        let base_url = self.client_base_url.ok_or_else(no_file)?;
        let mut file = self.client_extra;
        file.insert("m.homeserver".to_owned(), json!({ "base_url": base_url }));
        Ok(client::Response { file })
    }

    async fn server(
        self,
        (): (),
        _: discover_server::Request,
    ) -> Result<discover_server::Response, MatrixError> {
        self.server.map(discover_server::Response::new).ok_or_else(no_file)
    }

    async fn support(
        self,
        (): (),
        _: discover_support::Request,
    ) -> Result<discover_support::Response, MatrixError> {
        if self.contacts.is_empty() && self.support_page.is_none() {
            return Err(no_file());
        }
        let mut response = discover_support::Response::with_contacts(self.contacts);
        response.support_page = self.support_page;
        Ok(response)
    }
}

/// The files.
pub fn endpoints(well_known: WellKnown) -> Endpoints<WellKnown> {
    Endpoints::new(well_known).at(WellKnown::client).at(WellKnown::server).at(WellKnown::support)
}
