//! `lifeboat schema`: what users may write, for editors and for people.

use super::{App, Exit};
use crate::policy::{self, Which};

/// Print the JSON Schema of one kind of file
///
/// Editors use it to complete and check: begin the file with `#:schema FILE-OR-URL`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Kind of file
    #[arg(value_enum)]
    kind: Kind,
    /// A page of all keys for people, in Markdown
    #[arg(long)]
    markdown: bool,
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

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let which = match args.kind {
        Kind::Site => Which::Site,
        Kind::Policy => Which::Policy,
        Kind::Drill => Which::Drill,
    };
    let text = match args.markdown {
        true => policy::keys(which),
        false => serde_json::to_string_pretty(&policy::schema(which))?,
    };
    app.out.raw(text.as_bytes())?;
    Ok(Exit::Done)
}
