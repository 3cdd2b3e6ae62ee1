use std::io::Write;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::*;

const HELLO: &[u8] = b"HTTP/1.1 418 I'm a teapot\r\nx-tea: green\r\ncontent-length: 5\r\n\r\nhello";

fn policy(networks: &[&str]) -> Policy {
    Policy {
        allowed_private_networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
        trusted_certificates: Vec::new(),
        timeout: Duration::from_secs(5),
        largest_answer: 1_000,
    }
}

fn local() -> Outgoing {
    Outgoing::new(&policy(&["127.0.0.0/8"])).unwrap()
}

async fn get(outgoing: &Outgoing, url: &str) -> Result<http::Response<Vec<u8>>, OutgoingError> {
    outgoing.send(http::Request::get(url).body(Vec::new()).unwrap()).await
}

/// Answers one request, and returns what it was.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, with: &[u8]) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(with).await.unwrap();
    stream.shutdown().await.unwrap();
    String::from_utf8(request).unwrap()
}

/// A server that answers one request.
async fn server(with: Vec<u8>) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = async move { answer(listener.accept().await.unwrap().0, &with).await };
    (address, tokio::spawn(served))
}

#[tokio::test]
async fn an_answer_is_returned_whatever_its_status() {
    let (address, served) = server(HELLO.to_vec()).await;
    let answer = get(&local(), &format!("http://{address}/tea?milk=no")).await.unwrap();

    assert_eq!((answer.status().as_u16(), answer.body().as_slice()), (418, b"hello".as_slice()));
    assert_eq!(answer.headers()["x-tea"], "green");
    assert!(served.await.unwrap().starts_with("GET /tea?milk=no HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_name_is_connected_to_where_its_address_is_allowed() {
    let (address, _) = server(HELLO.to_vec()).await;
    let url = format!("http://localhost:{}/", address.port());

    assert_eq!(get(&local(), &url).await.unwrap().status(), 418);
}

#[tokio::test]
async fn private_addresses_are_not_connected_to_however_they_are_written() {
    let (address, served) = server(HELLO.to_vec()).await;
    let port = address.port();
    let outgoing = Outgoing::new(&policy(&["10.0.0.0/8"])).unwrap();
    for host in ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::ffff:7f00:1]"] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{port}/");
            let refused = get(&outgoing, &url).await;
            assert!(matches!(refused, Err(OutgoingError::Forbidden)), "{url} {refused:?}");
        }
    }
    assert!(!served.is_finished());
}

#[tokio::test]
async fn public_addresses_are_spoken_to_with_tls_only() {
    for url in ["http://1.1.1.1/", "http://[2606:4700:4700::1111]/"] {
        let refused = get(&local(), url).await;
        assert!(matches!(refused, Err(OutgoingError::Forbidden)), "{url} {refused:?}");
    }
}

#[tokio::test]
async fn what_is_no_http_url_is_refused() {
    for url in ["ftp://127.0.0.1/", "/path"] {
        let refused = get(&local(), url).await;
        assert!(matches!(refused, Err(OutgoingError::NoUrl)), "{url} {refused:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let redirect = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\r\n";
    let (address, _) = server(redirect.to_vec()).await;

    assert_eq!(get(&local(), &format!("http://{address}/")).await.unwrap().status(), 302);
}

#[tokio::test]
async fn a_large_answer_is_refused_whether_it_tells_its_length_or_not() {
    for head in ["content-length: 1001\r\n", ""] {
        let mut large = format!("HTTP/1.1 200 OK\r\n{head}\r\n").into_bytes();
        large.extend([b'x'; 1001]);
        let (address, _) = server(large).await;
        let refused = get(&local(), &format!("http://{address}/")).await;
        assert!(matches!(refused, Err(OutgoingError::TooLarge(1000))), "{refused:?}");
    }
}

#[tokio::test]
async fn a_slow_answer_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let policy = Policy { timeout: Duration::from_millis(50), ..policy(&["127.0.0.0/8"]) };
    let refused = get(&Outgoing::new(&policy).unwrap(), &url).await;

    assert!(matches!(refused, Err(OutgoingError::Timeout)), "{refused:?}");
}

#[tokio::test]
async fn nonsense_and_closed_ports_are_no_answer() {
    let (address, _) = server(b"what?\r\n\r\n".to_vec()).await;
    for url in [format!("http://{address}/"), "http://127.0.0.1:1/".to_owned()] {
        let failed = get(&local(), &url).await;
        assert!(matches!(failed, Err(OutgoingError::Failed(_))), "{failed:?}");
    }
}

/// A server with a certificate that no authority signed, and that certificate in a file.
async fn tls_server() -> (SocketAddr, tempfile::NamedTempFile) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(made.cert.pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let key = made.signing_key.into();
    let config = config.unwrap().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.into()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            answer(stream, HELLO).await;
        }
    });
    (address, file)
}

#[tokio::test]
async fn a_server_is_believed_whose_certificate_is_trusted() {
    let (address, certificate) = tls_server().await;
    let url = format!("https://localhost:{}/", address.port());
    let unknown = get(&local(), &url).await;
    assert!(matches!(unknown, Err(OutgoingError::Failed(_))), "{unknown:?}");

    let trusted_certificates = vec![certificate.path().to_owned()];
    let policy = Policy { trusted_certificates, ..policy(&["127.0.0.0/8"]) };
    let outgoing = Outgoing::new(&policy).unwrap();
    assert_eq!(get(&outgoing, &url).await.unwrap().status(), 418);
    let other_name = get(&outgoing, &format!("https://{address}/")).await;
    assert!(matches!(other_name, Err(OutgoingError::Failed(_))), "{other_name:?}");
}

#[test]
fn a_file_without_certificates_is_a_problem() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    for path in [empty.path().to_owned(), "/nowhere/ca.pem".into()] {
        let policy = Policy { trusted_certificates: vec![path], ..policy(&[]) };
        let refused = Outgoing::new(&policy);
        assert!(matches!(refused, Err(OutgoingError::Certificates { .. })), "{refused:?}");
    }
}
