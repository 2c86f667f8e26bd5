//! Places that users write: paths, and the URLs of stores, S3 services and states.
//!
//! In: text. Out: paths, relative ones as written. Percent signs stand for themselves.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::leaf::{Wrong, written_as_text};

/// Where objects are kept, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    Folder(PathBuf),
    S3 {
        bucket: String,
        /// Below which all objects lie; none: they begin at the bucket itself.
        folder: Option<String>,
    },
}

impl FromStr for StoreUrl {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        const HINT: &str = "write \"file:///srv/backups\", \"file:backups\" beside the site file, \
                            or \"s3://bucket/folder\"";
        match text.split_once(':') {
            Some(("file", path)) => path_of_url(path, HINT).map(Self::Folder),
            Some(("s3", rest)) => in_bucket(rest),
            Some(("http" | "https", _)) => Err(Wrong::new(
                "the address of a service where that of a store is expected",
                "write url = \"s3://bucket/folder\" and the service as `endpoint`",
            )),
            _ => Err(Wrong::new("not the address of a store", HINT)),
        }
    }
}

/// `//bucket` or `//bucket/folder/…`.
fn in_bucket(rest: &str) -> Result<StoreUrl, Wrong> {
    const HINT: &str = "write \"s3://bucket\" or \"s3://bucket/folder\"";
    let path = rest.strip_prefix("//").ok_or_else(|| Wrong::new("not a bucket", HINT))?;
    let (bucket, folder) = match path.trim_end_matches('/').split_once('/') {
        Some((bucket, folder)) => (bucket, Some(folder)),
        None => (path.trim_end_matches('/'), None),
    };
    let letters = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_bucket = (3..=63).contains(&bucket.len())
        && bucket.bytes().all(|c| letters(c) || matches!(c, b'-' | b'.'))
        && bucket.as_bytes().first().is_some_and(|c| letters(*c));
    if !is_bucket {
        let hint = "3 to 63 of a-z, 0-9, '-' and '.', beginning with a letter or digit";
        return Err(Wrong::new("not the name of a bucket", hint));
    }
    let is_part = |part: &str| {
        let is_bad = |c: char| c.is_control() || c == '\\';
        !part.is_empty() && part != "." && part != ".." && !part.contains(is_bad)
    };
    if folder.is_some_and(|folder| folder.len() > 500 || !folder.split('/').all(is_part)) {
        return Err(Wrong::new("not a folder of a bucket", HINT));
    }
    Ok(StoreUrl::S3 { bucket: bucket.to_owned(), folder: folder.map(str::to_owned) })
}

/// An S3 service: `https://s3.example.net`, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(pub String);

impl FromStr for Endpoint {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        const HINT: &str = "write \"https://s3.example.net\", with a port where it needs one; the \
                            bucket stands in `url`";
        let wrong = || Wrong::new("not the address of an S3 service", HINT);
        let (scheme, host) = text.split_once("://").ok_or_else(wrong)?;
        let host = host.strip_suffix('/').unwrap_or(host);
        let is_host = !host.is_empty()
            && host.bytes().all(|c| c.is_ascii_alphanumeric() || b"-.:[]_".contains(&c))
            && !host.starts_with(':');
        if !matches!(scheme, "http" | "https") || !is_host {
            return Err(wrong());
        }
        Ok(Self(format!("{scheme}://{host}")))
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

written_as_text!(
    StoreUrl,
    "store-url",
    "A folder, file:///srv/backups, or a bucket, s3://bucket/folder"
);
written_as_text!(Endpoint, "s3-endpoint", "An S3 service: https://s3.example.net");
written_as_text!(StateUrl, "state-url", "An SQLite file: sqlite:///var/lib/lifeboat/state.db");
written_as_text!(PathText, "path-text", "A path; a relative one starts at the site file's folder");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_folders_or_parts_of_buckets() {
        let folder = |path: &str| StoreUrl::Folder(path.into());
        assert_eq!("file:///srv/b".parse::<StoreUrl>().unwrap(), folder("/srv/b"));
        assert_eq!("file:store".parse::<StoreUrl>().unwrap(), folder("store"));
        for text in ["file://srv/b", "file:", "file:///", "/srv/b", "ftp://x"] {
            assert!(text.parse::<StoreUrl>().is_err(), "{text:?}");
        }
        for (text, bucket, folder) in [
            ("s3://backups", "backups", None),
            ("s3://backups/", "backups", None),
            ("s3://my.backups-2/a/b/", "my.backups-2", Some("a/b")),
        ] {
            let folder = folder.map(str::to_owned);
            let expected = StoreUrl::S3 { bucket: bucket.to_owned(), folder };
            assert_eq!(text.parse::<StoreUrl>().unwrap(), expected, "{text}");
        }
        for text in ["s3:backups", "s3://", "s3://ab", "s3://Backups", "s3://b/../c", "s3://bkt//a"]
        {
            assert!(text.parse::<StoreUrl>().is_err(), "{text:?}");
        }
        let wrong = "https://s3.example.net/b".parse::<StoreUrl>().unwrap_err();
        assert!(wrong.hint.is_some_and(|hint| hint.contains("`endpoint`")));
    }

    #[test]
    fn an_endpoint_is_a_scheme_and_a_host_and_no_more() {
        for text in ["http://127.0.0.1:8333", "https://s3.example.net", "https://[::1]:9000"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().0, text);
        }
        assert_eq!("https://a/".parse::<Endpoint>().unwrap().0, "https://a");
        for text in
            ["s3.example.net", "ftp://a", "https://", "https://a/b", "https://a?x", "https://u@a"]
        {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
