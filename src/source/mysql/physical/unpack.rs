//! A copy's stream, taken apart as it passes: every file of it becomes an entry's content.
//!
//! In: a program that copies. Out: [`Next`] what is to be put. The bytes of a large file go straight from
//! the program to whoever stores them; a small one is read whole; one that comes in the midst of another
//! (the redo log, which grows until the end), or while commits wait for the copy, is set aside in the
//! staging folder and put last.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::super::running::{self, Running};
use super::super::super::{Open, Stream};
use super::binlog::Position;
use super::stages::Stages;
use super::xbstream::{self, Chunk, Chunks};

/// What the copy says of its end in, as 10.11 names it and as later ones do.
const POSITION: [&str; 2] = ["xtrabackup_binlog_info", "mariadb_backup_binlog_info"];

/// Files without which nothing can be made of a copy; of each one of the names.
const NEEDED: [[&str; 2]; 3] = [
    ["xtrabackup_checkpoints", "mariadb_backup_checkpoints"],
    ["backup-my.cnf", "backup-my.cnf"],
    [REDO_LOG, REDO_LOG],
];

/// It comes from the beginning to the end of a copy, in between the others.
const REDO_LOG: &str = "ib_logfile0";

/// A file that names a folder elsewhere (DATA DIRECTORY).
const LINK: &str = ".isl";

/// Files of no more bytes are read whole: so many of them wait for workers at once that memory is
/// bounded by a hundred times this.
const SMALL: u64 = 256 << 10;

/// Of the program's output so much is read at once where little is asked for.
const BUFFER: usize = 64 << 10;

/// Why a copy is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Ended(#[from] running::Error),
    #[error("what it sends is no whole copy")]
    Stream(#[from] xbstream::Error),
    #[error("it ended without saying that all went well")]
    Incomplete,
    #[error("it sends {path} otherwise than from its beginning to its end, once")]
    Order { path: String },
    #[error("it ends in the midst of {path}")]
    Torn { path: String },
    #[error("it lacks {what}")]
    Lacks { what: String },
    #[error("{path} was renamed or removed while it was copied")]
    Moved { path: String },
    #[error(
        "{path} says that a table stands elsewhere (DATA DIRECTORY), where a drill must not look"
    )]
    Elsewhere { path: String },
    #[error("cannot set a file aside in {}", folder.display())]
    Aside { folder: PathBuf, source: io::Error },
    #[error("nobody read it to its end")]
    Unread,
}

/// What is to be put next.
pub(super) enum Next {
    Small {
        path: String,
        bytes: Vec<u8>,
    },
    /// Nothing more comes until it was read to its end.
    Large {
        path: String,
        content: Passing,
    },
    End,
}

/// A copy whose program came to a good end.
pub(super) struct Unpacked {
    /// Those that are still to be put.
    pub aside: Vec<(String, Aside)>,
    /// By path, the bytes of every file.
    pub files: BTreeMap<String, u64>,
    /// Where the server's binary log stood at the copy's end.
    pub position: Position,
}

/// A copy under way.
#[derive(Clone)]
pub(super) struct Unpacking(Arc<Mutex<Unpacker>>);

struct Unpacker {
    /// None once it is over.
    chunks: Option<Chunks<BufReader<Running>>>,
    stages: Stages,
    staging: PathBuf,
    files: BTreeMap<String, Come>,
    /// The file that whoever stores it is reading.
    passing: Option<String>,
    /// What the position's file says.
    position: Option<String>,
    error: Option<Error>,
}

/// A file that came, or is coming.
#[derive(Default)]
struct Come {
    bytes: u64,
    is_whole: bool,
    aside: Option<File>,
}

impl Unpacking {
    /// Takes apart what `running` prints; `staging` is a private folder.
    pub fn of(running: Running, stages: Stages, staging: &Path) -> Self {
        Self(Arc::new(Mutex::new(Unpacker {
            chunks: Some(Chunks::of(BufReader::with_capacity(BUFFER, running))),
            stages,
            staging: staging.to_owned(),
            files: BTreeMap::new(),
            passing: None,
            position: None,
            error: None,
        })))
    }

    /// What is to be put next; blocking.
    pub fn next(&self) -> Result<Next, Error> {
        let mut unpacker = self.unpacker();
        match unpacker.next() {
            Ok(Some((path, Some(bytes)))) => Ok(Next::Small { path, bytes }),
            Ok(Some((path, None))) => {
                unpacker.passing = Some(path.clone());
                Ok(Next::Large { path, content: Passing(self.clone()) })
            }
            Ok(None) => Ok(Next::End),
            Err(error) => Err(unpacker.why(error)),
        }
    }

    /// Why the file that was passed on last was not read to its end, if it was not.
    pub fn failed(&self) -> Option<Error> {
        let mut unpacker = self.unpacker();
        let error = match unpacker.error.take() {
            Some(error) => error,
            None if unpacker.passing.is_some() => Error::Unread,
            None => return None,
        };
        Some(unpacker.why(error))
    }

