//! Redis' own programs on this host.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ground::process;

/// Where they may stand, in this order.
const FOLDERS: [&str; 2] = ["/usr/bin", "/usr/local/bin"];

/// How long a program may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// E.g. `7.0.15`.
    pub version: String,
    bin: PathBuf,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    #[error("there is no redis-server on this host (looked in {}): install redis-server", FOLDERS.join(", "))]
    NotFound,
    #[error("{} is missing: install redis-server whole", program.display())]
    Program { program: PathBuf },
    #[error("{} does not tell its version", program.display())]
    Silent { program: PathBuf, source: Option<process::Error> },
    #[error("{0}")]
    TooOld(String),
}

impl Engine {
    /// The first folder that has a server.
    pub fn find() -> Result<Self, Missing> {
        let folders = FOLDERS.iter().map(Path::new);
        let bin = folders.into_iter().find(|bin| bin.join("redis-server").is_file());
        Self::at(bin.ok_or(Missing::NotFound)?)
    }

    fn at(bin: &Path) -> Result<Self, Missing> {
        let check = bin.join("redis-check-rdb");
        if !check.is_file() {
            return Err(Missing::Program { program: check });
        }
        let program = bin.join("redis-server");
        let argv = [program.display().to_string(), "--version".to_owned()];
        let silent = |source| Missing::Silent { program: program.clone(), source };
        let said = process::output(&argv, PATIENCE).map_err(|error| silent(Some(error)))?;
        // `Redis server v=7.0.15 sha=00000000:0 …`
        let said = String::from_utf8_lossy(&said).into_owned();
        let version = said.split_whitespace().find_map(|word| word.strip_prefix("v="));
        let version = version.ok_or_else(|| silent(None))?.to_owned();
        Ok(Self { version, bin: bin.to_owned() })
    }

    /// One of its programs, e.g. `redis-server`; absolute.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// Why it cannot take in what a server of `version` wrote.
    pub fn is_too_old_for(&self, version: &str) -> Option<String> {
        (minor(&self.version) < minor(version)).then(|| {
            format!(
                "the redis-server of this host is {}, and what Redis {version} writes needs that \
                 version or a newer one: no drill can start it here",
                self.version
            )
        })
    }
}

/// Formats change with minor versions.
fn minor(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debians_own_programs_are_found_and_told_from_too_old_ones() {
        let engine = Engine::find().unwrap();

        assert!(engine.version.starts_with("7.0."), "{engine:?}");
        assert_eq!(engine.is_too_old_for("7.0.99"), None);
        assert_eq!(engine.is_too_old_for("6.2.1"), None);
        assert!(engine.is_too_old_for("7.2.0").unwrap().contains("7.2.0"));
        assert!(minor("7.10.1") > minor("7.9.9"));
    }
}
