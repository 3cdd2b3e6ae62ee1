//! Reading request bodies, within limits.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{Method, StatusCode, header};
use poem::Body;
use protocol::limits::nests_too_deep;
use ruma::api::error::ErrorKind;
use serde::de::IgnoredAny;

use crate::{
    Limits, MatrixError,
    endpoints::{BodyKind, EmptyBody, Settings},
};

/// How much of a body that nobody wants is read all the same, and for how long. A connection whose request was not
/// read cannot be used again, and closing it while the client still sends may cost the client its answer.
const MOST_DISCARDED: usize = 16 << 20;
const LONGEST_DISCARDED: Duration = Duration::from_secs(5);

/// Reads a body that nobody wants and keeps nothing of it.
pub(crate) async fn discard(body: Body) {
    if !body.is_empty() {
        // Larger or slower: the connection is closed, which is all right then.
        let _ = tokio::time::timeout(LONGEST_DISCARDED, up_to(body, 0)).await;
    }
}

/// A body as `settings` want it. What a `GET` brings has no meaning (RFC 9110, 9.3.1) and is passed over.
pub(crate) async fn read(
    head: &http::Request<()>,
    body: Body,
    settings: Settings,
    limits: &Limits,
) -> Result<Bytes, MatrixError> {
    if matches!(*head.method(), Method::GET | Method::HEAD) {
        discard(body).await;
        return Ok(Bytes::new());
    }
    let limit = settings.body_limit.unwrap_or(limits.body_bytes);
    let announced =
        head.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|text| text.parse().ok()).is_some_and(|length: usize| length > limit) {
        discard(body).await;
        return Err(MatrixError::too_large(limit));
    }
    let body = match tokio::time::timeout(limits.body_timeout, up_to(body, limit)).await {
        Ok(Ok(body)) => body,
        Ok(Err(Unreadable::TooLarge)) => return Err(MatrixError::too_large(limit)),
        Ok(Err(Unreadable::Broken)) => return Err(MatrixError::not_json()),
        Err(_) => {
            let message = "the body did not arrive in time";
            return Err(MatrixError::new(StatusCode::REQUEST_TIMEOUT, ErrorKind::Unknown, message));
        }
    };
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    match (settings.body, settings.empty_body) {
        (BodyKind::Raw, _) => Ok(body),
        (BodyKind::Json, EmptyBody::IsNotJson) if body.is_empty() => Err(MatrixError::not_json()),
        // Not every request type of ruma does this by itself.
        (BodyKind::Json, EmptyBody::IsEmptyObject) if body.is_empty() => {
            Ok(Bytes::from_static(b"{}"))
        }
        (BodyKind::Json, _) if nests_too_deep(&body) => Err(MatrixError::nested()),
        // Some requests want nothing of it, and a parser that passes over a string does not look at its bytes.
        (BodyKind::Json, _) if first == Some(&b'{') && is_json(&body) => Ok(body),
        (BodyKind::Json, _) => Err(MatrixError::not_an_object(&body)),
    }
}

/// Whether a body is JSON, or there is none.
pub(crate) fn is_json(body: &[u8]) -> bool {
    body.is_empty()
        || str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Why there is no body.
#[derive(Debug)]
enum Unreadable {
    TooLarge,
    Broken,
}

/// All of a body, if it has at most `limit` bytes. Of a larger one the rest is read and dropped.
async fn up_to(body: Body, limit: usize) -> Result<Bytes, Unreadable> {
    let mut chunks = pin!(body.into_bytes_stream());
    let mut kept = BytesMut::new();
    let mut length = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Unreadable::Broken)?;
        length += chunk.len();
        if length <= limit {
            kept.extend_from_slice(&chunk);
        } else if length > limit + MOST_DISCARDED {
            break;
        } else {
            kept = BytesMut::new();
        }
    }
    if length > limit { Err(Unreadable::TooLarge) } else { Ok(kept.freeze()) }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn body(chunks: usize) -> Body {
        let chunk = || Ok::<_, std::io::Error>(Bytes::from_static(b"0123456789"));
        Body::from_bytes_stream(stream::iter((0..chunks).map(move |_| chunk())))
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        assert_eq!(up_to(body(2), 20).await.unwrap().len(), 20);
        assert!(matches!(up_to(body(3), 20).await, Err(Unreadable::TooLarge)));
        assert!(up_to(body(0), 0).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_endless_body_is_not_read_to_its_end() {
        let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![0; 65_536])));
        let read = up_to(Body::from_bytes_stream(endless), 10).await;
        assert!(matches!(read, Err(Unreadable::TooLarge)));
    }
}