    /// Confirms that the program ended well and that the copy is whole.
    pub fn finish(&self) -> Result<Unpacked, Error> {
        let mut unpacker = self.unpacker();
        unpacker.end(false)?;
        if !unpacker.stages.is_completed() {
            return Err(Error::Incomplete);
        }
        let position = unpacker.position.take();
        let files = std::mem::take(&mut unpacker.files);
        if let Some((path, _)) = files.iter().find(|(_, file)| !file.is_whole) {
            return Err(Error::Torn { path: path.clone() });
        }
        let lacks = |what: &str| Error::Lacks { what: what.to_owned() };
        for names in NEEDED {
            if !names.iter().any(|name| files.contains_key(*name)) {
                return Err(lacks(names[0]));
            }
        }
        let position = position.ok_or_else(|| lacks(POSITION[0]))?;
        let position = Position::read_info(&position).ok_or_else(|| lacks("its own position"))?;
        let sizes = files.iter().map(|(path, file)| (path.clone(), file.bytes)).collect();
        let aside = files.into_iter().filter_map(|(path, file)| Some((path, Aside(file.aside?))));
        Ok(Unpacked { aside: aside.collect(), files: sizes, position })
    }

    fn unpacker(&self) -> MutexGuard<'_, Unpacker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unpacker {
    /// The next file: its path, and all of it where it is small; none at the stream's end.
    fn next(&mut self) -> Result<Option<(String, Option<Vec<u8>>)>, Error> {
        if self.passing.is_some() {
            return Err(Error::Unread);
        }
        while let Some(chunk) = self.chunk()? {
            match chunk {
                Chunk::Bytes { path, offset, length } => {
                    if self.files.contains_key(&path)
                        || path == REDO_LOG
                        || self.stages.holds_commits()
                    {
                        self.set_aside(&path, offset)?;
                    } else if length > SMALL {
                        self.begin(&path, offset)?;
                        return Ok(Some((path, None)));
                    } else if let Some(bytes) = self.small(&path, offset)? {
                        return Ok(Some((path, Some(bytes))));
                    }
                }
                Chunk::End { path } if !self.files.contains_key(&path) => {
                    self.begin(&path, 0)?.is_whole = true;
                    return Ok(Some((path, Some(Vec::new()))));
                }
                Chunk::End { path } => self.whole(&path)?,
                Chunk::Moved { path } => return Err(Error::Moved { path }),
            }
        }
        Ok(None)
    }

