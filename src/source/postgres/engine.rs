//! PostgreSQL's own programs on this host, by major version.
//!
//! In: where they may stand. Out: an [`Engine`] whose programs are there and of the version asked
//! for, or a [`Missing`] that says what to install. Blocking: `pg_config` is run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ground::process;
use crate::policy;

/// The major versions that lifeboat works with: those that Debian's suites have.
pub const MAJORS: [u32; 3] = [15, 17, 18];

/// How long a program may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a capture and a recovery need, `pg_config` apart.
const PROGRAMS: [&str; 7] =
    ["initdb", "postgres", "pg_dump", "pg_dumpall", "pg_restore", "psql", "pg_amcheck"];

/// Where the programs of each major version may stand.
#[derive(Debug, Clone, Default)]
pub struct Engines {
    /// `[[engine]]` of the site, in its order.
    declared: Vec<(u32, PathBuf)>,
}

/// The programs of one major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    pub major: u32,
    /// As `pg_config` tells it, e.g. `15.20`.
    pub version: String,
    bin: PathBuf,
    /// Folders outside the system that its programs read.
    folders: Vec<PathBuf>,
}

/// Why there are no programs of a major version.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    #[error(
        "PostgreSQL {major} is not supported: lifeboat works with the majors of Debian's suites, \
         15, 17 and 18"
    )]
    Unsupported { major: u32 },
    #[error(
        "there are no programs of PostgreSQL {major} on this host (looked in {}): install \
         postgresql-{major}, or name their folder by [[engine]] in the site file",
        listed(looked)
    )]
    NotFound { major: u32, looked: Vec<PathBuf> },
    #[error(
        "{} is missing: install postgresql-{major} and postgresql-client-{major} whole",
        program.display()
    )]
    Program { major: u32, program: PathBuf },
    #[error("{} does not tell its version", program.display())]
    Silent { program: PathBuf, source: Option<process::Error> },
    #[error("{} is of PostgreSQL {found}, not {major}", program.display())]
    OtherVersion { major: u32, program: PathBuf, found: String },
}

fn listed(folders: &[PathBuf]) -> String {
    let shown: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    shown.join(", ")
}

impl Engines {
    /// Those that the site declares, and Debian's folders.
    pub fn of(declared: &[policy::Engine]) -> Self {
        let declared = declared.iter().filter_map(|engine| match engine {
            policy::Engine::Postgres { major, path } => Some((*major, path.clone())),
            policy::Engine::Mariadb { .. } | policy::Engine::Mysql { .. } => None,
        });
        Self { declared: declared.collect() }
    }

    /// The programs of `major`: the first declared ones, else Debian's. Declared folders without
    /// them are warned of in the log.
    pub fn find(&self, major: u32) -> Result<Engine, Missing> {
        if !MAJORS.contains(&major) {
            return Err(Missing::Unsupported { major });
        }
        let debian = PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"));
        let declared = self.declared.iter().filter(|(declared, _)| *declared == major);
        let mut looked: Vec<PathBuf> = declared.map(|(_, path)| path.clone()).collect();
        looked.push(debian);
        // Debian's client package alone leaves a folder without a server.
        let complete = looked.iter().find(|bin| bin.join("postgres").is_file());
        let partial = || looked.iter().find(|bin| bin.is_dir());
        match complete.or_else(partial) {
            Some(bin) => {
                for passed_over in self.passed_over(major) {
                    tracing::warn!("{passed_over}; {} serves", bin.display());
                }
                Engine::at(major, bin)
            }
            None => Err(Missing::NotFound { major, looked }),
        }
    }

    /// Folders that the site declares for `major` and that hold no server, one sentence each.
    pub fn passed_over(&self, major: u32) -> Vec<String> {
        let declared = self.declared.iter().filter(|(declared, _)| *declared == major);
        let empty = declared.filter(|(_, bin)| !bin.join("postgres").is_file());
        let told = empty.map(|(_, bin)| {
            let bin = bin.display();
            format!(
                "[[engine]] names {bin} for PostgreSQL {major}, and no server's programs are there"
            )
        });
        told.collect()
    }
}

impl Engine {
    fn at(major: u32, bin: &Path) -> Result<Self, Missing> {
        for program in PROGRAMS {
            let program = bin.join(program);
            if !program.is_file() {
                return Err(Missing::Program { major, program });
            }
        }
        let config = bin.join("pg_config");
        let told = |wanted: &[&str]| told(&config, wanted);
        let answer = told(&["--version", "--sharedir", "--pkglibdir", "--libdir"])?;
        let [version, folders @ ..] = &answer[..] else {
            return Err(Missing::Silent { program: config, source: None });
        };
        // `PostgreSQL 15.20 (Debian 15.20-0+deb12u1)`
        let version = version.split_whitespace().nth(1).unwrap_or_default().to_owned();
        if version.split('.').next() != Some(major.to_string().as_str()) {
            return Err(Missing::OtherVersion { major, program: config, found: version });
        }
        let read = [bin.to_owned(), prefix(bin)].into_iter();
        let read = read.chain(folders.iter().map(PathBuf::from));
        let outside: BTreeSet<PathBuf> =
            read.filter(|folder| !is_of_the_system(folder) && folder.is_dir()).collect();
        let folders = outmost(outside);
        Ok(Self { major, version, bin: bin.to_owned(), folders })
    }

    /// One of its programs, e.g. `pg_dump`; absolute.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// Folders outside the system that its programs read, none below another.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }
}

