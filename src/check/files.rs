//! `files`: what lies in a restored folder under names that match.
//!
//! In: the folder, the owner's patterns and what is expected. Out: the outcome, with each file named
//! that is not as it should be. No link leads out of the folder. Blocking.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fs::FileType;

use super::folder::Folder;
use super::pictures::{Decoded, Pictures};
use super::{Judged, NotRun, Outcome, Why};
use crate::ground::causes::chain;
use crate::ground::digest::{Digest, Hasher};
use crate::ground::size::Count;
use crate::policy::expect::Scalar;
use crate::policy::{ExpectedFiles, FilesAsked};
use crate::sandbox::{Launcher, Scratch};
use crate::source::Place;
use crate::source::files::disk;
use crate::source::files::walk::{Found, Next, Visit, walk};

/// Whether the files below `folder` are as `asked`, found out within `limit`.
///
/// Pictures are decoded in a confined child that `launcher` starts in `scratch`.
pub fn files(
    asked: &FilesAsked,
    folder: &Path,
    limit: Duration,
    scratch: &Scratch,
    launcher: &Launcher,
) -> Judged {
    let looking = Looking::at(asked, folder, limit, scratch, launcher);
    let (outcome, found) = match looking.and_then(Looking::through) {
        Ok(looked) => (looked.outcome(asked), Some(Count(looked.matching, "file").to_string())),
        Err(outcome) => (outcome, None),
    };
    Judged { outcome, found, at_capture: None }
}

/// On the way through the folder.
struct Looking<'a> {
    expected: &'a ExpectedFiles,
    folder: Folder,
    patterns: Gitignore,
    limit: Duration,
    until: Instant,
    scratch: &'a Scratch,
    launcher: &'a Launcher,
    /// From the first picture on.
    pictures: Option<Pictures>,
    looked: Looked,
}

/// What was found.
#[derive(Default)]
struct Looked {
    /// All files, whatever their names.
    files: u64,
    /// Those whose names match.
    matching: u64,
    /// What is wrong with them.
    places: Vec<Place>,
    /// Of the first one that could not be judged.
    unknown: Option<NotRun>,
}

impl<'a> Looking<'a> {
    fn at(
        asked: &'a FilesAsked,
        folder: &Path,
        limit: Duration,
        scratch: &'a Scratch,
        launcher: &'a Launcher,
    ) -> Result<Self, Outcome> {
        let mut patterns = GitignoreBuilder::new("");
        for pattern in &asked.patterns {
            patterns.add_line(None, pattern).map_err(Folder::unknown)?;
        }
        Ok(Self {
            expected: &asked.expected,
            folder: Folder::open(folder)?,
            patterns: patterns.build().map_err(Folder::unknown)?,
            limit,
            until: Instant::now() + limit,
            scratch,
            launcher,
            pictures: None,
            looked: Looked::default(),
        })
    }

    fn through(mut self) -> Result<Looked, Outcome> {
        let start = self.folder.listed().map_err(Folder::unknown)?;
        if let Err(outcome) = walk(start, Vec::new(), &mut self) {
            let Looked { matching, places, .. } = self.looked;
            // What is wrong so far is known, whatever became of the rest.
            return Err(if places.is_empty() { outcome } else { Outcome::of(matching, places) });
        }
        if let Some(pictures) = self.pictures {
            pictures.end().map_err(Folder::unknown)?;
        }
        Ok(self.looked)
    }

