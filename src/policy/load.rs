//! Loading: the site file and the folders beside it, read, checked, and made into a [`Setup`].

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, Diagnostics, Level};
use super::document::Document;
use super::setup::{PolicyName, Setup};
use super::trust::{self, Part};
use super::{Which, build, raw, references};

/// Far beyond any file a person writes.
const MAX_BYTES: u64 = 1 << 20;

/// Who loads: it decides whose files are trusted, and where state lies that the site does not place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub uid: u32,
    /// Where the state and scratch are unless the site says: absolute.
    pub state_home: PathBuf,
}

impl Caller {
    /// This process: root keeps its state in `/var/lib/lifeboat`, others in
    /// `$XDG_STATE_HOME/lifeboat` or `~/.local/state/lifeboat`.
    pub fn current() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|at| at.is_absolute());
        let home = match uid {
            0 => None,
            _ => folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state"))),
        };
        let state_home = home.unwrap_or_else(|| PathBuf::from("/var/lib")).join("lifeboat");
        Self { uid, state_home }
    }
}

/// Reads and checks the site file and, beside it, `policies/*.toml` and `drills/*.toml`.
///
/// Blocking. The error holds every fault of every file and nothing else; warnings are in
/// the [`Setup`].
pub fn load(site_file: &Path, caller: &Caller) -> Result<Setup, Diagnostics> {
    read(site_file, caller, |_, _| false).map(|(setup, _)| setup)
}

/// As [`load`], for an act on `policy` alone: drills that are surely of other policies may hold faults.
/// They are left out of the [`Setup`], and their faults are the second of what is returned.
pub fn load_for(
    site_file: &Path,
    caller: &Caller,
    policy: &PolicyName,
) -> Result<(Setup, Diagnostics), Diagnostics> {
    read(site_file, caller, |drill, policies| {
        let meant = drill.text_at("/policy").and_then(|text| text.parse::<PolicyName>().ok());
        let is_there = |document: &Document| {
            let part = |key| document.text_at(key).unwrap_or_default();
            drill.text_at("/policy") == Some(&format!("{}/{}", part("/customer"), part("/name")))
        };
        // A name that leads nowhere may be this policy's, misspelt.
        meant.is_some_and(|meant| !policy.may_be(&meant)) && policies.iter().any(is_there)
    })
}

/// Reads and checks everything; faults in drills for which `may_fail` are set aside.
fn read(
    site_file: &Path,
    caller: &Caller,
    may_fail: impl Fn(&Document, &[Document]) -> bool,
) -> Result<(Setup, Diagnostics), Diagnostics> {
    let folder = match site_file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut reading = Reading { caller, troubles: Vec::new() };
    let root = match folder.canonicalize() {
        // What is resolved against it is recorded as JSON text.
        Ok(root) if root.to_str().is_some() => root,
        other => {
            let what = other.map_or_else(|error| unreadable(&error), |_| "not UTF-8 text".into());
            return Err(Diagnostics::new(vec![Diagnostic::of_file(folder, what, None)]));
        }
    };
    reading.trust(folder, Part::Folder);
    let Some(mut site) = reading.document(Which::Site, site_file) else {
        return Err(Diagnostics::new(reading.troubles));
    };
    let beside = |name: &str| site_file.with_file_name(name);
    let before = reading.troubles.len();
    let mut policies = reading.documents(Which::Policy, &beside("policies"));
    let all_read = reading.troubles.len() == before;
    let mut drills = reading.documents(Which::Drill, &beside("drills"));

    references::check(&root, &mut site, &mut policies, all_read, &mut drills);

    let is_faulty =
        |document: &Document| document.diagnostics().any(|one| one.level == Level::Error);
    let (aside, drills): (Vec<_>, Vec<_>) =
        drills.into_iter().partition(|drill| is_faulty(drill) && may_fail(drill, &policies));
    let aside = aside.iter().flat_map(Document::diagnostics);
    let aside = Diagnostics::new(aside.filter(|one| one.level == Level::Error).collect());
    let mut found = reading.troubles;
    for document in std::iter::once(&site).chain(&policies).chain(&drills) {
        found.extend(document.diagnostics());
    }
    if found.iter().any(|one| one.level == Level::Error) {
        found.retain(|one| one.level == Level::Error);
        return Err(Diagnostics::new(found));
    }
    let warnings = Diagnostics::new(found);
    build(&root, caller, &site, &policies, &drills, warnings)
        .map(|setup| (setup, aside))
        .map_err(|one| Diagnostics::new(vec![one]))
}

