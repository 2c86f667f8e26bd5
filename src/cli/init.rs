//! `lifeboat init`: the first site file, keys, policy and drill of this host.

use std::path::PathBuf;

use crate::ground::ids::Name;

/// Write a first lifeboat.toml, keys, a policy and a drill for this host
///
/// What exists already is never overwritten.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder to write to
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Customer's id: 1 to 40 of a-z, 0-9 and '-'
    #[arg(long, default_value = "acme")]
    customer: Name,
    /// Where backups go, as a URL: file:///absolute/path [default: store/ below DIR]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Files to protect, absolute; may be given several times [default: an example to edit]
    #[arg(long, value_name = "PATH")]
    files: Vec<PathBuf>,
    /// SQLite database to protect, absolute; may be given several times [default: none]
    #[arg(long, value_name = "PATH")]
    sqlite: Vec<PathBuf>,
}
