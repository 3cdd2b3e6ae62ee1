//! Servers inside the test process, for homeservers to ask.

use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A request that a fake server got.
#[derive(Clone, Debug)]
pub struct FakeRequest {
    /// Such as `GET`.
    pub method: String,
    /// The path, with the query.
    pub path: String,
    /// The headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// What a fake server does with a request.
#[derive(Clone, Debug)]
pub enum FakeAnswer {
    /// A status and JSON.
    Json(u16, Value),
    /// A status and any text.
    Text(u16, String),
    /// The connection stays open and nothing comes.
    Silence,
}

/// An HTTP server on loopback that answers as a test says. It lives as long as the test.
#[derive(Clone)]
pub struct FakeServer {
    port: u16,
    tls: Option<Tls>,
    requests: Arc<Mutex<Vec<FakeRequest>>>,
}

/// What a server over TLS has.
#[derive(Clone)]
struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<NamedTempFile>,
}

impl FakeRequest {
    /// The value of a header; empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{}: body is not JSON ({error})", self.path))
    }
}

impl FakeServer {
    /// Answers every request with what `answer` gives.
    pub async fn start(
        answer: impl Fn(&FakeRequest) -> FakeAnswer + Send + Sync + 'static,
    ) -> Self {
        Self::listen(None, Arc::new(answer)).await
    }

    /// As [`Self::start`], over TLS, with a certificate that nobody trusts yet.
    pub async fn start_with_tls(
        answer: impl Fn(&FakeRequest) -> FakeAnswer + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(Tls::new()), Arc::new(answer)).await
    }

    async fn listen(
        tls: Option<Tls>,
        answer: Arc<dyn Fn(&FakeRequest) -> FakeAnswer + Send + Sync>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let port = listener.local_addr().expect("it is bound").port();
        let server = Self { port, tls, requests: Arc::default() };
        let served = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (served, answer) = (served.clone(), Arc::clone(&answer));
                tokio::spawn(async move {
                    match &served.tls {
                        None => served.serve(stream, &*answer).await,
                        Some(tls) => {
                            let Ok(stream) = tls.acceptor.accept(stream).await else { return };
                            served.serve(stream, &*answer).await;
                        }
                    }
                });
            }
        });
        server
    }

    /// The file with the certificate of a server over TLS.
    pub fn certificate(&self) -> &Path {
        self.tls.as_ref().expect("the server was started with TLS").certificate.path()
    }

    /// Host and port.
    pub fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<FakeRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers the one request of a connection. Who hangs up early gets nothing.
    async fn serve(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        answer: &(dyn Fn(&FakeRequest) -> FakeAnswer + Send + Sync),
    ) {
        let Some(request) = read(&mut stream).await else { return };
        let answer = answer(&request);
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        let (status, kind, body) = match answer {
            FakeAnswer::Json(status, body) => (status, "application/json", body.to_string()),
            FakeAnswer::Text(status, body) => (status, "text/plain", body),
            FakeAnswer::Silence => return std::future::pending().await,
        };
        let head = format!(
            "HTTP/1.1 {status} Fake\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        if stream.write_all((head + &body).as_bytes()).await.is_ok() {
            let _ended = stream.shutdown().await;
        }
    }
}

impl Tls {
    /// A certificate of its own for this machine.
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
        let made = made.expect("an address has a certificate");
        let mut certificate = NamedTempFile::new().expect("the temporary folder is writable");
        certificate.write_all(made.cert.pem().as_bytes()).expect("the file is ours");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has all versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.into()], made.signing_key.into())
            .expect("the key is the certificate's");
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate: Arc::new(certificate) }
    }
}

/// A whole request; `None` if the connection ends before.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<FakeRequest> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers = lines.filter_map(header).collect();
    let mut request = FakeRequest { method, path, headers, body: String::new() };
    let mut body = vec![0; request.header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}
