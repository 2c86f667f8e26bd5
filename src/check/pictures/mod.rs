//! Pictures of strangers, decoded where they can do no harm.
//!
//! In: files. Out: whether each is a picture to its last row. Decoders meet hostile files: they run in a
//! confined child (`sandbox`) with bounded memory and time. This process only copies files to where the
//! child may read them, and takes what it says for a stranger's. Blocking.

pub mod child;
mod formats;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sandbox::{self, Confined, Launcher, Limits, Scratch};

pub use formats::decode;

/// Enough for the largest picture: as it lies on disk, its coefficients, and its pixels.
const MEMORY_BYTES: u64 = 2 << 30;

/// The longest that one picture may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest that all pictures of a check may take; a check's own deadline comes before.
const LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// A larger file is not decoded.
const MOST_FILE_BYTES: u64 = 256 << 20;

/// The name of the one picture that is decoded at a time.
const FILE: &str = "picture";

/// Why nothing is known of a picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the confined child answered with what is no reply")]
    Reply(#[source] serde_json::Error),
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
}

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decoded {
    Sound,
    /// What is wrong with it.
    Flawed(String),
    /// It is not decoded: how large it is.
    TooLarge(String),
}

/// A child that decodes.
pub(super) struct Pictures {
    child: Confined,
    /// This process's own, in the scratch.
    folder: PathBuf,
    /// The picture as the child knows it.
    name: String,
}

impl Pictures {
    /// Starts one in `scratch`.
    pub(super) fn start(launcher: &Launcher, scratch: &Scratch) -> Result<Self, Error> {
        let own = format!("pictures-{}", uuid::Uuid::new_v4());
        let folder = scratch.dir().join(&own);
        DirBuilder::new().mode(0o755).create(&folder).map_err(io_error("create", &folder))?;
        let limits = Limits {
            memory_bytes: MEMORY_BYTES,
            cpu_seconds: LIFE.as_secs(),
            file_bytes: 0,
            wall: LIFE,
        };
        let child = Confined::spawn(launcher, child::ROLE, scratch, limits)?;
        Ok(Self { child, name: format!("{own}/{FILE}"), folder })
    }

    /// Decodes `file` from its beginning, within `limit`. After an error the child is over.
    pub(super) fn decode(&mut self, file: &File, limit: Duration) -> Result<Decoded, Error> {
        let bytes = file.metadata().map_err(io_error("look at", Path::new(FILE)))?.len();
        if bytes > MOST_FILE_BYTES {
            return Ok(Decoded::TooLarge(format!("has {bytes} bytes, which is not decoded")));
        }
        self.lend(file)?;
        let request = serde_json::to_string(&self.name).map_err(Error::Reply)?;
        let reply = self.child.ask(&request, limit.min(PATIENCE))?;
        serde_json::from_str(&reply).map_err(Error::Reply)
    }

    /// Ends the child.
    pub(super) fn end(self) -> Result<(), Error> {
        Ok(self.child.end()?)
    }

    /// Copies `file` to where the child reads it.
    fn lend(&self, mut file: &File) -> Result<(), Error> {
        let path = self.folder.join(FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("remove", &path)(error));
            }
            _ => {}
        }
        let mut options = OpenOptions::new();
        let copy = options.write(true).create_new(true).mode(0o644).open(&path);
        let mut copy = copy.map_err(io_error("create", &path))?;
        file.rewind()
            .and_then(|()| io::copy(&mut file.take(MOST_FILE_BYTES), &mut copy))
            .map(drop)
            .map_err(io_error("write", &path))
    }
}

fn io_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Io { action, path: path.to_owned(), source }
}
