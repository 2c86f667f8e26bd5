//! `lifeboat quickstart`: the whole story on a sample shop.

use std::path::PathBuf;

/// Set up a sample shop (SQLite and files), back it up, drill it and write the report
///
/// Needs nothing but this program. Everything is made below DIR and nothing outside it is touched.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder to make it in; must be empty or not exist
    #[arg(value_name = "DIR", default_value = "lifeboat-quickstart")]
    folder: PathBuf,
}
