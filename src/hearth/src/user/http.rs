//! One HTTP request to the server on this machine.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a request of our own server's API and gives its status and JSON body.
pub(super) fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}",
        length = body.len(),
    )?;
    let mut answer = Vec::new();
    // The server closes the connection after its answer.
    stream.take(1 << 20).read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::other("the answer is not one of hearth"))
}

/// Status and body of an answer whose body is not sent in chunks: hearth knows its answers' lengths.
fn parse(answer: &[u8]) -> Option<(u16, Value)> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, serde_json::from_slice(&answer[end + 4..]).ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 7\r\n\r\n{\"a\":1}";

        assert_eq!(parse(answer), Some((400, json!({ "a": 1 }))));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\r\n<html>"), None);
        assert_eq!(parse(b"SSH-2.0"), None);
    }
}
