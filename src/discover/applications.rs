//! Applications that are known by files that only they have, and databases of SQLite beside them.
//!
//! In: folders to look below. Out: what of each must be protected. No link is followed.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::known::KNOWN;
use super::size::{self, Size};
use super::{LeftOut, Places, plain};

/// Where applications are installed; each folder, those in it and those in them are looked at.
const USUAL: [&str; 6] =
    ["/var/www", "/srv", "/opt", "/var/lib", "/usr/share/nginx", "/usr/share/webapps"];

/// The system's own databases lie there: of SQLite only those of known applications are taken.
const OF_THE_SYSTEM: &str = "/var/lib";

/// So many folders are looked at below one.
const MOST_FOLDERS: usize = 20_000;

/// The first bytes of every database, see <https://sqlite.org/fileformat.html>.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// An application, or a database of SQLite that is none's we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Fit for the name of a source.
    pub name: &'static str,
    pub folder: PathBuf,
    /// Absolute, without control characters, none below another.
    pub files: Vec<PathBuf>,
    /// Absolute, likewise; none below `files`.
    pub sqlite: Vec<PathBuf>,
    pub size: Size,
}

/// Looks at the usual folders and those that were named.
pub(super) fn look(places: &Places) -> (Vec<Application>, Vec<LeftOut>) {
    let mut looking = Looking::new(places);
    for root in USUAL.iter().map(Path::new).chain(places.also.iter().map(PathBuf::as_path)) {
        looking.below(root);
    }
    (looking.found, looking.left_out)
}

struct Looking<'a> {
    places: &'a Places,
    seen: BTreeSet<PathBuf>,
    found: Vec<Application>,
    left_out: Vec<LeftOut>,
}

impl<'a> Looking<'a> {
    fn new(places: &'a Places) -> Self {
        Self { places, seen: BTreeSet::new(), found: Vec::new(), left_out: Vec::new() }
    }

    /// Looks at `root`, the folders in it and those in them.
    fn below(&mut self, root: &Path) {
        let mut layer = vec![root.to_owned()];
        let mut looked_at = 0;
        for _ in 0..3 {
            let mut next = Vec::new();
            for folder in layer {
                looked_at += 1;
                if looked_at > MOST_FOLDERS {
                    let why = format!("only {MOST_FOLDERS} folders of it were looked at");
                    self.left_out.push(LeftOut::new(&root.display().to_string(), why));
                    return;
                }
                if !self.folder(&folder) {
                    next.extend(folders_in(&folder));
                }
            }
            layer = next;
        }
    }

    /// Takes what `folder` is; whether nothing below it need be looked at any more.
    fn folder(&mut self, folder: &Path) -> bool {
        let is_ours =
            !self.places.except.as_os_str().is_empty() && folder.starts_with(&self.places.except);
        if is_ours || !self.seen.insert(folder.to_owned()) {
            return true;
        }
        let has = |marks: &[&str]| marks.iter().all(|mark| is_there(&folder.join(mark)));
        match KNOWN.iter().find(|known| has(known.marks)) {
            Some(known) => {
                self.take(known.name, folder, known.files, known.sqlite);
                true
            }
            None => {
                if !folder.starts_with(OF_THE_SYSTEM) {
                    self.databases(folder);
                }
                false
            }
        }
    }