fn build(
    root: &Path,
    caller: &Caller,
    site: &Document,
    policies: &[Document],
    drills: &[Document],
    warnings: Diagnostics,
) -> Result<Setup, Diagnostic> {
    let site = build::site(build::typed::<raw::Site>(site)?, root, caller);
    let mut built = Vec::new();
    for document in policies {
        let raw: raw::Policy = build::typed(document)?;
        let zone = build::zone_of(&site, &raw.customer);
        built.push(build::policy(raw, root, &zone));
    }
    let mut rehearsed = Vec::new();
    for document in drills {
        let raw: raw::Drill = build::typed(document)?;
        let zone = build::zone_of(&site, &raw.policy.customer);
        let policy = built
            .iter()
            .find(|one| one.customer == raw.policy.customer && one.name == raw.policy.policy);
        let Some(policy) = policy else {
            return Err(Diagnostic::of_file(&document.file, "its policy is unknown", None));
        };
        rehearsed.push(build::drill(raw, policy, &zone, root));
    }
    Ok(Setup { site, policies: built, drills: rehearsed, warnings })
}

/// Reads files and gathers what keeps them from being read or trusted.
struct Reading<'a> {
    caller: &'a Caller,
    troubles: Vec<Diagnostic>,
}

impl Reading<'_> {
    /// Whether `path` is there and in the right hands; reports it if not.
    fn trust(&mut self, path: &Path, part: Part) -> bool {
        let trouble = match fs::metadata(path) {
            Ok(meta) => trust::check(path, &meta, part, self.caller.uid),
            Err(error) => Some(Diagnostic::of_file(path, unreadable(&error), None)),
        };
        let fine = trouble.is_none();
        self.troubles.extend(trouble);
        fine
    }

    fn document(&mut self, which: Which, path: &Path) -> Option<Document> {
        match self.text(path) {
            Ok(text) => Some(Document::read(which, path, &text)),
            Err(trouble) => {
                self.troubles.push(trouble);
                None
            }
        }
    }

    /// The text of a file in the right hands. What is checked is what was opened.
    fn text(&self, path: &Path) -> Result<String, Diagnostic> {
        let of_io = |error: io::Error| {
            let hint = (error.kind() == io::ErrorKind::NotFound)
                .then(|| "`lifeboat init` writes a first one, --config names another".to_owned());
            Diagnostic::of_file(path, unreadable(&error), hint)
        };
        // A FIFO in place of a file must not hold the caller up.
        let flags =
            rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty())
            .map(fs::File::from)
            .map_err(|error| of_io(error.into()))?;
        let meta = file.metadata().map_err(of_io)?;
        if !meta.is_file() {
            return Err(Diagnostic::of_file(path, "not a regular file", None));
        }
        if let Some(trouble) = trust::check(path, &meta, Part::Configuration, self.caller.uid) {
            return Err(trouble);
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(of_io)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Diagnostic::of_file(path, "larger than 1 MiB", None));
        }
        String::from_utf8(bytes).map_err(|_| Diagnostic::of_file(path, "not UTF-8 text", None))
    }

    /// The `*.toml` of a folder by name; none where the folder is not there.
    fn documents(&mut self, which: Which, folder: &Path) -> Vec<Document> {
        if matches!(folder.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound)
            || !self.trust(folder, Part::Configuration)
        {
            return Vec::new();
        }
        let listed = fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| entry.map(|one| one.path())).collect());
        let mut paths: Vec<PathBuf> = match listed {
            Ok(paths) => paths,
            Err(error) => {
                self.troubles.push(Diagnostic::of_file(folder, unreadable(&error), None));
                return Vec::new();
            }
        };
        paths.retain(|path| {
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
            !hidden && path.extension().is_some_and(|extension| extension == "toml")
        });
        paths.sort();
        paths.iter().filter_map(|path| self.document(which, path)).collect()
    }
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder".into(),
        io::ErrorKind::PermissionDenied => "you may not read this".into(),
        _ => format!("cannot be read: {error}"),
    }
}