    fn left(&self) -> Result<Duration, Outcome> {
        if self.scratch.interrupted().load(Ordering::Relaxed) {
            return Err(Outcome::not_run(Why::Killed, "interrupted"));
        }
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let what = format!("it took longer than {} s", self.limit.as_secs_f64());
            return Err(Outcome::not_run(Why::TimedOut, what));
        }
        Ok(left)
    }

    /// A file whose name matches, or something else that is no folder.
    fn matching(&mut self, path: &[u8]) -> Result<(), Outcome> {
        let kind = self.folder.look(path);
        if kind == Ok(FileType::Directory) {
            return Ok(());
        }
        let file = self.folder.file(path).map_err(Folder::unknown)?;
        self.looked.matching += u64::from(file.is_some());
        match (self.expected, file) {
            (ExpectedFiles::Empty, _) => self.wrong(path, "is there"),
            (ExpectedFiles::NotEmpty | ExpectedFiles::Count(_), _) => {}
            (ExpectedFiles::Sha256(wanted), Some(file)) if self.digest(&file)? == *wanted => {}
            (ExpectedFiles::Sha256(_), Some(_)) => self.wrong(path, "has another content"),
            (ExpectedFiles::Pictures, Some(file)) => self.picture(path, &file)?,
            (_, None) => self.wrong(path, "is no regular file of the folder"),
        }
        Ok(())
    }

    fn picture(&mut self, path: &[u8], file: &File) -> Result<(), Outcome> {
        let left = self.left()?;
        let pictures = match &mut self.pictures {
            Some(pictures) => pictures,
            none => {
                let started = Pictures::start(self.launcher, self.scratch);
                none.insert(started.map_err(|error| unjudged(path, error))?)
            }
        };
        match pictures.decode(file, left).map_err(|error| unjudged(path, error))? {
            Decoded::Sound => {}
            Decoded::Flawed(what) => self.wrong(path, &what),
            Decoded::TooLarge(what) => {
                let unknown =
                    NotRun { why: Why::Environment, what: format!("{} {what}", named(path)) };
                self.looked.unknown.get_or_insert(unknown);
            }
        }
        Ok(())
    }

    fn digest(&self, mut file: &File) -> Result<Digest, Outcome> {
        let (mut hasher, mut piece) = (Hasher::new(), vec![0; 1 << 20]);
        loop {
            self.left()?;
            match file.read(&mut piece).map_err(Folder::unknown)? {
                0 => return Ok(hasher.finish()),
                length => hasher.update(&piece[..length]),
            }
        }
    }

    fn wrong(&mut self, path: &[u8], what: &str) {
        self.looked.places.push(Place { object: named(path), what: what.to_owned() });
    }
}

impl Visit for Looking<'_> {
    type Error = Outcome;

    fn entry(&mut self, found: &Found<'_>) -> Result<Next, Outcome> {
        self.left()?;
        let path = Path::new(OsStr::from_bytes(found.path));
        if disk::file_type(&found.stat) == FileType::Directory {
            // What `!` names is left out with all below it, whatever the names there.
            let is_left_out = self.patterns.matched(path, true).is_whitelist();
            return Ok(if is_left_out { Next::Over } else { Next::Into });
        }
        self.looked.files += 1;
        if self.patterns.matched_path_or_any_parents(path, false).is_ignore() {
            self.matching(found.path)?;
        }
        Ok(Next::Over)
    }

    fn trouble(&mut self, path: &[u8], error: io::Error) -> Result<(), Outcome> {
        Err(unjudged(path, error))
    }
}

impl Looked {
    fn outcome(&self, asked: &FilesAsked) -> Outcome {
        let patterns = asked.patterns.join(" ");
        let broke = |what| Outcome::broke(format!("files {patterns}"), what);
        let found = Scalar::Integer(self.matching.min(i64::MAX as u64) as i64);
        let places = || self.places.iter().cloned();
        match (&asked.expected, &self.unknown) {
            (ExpectedFiles::Empty, _) => Outcome::of(self.files, places()),
            (ExpectedFiles::Count(wanted), _) => match wanted.holds(&found) {
                Some(true) => Outcome::of(self.matching, []),
                _ => broke(format!("expected {wanted} files, found {}", self.matching)),
            },
            (_, Some(unknown)) if self.places.is_empty() => Outcome::NotRun(unknown.clone()),
            (ExpectedFiles::NotEmpty, _) if self.matching > 0 => Outcome::of(self.matching, []),
            _ if self.matching == 0 && self.places.is_empty() => {
                broke("expected at least one file, found none".to_owned())
            }
            _ => Outcome::of(self.matching, places()),
        }
    }
}

fn named(path: &[u8]) -> String {
    format!("file {}", String::from_utf8_lossy(path))
}

