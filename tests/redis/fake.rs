//! A server that lies: it answers questions as it is told, and ends when it likes.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// What it has to say of itself: a server that may be captured.
pub const INFO: &str = "redis_version:7.0.15\r\nrole:master\r\nloading:0\r\nused_memory:1000\r\n\
                        used_memory_rss:1000\r\ntotal_system_memory:8000000000\r\n";

pub struct Fake {
    folder: tempfile::TempDir,
    /// Everything it was told.
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Fake {
    /// Says `info` to INFO, `transfer` to PSYNC and hangs up; yes to anything else.
    pub fn new(info: &str, transfer: &[u8]) -> Self {
        Self::answering(info, transfer, "+OK\r\n")
    }

    /// The same, with another answer to anything else.
    pub fn answering(info: &str, transfer: &[u8], other: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("lbrf").tempdir_in("/tmp").unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let heard = Arc::<Mutex<Vec<u8>>>::default();
        let (info, transfer, other) = (info.to_owned(), transfer.to_vec(), other.to_owned());
        let listening = heard.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                // Whoever hangs up first ends it.
                let _ = answer(stream, &info, &transfer, &other, &listening);
            }
        });
        Self { folder, heard }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    pub fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

fn answer(
    stream: UnixStream,
    info: &str,
    transfer: &[u8],
    other: &str,
    heard: &Mutex<Vec<u8>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let words = command(&mut reader)?;
        heard.lock().unwrap().extend(words.join(&b' '));
        match words[0].as_slice() {
            b"INFO" => write!(writer, "${}\r\n{info}\r\n", info.len())?,
            b"PSYNC" => return writer.write_all(transfer),
            _ => writer.write_all(other.as_bytes())?,
        }
    }
}

fn command(reader: &mut impl BufRead) -> std::io::Result<Vec<Vec<u8>>> {
    let number = |reader: &mut dyn BufRead| {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        line.trim()
            .get(1..)
            .and_then(|number| number.parse().ok())
            .ok_or(std::io::ErrorKind::UnexpectedEof)
            .map_err(std::io::Error::from)
    };
    let mut words = Vec::new();
    for _ in 0..number(reader)? {
        let mut word = vec![0; number(reader)? + 2];
        reader.read_exact(&mut word)?;
        word.truncate(word.len() - 2);
        words.push(word);
    }
    Ok(words)
}