    /// A file that is no longer than its first chunk; a longer one is set aside.
    fn small(&mut self, path: &str, offset: u64) -> Result<Option<Vec<u8>>, Error> {
        self.begin(path, offset)?;
        let mut bytes = Vec::new();
        self.drain(|piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        self.come(path)?.bytes = bytes.len() as u64;
        if POSITION.contains(&path) {
            self.position = Some(String::from_utf8_lossy(&bytes).into_owned());
        }
        match self.chunk()? {
            Some(Chunk::End { path: ended }) if ended == path => {
                self.come(path)?.is_whole = true;
                return Ok(Some(bytes));
            }
            Some(chunk) => {
                let mut file = self.file()?;
                file.write_all(&bytes).map_err(|source| self.aside_failed(source))?;
                self.come(path)?.aside = Some(file);
                self.beside(chunk)?;
            }
            None => return Err(Error::Torn { path: path.to_owned() }),
        }
        Ok(None)
    }

    /// Passes on bytes of the file under way; none at its end.
    fn pass(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        let Some(path) = self.passing.clone() else { return Ok(0) };
        loop {
            let count = self.chunks()?.read(into)?;
            if count > 0 {
                self.come(&path)?.bytes += count as u64;
                return Ok(count);
            }
            match self.chunk()? {
                None => return Err(Error::Torn { path }),
                Some(Chunk::End { path: ended }) if ended == path => {
                    self.come(&path)?.is_whole = true;
                    self.passing = None;
                    return Ok(0);
                }
                Some(Chunk::Bytes { path: more, offset, .. }) if more == path => {
                    if self.come(&path)?.bytes != offset {
                        return Err(Error::Order { path });
                    }
                }
                Some(chunk) => self.beside(chunk)?,
            }
        }
    }

    /// Takes in a chunk of another file than the one under way.
    fn beside(&mut self, chunk: Chunk) -> Result<(), Error> {
        match chunk {
            Chunk::Bytes { path, offset, .. } => self.set_aside(&path, offset),
            Chunk::End { path } => {
                if !self.files.contains_key(&path) {
                    let file = self.file()?;
                    self.begin(&path, 0)?.aside = Some(file);
                }
                self.whole(&path)
            }
            Chunk::Moved { path } => Err(Error::Moved { path }),
        }
    }

    /// Adds the bytes of the last chunk to what is set aside of their file.
    fn set_aside(&mut self, path: &str, offset: u64) -> Result<(), Error> {
        if !self.files.contains_key(path) {
            let file = self.file()?;
            self.begin(path, offset)?.aside = Some(file);
        }
        let come = self.come(path)?;
        let taken = come.aside.take().filter(|_| !come.is_whole && come.bytes == offset);
        let Some(mut file) = taken else { return Err(Error::Order { path: path.to_owned() }) };
        let (mut length, mut info) = (0, POSITION.contains(&path).then(Vec::new));
        let folder = self.staging.clone();
        self.drain(|piece| {
            length += piece.len() as u64;
            if let Some(info) = &mut info {
                info.extend_from_slice(piece);
            }
            file.write_all(piece).map_err(|source| Error::Aside { folder: folder.clone(), source })
        })?;
        if let Some(info) = info {
            self.position = Some(String::from_utf8_lossy(&info).into_owned());
        }
        let come = self.come(path)?;
        (come.bytes, come.aside) = (come.bytes + length, Some(file));
        Ok(())
    }

    /// A file comes that did not come before.
    fn begin(&mut self, path: &str, offset: u64) -> Result<&mut Come, Error> {
        if path.ends_with(LINK) {
            return Err(Error::Elsewhere { path: path.to_owned() });
        }
        if offset != 0 {
            return Err(Error::Order { path: path.to_owned() });
        }
        Ok(self.files.entry(path.to_owned()).or_default())
    }

    fn come(&mut self, path: &str) -> Result<&mut Come, Error> {
        self.files.get_mut(path).ok_or_else(|| Error::Order { path: path.to_owned() })
    }

    /// A file that was set aside is whole.
    fn whole(&mut self, path: &str) -> Result<(), Error> {
        let come = self.come(path)?;
        if come.is_whole {
            return Err(Error::Order { path: path.to_owned() });
        }
        come.is_whole = true;
        Ok(())
    }

    /// Hands on all bytes of the last chunk.
    fn drain(&mut self, mut take: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let mut piece = vec![0; BUFFER];
        loop {
            match self.chunks()?.read(&mut piece)? {
                0 => return Ok(()),
                count => take(&piece[..count])?,
            }
        }
    }

    fn chunks(&mut self) -> Result<&mut Chunks<BufReader<Running>>, Error> {
        self.chunks.as_mut().ok_or(Error::Unread)
    }

    fn chunk(&mut self) -> Result<Option<Chunk>, Error> {
        Ok(self.chunks()?.chunk()?)
    }

    /// A file without a name, which is gone with us.
    fn file(&self) -> Result<File, Error> {
        tempfile::tempfile_in(&self.staging).map_err(|source| self.aside_failed(source))
    }

    fn aside_failed(&self, source: io::Error) -> Error {
        Error::Aside { folder: self.staging.clone(), source }
    }

    /// Ends the program; what it, or who watched it, says of its end explains `error` better.
    fn why(&mut self, error: Error) -> Error {
        let is_its_end = matches!(
            error,
            Error::Torn { .. } | Error::Stream(xbstream::Error::Cut | xbstream::Error::Read(_))
        );
        match self.end(!is_its_end) {
            Err(Error::Ended(running::Error::Failed { .. })) if !is_its_end => error,
            Err(ended) => ended,
            Ok(()) => error,
        }
    }

    /// Waits for the program, once.
    fn end(&mut self, by_force: bool) -> Result<(), Error> {
        match self.chunks.take() {
            Some(chunks) => Ok(chunks.into_input().into_inner().end(by_force)?),
            None => Ok(()),
        }
    }
}

/// The content of the file under way.
pub(super) struct Passing(Unpacking);

impl Open for Passing {
    fn open(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(Pages(*self)))
    }
}

impl Read for Passing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut unpacker = self.0.unpacker();
        unpacker.pass(buffer).map_err(|error| {
            let told = io::Error::other(error.to_string());
            unpacker.error.get_or_insert(error);
            told
        })
    }
}

/// A file that was read whole.
pub(super) struct Small(pub Vec<u8>);

impl Open for Small {
    fn open(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(Pages(io::Cursor::new(self.0))))
    }
}

/// A file that was set aside.
pub(super) struct Aside(File);

impl Open for Aside {
    fn open(mut self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        self.0.seek(SeekFrom::Start(0))?;
        Ok(Box::new(Pages(self.0)))
    }
}

/// A server's files are made of pages.
struct Pages<R>(R);

impl<R: Read> Read for Pages<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Stream for Pages<R> {
    /// How the program ended is asked when all files were read.
    fn finish(self: Box<Self>) -> io::Result<Option<String>> {
        Ok(None)
    }

    fn is_paged(&self) -> bool {
        true
    }
}
