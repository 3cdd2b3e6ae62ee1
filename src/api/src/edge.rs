//! The outermost layer: routing, request ids, CORS, logs and metrics.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};
use ruma::api::error::ErrorKind;
use serde::{Deserialize, Serialize};
use tracing::Instrument;

use crate::{
    Authenticator, Endpoints, MatrixError, Proxies, RateLimits, body,
    client::versions,
    endpoints::Route,
    incoming::{Incoming, Shared},
    metrics::{self, Observation},
    request_id::RequestIds,
    routes::{Match, PathTree},
};

/// Bounds of a request.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most bytes a body may have where the endpoint sets no limit of its own.
    pub body_bytes: usize,
    /// The longest time a body may take to arrive.
    pub body_timeout: Duration,
    /// The longest time a handler may take; long-polls are not bound by it.
    pub request_timeout: Duration,
}

/// A part of the API that a listener serves or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// The client-server API and what clients find servers by.
    Client,
    /// The server-server API.
    Federation,
    /// Administration, also by Synapse's paths.
    Admin,
    /// Prometheus metrics.
    Metrics,
}

/// All endpoints, from which each listener gets its [`Edge`].
pub struct EdgeBuilder {
    shared: Arc<Shared>,
    routes: Vec<Route>,
    features: Vec<&'static str>,
}

/// Two handlers for one method and path.
#[derive(Debug, thiserror::Error)]
#[error("{method} {path} is routed twice")]
pub struct DuplicateRoute {
    method: Method,
    path: &'static str,
}

impl EdgeBuilder {
    /// No endpoints yet.
    pub fn new(
        authenticator: Arc<dyn Authenticator>,
        rate_limits: RateLimits,
        limits: Limits,
    ) -> Self {
        let shared = Shared { authenticator, rate_limits, limits };
        Self { shared: Arc::new(shared), routes: Vec::new(), features: Vec::new() }
    }

    /// Adds the endpoints of a service.
    #[must_use]
    pub fn with<S>(mut self, endpoints: Endpoints<S>) -> Self {
        self.routes.extend(endpoints.routes);
        self.features.extend(endpoints.features);
        self
    }

    /// What one listener serves. `proxies` are those whose word about a client's address is taken.
    pub fn edge(&self, resources: &[Resource], proxies: Proxies) -> Result<Edge, DuplicateRoute> {
        let versions = versions::endpoints(&self.routes, &self.features);
        let mut routes = PathTree::default();
        for route in self.routes.iter().chain(&versions.routes) {
            for path in &route.paths {
                if !serves(resources, path) {
                    continue;
                }
                let target = Target { pattern: path, route: route.clone() };
                if routes.insert(route.method.clone(), path, target).is_some() {
                    return Err(DuplicateRoute { method: route.method.clone(), path });
                }
            }
        }
        let shared = Arc::clone(&self.shared);
        Ok(Edge(Arc::new(Inner { shared, routes, proxies, ids: RequestIds::new() })))
    }
}

/// Whether a listener with these resources serves `path`.
fn serves(resources: &[Resource], path: &str) -> bool {
    // Clients read the server's name there.
    let for_all = path == "/" || path == "/_matrix/federation/v1/version";
    let resource = if path.starts_with("/_matrix/federation")
        || path.starts_with("/_matrix/key")
        || path == "/.well-known/matrix/server"
    {
        Resource::Federation
    } else if path.starts_with("/_hearth/metrics") {
        Resource::Metrics
    } else if path.starts_with("/_synapse/admin") || path.starts_with("/_hearth/admin") {
        Resource::Admin
    } else {
        Resource::Client
    };
    for_all || resources.contains(&resource)
}

/// What a listener serves, as poem's endpoint.
#[derive(Clone)]
pub struct Edge(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    routes: PathTree<Target>,
    proxies: Proxies,
    ids: RequestIds,
}

struct Target {
    pattern: &'static str,
    route: Route,
}

impl poem::Endpoint for Edge {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        Ok(self.0.answer(request).await)
    }
}

impl Inner {
    /// Never fails: what goes wrong is a response.
    async fn answer(&self, request: Request) -> Response {
        let started = Instant::now();
        let method = request.method().clone();
        let peer = request.remote_addr().as_socket_addr();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), std::net::SocketAddr::ip);
        let trusted = self.proxies.trust(peer);
        let id = self.ids.of(&request, trusted);
        let address = self.proxies.client(peer, request.headers());

        let path = request.uri().path().to_owned();
        let found = self.routes.find(&method, &path);
        let pattern = match &found {
            Match::Found { route, .. } => route.pattern,
            Match::WrongMethod(_) | Match::UnknownPath => "unrouted",
        };
        let span = tracing::info_span!("request", id = %id.as_str(), %method, route = pattern);
        let answer = async {
            let mut response = self.route(request, address, found).await;
            let observation = Observation { method: &method, pattern, status: response.status() };
            metrics::observe(&observation, started.elapsed());
            if let Ok(value) = HeaderValue::from_str(id.as_str()) {
                response.headers_mut().insert(metrics::REQUEST_ID, value);
            }
            allow_every_origin(&mut response);
            if method == Method::HEAD {
                response.set_body(());
            }
            response
        };
        answer.instrument(span).await
    }

    async fn route(
        &self,
        request: Request,
        address: IpAddr,
        found: Match<'_, '_, Target>,
    ) -> Response {
        let answer = match found {
            // A browser asks before it sends a request of another origin; it sends no token with that.
            _ if *request.method() == Method::OPTIONS => no_content(),
            Match::Found { route, arguments } => {
                return self.handle(request, address, route, arguments).await;
            }
            Match::WrongMethod(allowed) => wrong_method(&allowed),
            Match::UnknownPath => unrecognized(StatusCode::NOT_FOUND).into_response(),
        };
        body::discard(request.into_body()).await;
        answer
    }

    async fn handle(
        &self,
        request: Request,
        address: IpAddr,
        target: &Target,
        arguments: Vec<&str>,
    ) -> Response {
        let arguments = arguments.into_iter().map(ToOwned::to_owned).collect();
        let shared = Arc::clone(&self.shared);
        let incoming = Incoming::new(request, arguments, address, target.route.settings, shared);
        match (target.route.call)(incoming).await {
            Ok(response) => response,
            Err(error) => error.into_response(),
        }
    }
}

fn no_content() -> Response {
    Response::builder().status(StatusCode::NO_CONTENT).finish()
}

fn wrong_method(allowed: &[Method]) -> Response {
    let mut response = unrecognized(StatusCode::METHOD_NOT_ALLOWED).into_response();
    let methods: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    if let Ok(value) = HeaderValue::from_str(&methods.join(", ")) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

fn unrecognized(status: StatusCode) -> MatrixError {
    MatrixError::new(status, ErrorKind::Unrecognized, "unrecognized request")
}

/// Spec: client-server API, "Web Browser Clients".
fn allow_every_origin(response: &mut Response) {
    const HEADERS: [(HeaderName, HeaderValue); 4] = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS"),
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("X-Requested-With, Content-Type, Authorization"),
        ),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("Retry-After, X-Request-Id"),
        ),
    ];
    response.headers_mut().extend(HEADERS);
}
