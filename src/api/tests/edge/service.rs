//! An edge whose handlers echo what they were asked.

use std::{sync::Arc, time::Duration};

use accounts::{Origin, Restrictions, Role, Session, UserKind};
use api::{
    Authenticator, Edge, EdgeBuilder, Endpoints, Limits, Logout, MatrixError, Proxies, RateClass,
    RateLimits, Rates, Requester, Resource, Settings, client::LoginRequest,
};
use futures_util::future::BoxFuture;
use http::Method;
use poem::{Endpoint, Request};
use ruma::{
    api::{
        IncomingRequest, Metadata,
        auth_scheme::NoAuthentication,
        client::{
            account::whoami,
            alias::{create_alias, delete_alias, get_alias},
            membership::join_room_by_id_or_alias,
            message::send_message_event,
            session::{get_login_types, login, logout},
            state::{get_state_event_for_key, send_state_event},
            sync::sync_events,
        },
        error::DeserializationError,
        path_builder::SinglePath,
    },
    device_id, event_id, user_id,
};
use serde_json::Value;
use store::UserNumber;

/// Knows one token.
struct OneToken;

impl Authenticator for OneToken {
    fn session<'a>(
        &'a self,
        token: &'a str,
        _: Origin<'a>,
    ) -> BoxFuture<'a, Result<Arc<Session>, MatrixError>> {
        Box::pin(async move {
            if token != "token" {
                return Err(MatrixError::unknown_token("unknown token", Logout::Hard));
            }
            Ok(Arc::new(Session {
                user_id: user_id!("@ada:hearth.test").to_owned(),
                user: UserNumber(1),
                device_id: device_id!("LAPTOP").to_owned(),
                role: Role::User,
                kind: UserKind::Registered,
                restrictions: Restrictions::default(),
            }))
        })
    }
}

#[derive(Clone)]
struct Echo;

type Answer<T> = Result<T, MatrixError>;

impl Echo {
    async fn whoami(
        self,
        requester: Requester,
        _: whoami::v3::Request,
    ) -> Answer<whoami::v3::Response> {
        Ok(whoami::v3::Response::new(requester.user_id().to_owned(), false))
    }

    async fn login_types(
        self,
        (): (),
        _: get_login_types::v3::Request,
    ) -> Answer<get_login_types::v3::Response> {
        Ok(get_login_types::v3::Response::new(vec![]))
    }

    async fn login(self, (): (), _: LoginRequest) -> Answer<login::v3::Response> {
        let user_id = user_id!("@ada:hearth.test").to_owned();
        Ok(login::v3::Response::new(user_id, "token".to_owned(), device_id!("LAPTOP").to_owned()))
    }

    async fn logout(self, _: Requester, _: logout::v3::Request) -> Answer<logout::v3::Response> {
        panic!("a handler's mistake");
    }

    /// Says which alias it was asked for by the error's sentence.
    async fn alias(self, (): (), asked: get_alias::v3::Request) -> Answer<get_alias::v3::Response> {
        Err(MatrixError::not_found(asked.room_alias.as_str()))
    }

    async fn create_alias(
        self,
        _: Requester,
        _: create_alias::v3::Request,
    ) -> Answer<create_alias::v3::Response> {
        Ok(create_alias::v3::Response::new())
    }

    async fn delete_alias(
        self,
        _: Requester,
        _: delete_alias::v3::Request,
    ) -> Answer<delete_alias::v3::Response> {
        tokio::time::sleep(Duration::from_mins(1)).await;
        Ok(delete_alias::v3::Response::new())
    }

    async fn send(
        self,
        _: Requester,
        _: send_message_event::v3::Request,
    ) -> Answer<send_message_event::v3::Response> {
        Ok(send_message_event::v3::Response::new(event_id!("$event").to_owned()))
    }

    async fn send_state(
        self,
        _: Requester,
        _: send_state_event::v3::Request,
    ) -> Answer<send_state_event::v3::Response> {
        Ok(send_state_event::v3::Response::new(event_id!("$event").to_owned()))
    }

