//! The bytes to and from a server: over a socket, plain or encrypted, with an end to all waiting.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

use super::session::Error;
use super::{Login, tls};
use crate::policy::sources::Tls;

/// How often waiting looks whether somebody asked for an end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a server may take to accept.
const CONNECT: Duration = Duration::from_secs(30);

/// A connection to a server.
pub(super) struct Link {
    wire: Wire,
    /// The longest that nothing may come.
    silence: Duration,
    interrupted: Arc<AtomicBool>,
}

enum Wire {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Link {
    pub fn open(
        login: &Login,
        silence: Duration,
        interrupted: Arc<AtomicBool>,
    ) -> Result<Self, Error> {
        let wire = wire(login, silence);
        let wire = wire.map_err(|source| Error::Connect { server: login.server(), source })?;
        Ok(Self { wire, silence, interrupted })
    }

    pub fn silence(&self) -> Duration {
        self.silence
    }

    /// Waits no longer than this from now on.
    pub fn set_silence(&mut self, silence: Duration) {
        self.silence = silence;
    }

    /// Reads some bytes; 0 where the server has closed the connection.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let begun = Instant::now();
        loop {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            match self.wire.reader().read(buffer) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) if is_waiting(&error) => {}
                Err(error) => return Err(Error::Lost(error)),
            }
            if begun.elapsed() > self.silence {
                return Err(Error::Silent { limit: self.silence });
            }
        }
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let writer = self.wire.writer();
        writer.write_all(bytes).and_then(|()| writer.flush()).map_err(Error::Lost)
    }
}

fn is_waiting(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn wire(login: &Login, silence: Duration) -> io::Result<Wire> {
    if login.is_local() {
        let stream = UnixStream::connect(&login.host)?;
        stream.set_read_timeout(Some(LOOK_EVERY))?;
        stream.set_write_timeout(Some(silence))?;
        return Ok(Wire::Unix(stream));
    }
    let stream = reach(&login.host, login.port)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LOOK_EVERY))?;
    stream.set_write_timeout(Some(silence))?;
    let ca = match &login.tls {
        Tls::Off => return Ok(Wire::Tcp(stream)),
        Tls::Require => None,
        Tls::Verify { ca } => Some(ca.as_path()),
    };
    tls::encrypt(stream, &login.host, ca).map(|stream| Wire::Tls(Box::new(stream)))
}

/// The first of the host's addresses that answers.
fn reach(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut refused = io::Error::from(ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

impl Wire {
    fn reader(&mut self) -> &mut dyn Read {
        match self {
            Self::Unix(stream) => stream,
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream,
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Unix(stream) => stream,
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream,
        }
    }
}
