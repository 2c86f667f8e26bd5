//! A data set on its way from a server: asked for as a replica asks, watched while it streams.
//!
//! In: a session. Out: an entry's content, and once it was read the [`Contents`] of what passed. A
//! transfer ends where the server said that it would: by a length told before, or by a mark drawn
//! for it. One that ends elsewhere, or is not whole by the parser's word, is an error.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::rdb::{self, Contents, Damaged};
use super::session::{self, Session};
use crate::source::{Open, Stream};

/// Bytes that are taken from the server at once.
const PIECE: usize = 64 << 10;

/// Pieces that wait for the parser.
const WAITING: usize = 32;

/// The bytes of a mark.
const MARK: usize = 40;

/// Why a transfer gave no data set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Session(#[from] session::Error),
    #[error("the server ended the transfer early, after {bytes} bytes")]
    Early { bytes: u64 },
    #[error("what the server sent is no sound data set")]
    Damaged(#[from] Damaged),
    #[error("nobody read the data set to its end")]
    Unread,
    #[error("the thread that reads the data set ended early")]
    Died,
}

/// How a transfer ends, for whoever put the entry.
#[derive(Default)]
pub(super) struct Ending(Mutex<Option<Result<Contents, Error>>>);

impl Ending {
    /// Takes the outcome of a transfer that was read to its end.
    pub fn outcome(&self) -> Result<Contents, Error> {
        let mut outcome = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.take().unwrap_or(Err(Error::Unread))
    }

    fn settle(&self, outcome: Result<Contents, Error>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    /// Keeps an error for whoever put the entry; what the sink is told matters less.
    fn fail(&self, error: Error) -> io::Error {
        let told = io::Error::other(error.to_string());
        self.settle(Err(error));
        told
    }
}

/// A data set that the server has begun to send.
pub(super) struct Transfer {
    /// The server's replication history, and the place in it.
    pub history: String,
    pub offset: i64,
    session: Session,
    end: End,
    ending: Arc<Ending>,
}

/// Where the data set ends.
enum End {
    After(u64),
    Mark([u8; MARK]),
}

impl Transfer {
    /// Asks for the data set; returns once it comes.
    pub fn begin(mut session: Session) -> Result<(Self, Arc<Ending>), session::Error> {
        session.must(&[b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"])?;
        // So that the server keeps nothing back for what comes after; some do not know it.
        session.ask(&[b"REPLCONF", b"rdb-only", b"1"])?;
        session.tell(&[b"PSYNC", b"?", b"-1"])?;
        let (history, offset) = resync(&spoken(&mut session)?)?;
        let end = end(&spoken(&mut session)?)?;
        let ending = Arc::<Ending>::default();
        Ok((Self { history, offset, session, end, ending: ending.clone() }, ending))
    }
}

/// The next line that says something.
fn spoken(session: &mut Session) -> Result<String, session::Error> {
    loop {
        let line = session.line()?;
        if !line.is_empty() {
            return Ok(line);
        }
    }
}

/// `+FULLRESYNC <history> <offset>`
fn resync(line: &str) -> Result<(String, i64), session::Error> {
    let refused = || session::Error::Refused { said: line.trim_start_matches('-').to_owned() };
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["+FULLRESYNC", history, offset] => {
            Ok((history.to_owned(), offset.parse().map_err(|_| refused())?))
        }
        _ => Err(refused()),
    }
}

/// `$<length>` or `$EOF:<mark>`
fn end(line: &str) -> Result<End, session::Error> {
    let none = || session::Error::Protocol { what: "a transfer without a length" };
    let told = line.strip_prefix('$').ok_or_else(none)?;
    match told.strip_prefix("EOF:") {
        Some(mark) => Ok(End::Mark(mark.as_bytes().try_into().map_err(|_| none())?)),
        None => Ok(End::After(told.parse().map_err(|_| none())?)),
    }
}

impl Open for Transfer {
    fn open(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        let (pieces, coming) = sync_channel(WAITING);
        let parser = std::thread::Builder::new().name("rdb".to_owned());
        let parser = parser.spawn(move || {
            rdb::read(&mut Coming { pieces: coming, piece: Vec::new(), taken: 0 })
        })?;
        let Self { session, end, ending, .. } = *self;
        Ok(Box::new(Watched {
            session,
            end,
            ending,
            held: Vec::new(),
            given: 0,
            bytes: 0,
            parser: Some((pieces, parser)),
        }))
    }
}

/// A transfer that is being read.
struct Watched {
    session: Session,
    end: End,
    ending: Arc<Ending>,
    /// What came. The last bytes may be the mark, and are not given out before it is known.
    held: Vec<u8>,
    given: usize,
    /// Of the data set so far.
    bytes: u64,
    parser: Option<(SyncSender<Vec<u8>>, JoinHandle<Result<Contents, Damaged>>)>,
}

impl Watched {
    /// The next bytes of the data set, and no others; none at its end.
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        match self.end {
            End::After(0) => Ok(0),
            End::After(left) => {
                let most =
                    usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
                match self.session.some(&mut buffer[..most])? {
                    0 => Err(Error::Early { bytes: self.bytes }),
                    count => {
                        self.end = End::After(left - count as u64);
                        Ok(count)
                    }
                }
            }
            End::Mark(mark) => self.before(&mark, buffer),
        }
    }

    /// The next bytes of what ends with `mark`.
    fn before(&mut self, mark: &[u8; MARK], buffer: &mut [u8]) -> Result<usize, Error> {
        while self.held.len() - self.given <= MARK {
            if self.held[self.given..] == mark[..] {
                return Ok(0);
            }
            self.held.drain(..self.given);
            self.given = 0;
            let mut piece = [0; PIECE];
            match self.session.some(&mut piece)? {
                0 => return Err(Error::Early { bytes: self.bytes }),
                count => self.held.extend_from_slice(&piece[..count]),
            }
        }
        let count = (self.held.len() - MARK - self.given).min(buffer.len());
        buffer[..count].copy_from_slice(&self.held[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }

    /// Waits for the parser's word.
    fn parsed(&mut self) -> Result<Contents, Error> {
        let (pieces, parser) = self.parser.take().ok_or(Error::Unread)?;
        drop(pieces);
        Ok(parser.join().map_err(|_| Error::Died)??)
    }

    /// Shows the parser what passed.
    fn show(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some((pieces, _)) = &self.parser else { return Err(Error::Unread) };
        if pieces.send(bytes.to_vec()).is_ok() {
            return Ok(());
        }
        // It ended before the transfer did, and says why.
        match self.parsed() {
            Ok(_) => Err(Error::Damaged(Damaged::Trailing)),
            Err(error) => Err(error),
        }
    }
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.next(buffer).and_then(|count| {
            if count > 0 {
                self.show(&buffer[..count])?;
            }
            self.bytes += count as u64;
            Ok(count)
        });
        read.map_err(|error| self.ending.fail(error))
    }
}

impl Stream for Watched {
    fn finish(mut self: Box<Self>) -> io::Result<Option<String>> {
        match self.parsed() {
            Ok(contents) => {
                self.ending.settle(Ok(contents));
                Ok(None)
            }
            Err(error) => Err(self.ending.fail(error)),
        }
    }
}

/// What the parser reads: pieces as they pass.
struct Coming {
    pieces: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    taken: usize,
}

impl Read for Coming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.piece.len() {
            // Nobody shows any more: it is over.
            let Ok(piece) = self.pieces.recv() else { return Ok(0) };
            (self.piece, self.taken) = (piece, 0);
        }
        let count = buffer.len().min(self.piece.len() - self.taken);
        buffer[..count].copy_from_slice(&self.piece[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}
