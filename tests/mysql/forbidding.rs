//! A managed server: one that forbids the global lock to everybody, whatever they are granted.
//!
//! It stands before a real one, and turns the statement into another one of the same length that the
//! login may not run either.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

const LOCK: &[u8] = b"FLUSH TABLES WITH READ LOCK";
const FORBIDDEN: &[u8] = b"SHUTDOWN                   ";

pub struct Forbidding {
    folder: TempDir,
    fired: Arc<AtomicBool>,
}

impl Forbidding {
    /// One before the server behind `socket`.
    pub fn before(socket: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fired = Arc::new(AtomicBool::new(false));
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let (socket, mark) = (socket.to_owned(), fired.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                // Once the server is gone nobody is let in any more.
                let Ok(server) = UnixStream::connect(&socket) else { return };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let mark = mark.clone();
                std::thread::spawn(move || pass(from, to, Some(mark)));
                std::thread::spawn(move || pass(server, client, None));
            }
        });
        Self { folder, fired }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// Whether anybody asked for the lock.
    pub fn has_forbidden(&self) -> bool {
        self.fired.load(Ordering::Relaxed)
    }
}

/// Hands on what comes, until one side ends. Statements are short: each comes in one piece.
fn pass(mut from: UnixStream, mut to: UnixStream, mark: Option<Arc<AtomicBool>>) {
    let mut piece = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        let at = piece[..count].windows(LOCK.len()).position(|window| window == LOCK);
        if let (Some(at), Some(mark)) = (at, &mark) {
            piece[at..at + LOCK.len()].copy_from_slice(FORBIDDEN);
            mark.store(true, Ordering::Relaxed);
        }
        if to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
