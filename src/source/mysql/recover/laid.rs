//! Files of a server, laid out in a scratch and made its own: copied, prepared, started, and brought to the
//! fingerprint's moment by the binary log.
//!
//! They are copied, for to prepare changes them, and what was restored is still to be compared with what
//! was captured. Whatever is run on them is run in the cage: pages and logs are as hostile as dumps.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::Server;
use super::super::engine::Engine;
use super::super::physical::{BINLOG, Copy, DATA};
use super::recovered::Restored;
use super::scratch::{self, ScratchServer};
use super::{Error, complaint, data, environment, leave_room, of_session};
use crate::sandbox::{Cage, Ending, Out, Program, Scratch};
use crate::source::lent::{self, Lent, make_folder};
use crate::source::{Ready, Recovered, Trouble};

/// What `mariadb-backup` says last, where it came to a good end.
const COMPLETED: &str = "completed OK!";

/// Memory in which the redo log is applied.
const MEMORY: &str = "--use-memory=256M";

/// A cage that waits for files.
pub(super) struct Laid {
    pub(super) room: PathBuf,
    pub(super) cage: Cage,
    pub(super) engine: Engine,
    pub(super) copier: PathBuf,
    pub(super) source: Server,
    pub(super) copy: Copy,
}

impl Ready for Laid {
    fn recover(
        self: Box<Self>,
        data: &Path,
        scratch: &Scratch,
    ) -> Result<Box<dyn Recovered>, Trouble> {
        let Self { room, cage, engine, copier, source, copy } = *self;
        leave_room(&source, copy.bytes, 0, scratch)?;
        let files = scratch::files(&room);
        lay_out(&data.join(DATA), &files)?;
        scratch.hand_over(&files).map_err(environment)?;
        let pieces = room.join(BINLOG);
        make_folder(&pieces, scratch)?;
        let (mut lent, mut logs) = (Lent::default(), Vec::new());
        for (number, name) in copy.binlog.iter().enumerate() {
            let to = pieces.join(number.to_string());
            lent.link(data, &format!("{BINLOG}/{name}"), &to)?;
            logs.push(to);
        }
        scratch.hand_over(&pieces).map_err(environment)?;
        let temporary = scratch::temporary(&room);
        make_folder(&temporary, scratch)?;
        prepare(&cage, &copier, &files, &temporary)?;
        let server = ScratchServer::open(engine, cage, &source, &room, scratch)?;
        server.replay(&logs, &room)?;
        lent.take_back()?;
        let off = server.session()?.run("SET GLOBAL event_scheduler = OFF");
        off.map_err(of_session)?;
        Ok(Box::new(Restored::new(server, source)))
    }
}

/// Copies a folder of regular files and folders to a new place; where the file system can, their blocks are
/// shared.
fn lay_out(from: &Path, to: &Path) -> Result<(), Trouble> {
    let mut waiting = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = waiting.pop() {
        let failed = |source| lent::trouble("copy", &from, source);
        let is_folder = fs::symlink_metadata(&from).is_ok_and(|found| found.is_dir());
        if !is_folder {
            return Err(data(Error::NoFiles));
        }
        let entries = fs::read_dir(&from).map_err(failed)?;
        fs::create_dir(&to).map_err(|source| lent::trouble("create", &to, source))?;
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let (path, target) = (entry.path(), to.join(entry.file_name()));
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                waiting.push((path, target));
            } else {
                // Anything else than a file is the data's fault.
                let (path, _) = lent::dump(&from, &entry.file_name().to_string_lossy())?;
                fs::copy(&path, &target).map_err(|source| lent::trouble("copy", &path, source))?;
            }
        }
    }
    Ok(())
}

/// Applies the redo log to the files.
fn prepare(cage: &Cage, copier: &Path, files: &Path, temporary: &Path) -> Result<(), Trouble> {
    let program = Program::new(copier)
        .args(["--no-defaults", "--prepare", MEMORY, "--innodb-use-native-aio=0"])
        .arg(format!("--target-dir={}", files.display()))
        .arg(format!("--tmpdir={}", temporary.display()))
        .within(files);
    let finished =
        cage.run(&program, Out::Dropped, std::time::Duration::MAX).map_err(environment)?;
    let last = finished.stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("");
    if finished.ending == Ending::Exited(0) && last.ends_with(COMPLETED) {
        return Ok(());
    }
    let wrong = finished.stderr.lines().find(|line| line.contains("[ERROR]")).unwrap_or(last);
    let told = Error::Program {
        program: super::super::physical::COPIER.to_owned(),
        what_of: "the server's files".to_owned(),
        how: finished.ending.to_string(),
        what: complaint::without_values(0, wrong),
    };
    let is_its_own = matches!(finished.ending, Ending::Exited(_) | Ending::Signalled(6 | 11));
    let is_of_the_host = complaint::is_of_the_host(0, &finished.stderr);
    Err(if is_its_own && !is_of_the_host { data(told) } else { environment(told) })
}
