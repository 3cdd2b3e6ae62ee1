//! Requests over HTTP to servers that are no homeservers, whose names others choose.
//!
//! Whoever makes this server send requests must not reach with them what only this server reaches. So a name is looked
//! up and judged in one step, and no other address is connected to than the one that was judged; redirects are answers
//! like others; and no proxy is asked, as that would look names up anew.

mod addresses;
mod certificates;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use reqwest::{Client, ClientBuilder, Url, redirect};

use self::addresses::{Addresses, Forbidden};

/// The histogram of the durations in seconds of requests to others, by outcome; its count is their number.
const REQUEST_SECONDS: &str = "hearth_outgoing_request_seconds";

/// The longest time that connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// What requests may do.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Networks that are connected to though they are not public; only these are spoken to without TLS.
    pub allowed_private_networks: Vec<IpNet>,
    /// Files of certificates in PEM that are trusted beside those of the operating system.
    pub trusted_certificates: Vec<PathBuf>,
    /// The longest time until an answer is there, all of it.
    pub timeout: Duration,
    /// The most bytes that the body of an answer may have.
    pub largest_answer: usize,
}

/// Sends requests to others. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outgoing {
    secure: Way,
    plain: Way,
    largest_answer: usize,
}

/// How servers are reached, and at which addresses.
#[derive(Debug, Clone)]
struct Way {
    client: Client,
    addresses: Arc<Addresses>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    /// A file of trusted certificates cannot be used.
    #[error("cannot use the certificates in {}: {reason}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Requests cannot be sent at all.
    #[error("cannot set up the HTTP client")]
    Setup(#[source] Box<dyn Error + Send + Sync>),
    /// What was to be asked is no `http` or `https` URL.
    #[error("no http or https URL")]
    NoUrl,
    /// The server has no address that may be connected to.
    #[error("the server is not at a public address")]
    Forbidden,
    /// The answer took too long.
    #[error("the server did not answer in time")]
    Timeout,
    /// The answer was larger than it may be.
    #[error("the server's answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The server was not reached, or did not speak HTTP.
    #[error("the server was not reached")]
    Failed(#[source] reqwest::Error),
}

impl Outgoing {
    /// Fails with [`OutgoingError::Certificates`] if a file of certificates cannot be used.
    pub fn new(policy: &Policy) -> Result<Self, OutgoingError> {
        let tls = certificates::tls(&policy.trusted_certificates)?;
        let networks = &policy.allowed_private_networks;
        let way = |addresses: Addresses, client: ClientBuilder| -> Result<Way, OutgoingError> {
            let addresses = Arc::new(addresses);
            let client = client
                .dns_resolver(Arc::clone(&addresses))
                .redirect(redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .user_agent("hearth")
                .connect_timeout(CONNECT.min(policy.timeout))
                .timeout(policy.timeout)
                .build()
                .map_err(|error| OutgoingError::Setup(error.into()))?;
            Ok(Way { client, addresses })
        };
        let secure = Client::builder().https_only(true).tls_backend_preconfigured(tls.clone());
        let plain = Client::builder().tls_backend_preconfigured(tls);
        Ok(Self {
            secure: way(Addresses::public_and(networks), secure)?,
            plain: way(Addresses::only(networks), plain)?,
            largest_answer: policy.largest_answer,
        })
    }

    /// Sends a request and returns the answer, whatever its status.
    pub async fn send(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, OutgoingError> {
        let started = Instant::now();
        let answer = self.ask(request).await;
        let outcome = answer.as_ref().map_or_else(OutgoingError::label, |_| "answered");
        metrics::histogram!(REQUEST_SECONDS, "outcome" => outcome).record(started.elapsed());
        answer
    }

    async fn ask(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, OutgoingError> {
        let request = reqwest::Request::try_from(request).map_err(|_| OutgoingError::NoUrl)?;
        let way = match request.url().scheme() {
            "https" => &self.secure,
            "http" => &self.plain,
            _ => return Err(OutgoingError::NoUrl),
        };
        // What is an address already is not looked up.
        if address(request.url()).is_some_and(|address| !way.addresses.include(address)) {
            return Err(OutgoingError::Forbidden);
        }
        let mut response = way.client.execute(request).await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if chunk.len() > self.largest_answer - body.len() {
                return Err(OutgoingError::TooLarge(self.largest_answer));
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = http::Response::new(body);
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }
}

/// The address that stands in a URL instead of a name. However it was written there, the URL has it in one form.
fn address(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

impl OutgoingError {
    /// The outcome as a metric's label.
    fn label(&self) -> &'static str {
        match self {
            Self::Forbidden | Self::NoUrl => "forbidden",
            Self::Timeout => "timeout",
            Self::TooLarge(_) => "too_large",
            Self::Failed(_) | Self::Setup(_) | Self::Certificates { .. } => "failed",
        }
    }
}

impl From<reqwest::Error> for OutgoingError {
    fn from(error: reqwest::Error) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(current) = cause {
            if current.is::<Forbidden>() {
                return Self::Forbidden;
            }
            cause = current.source();
        }
        if error.is_timeout() { Self::Timeout } else { Self::Failed(error.without_url()) }
    }
}
