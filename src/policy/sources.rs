//! What a policy says of each kind of source, checked.

use std::path::PathBuf;
use std::time::Duration;

use super::candidates::Servers;
use crate::ground::ids::Name;
use crate::ground::secret::SecretRef;

/// One `[[source]]` of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSettings {
    pub name: Name,
    pub kind: SourceKind,
    pub equality: Equality,
}

/// Whether a drill may pass that could not compare rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Equality {
    Required,
    /// It may where no exact point could be had at capture, and nowhere else.
    NotRequired {
        /// In the owner's words, for reports.
        reason: String,
    },
}

/// The settings of a source by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    Files(FilesSettings),
    Sqlite(SqliteSettings),
    Postgres(Servers<ServerSettings>),
    /// As dumps of its databases.
    Mariadb(Servers<ServerSettings>),
    /// `method = "physical"`: as its files; always all databases, on a socket of this host.
    MariadbFiles(ServerSettings),
    Mysql(Servers<ServerSettings>),
    Redis(Servers<RedisSettings>),
    Command(CommandSettings),
}

/// `kind = "files"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesSettings {
    /// Absolute, at least one, none below another.
    pub paths: Vec<PathBuf>,
    /// Patterns in .gitignore's syntax, matched below each path.
    pub exclude: Vec<String>,
    /// Stay on the file system each path begins on.
    pub one_file_system: bool,
    /// Patterns in .gitignore's syntax of what may be unreadable without failing a drill.
    pub may_skip: Vec<String>,
}

/// `kind = "sqlite"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteSettings {
    /// Absolute.
    pub path: PathBuf,
}

/// A database server: where it is, who logs in, what of it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Its name or address; of a socket the absolute path: PostgreSQL's folder, the others' file.
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Option<SecretRef>,
    /// Which databases; empty for all that are no templates and allow connections.
    pub databases: Vec<String>,
    pub tls: Tls,
    /// How long one lock is waited for, behind which others wait in turn.
    pub lock_timeout: Duration,
    /// The longest that the server may leave one question without an answer.
    pub statement_deadline: Duration,
}

/// `kind = "redis"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// The path of the server's socket, absolute, or its name or address.
    pub host: String,
    pub port: u16,
    /// None: the server's own, `default`.
    pub user: Option<String>,
    pub password: Option<SecretRef>,
    pub tls: Tls,
    /// The longest that the server may say nothing.
    pub silence: Duration,
}

/// `kind = "command"`: the owner's own programs, argv each, absolute, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSettings {
    pub capture: Vec<String>,
    pub recover: Vec<String>,
    pub check: Vec<String>,
    /// For `capture` alone.
    pub secrets: Vec<SecretVariable>,
    /// The longest that each program may take.
    pub deadline: Duration,
}

/// A secret that a program finds in its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretVariable {
    pub variable: String,
    pub value: SecretRef,
}

/// Whether and how strictly a connection to a database is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    Off,
    /// Encrypted, whoever answers.
    Require,
    /// The server's certificate names the host and comes from `ca`, a PEM file, absolute.
    Verify {
        ca: PathBuf,
    },
}
