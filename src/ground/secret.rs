//! Secrets: where one is kept, and the one moment at which it is read.
//!
//! A secret never stands in a configuration file, an argument, a log, an error, the ledger or a
//! report; those hold at most the [`SecretRef`].

use std::path::PathBuf;
use std::time::Duration;

pub use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::process;

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum SecretRef {
    /// The value of an environment variable.
    Env(String),
    /// The content of a file, without one trailing line end.
    File(PathBuf),
    /// The standard output of a program (argv, no shell), without one trailing line end.
    Command(Vec<String>),
    /// A file in systemd's `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// Why a secret could not be read. Names the place, never the value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the environment variable {0} is not set")]
    NoVariable(String),
    #[error("cannot read the secret in {path}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("the secret of {place} is not UTF-8 text")]
    NotText { place: String },
    #[error("the secret of {place} is empty")]
    Empty { place: String },
    #[error("$CREDENTIALS_DIRECTORY is not set: the credential {0} is only there under systemd")]
    NoCredentials(String),
    #[error("the program for a secret failed")]
    Command(#[source] process::Error),
}

impl SecretRef {
    /// Reads the secret now; blocking (a program is given 30 seconds).
    pub fn reveal(&self) -> Result<SecretString, Error> {
        let (place, text) = match self {
            Self::Env(name) => {
                let value =
                    std::env::var_os(name).ok_or_else(|| Error::NoVariable(name.clone()))?;
                (format!("${name}"), value.into_string().ok())
            }
            Self::File(path) => (path.display().to_string(), read(path.clone())?),
            Self::Credential(name) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY")
                    .ok_or_else(|| Error::NoCredentials(name.clone()))?;
                (format!("credential {name}"), read(PathBuf::from(folder).join(name))?)
            }
            Self::Command(argv) => {
                let output =
                    process::output(argv, Duration::from_secs(30)).map_err(Error::Command)?;
                (format!("program {}", argv[0]), String::from_utf8(output).ok())
            }
        };
        let text = text.ok_or_else(|| Error::NotText { place: place.clone() })?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            return Err(Error::Empty { place });
        }
        Ok(SecretString::from(line.to_owned()))
    }
}

fn read(path: PathBuf) -> Result<Option<String>, Error> {
    match std::fs::read(&path) {
        Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
        Err(source) => Err(Error::File { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_secret_loses_one_line_end_and_never_shows_in_debug() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "canary-word \n").unwrap();

        let secret = SecretRef::File(path).reveal().unwrap();

        assert_eq!(secret.expose_secret(), "canary-word ");
        assert!(!format!("{secret:?}").contains("canary"), "{secret:?}");
    }

    #[test]
    fn a_missing_or_empty_secret_is_named_by_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "\n").unwrap();

        assert!(matches!(SecretRef::File(path).reveal(), Err(Error::Empty { .. })));
        let error = SecretRef::Env("LIFEBOAT_NO_SUCH_VARIABLE".into()).reveal().unwrap_err();
        assert!(error.to_string().contains("LIFEBOAT_NO_SUCH_VARIABLE"), "{error}");
    }

    #[test]
    fn a_program_that_fails_gives_no_secret() {
        let error = SecretRef::Command(vec!["false".into()]).reveal().unwrap_err();

        assert!(matches!(error, Error::Command(_)), "{error:?}");
    }
}
