//! Servers inside the test process, for homeservers to ask.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

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
    requests: Arc<Mutex<Vec<FakeRequest>>>,
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
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let port = listener.local_addr().expect("it is bound").port();
        let (requests, answer) = (Arc::default(), Arc::new(answer));
        let server = Self { port, requests };
        let served = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (served, answer) = (served.clone(), Arc::clone(&answer));
                tokio::spawn(async move { served.serve(stream, &*answer).await });
            }
        });
        server
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
        mut stream: TcpStream,
        answer: &(dyn Fn(&FakeRequest) -> FakeAnswer + Sync),
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
        let _sent = stream.write_all((head + &body).as_bytes()).await;
    }
}

/// A whole request; `None` if the connection ends before.
async fn read(stream: &mut TcpStream) -> Option<FakeRequest> {
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
