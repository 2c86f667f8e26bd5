//! Where this host is listened at.
//!
//! In: the text of `/proc/net/unix`, `tcp` and `tcp6`. Out: sockets and ports with their inodes. A
//! socket's name is not escaped there and may hold line ends: a line can be made up, so that a place
//! is believed only once the server itself was met there.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// A stream socket in the file system, as whoever made it named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Socket {
    pub inode: u64,
    pub path: PathBuf,
}

/// A port that can be reached from this host, or only by an address of the outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub inode: u64,
    pub uid: u32,
    pub number: u16,
    /// `127.0.0.1` or `::1`; none where neither leads to it.
    pub host: Option<&'static str>,
}

/// `__SO_ACCEPTCON` of the kernel's net.h: somebody listens.
const LISTENS: u32 = 0x1_0000;

/// `TCP_LISTEN` of the kernel's tcp_states.h.
const LISTEN: &str = "0A";

/// Sockets that are listened at, see unix(7).
pub(super) fn unix(text: &[u8]) -> Vec<Socket> {
    text.split(|byte| *byte == b'\n').filter_map(socket).collect()
}

/// `Num RefCount Protocol Flags Type St Inode Path`.
fn socket(line: &[u8]) -> Option<Socket> {
    let mut rest = line;
    let mut fields = [""; 7];
    for field in &mut fields {
        let begin = rest.iter().position(|byte| *byte != b' ')?;
        rest = &rest[begin..];
        let end = rest.iter().position(|byte| *byte == b' ')?;
        *field = std::str::from_utf8(&rest[..end]).ok()?;
        rest = &rest[end..];
    }
    let [_, _, _, flags, kind, _, inode] = fields;
    let path = rest.strip_prefix(b" ")?;
    let listens = u32::from_str_radix(flags, 16).ok()? & LISTENS != 0;
    // Abstract ones, shown with an @, are in no file system.
    let is_stream = kind == "0001" && !path.is_empty() && !path.starts_with(b"@");
    (listens && is_stream)
        .then(|| OsString::from_vec(path.to_vec()))
        .and_then(|path| Some(Socket { inode: inode.parse().ok()?, path: path.into() }))
}

/// Ports that are listened at: `sl local_address rem_address st … uid timeout inode`.
pub(super) fn tcp(text: &str) -> Vec<Port> {
    text.lines().skip(1).filter_map(port).collect()
}

fn port(line: &str) -> Option<Port> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (address, number) = fields.get(1)?.split_once(':')?;
    if *fields.get(3)? != LISTEN {
        return None;
    }
    Some(Port {
        inode: fields.get(9)?.parse().ok()?,
        uid: fields.get(7)?.parse().ok()?,
        number: u16::from_str_radix(number, 16).ok()?,
        host: near(address),
    })
}

/// How `address`, words in the machine's order of bytes, is reached from here.
fn near(address: &str) -> Option<&'static str> {
    let words: Option<Vec<u32>> =
        (0..address.len()).step_by(8).map(|at| word(address.get(at..at + 8)?)).collect();
    match words?[..] {
        [0] => Some("127.0.0.1"),
        [v4] if v4 >> 24 == 127 => Some("127.0.0.1"),
        [0, 0, 0, 0 | 1] => Some("::1"),
        [0, 0, 0xffff, v4] if v4 >> 24 == 127 => Some("127.0.0.1"),
        _ => None,
    }
}

fn word(text: &str) -> Option<u32> {
    Some(u32::from_be_bytes(u32::from_str_radix(text, 16).ok()?.to_ne_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_streams_are_read_whatever_they_are_called() {
        let text = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            00000000a483e429: 00000002 00000000 00010000 0001 01 13645613 /run/my sql/s\n\
            00000000a483e429: 00000002 00000000 00010000 0001 01    77 /run/\xff\x1b[2J\n\
            00000000a483e429: 00000003 00000000 00000000 0001 03 13645614 /run/connected\n\
            00000000a483e429: 00000002 00000000 00010000 0001 01 13645615 @abstract\n\
            00000000a483e429: 00000002 00000000 00010000 0002 01 13645616 /run/datagrams\n\
            00000000a483e429: 00000002 00000000 00010000 0001 01\n\
            second half of a name\n";

        let found = unix(text);

        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], Socket { inode: 13_645_613, path: "/run/my sql/s".into() });
        assert_eq!(found[1].path.as_os_str().as_encoded_bytes(), b"/run/\xff\x1b[2J");
    }

    #[test]
    fn ports_say_how_they_are_reached_from_here() {
        let line = |address: &str, state: &str| {
            format!(
                "  0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 \
                 113        0 4711 1 0 100 0 0 10 0\n"
            )
        };
        let host = |address: &str| {
            let found = tcp(&format!("sl\n{}", line(address, "0A")));
            (found[0].host, found[0].number, found[0].uid, found[0].inode)
        };

        assert_eq!(host("0100007F:0CEA"), (Some("127.0.0.1"), 3306, 113, 4711));
        assert_eq!(host("00000000:1538").0, Some("127.0.0.1"));
        assert_eq!(host("0500000A:1538").0, None);
        assert_eq!(host("00000000000000000000000001000000:18EB").0, Some("::1"));
        assert_eq!(host("0000000000000000FFFF00000100007F:18EB").0, Some("127.0.0.1"));
        assert_eq!(tcp(&format!("sl\n{}", line("0100007F:0CEA", "01"))), []);
    }
}
