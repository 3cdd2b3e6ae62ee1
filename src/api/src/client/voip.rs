//! Calls. Spec: client-server API, "Voice over IP".

use ruma::api::{client::voip::get_turn_server_info, response};

use crate::{Endpoints, MatrixError, Requester, stand_in::stand_in};

/// Calls.
#[derive(Clone)]
pub struct Voip(());

/// [`get_turn_server_info::v3::Request`], whose answer in ruma cannot say that there is no TURN server.
pub struct TurnServerRequest(());

stand_in!(TurnServerRequest, get_turn_server_info::v3::Request => Response);

/// No TURN server.
#[response]
pub struct Response {}

impl Voip {
    /// The TURN server of the server: there is none, and clients connect directly.
    async fn turn_server(
        self,
        _: Requester,
        _: TurnServerRequest,
    ) -> Result<Response, MatrixError> {
        Ok(Response {})
    }
}

/// The endpoints of calls.
pub fn endpoints() -> Endpoints<Voip> {
    Endpoints::new(Voip(())).at(Voip::turn_server)
}