    /// Takes databases of SQLite that lie in `folder` itself.
    fn databases(&mut self, folder: &Path) {
        let mut names: Vec<String> = Vec::new();
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_called = path.extension().is_some_and(|end| {
                ["db", "sqlite", "sqlite3"].iter().any(|known| end.eq_ignore_ascii_case(known))
            });
            if is_called && is_sqlite(&path) {
                match plain(&path) {
                    Some(_) => names.push(entry.file_name().to_string_lossy().into_owned()),
                    None => self.nameless(&path),
                }
            }
        }
        names.sort();
        for name in names {
            self.take("database", folder, &[], &[&name]);
        }
    }

    fn take(&mut self, name: &'static str, folder: &Path, files: &[&str], sqlite: &[&str]) {
        if plain(folder).is_none() {
            self.nameless(folder);
            return;
        }
        let there = |names: &[&str]| -> Vec<PathBuf> {
            names.iter().map(|name| folder.join(name)).filter(|path| is_there(path)).collect()
        };
        let (files, sqlite) = (there(files), there(sqlite));
        let mut whole = Size { bytes: 0, is_more: false };
        for size in files.iter().chain(&sqlite).map(|path| size::of(path)) {
            whole.bytes += size.bytes;
            whole.is_more |= size.is_more;
        }
        let folder = folder.to_owned();
        self.found.push(Application { name, folder, files, sqlite, size: whole });
    }

    fn nameless(&mut self, path: &Path) {
        let why = "its name holds what neither a policy nor a terminal can show: rename it";
        self.left_out.push(LeftOut::new(&path.to_string_lossy(), why));
    }
}

/// A file or folder, and no link to one.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_file() || meta.is_dir())
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut folders: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

/// Whether a file begins as databases do. Neither a link nor a pipe is opened.
fn is_sqlite(path: &Path) -> bool {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = flags.bits().cast_signed();
    let opened = fs::OpenOptions::new().read(true).custom_flags(flags).open(path);
    let Ok(mut file) = opened else { return false };
    let mut begin = [0; SQLITE.len()];
    file.metadata().is_ok_and(|meta| meta.is_file())
        && file.read_exact(&mut begin).is_ok()
        && begin == *SQLITE
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(root: &Path, name: &str, bytes: &[u8]) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// What is found below `root` alone.
    fn found_in(root: &Path) -> (Vec<Application>, Vec<LeftOut>) {
        let places = Places { also: Vec::new(), except: root.join("ours") };
        let mut looking = Looking::new(&places);
        looking.below(root);
        (looking.found, looking.left_out)
    }

    #[test]
    fn applications_are_known_by_their_files_and_only_what_is_there_is_named() {
        let root = tempfile::tempdir().unwrap();
        for site in ["shop/html", "ours/html"] {
            write(root.path(), &format!("{site}/wp-includes/version.php"), b"<?php");
            write(root.path(), &format!("{site}/wp-content/uploads/a.png"), b"picture");
        }
        write(root.path(), "git/data/gitea.db", b"SQLite format 3\0");
        write(root.path(), "git/data/gitea-repositories/a", b"12345");

        let (found, left_out) = found_in(root.path());

        let names: Vec<&str> = found.iter().map(|one| one.name).collect();
        assert_eq!(names, ["gitea", "wordpress"], "{found:#?}");
        assert_eq!(found[1].files, [root.path().join("shop/html/wp-content")]);
        assert_eq!(found[1].size.bytes, 7);
        assert_eq!(found[0].sqlite, [root.path().join("git/data/gitea.db")]);
        assert_eq!(left_out, []);
    }

    #[test]
    fn databases_are_known_by_their_first_bytes_and_neither_links_nor_pipes_are_opened() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "app/shop.db", b"SQLite format 3\0 and more");
        write(root.path(), "app/other.db", b"no database at all");
        write(root.path(), "app/short.db", b"SQLite");
        write(root.path(), "app/a\nb\u{1b}[2J.db", b"SQLite format 3\0");
        symlink(root.path().join("app/shop.db"), root.path().join("app/link.db")).unwrap();
        symlink(root.path().join("app"), root.path().join("again")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.path().join("app/pipe.db"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();

        let (found, left_out) = found_in(root.path());

        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(found[0].sqlite, [root.path().join("app/shop.db")]);
        assert_eq!(left_out.len(), 1);
        assert!(left_out[0].what.contains("a\\nb\\u{1b}[2J.db"), "{left_out:?}");
    }
}