/// It could not be told what is at `path`.
fn unjudged(path: &[u8], error: impl std::error::Error + 'static) -> Outcome {
    let what = format!("{} cannot be judged: {}", named(path), chain(&error));
    Outcome::not_run(Why::Environment, what)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder with pictures by name, a link in and one out; the scratch beside it.
    struct Bench(tempfile::TempDir);

    impl Bench {
        fn new() -> Self {
            let bench = Self(tempfile::tempdir().unwrap());
            let root = bench.root();
            std::fs::create_dir_all(root.join("img/small")).unwrap();
            for (name, text) in [("img/a.jpg", "a"), ("img/small/b.jpg", "b"), ("shop.php", "<?")] {
                std::fs::write(root.join(name), text).unwrap();
            }
            std::fs::write(bench.0.path().join("secret.png"), "s").unwrap();
            symlink("a.jpg", root.join("img/in.jpg")).unwrap();
            symlink("../../secret.png", root.join("img/out.png")).unwrap();
            symlink("img", root.join("more.jpg")).unwrap();
            bench
        }

        fn root(&self) -> std::path::PathBuf {
            self.0.path().join("uploads")
        }

        fn judged(&self, patterns: &[&str], expected: &str, limit: Duration) -> Judged {
            let asked = FilesAsked {
                source: "uploads".parse().unwrap(),
                patterns: patterns.iter().map(|pattern| (*pattern).to_owned()).collect(),
                expected: expected.parse().unwrap(),
            };
            let scratch = Scratch::create(&self.0.path().join("scratch"), None).unwrap();
            let launcher = Launcher { program: "/nonexistent".into() };
            files(&asked, &self.root(), limit, &scratch, &launcher)
        }

        fn ends(&self, patterns: &[&str], expected: &str) -> Outcome {
            self.judged(patterns, expected, Duration::from_secs(60)).outcome
        }

        #[track_caller]
        fn breaks_at(&self, patterns: &[&str], expected: &str) -> Vec<String> {
            let Outcome::Broke(broken) = self.ends(patterns, expected) else {
                panic!("{patterns:?} {expected} held")
            };
            broken.places().iter().map(|place| place.object.clone()).collect()
        }
    }

    #[test]
    fn files_are_counted_by_their_names_and_links_lead_no_further_than_the_folder() {
        let bench = Bench::new();

        for (patterns, expected) in [
            (&["*.jpg"][..], "= 3 files"),
            (&["*.jpg", "!small/"], "= 2 files"),
            (&["/img/"], "= 3 files"),
            (&["/shop.php"], "not empty"),
            (&["*.exe"], "empty"),
        ] {
            let outcome = bench.ends(patterns, expected);
            assert!(
                matches!(outcome, Outcome::Held { .. }),
                "{patterns:?} {expected}: {outcome:?}"
            );
        }
        assert_eq!(bench.breaks_at(&["*.jpg"], ">= 4 files"), ["files *.jpg"]);
        assert_eq!(bench.breaks_at(&["*.png"], "not empty"), ["files *.png"]);
        assert_eq!(bench.breaks_at(&["*.php"], "empty"), ["file shop.php"]);
        assert_eq!(bench.breaks_at(&["*.png"], "empty"), ["file img/out.png"]);
        let told = bench.judged(&["*.jpg"], "not empty", Duration::from_secs(60)).found;
        assert_eq!(told.as_deref(), Some("3 files"));
    }

    #[test]
    fn every_matching_file_must_have_the_digest_and_one_must_be_there() {
        let bench = Bench::new();
        let a = format!("sha256 {}", Digest::of(b"a"));

        assert!(matches!(bench.ends(&["/img/a.jpg", "in.jpg"], &a), Outcome::Held { .. }));
        assert_eq!(bench.breaks_at(&["*.jpg"], &a), ["file img/small/b.jpg"]);
        assert_eq!(bench.breaks_at(&["gone.jpg"], &a), ["files gone.jpg"]);
        assert_eq!(bench.breaks_at(&["*.png"], &a), ["file img/out.png"]);
    }

    #[test]
    fn nothing_to_compare_no_time_and_no_decoder_never_hold() {
        let bench = Bench::new();
        let why = |outcome| match outcome {
            Outcome::NotRun(NotRun { why, .. }) => why,
            outcome => panic!("{outcome:?}"),
        };

        assert_eq!(
            why(bench.judged(&["*.jpg"], "not empty", Duration::ZERO).outcome),
            Why::TimedOut
        );
        assert_eq!(why(bench.ends(&["*.jpg"], "pictures")), Why::Environment);
        assert_eq!(why(bench.ends(&["*.gif"], "<= 5 files")), Why::NothingToCompare);
        std::fs::remove_dir_all(bench.root()).unwrap();
        assert_eq!(bench.breaks_at(&["*.jpg"], "empty"), ["the folder of files"]);
        std::fs::create_dir(bench.root()).unwrap();
        assert_eq!(why(bench.ends(&["*.jpg"], "empty")), Why::NothingToCompare);
    }
}
