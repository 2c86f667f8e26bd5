//! `lifeboat restore --table … --to-sql …`: one table out of a snapshot, as SQL that a client loads.
//!
//! The file appears under its name only once every row of the captured moment is in it; a file that is
//! there already is never replaced.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::super::app::Opened;
use super::super::hint::Hinting;
use super::super::output::visible;
use super::super::{App, Exit};
use super::Args;
use super::fetched;
use super::fetched::Reading;
use super::point::{OnLedger, Point};
use crate::account::{self, Rooms};
use crate::ground::ids::RunId;
use crate::ground::size::ByteSize;
use crate::ledger::record::Body;
use crate::repo::SnapshotId;
use crate::restore::Select;
use crate::sandbox::Scratch;
use crate::source::manifest::Manifest;
use crate::source::{Capture, Kind, NoTable, Table};

/// The answer of `restore --table --json`.
#[derive(Debug, Serialize)]
struct Answer {
    snapshot: SnapshotId,
    on_ledger: OnLedger,
    warnings: Vec<String>,
    source: String,
    table: String,
    /// As many as the captured moment had.
    rows: u64,
    to: PathBuf,
    bytes: u64,
    seconds: f64,
    notes: Vec<String>,
}

/// Brings `named` out into the file `to`.
pub(super) async fn run(args: &Args, named: &str, to: &Path, app: &App) -> anyhow::Result<Exit> {
    let folder = folder_of(to)?;
    let opened = app.open(&args.policy).await?;
    let Opened { setup, policy, account, rooms } = &opened;
    let fetch = async |reading: &Reading| {
        let manifest = reading.manifest().await?;
        let (capture, table) = find(&manifest, args, named)?;
        let scratch = account::scratch(&setup.site.scratch, rooms)?;
        let select = match table.file(&capture) {
            Some(file) => Select::File(format!("{}/{file}", capture.source)),
            None => Select::Source(capture.source.clone()),
        };
        let data = reading.bring(select, &scratch, rooms).await?;
        Ok((data.join(capture.source.as_str()), capture, table, scratch))
    };
    let (reading, fetched) = fetched::under_lock(args, &opened, fetch).await?;
    let (data, capture, table, scratch) = fetched;
    let Reading { begun, point, .. } = reading;
    let Point { id: snapshot, on_ledger, warnings, .. } = point;
    tracing::info!(phase = "table");
    let work = Writing { folder, to: to.to_owned(), capture, table, rooms: rooms.clone() };
    let (work, scratch, bytes) = tokio::task::spawn_blocking(move || {
        let written = work.write(&data, &scratch);
        (work, scratch, written)
    })
    .await?;
    let removed = tokio::task::spawn_blocking(move || scratch.remove()).await?;
    let bytes = bytes?;
    removed?;
    let Writing { capture, table, .. } = work;
    let body = Body::Restore {
        policy: policy.name.clone(),
        run: RunId::draw(),
        snapshot: snapshot.0,
        files: 1,
        bytes,
        reason: args.reason.clone(),
        table: Some(format!("{}: {}", capture.source, table.full_name())),
        server: None,
    };
    let recorded = account.journal.record(vec![body]).await?;
    account::tell(&recorded, &*rooms.progress);
    let answer = Answer {
        snapshot,
        on_ledger,
        warnings,
        source: capture.source.to_string(),
        table: table.full_name(),
        rows: table.rows,
        to: to.to_owned(),
        bytes,
        seconds: begun.elapsed().as_secs_f64(),
        notes: vec![by_hand(&capture, to)],
    };
    app.out.answer(&answer, &text(&answer))?;
    Ok(Exit::Done)
}

/// The folder of a file that is not there yet.
fn folder_of(to: &Path) -> anyhow::Result<PathBuf> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(anyhow::anyhow!("{} is there already", to.display()))
            .hint("name another file: none is ever replaced");
    }
    match to.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Ok(PathBuf::from(".")),
        Some(folder) => Ok(folder.to_owned()),
        None => bail!("{} names no file", to.display()),
    }
}

/// The table that is meant, of the source that is named or of the only one that has it.
fn find(manifest: &Manifest, args: &Args, named: &str) -> anyhow::Result<(Capture, Table)> {
    let wanted =
        |capture: &&Capture| args.source.as_ref().is_none_or(|name| *name == capture.source);
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for capture in manifest.sources.iter().filter(wanted) {
        match Table::find(capture, named) {
            Ok(table) => found.push((capture.clone(), table)),
            Err(error) => refused.push(error),
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => Err(anyhow::anyhow!("several sources have a table {named}"))
            .hint("say which with --source"),
        (None, _) => {
            let of_tables = refused.iter().position(|error| !matches!(error, NoTable::Kind { .. }));
            match of_tables.or(refused.len().checked_sub(1)) {
                Some(at) => Err(refused.swap_remove(at).into()),
                None => bail!("the snapshot holds no such source"),
            }
        }
    }
}

/// The table on its way into its file.
struct Writing {
    folder: PathBuf,
    to: PathBuf,
    capture: Capture,
    table: Table,
    rooms: Rooms,
}

impl Writing {
    /// Writes beside the file's place, private, and names it last; answers how many bytes it has.
    fn write(&self, data: &Path, scratch: &Scratch) -> anyhow::Result<u64> {
        let Self { folder, to, capture, table, rooms } = self;
        let unwritten = || format!("cannot write beside {}", to.display());
        // Made with mode 0600; removed where anything fails, but for a kill.
        let file = tempfile::Builder::new()
            .prefix(".lifeboat-table-")
            .tempfile_in(folder)
            .with_context(unwritten)?;
        let mut out = std::io::BufWriter::with_capacity(1 << 18, file);
        table.write(capture, data, scratch, &rooms.host.launcher, &mut out)?;
        let file = out.into_inner().map_err(|error| error.into_error()).with_context(unwritten)?;
        file.as_file().sync_all().with_context(unwritten)?;
        rooms.check_interrupted()?;
        let bytes = file.as_file().metadata().with_context(unwritten)?.len();
        file.persist_noclobber(to).with_context(|| format!("cannot name {}", to.display()))?;
        fs::File::open(folder).and_then(|folder| folder.sync_all()).with_context(unwritten)?;
        Ok(bytes)
    }
}

/// How the engine's own client loads it.
fn by_hand(capture: &Capture, to: &Path) -> String {
    let file = to.display();
    let load = match capture.kind {
        Kind::Sqlite => format!("`sqlite3 -safe NEW.db < {file}`"),
        Kind::Postgres => format!("`psql -X -v ON_ERROR_STOP=1 -1 -d DATABASE -f {file}`"),
        Kind::Mysql => {
            format!(
                "`mysql --skip-commands --skip-system-command --binary-mode --comments DATABASE < \
                 {file}`"
            )
        }
        _ => format!("`mariadb --sandbox --binary-mode --comments DATABASE < {file}`"),
    };
    format!(
        "{load} loads it; a table of that name is not replaced: load it into another database, or \
         rename the present one before"
    )
}

fn text(answer: &Answer) -> String {
    let mut text = format!(
        "{} rows of {} ({}), all that the captured moment had, {} in {:.1} s, into {}\n",
        answer.rows,
        visible(&answer.table),
        answer.source,
        ByteSize(answer.bytes),
        answer.seconds,
        answer.to.display()
    );
    for warning in &answer.warnings {
        text.push_str(&format!("WARNING: {}\n", visible(warning)));
    }
    for note in &answer.notes {
        text.push_str(&format!("note: {}\n", visible(note)));
    }
    text
}
