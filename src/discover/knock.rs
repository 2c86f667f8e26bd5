//! Who listens at a place, without logging in.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// How long a server may take to let a connection in, and to greet.
const PATIENCE: Duration = Duration::from_secs(3);

/// The longest greeting that is looked at.
const LONGEST: usize = 512;

/// The process that listens at the socket `path` here.
pub(super) async fn listener(path: &Path) -> io::Result<Option<u32>> {
    let stream = timeout(PATIENCE, UnixStream::connect(path)).await??;
    Ok(stream.peer_cred()?.pid().and_then(|pid| u32::try_from(pid).ok()))
}

/// What a server of SQL at the socket `path` says it is.
pub(super) async fn version_at_socket(path: &Path) -> Option<String> {
    greeting(timeout(PATIENCE, UnixStream::connect(path)).await.ok()?.ok()?).await
}

/// The same of one at a port.
pub(super) async fn version_at_port(host: &str, port: u16) -> Option<String> {
    greeting(timeout(PATIENCE, TcpStream::connect((host, port))).await.ok()?.ok()?).await
}

async fn greeting(mut stream: impl AsyncReadExt + Unpin) -> Option<String> {
    let mut bytes = vec![0; LONGEST];
    let count = timeout(PATIENCE, stream.read(&mut bytes)).await.ok()?.ok()?;
    version(&bytes[..count])
}

/// The version in a greeting of MariaDB or MySQL: after four bytes of length and number a 10, then
/// the text up to a NUL, see MySQL's internals, "Protocol::HandshakeV10".
fn version(greeting: &[u8]) -> Option<String> {
    let text = greeting.get(4..)?.strip_prefix(&[10])?;
    let end = text.iter().position(|byte| *byte == 0)?;
    let text = std::str::from_utf8(&text[..end]).ok()?;
    // What MariaDB puts before it for the sake of old replicas.
    Some(text.strip_prefix("5.5.5-").unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_tell_the_version_and_nothing_else_is_taken_for_one() {
        let mariadb = b"d\0\0\0\n5.5.5-10.11.19-MariaDB-0+deb12u1\0\x06\0\0\0";

        assert_eq!(version(mariadb).unwrap(), "10.11.19-MariaDB-0+deb12u1");
        assert_eq!(version(b"\x5a\0\0\0\n9.7.4-2\0rest").unwrap(), "9.7.4-2");
        for other in [&b""[..], b"d\0\0\0\n", b"d\0\0\0\n9.7", b"x\0\0\0\xff\x6a\x04blocked\0"] {
            assert_eq!(version(other), None, "{other:?}");
        }
    }
}
