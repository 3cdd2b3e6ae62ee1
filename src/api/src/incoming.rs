//! A request on its way to a handler, and the answer back.

use std::{net::IpAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use accounts::Origin;
use futures_util::FutureExt;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use poem::{Body, Response};
use ruma::api::{
    IncomingRequest, IncomingRequestExt, OutgoingResponse, OutgoingResponseExt, error::ErrorKind,
};
use tracing::Instrument;

use crate::{
    Authentication, Authenticator, Caller, Limits, MatrixError, RateLimits,
    authentication::DynAuthenticator,
    body,
    endpoints::{Settings, Wait},
    rate_limits::Key,
    routes::decode_argument,
};

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) authenticator: DynAuthenticator,
    pub(crate) rate_limits: RateLimits,
    pub(crate) limits: Limits,
}

/// A request whose route is known and whose body is not read yet.
pub struct Incoming {
    head: http::Request<()>,
    body: Body,
    /// Still percent-encoded.
    arguments: Vec<String>,
    address: IpAddr,
    settings: Settings,
    shared: Arc<Shared>,
}

impl Incoming {
    pub(crate) fn new(
        request: poem::Request,
        arguments: Vec<String>,
        address: IpAddr,
        settings: Settings,
        shared: Arc<Shared>,
    ) -> Self {
        let (parts, body) = request.into_parts();
        let head = head(parts.method, parts.uri, parts.headers);
        Self { head, body, arguments, address, settings, shared }
    }

    /// Method, address and headers.
    pub(crate) fn head(&self) -> &http::Request<()> {
        &self.head
    }

    /// Where the request comes from; the address is unspecified when it is not known.
    pub(crate) fn origin(&self) -> Origin<'_> {
        let name = self.head.headers().get(header::USER_AGENT);
        Origin { address: self.address, user_agent: name.and_then(|name| name.to_str().ok()) }
    }

    pub(crate) fn authenticator(&self) -> &dyn Authenticator {
        &*self.shared.authenticator
    }

    /// How long its handler may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.shared.limits.request_timeout
    }

    /// Authenticates the caller and counts the request against its limit, before the body is read.
    pub(crate) async fn admit<A: Authentication>(&self) -> Result<A::Caller, MatrixError> {
        let caller = A::caller(self).await?;
        if let Some(session) = caller.session() {
            self.settings.standing.check(session)?;
        }
        self.limit_rate(&caller)?;
        Ok(caller)
    }

    /// Reads what is left of a body that nobody wants.
    pub(crate) async fn discard(self) {
        body::discard(self.body).await;
    }

    fn limit_rate(&self, caller: &impl Caller) -> Result<(), MatrixError> {
        let Some(class) = self.settings.class else { return Ok(()) };
        let key = caller.session();
        let key = key.map_or(Key::Address(self.address), |session| Key::User(&session.user_id));
        self.shared.rate_limits.check(class, &key).map_err(MatrixError::limit_exceeded)
    }

    /// Reads the body and parses the request.
    pub(crate) async fn parse<R: IncomingRequest>(self) -> Result<(R, Settings), MatrixError> {
        let Self { head, body, arguments, settings, shared, .. } = self;
        let body = body::read(&head, body, settings, &shared.limits).await?;
        let arguments =
            arguments.iter().map(|raw| decode_argument(raw)).collect::<Result<Vec<_>, _>>()?;
        let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let (parts, ()) = head.into_parts();
        let request = http::Request::from_parts(parts, &*body);
        // Some of ruma's request types index into JSON without looking (login without a "type"): that panics.
        let parse = AssertUnwindSafe(|| R::try_from_http_request(request, &arguments));
        match std::panic::catch_unwind(parse) {
            Ok(Ok(request)) => Ok((request, settings)),
            Ok(Err(error)) => Err(MatrixError::unparsable(&error, &body)),
            Err(_) => {
                let message = "the request lacks something that all of its kind have";
                Err(MatrixError::bad_request(ErrorKind::BadJson, message))
            }
        }
    }
}

fn head(method: Method, uri: Uri, headers: HeaderMap) -> http::Request<()> {
    let mut head = http::Request::new(());
    *head.method_mut() = method;
    *head.uri_mut() = uri;
    *head.headers_mut() = headers;
    head
}

/// Runs a handler to its end, whatever happens in it.
///
/// A change runs as a task of its own: when the client hangs up half way, the change is still made whole. A
/// read is dropped with its connection, and a long-poll may take as long as it wants.
pub(crate) async fn run<T: Send + 'static>(
    method: &Method,
    wait: Wait,
    timeout: Duration,
    handler: impl Future<Output = Result<T, MatrixError>> + Send + 'static,
) -> Result<T, MatrixError> {
    let handler = AssertUnwindSafe(handler).catch_unwind();
    let outcome = match wait {
        Wait::LongPoll => Ok(handler.await),
        Wait::Bounded if *method == Method::GET => tokio::time::timeout(timeout, handler).await,
        Wait::Bounded => {
            let task = tokio::spawn(handler.in_current_span());
            let task = task.map(|ended| ended.unwrap_or_else(|error| Err(Box::new(error))));
            tokio::time::timeout(timeout, task).await
        }
    };
    match outcome {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => {
            // The panic hook has logged where.
            metrics::counter!("hearth_http_panics_total").increment(1);
            Err(MatrixError::concealed())
        }
        Err(_) => {
            let message = "the server is too busy to answer in time";
            Err(MatrixError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Unknown, message))
        }
    }
}

/// A handler's answer on the wire.
pub(crate) fn respond(response: impl OutgoingResponse) -> Result<Response, MatrixError> {
    let response = response
        .try_into_http_response::<Vec<u8>>()
        .map_err(|error| MatrixError::internal(&error))?;
    let (parts, body) = response.into_parts();
    let mut answer = Response::builder().status(parts.status).body(body);
    *answer.headers_mut() = parts.headers;
    Ok(answer)
}