    async fn state(
        self,
        _: Requester,
        asked: get_state_event_for_key::v3::Request,
    ) -> Answer<get_state_event_for_key::v3::Response> {
        Err(MatrixError::not_found(format!("{:?}", asked.state_key)))
    }

    async fn join(
        self,
        _: Requester,
        asked: join_room_by_id_or_alias::v3::Request,
    ) -> Answer<join_room_by_id_or_alias::v3::Response> {
        let room_id = asked.room_id_or_alias.try_into().expect("the test joins by room id");
        Ok(join_room_by_id_or_alias::v3::Response::new(room_id))
    }

    async fn broken(self, (): (), _: Broken) -> Answer<get_login_types::v3::Response> {
        Ok(get_login_types::v3::Response::new(vec![]))
    }

    async fn sync(
        self,
        _: Requester,
        asked: sync_events::v3::Request,
    ) -> Answer<sync_events::v3::Response> {
        Ok(sync_events::v3::Response::new(asked.since.unwrap_or_default()))
    }
}

/// A request whose parser panics.
struct Broken;

impl Metadata for Broken {
    const METHOD: Method = Method::GET;
    const RATE_LIMITED: bool = false;
    type Authentication = NoAuthentication;
    type PathBuilder = SinglePath;
    const PATH_BUILDER: SinglePath = SinglePath::new("/broken");
}

impl IncomingRequest for Broken {
    type EndpointError = ruma::api::error::Error;
    type OutgoingResponse = get_login_types::v3::Response;

    fn try_from_http_request_inner(
        _: http::Request<&[u8]>,
        _: &[&str],
    ) -> Result<Self, DeserializationError> {
        panic!("a parser's mistake");
    }
}

/// An edge with these limits.
pub(crate) fn edge_with(rates: &Rates) -> Edge {
    let endpoints = Endpoints::new(Echo)
        .at(Echo::whoami)
        .at(Echo::login_types)
        .at_with(Settings::default().class(RateClass::Login), Echo::login)
        .at(Echo::logout)
        .at(Echo::alias)
        .at(Echo::create_alias)
        .at(Echo::delete_alias)
        .at_with(
            Settings::default().class(RateClass::Messages).body_limit(65_536).required_body(),
            Echo::send,
        )
        .at(Echo::send_state)
        .at(Echo::state)
        .at(Echo::broken)
        .at(Echo::join)
        .at_with(Settings::default().long_poll(), Echo::sync)
        .feature("org.hearth.test");
    let limits = Limits {
        body_bytes: 1024,
        body_timeout: Duration::from_secs(1),
        request_timeout: Duration::from_millis(100),
    };
    EdgeBuilder::new(Arc::new(OneToken), RateLimits::new(rates).unwrap(), limits)
        .with(endpoints)
        .with(api::server::version::endpoints())
        .edge(&[Resource::Client], Proxies::default())
        .unwrap()
}

/// An edge without rate limits.
pub(crate) fn edge() -> Edge {
    edge_with(&Rates { enabled: false, ..Rates::default() })
}

/// What came back.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) headers: http::HeaderMap,
}

impl Answered {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Status and errcode.
    pub(crate) fn error(&self) -> (u16, &str) {
        (self.status, self.body["errcode"].as_str().unwrap_or("none"))
    }
}

/// Sends a request as poem's server hands it over.
pub(crate) async fn send(edge: &Edge, request: Request) -> Answered {
    let mut response = edge.call(request).await.unwrap();
    let headers = response.headers().clone();
    let status = response.status().as_u16();
    let body = response.take_body().into_vec().await.unwrap();
    let text = String::from_utf8_lossy(&body).into_owned();
    let body = serde_json::from_slice(&body).unwrap_or(Value::String(text));
    Answered { status, body, headers }
}

/// A request with the known token.
pub(crate) fn request(method: &str, uri: &str, body: &[u8]) -> Request {
    without_token(method, uri).header("authorization", "Bearer token").body(body.to_vec())
}

/// A request without a token.
pub(crate) fn without_token(method: &str, uri: &str) -> poem::RequestBuilder {
    Request::builder().method(method.parse().unwrap()).uri(uri.parse().unwrap())
}
