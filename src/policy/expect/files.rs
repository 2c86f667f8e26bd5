//! What a check expects of restored files: `">= 100 files"`, `"pictures"`, `"sha256 9f86…"`.

use std::fmt;
use std::str::FromStr;

use super::{Comparison, Scalar, Wanted};
use crate::ground::digest::Digest;
use crate::policy::leaf::Wrong;

/// What must be true of the files whose names match.
#[derive(Debug, Clone, PartialEq)]
pub enum ExpectedFiles {
    /// There is none.
    Empty,
    /// There is at least one.
    NotEmpty,
    /// There are so many.
    Count(Wanted),
    /// There are some, and each has this content.
    Sha256(Digest),
    /// There are some, and each is a picture that decodes to its end.
    Pictures,
}

pub(super) const HINT: &str = "write \"not empty\" or \"empty\"; \">= 100 files\"; \"sha256 …\" with \
                               64 hexadecimal digits; \"pictures\"";

impl FromStr for ExpectedFiles {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text.split_ascii_whitespace().collect::<Vec<_>>()[..] {
            ["empty"] => return Ok(Self::Empty),
            ["not", "empty"] => return Ok(Self::NotEmpty),
            ["pictures"] => return Ok(Self::Pictures),
            ["sha256", digits] => {
                let hint = "write the 64 digits that `sha256sum` prints";
                let digest = digits.to_ascii_lowercase().parse().map(Self::Sha256);
                return digest.map_err(|_| Wrong::new("not a SHA-256", hint));
            }
            _ => {}
        }
        match Wanted::read(text.trim()).map_err(|what| Wrong::new(what, HINT))? {
            (wanted, "files" | "file") => count(wanted),
            _ => Err(Wrong::new("not an expectation of files", HINT)),
        }
    }
}

fn count(wanted: Wanted) -> Result<ExpectedFiles, Wrong> {
    match wanted {
        Wanted::Compared(Comparison::Equal, Scalar::Integer(0)) => {
            Err(Wrong::new("a number of files that is none", "write expect = \"empty\""))
        }
        wanted if wanted.is_of_counts() => Ok(ExpectedFiles::Count(wanted)),
        _ => Err(Wrong::new("not a number of files", "write e.g. \">= 100 files\"")),
    }
}

impl fmt::Display for ExpectedFiles {
    /// As users write it; parses back to the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::NotEmpty => f.write_str("not empty"),
            Self::Count(wanted) => write!(f, "{wanted} files"),
            Self::Sha256(digest) => write!(f, "sha256 {digest}"),
            Self::Pictures => f.write_str("pictures"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectations_of_files_are_shown_as_they_are_written() {
        let digest = format!("sha256 {}", Digest::of(b"logo"));
        for text in [
            "empty",
            "not empty",
            ">= 100 files",
            "between 1 and 9 files",
            "pictures",
            digest.as_str(),
        ] {
            assert_eq!(text.parse::<ExpectedFiles>().unwrap().to_string(), text);
        }
        let upper = format!("sha256  {}", Digest::of(b"logo").to_string().to_ascii_uppercase());
        assert_eq!(upper.parse::<ExpectedFiles>().unwrap().to_string(), digest);
    }

    #[test]
    fn what_is_no_expectation_of_files_is_refused() {
        for text in [
            "",
            "> 0",
            ">= 100 rows",
            ">= 1.5 files",
            "> \"a\" files",
            "= 0 files",
            "sha256",
            "sha256 abc",
            "pictures of cats",
            "within 5 % of capture",
        ] {
            assert!(text.parse::<ExpectedFiles>().is_err(), "{text:?}");
        }
    }
}
