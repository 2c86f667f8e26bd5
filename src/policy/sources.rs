//! What a policy says of each kind of source, checked.

use std::path::PathBuf;

use crate::ground::ids::Name;

/// One `[[source]]` of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSettings {
    pub name: Name,
    pub kind: SourceKind,
}

/// The settings of a source by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    Files(FilesSettings),
    Sqlite(SqliteSettings),
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
