//! `lifeboat schema`: JSON Schema of what users write.

/// Print the JSON Schema of one kind of file
///
/// Editors use it to complete and check: begin the file with `#:schema FILE-OR-URL`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Kind of file
    #[arg(value_enum)]
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// lifeboat.toml
    Site,
    /// policies/*.toml
    Policy,
    /// drills/*.toml
    Drill,
}
