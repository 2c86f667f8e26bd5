//! Places that users write: paths, and the URLs of stores and states.
//!
//! In: text. Out: paths, relative ones as written. Percent signs stand for themselves.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::leaf::{Wrong, written_as_text};

/// Where objects are kept, as written; only folders in this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreUrl(pub PathBuf);

impl FromStr for StoreUrl {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        const HINT: &str = "it carries out folders: \"file:///srv/backups\", or \"file:backups\" \
                            beside the site file";
        match text.split_once(':') {
            Some(("file", path)) => path_of_url(path, HINT).map(Self),
            Some(("s3" | "http" | "https", _)) => {
                Err(Wrong::new(super::later::not_yet("stores of this kind"), HINT))
            }
            _ => Err(Wrong::new("not the address of a store", HINT)),
        }
    }
}

/// Where the state is kept, as written; only SQLite files in this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateUrl(pub PathBuf);

impl FromStr for StateUrl {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        const HINT: &str = "it carries out SQLite files: \"sqlite:///var/lib/lifeboat/state.db\", \
                            or \"sqlite:state.db\" beside the site file";
        match text.split_once(':') {
            Some(("sqlite", path)) => path_of_url(path, HINT).map(Self),
            Some(("postgres" | "postgresql", _)) => {
                Err(Wrong::new(super::later::not_yet("a state in PostgreSQL"), HINT))
            }
            _ => Err(Wrong::new("not the address of a state", HINT)),
        }
    }
}

/// `///absolute`, `//./relative` or `relative`: a URL's host is not a folder.
fn path_of_url(rest: &str, hint: &str) -> Result<PathBuf, Wrong> {
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') || path.starts_with("./") => path,
        Some(_) => return Err(Wrong::new("a host where a folder is expected", hint)),
        None => rest,
    };
    if Path::new(path).file_name().is_none() || path.contains('\0') {
        return Err(Wrong::new("the address names no place", hint));
    }
    Ok(PathBuf::from(path))
}

/// A path that names something and climbs nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathText(pub PathBuf);

impl FromStr for PathText {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let path = Path::new(text);
        if text.is_empty() || text.contains('\0') {
            return Err(Wrong::new(
                "not a path",
                "write an absolute path, or one beside the site file",
            ));
        }
        if path.components().any(|part| part == std::path::Component::ParentDir) {
            return Err(Wrong::new("a path with `..`", "write where it leads"));
        }
        Ok(Self(path.components().collect()))
    }
}

written_as_text!(StoreUrl, "store-url", "A folder: file:///srv/backups");
written_as_text!(StateUrl, "state-url", "An SQLite file: sqlite:///var/lib/lifeboat/state.db");
written_as_text!(PathText, "path-text", "A path; a relative one starts at the site file's folder");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_folders_and_those_of_later_versions_say_so() {
        assert_eq!("file:///srv/b".parse::<StoreUrl>().unwrap().0, Path::new("/srv/b"));
        assert_eq!("file:store".parse::<StoreUrl>().unwrap().0, Path::new("store"));
        for text in ["file://srv/b", "file:", "file:///", "/srv/b", "ftp://x"] {
            assert!(text.parse::<StoreUrl>().is_err(), "{text:?}");
        }
        let wrong = "s3://bucket".parse::<StoreUrl>().unwrap_err();
        assert!(wrong.what.contains("does not carry out"), "{wrong}");
    }
}
