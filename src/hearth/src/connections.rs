//! Connections: as many as configured, none of them silent for ever.

use std::{
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

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

/// How long to wait when the system has no more files or memory for connections.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections while there is room for them; others wait in the system's queue.
pub(crate) struct Connections {
    listener: TcpListener,
    local: SocketAddr,
    room: Arc<Semaphore>,
    idle: Duration,
}

/// A connection that ends when it is silent for too long, and makes room when it ends.
pub(crate) struct Connection {
    stream: TcpStream,
    idle: Duration,
    active: Instant,
    /// Runs while the connection waits for its peer. It is not set anew with each read, only when it has run out.
    alarm: Option<Pin<Box<Sleep>>>,
    _room: OwnedSemaphorePermit,
}

impl Connections {
    /// `room` may be shared with other listeners.
    pub(crate) fn new(
        listener: TcpListener,
        room: Arc<Semaphore>,
        idle: Duration,
    ) -> io::Result<Self> {
        let local = listener.local_addr()?;
        Ok(Self { listener, local, room, idle })
    }
}

impl Acceptor for Connections {
    type Io = Connection;

    fn local_addr(&self) -> Vec<LocalAddr> {
        vec![LocalAddr(self.local.into())]
    }

    async fn accept(&mut self) -> io::Result<(Connection, LocalAddr, RemoteAddr, Scheme)> {
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, remote) = match self.listener.accept().await {
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
        let active = Instant::now();
        let connection = Connection { stream, idle: self.idle, active, alarm: None, _room: room };
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Connections::new(listener, Arc::new(Semaphore::new(room)), idle).unwrap(), address)
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
