//! Connections: as many as configured, not all of them from one address, none of them silent for ever.

mod neighbours;

use std::{
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use api::Proxies;
use poem::{
    http::uri::Scheme,
    listener::Acceptor,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};

pub(crate) use self::neighbours::Neighbours;
use self::neighbours::Place;

/// How long to wait when the system has no more files or memory for connections.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections while there is room for them; others wait in the system's queue.
pub(crate) struct Connections {
    listener: TcpListener,
    local: SocketAddr,
    bounds: Bounds,
    /// Many clients connect through each of them.
    proxies: Proxies,
}

/// What bounds the connections of all listeners together.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// Room for so many.
    pub(crate) room: Arc<Semaphore>,
    /// Of which so many for one address.
    pub(crate) neighbours: Arc<Neighbours>,
    /// For how long one may be silent.
    pub(crate) idle: Duration,
}

/// A connection that ends when it is silent for too long, and makes room when it ends.
pub(crate) struct Connection {
    stream: TcpStream,
    idle: Duration,
    active: Instant,
    /// Runs while the connection waits for its peer. It is not set anew with each read, only when it has run out.
    alarm: Option<Pin<Box<Sleep>>>,
    _room: OwnedSemaphorePermit,
    _place: Option<Place>,
}

impl Connections {
    /// `bounds` may be shared with other listeners.
    pub(crate) fn new(listener: TcpListener, bounds: Bounds, proxies: Proxies) -> io::Result<Self> {
        let local = listener.local_addr()?;
        Ok(Self { listener, local, bounds, proxies })
    }

    /// The next connection from an address that has room for it. Others are closed at once.
    async fn next(&self) -> io::Result<(TcpStream, SocketAddr, Option<Place>)> {
        loop {
            let (stream, remote) = self.listener.accept().await?;
            let address = remote.ip();
            if self.proxies.include(address) {
                return Ok((stream, remote, None));
            }
            if let Some(place) = self.bounds.neighbours.place(address) {
                return Ok((stream, remote, Some(place)));
            }
            tracing::debug!(%address, "too many connections from one address");
        }
    }
}

impl Acceptor for Connections {
    type Io = Connection;

    fn local_addr(&self) -> Vec<LocalAddr> {
        vec![LocalAddr(self.local.into())]
    }

    async fn accept(&mut self) -> io::Result<(Connection, LocalAddr, RemoteAddr, Scheme)> {
        let room = Arc::clone(&self.bounds.room).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, remote, place) = match self.next().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // poem asks again at once, and the cause does not go away by asking.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
                return Err(error);
            }
        };
        // Without it an answer in two packets waits for the peer's acknowledgement of the first.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot send small packets at once");
        }
        let connection = Connection {
            stream,
            idle: self.bounds.idle,
            active: Instant::now(),
            alarm: None,
            _room: room,
            _place: place,
        };
        let local = LocalAddr(self.local.into());
        Ok((connection, local, RemoteAddr(remote.into()), Scheme::HTTP))
    }
}

impl Connection {
    /// Whether the connection has been silent for too long; otherwise the task is woken when it has.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = self.active + self.idle;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        while alarm.as_mut().poll(context).is_ready() {
            if Instant::now() >= end {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(end);
        }
        Poll::Pending
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = pin!(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.active = Instant::now();
            return read;
        }
        self.poll_silence(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = pin!(&mut self.stream).poll_write(context, bytes);
        if written.is_ready() {
            self.active = Instant::now();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = pin!(&mut self.stream).poll_write_vectored(context, slices);
        if written.is_ready() {
            self.active = Instant::now();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn connections(room: usize, idle: Duration) -> (Connections, SocketAddr) {
        connections_of(room, 10, Proxies::default(), idle).await
    }

    async fn connections_of(
        room: usize,
        of_one: usize,
        proxies: Proxies,
        idle: Duration,
    ) -> (Connections, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let room = Arc::new(Semaphore::new(room));
        let bounds = Bounds { room, neighbours: Arc::new(Neighbours::new(of_one)), idle };
        (Connections::new(listener, bounds, proxies).unwrap(), address)
    }

    #[tokio::test]
    async fn one_address_has_a_part_of_the_room_and_a_proxy_all_of_it() {
        let long = Duration::from_mins(1);
        let proxies = Proxies::new(vec!["127.0.0.0/8".parse().unwrap()]);
        let (mut strangers, address) = connections_of(5, 1, Proxies::default(), long).await;
        let (mut behind_proxy, proxied) = connections_of(5, 1, proxies, long).await;

        let _client = TcpStream::connect(address).await.unwrap();
        let (first, ..) = strangers.accept().await.unwrap();
        let mut turned_away = TcpStream::connect(address).await.unwrap();
        let short = Duration::from_millis(50);
        assert!(tokio::time::timeout(short, strangers.accept()).await.is_err());
        assert_eq!(turned_away.read(&mut [0]).await.unwrap_or(0), 0, "closed");
        drop(first);
        let _next = TcpStream::connect(address).await.unwrap();
        strangers.accept().await.unwrap();

        let mut open = Vec::new();
        for _ in 0..3 {
            open.push(TcpStream::connect(proxied).await.unwrap());
            behind_proxy.accept().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_silent_connection_ends_and_a_talking_one_does_not() {
        let (mut connections, address) = connections(1, Duration::from_millis(200)).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut server, ..) = connections.accept().await.unwrap();

        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(120)).await;
            client.write_all(b"x").await.unwrap();
            assert_eq!(server.read_u8().await.unwrap(), b'x');
        }
        let silence = server.read_u8().await.unwrap_err();

        assert_eq!(silence.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_connection_waits_until_another_ends() {
        let (mut connections, address) = connections(1, Duration::from_mins(1)).await;
        let _clients = [
            TcpStream::connect(address).await.unwrap(),
            TcpStream::connect(address).await.unwrap(),
        ];
        let (first, ..) = connections.accept().await.unwrap();

        let short = Duration::from_millis(50);
        assert!(tokio::time::timeout(short, connections.accept()).await.is_err());
        drop(first);
        connections.accept().await.unwrap();
    }
}