/// One line for each of the things asked.
fn told(config: &Path, wanted: &[&str]) -> Result<Vec<String>, Missing> {
    let argv = std::iter::once(config.display().to_string())
        .chain(wanted.iter().map(|word| (*word).to_owned()));
    let argv: Vec<String> = argv.collect();
    let silent = |source| Missing::Silent { program: config.to_owned(), source };
    let said = process::output(&argv, PATIENCE).map_err(|error| silent(Some(error)))?;
    let lines: Vec<String> =
        String::from_utf8_lossy(&said).lines().map(|line| line.trim().to_owned()).collect();
    if lines.len() == wanted.len() { Ok(lines) } else { Err(silent(None)) }
}

/// The folder that an installation fills: that of an unpacked Debian package, else the one above
/// its programs.
fn prefix(bin: &Path) -> PathBuf {
    let unpacked = bin.ancestors().nth(4).filter(|usr| usr.ends_with("usr"));
    let debian = unpacked.filter(|usr| bin.starts_with(usr.join("lib/postgresql")));
    debian.and_then(Path::parent).or_else(|| bin.parent()).unwrap_or(bin).to_owned()
}

/// Whether a folder comes with the system, and what is seen of it everywhere.
fn is_of_the_system(folder: &Path) -> bool {
    folder.starts_with("/usr") && !folder.starts_with("/usr/local")
}

/// Without those that are below another. The whole file system is no installation.
fn outmost(folders: BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let mut kept: Vec<PathBuf> = Vec::new();
    for folder in folders {
        let is_root = folder.parent().is_none();
        if !is_root && !kept.iter().any(|outer| folder.starts_with(outer)) {
            kept.push(folder);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    fn declared(major: u32, path: &Path) -> Engines {
        Engines::of(&[policy::Engine::Postgres { major, path: path.to_owned() }])
    }

    #[test]
    fn debians_own_programs_are_found_and_need_nothing_outside_the_system() {
        let engine = Engines::default().find(15).unwrap();

        assert!(engine.version.starts_with("15."), "{engine:?}");
        assert_eq!(engine.program("pg_dump"), Path::new("/usr/lib/postgresql/15/bin/pg_dump"));
        assert!(engine.folders().is_empty(), "{engine:?}");
    }

    #[test]
    fn unpacked_packages_bring_all_they_read() {
        let tools = std::env::var("LIFEBOAT_TEST_TOOLS").expect("tests/run names the test tools");
        for major in [17, 18] {
            let unpacked = Path::new(&tools).join(format!("postgresql-{major}"));
            let bin = unpacked.join(format!("usr/lib/postgresql/{major}/bin"));

            let engine = declared(major, &bin).find(major).unwrap();

            assert_eq!(engine.folders(), [unpacked], "{engine:?}");
            assert!(engine.version.starts_with(&format!("{major}.")), "{engine:?}");
        }
    }

    #[test]
    fn a_declared_folder_without_programs_is_passed_over_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let engines = declared(15, &folder.path().join("gone"));

        assert!(engines.find(15).is_ok(), "Debian's own serve");
        let told = engines.passed_over(15).join("\n");
        assert!(told.contains("gone") && told.contains("PostgreSQL 15"), "{told}");
        assert_eq!(engines.passed_over(17), Vec::<String>::new());
    }

    #[test]
    fn declared_programs_serve_before_debians_own() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        std::os::unix::fs::symlink("/usr/lib/postgresql/15/bin", &bin).unwrap();

        let engine = declared(15, &bin).find(15).unwrap();

        assert_eq!(engine.program("pg_dump"), bin.join("pg_dump"));
        assert_eq!(declared(15, &bin).passed_over(15), Vec::<String>::new());
    }

    #[test]
    fn a_version_that_nobody_packs_is_refused_with_those_that_are() {
        let missing = Engines::default().find(16).unwrap_err();

        assert!(missing.to_string().contains("15, 17 and 18"), "{missing}");
    }

    #[test]
    fn what_is_missing_is_named_with_what_to_install() {
        let folder = tempfile::tempdir().unwrap();
        let missing = declared(18, &folder.path().join("nowhere")).find(18).unwrap_err();
        assert!(missing.to_string().contains("install postgresql-18"), "{missing}");
        assert!(missing.to_string().contains("nowhere"), "{missing}");

        for program in PROGRAMS.iter().filter(|name| **name != "pg_amcheck") {
            fs::write(folder.path().join(program), "").unwrap();
        }
        let missing = declared(18, folder.path()).find(18).unwrap_err();
        assert!(missing.to_string().contains("pg_amcheck is missing"), "{missing}");
    }

    #[test]
    fn a_folder_of_another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for program in PROGRAMS {
            fs::write(folder.path().join(program), "").unwrap();
        }
        let config = folder.path().join("pg_config");
        // Not by this process: what another test starts meanwhile holds the open file for a moment, and
        // what is open for writing cannot be run.
        let script = "#!/bin/sh\necho PostgreSQL 16.3\necho /a\necho /b\necho /c\n";
        let made = Command::new("/bin/sh")
            .args(["-c", "printf '%s' \"$1\" > \"$2\" && chmod 755 \"$2\"", "sh", script])
            .arg(&config)
            .status();
        assert!(made.unwrap().success());

        let other = declared(18, folder.path()).find(18).unwrap_err();

        assert!(
            matches!(&other, Missing::OtherVersion { found, .. } if found == "16.3"),
            "{other}"
        );
    }
}
