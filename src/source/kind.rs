//! Which kinds of sources there are.

use serde::{Deserialize, Serialize};

use crate::policy::sources::SourceKind;

/// The kind of a source, as policies and manifests write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Files,
    Sqlite,
    Postgres,
    Mariadb,
    Mysql,
    Redis,
    Command,
}

impl Kind {
    /// The kind of a source that is declared so.
    pub fn of(declared: &SourceKind) -> Self {
        match declared {
            SourceKind::Files(_) => Self::Files,
            SourceKind::Sqlite(_) => Self::Sqlite,
            SourceKind::Postgres(_) => Self::Postgres,
            SourceKind::Mariadb(_) | SourceKind::MariadbFiles(_) => Self::Mariadb,
            SourceKind::Mysql(_) => Self::Mysql,
            SourceKind::Redis(_) => Self::Redis,
            SourceKind::Command(_) => Self::Command,
        }
    }

    /// The version of this kind's fingerprint. It goes up whenever the same data gets another
    /// fingerprint than before, or other differences show in it: two versions cannot be compared.
    pub fn fingerprint_version(self) -> u32 {
        match self {
            Self::Files
            | Self::Sqlite
            | Self::Mariadb
            | Self::Mysql
            | Self::Redis
            | Self::Command => 1,
            Self::Postgres => 2,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Files => "files",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mariadb => "mariadb",
            Self::Mysql => "mysql",
            Self::Redis => "redis",
            Self::Command => "command",
        })
    }
}
