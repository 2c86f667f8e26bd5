//! `lifeboat validate`: are site, policies and drills sound, and what runs next?

use std::path::PathBuf;

/// Check site, policies and drills; show every error with its place, and the next run times
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show diagnostics of these files only; all are read in any case [default: all]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}
