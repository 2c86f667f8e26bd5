//! Which of the two products a server is, and which of its series lifeboat works with.

use serde::{Deserialize, Serialize};

use super::super::Kind;

/// MariaDB or MySQL: one descends from the other, and they drift apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Product {
    Mariadb,
    Mysql,
}

impl Product {
    /// As its makers write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mariadb => "MariaDB",
            Self::Mysql => "MySQL",
        }
    }

    /// The kind of its sources.
    pub fn kind(self) -> Kind {
        match self {
            Self::Mariadb => Kind::Mariadb,
            Self::Mysql => Kind::Mysql,
        }
    }

    /// The series that lifeboat works with, for each was tried.
    pub fn series(self) -> &'static [&'static str] {
        match self {
            Self::Mariadb => &["10.11"],
            Self::Mysql => &["9.7"],
        }
    }

    /// The name of the client, which runs SQL.
    pub fn client(self) -> &'static str {
        match self {
            Self::Mariadb => "mariadb",
            Self::Mysql => "mysql",
        }
    }

    /// The name of the program that dumps.
    pub fn dumper(self) -> &'static str {
        match self {
            Self::Mariadb => "mariadb-dump",
            Self::Mysql => "mysqldump",
        }
    }
}

/// A server's version, as `SELECT version()` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub product: Product,
    /// E.g. `10.11.19`.
    pub number: String,
    /// E.g. `10.11`.
    pub series: String,
}

impl Version {
    /// Reads e.g. `10.11.19-MariaDB-0+deb12u1-log` or `9.7.4-2`.
    pub fn read(text: &str) -> Option<Self> {
        let number = text.split('-').next()?;
        let mut parts = number.split('.');
        let (major, minor) = (parts.next()?, parts.next()?);
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_number(major) || !is_number(minor) {
            return None;
        }
        let product = if text.contains("MariaDB") { Product::Mariadb } else { Product::Mysql };
        Some(Self { product, number: number.to_owned(), series: format!("{major}.{minor}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_servers_and_programs_tell_them() {
        let of = |text: &str| {
            Version::read(text).map(|found| (found.product, found.number, found.series))
        };
        let told = |product, number: &str, series: &str| {
            Some((product, number.to_owned(), series.to_owned()))
        };

        let debian = of("10.11.19-MariaDB-0+deb12u1-log");
        assert_eq!(debian, told(Product::Mariadb, "10.11.19", "10.11"));
        assert_eq!(of("9.7.4-2"), told(Product::Mysql, "9.7.4", "9.7"));
        assert_eq!(of("8.4.6"), told(Product::Mysql, "8.4.6", "8.4"));
        assert_eq!(of("MariaDB"), None);
    }
}
