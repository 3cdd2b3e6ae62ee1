//! One kept-alive HTTP/1.1 connection: as little as the load needs, because it shares its processor
//! with the server that it measures.

use std::fmt::Write as _;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Failure, Outcome};

/// What a head of an answer may take; a longer one is no homeserver's.
const MAX_HEAD: usize = 64 * 1024;

/// A connection to the server under load, opened at the first request and again when it was closed.
pub(crate) struct Connection {
    authority: String,
    stream: Option<TcpStream>,
    /// What was read and not used yet.
    buffer: Vec<u8>,
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// The part of an answer's head that says how its body is read.
struct Head {
    status: u16,
    length: BodyLength,
    closes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyLength {
    Bytes(usize),
    Chunked,
}

impl Connection {
    /// `authority` is host and port.
    pub(crate) fn new(authority: &str) -> Self {
        Self { authority: authority.to_owned(), stream: None, buffer: Vec::new() }
    }

    /// Sends one request and reads the answer. A kept connection that the server has closed in the
    /// meantime is opened again, once.
    pub(crate) async fn request(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &[u8],
    ) -> Outcome<Reply> {
        let request = self.serialize(method, path, token, body);
        if self.stream.is_some()
            && let Ok(reply) = self.exchange(&request).await
        {
            return Ok(reply);
        }
        let stream = TcpStream::connect(&self.authority).await?;
        stream.set_nodelay(true)?;
        self.stream = Some(stream);
        self.exchange(&request).await
    }

    fn serialize(&self, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> Vec<u8> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.authority);
        if let Some(token) = token {
            let _ = write!(head, "Authorization: Bearer {token}\r\n");
        }
        if !body.is_empty() {
            let length = body.len();
            let _ = write!(head, "Content-Type: application/json\r\nContent-Length: {length}\r\n");
        }
        head.push_str("\r\n");
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        request
    }

    async fn exchange(&mut self, request: &[u8]) -> Outcome<Reply> {
        self.buffer.clear();
        let reply = self.converse(request).await;
        if reply.is_err() {
            self.stream = None;
        }
        reply
    }

    async fn converse(&mut self, request: &[u8]) -> Outcome<Reply> {
        self.stream.as_mut().ok_or("not connected")?.write_all(request).await?;
        let end = self.read_until(0, b"\r\n\r\n", MAX_HEAD).await?;
        let head = parse_head(&self.buffer[..end])?;
        self.buffer.drain(..end);
        let body = match head.length {
            BodyLength::Bytes(length) => self.take(length).await?,
            BodyLength::Chunked => self.chunks().await?,
        };
        if head.closes {
            self.stream = None;
        }
        Ok(Reply { status: head.status, body })
    }

    async fn chunks(&mut self) -> Outcome<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = self.read_until(0, b"\r\n", MAX_HEAD).await?;
            let line = std::str::from_utf8(&self.buffer[..end - 2])?;
            let size =
                usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)?;
            self.buffer.drain(..end);
            let chunk = self.take(size + 2).await?;
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Takes `length` bytes off the buffer, reading until they are there.
    async fn take(&mut self, length: usize) -> Outcome<Vec<u8>> {
        while self.buffer.len() < length {
            self.read_more().await?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// Reads until `mark` stands in the buffer after `from`; returns where it ends.
    async fn read_until(&mut self, from: usize, mark: &[u8], limit: usize) -> Outcome<usize> {
        let mut searched = from;
        loop {
            if let Some(at) = find(&self.buffer[searched..], mark) {
                return Ok(searched + at + mark.len());
            }
            if self.buffer.len() > limit {
                return Err("the answer's head has no end".into());
            }
            searched = self.buffer.len().saturating_sub(mark.len());
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Outcome<()> {
        let stream = self.stream.as_mut().ok_or("not connected")?;
        self.buffer.reserve(16 * 1024);
        match stream.read_buf(&mut self.buffer).await? {
            0 => Err("the server closed the connection".into()),
            _ => Ok(()),
        }
    }
}

/// Where `mark` stands first in `text`.
pub(crate) fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    text.windows(mark.len()).position(|window| window == mark)
}

fn parse_head(head: &[u8]) -> Result<Head, Failure> {
    let head = std::str::from_utf8(head)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).ok_or("no status line")?;
    let mut parsed = Head { status: status.parse()?, length: BodyLength::Bytes(0), closes: false };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            parsed.length = BodyLength::Bytes(value.parse()?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            parsed.length = BodyLength::Chunked;
        } else if name.eq_ignore_ascii_case("connection") {
            parsed.closes = value.eq_ignore_ascii_case("close");
        }
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Answers each connection's first request with the next of `answers` and closes.
    async fn server_of(answers: Vec<&'static str>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        authority
    }

    #[tokio::test]
    async fn a_body_of_known_length_is_read() {
        let authority =
            server_of(vec!["HTTP/1.1 403 Forbidden\r\ncontent-LENGTH: 5\r\n\r\nnever"]).await;

        let reply = Connection::new(&authority).request("GET", "/", None, b"").await.unwrap();

        assert_eq!((reply.status, reply.body.as_slice()), (403, b"never".as_slice()));
    }

    #[tokio::test]
    async fn a_chunked_body_is_put_together() {
        let authority = server_of(vec![
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
        ])
        .await;

        let reply = Connection::new(&authority).request("GET", "/", None, b"").await.unwrap();

        assert_eq!(reply.body, b"abc0123456789");
    }

    #[tokio::test]
    async fn a_connection_the_server_closed_is_opened_again() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1";
        let mut connection = Connection::new(&server_of(vec![answer, answer]).await);
        connection.request("GET", "/", None, b"").await.unwrap();

        let again = connection.request("GET", "/", None, b"").await.unwrap();

        assert_eq!(again.body, b"1");
    }
}
