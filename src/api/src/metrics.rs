//! What is measured of requests and of the process.

use std::time::Duration;

use http::{HeaderName, Method, StatusCode, header::CONTENT_TYPE};
use metrics_exporter_prometheus::PrometheusHandle;
use ruma::api::{auth_scheme::NoAuthentication, metadata, request, response};

use crate::{Endpoints, MatrixError};

mod process;

/// The header that carries a request's id.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The histogram of request durations in seconds, by method, route and status; its count is the number of requests.
pub const REQUEST_SECONDS: &str = "hearth_http_request_seconds";

/// An answered request.
pub(crate) struct Observation<'a> {
    pub(crate) method: &'a Method,
    pub(crate) pattern: &'static str,
    pub(crate) status: StatusCode,
}

/// Logs and counts an answered request. Paths, queries and bodies hold ids and tokens, so only the route's
/// pattern is written.
pub(crate) fn observe(request: &Observation<'_>, took: Duration) {
    let status = request.status.as_u16();
    let milliseconds = took.as_secs_f64() * 1000.0;
    if request.status.is_server_error() {
        tracing::info!(status, milliseconds, "answered with an error of ours");
    } else {
        tracing::debug!(status, milliseconds, "answered");
    }
    metrics::histogram!(
        REQUEST_SECONDS,
        "method" => method_label(request.method),
        "route" => request.pattern,
        "status" => status.to_string(),
    )
    .record(took.as_secs_f64());
}

/// A client may invent methods; each would be a time series.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

mod scrape {
    //! `GET /_hearth/metrics`: Prometheus text format.

    use super::{CONTENT_TYPE, NoAuthentication, metadata, request, response};

    metadata! {
        method: GET,
        rate_limited: false,
        authentication: NoAuthentication,
        path: "/_hearth/metrics",
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

/// The metrics endpoint, served where a listener's resources include "metrics".
pub fn endpoints(recorder: PrometheusHandle) -> Endpoints<PrometheusHandle> {
    Endpoints::new(recorder).at(scrape)
}

async fn scrape(
    recorder: PrometheusHandle,
    (): (),
    _: scrape::Request,
) -> Result<scrape::Response, MatrixError> {
    process::measure();
    Ok(scrape::Response {
        content_type: "text/plain; version=0.0.4; charset=utf-8".to_owned(),
        text: recorder.render().into_bytes(),
    })
}
