//! Which of the two products a server is, and which of its series lifeboat works with.

use serde::{Deserialize, Serialize};

use super::super::Kind;

/// MariaDB or MySQL: one descends from the other, and they drift apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Product {
    Mariadb,
}

impl Product {
    /// As its makers write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mariadb => "MariaDB",
        }
    }

    /// The kind of its sources.
    pub fn kind(self) -> Kind {
        match self {
            Self::Mariadb => Kind::Mariadb,
        }
    }

    /// The series that lifeboat works with, for each was tried.
    pub fn series(self) -> &'static [&'static str] {
        match self {
            Self::Mariadb => &["10.11"],
        }
    }
}

/// A server's version, as `SELECT version()` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub product: Product,
    /// E.g. `10.11.19`.
    pub number: String,
    /// E.g. `10.11`.
    pub series: String,
}

impl Version {
    /// Reads e.g. `10.11.19-MariaDB-0+deb12u1-log`; none of another product.
    pub(super) fn read(text: &str) -> Option<Self> {
        let number = text.split('-').next()?;
        let mut parts = number.split('.');
        let (major, minor) = (parts.next()?, parts.next()?);
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_number(major) || !is_number(minor) || !text.contains("MariaDB") {
            return None;
        }
        let (number, series) = (number.to_owned(), format!("{major}.{minor}"));
        Some(Self { product: Product::Mariadb, number, series })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_servers_and_programs_tell_them() {
        let of = |text: &str| Version::read(text).map(|found| (found.number, found.series));

        let debian = of("10.11.19-MariaDB-0+deb12u1-log");
        assert_eq!(debian, Some(("10.11.19".to_owned(), "10.11".to_owned())));
        assert_eq!(of("8.4.6"), None, "MySQL is another product");
        assert_eq!(of("MariaDB"), None);
    }
}
