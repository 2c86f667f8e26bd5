//! `lifeboat restore`: bring data back into a folder, a file or a server.

mod fetched;
mod point;
mod server;
mod table;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::app::Opened;
use super::output::visible;
use super::{App, Exit};
use crate::account;
use crate::ground::ids::{Name, RunId};
use crate::ground::size::ByteSize;
use crate::ledger::record::Body;
use crate::policy::PolicyName;
use crate::policy::sources::{SourceKind, SourceSettings};
use crate::repo::SnapshotId;
use crate::restore::{self, Fidelity, Occupied, Select};
use crate::source::Place;
use fetched::Reading;
use point::{OnLedger, Point};

/// Restore a snapshot, a part of it into a folder, one table as SQL, or databases into a server
///
/// Every blob is verified. Nothing is ever written outside the folder. Any snapshot is restored,
/// whoever made it; one that the ledger does not name is warned of. A table comes out of a dump, or of
/// an SQLite database, with all rows of the captured moment or not at all. A server of the site takes
/// databases that it does not have or that are empty there, and is then compared with that moment.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy whose data to restore: POLICY or CUSTOMER/POLICY
    policy: PolicyName,
    /// Folder to restore into; must be empty or not exist
    #[arg(long, value_name = "DIR", required_unless_present_any = ["table", "to_server"], conflicts_with = "table")]
    to: Option<PathBuf>,
    /// Only this table, as SQL: `orders`, `shop.orders` or, of PostgreSQL, `shop.public.orders`
    #[arg(long, value_name = "TABLE", requires = "to_sql", conflicts_with_all = ["include", "overwrite"])]
    table: Option<String>,
    /// File for the table's SQL; must not exist
    #[arg(long, value_name = "FILE", requires = "table")]
    to_sql: Option<PathBuf>,
    /// Server of the site ([[server]]) to load the databases into
    #[arg(long, value_name = "NAME", requires = "reason",
        conflicts_with_all = ["to", "table", "include", "overwrite"])]
    to_server: Option<Name>,
    /// Database of the server that is replaced, whatever it holds; may be given several times
    #[arg(long, value_name = "DATABASE", requires = "to_server")]
    replace: Vec<String>,
    /// Why, for the ledger
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Snapshot: an id, the beginning of one, or `latest`
    #[arg(long, value_name = "ID", default_value = "latest")]
    snapshot: String,
    /// Only this source [default: all]
    #[arg(long, value_name = "NAME")]
    source: Option<Name>,
    /// Only what matches this pattern (.gitignore's syntax); may be given several times [default:
    /// everything]
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Restore although the folder is not empty; files in the way are replaced
    #[arg(long)]
    overwrite: bool,
}

/// The answer of `restore --json`.
#[derive(Debug, Serialize)]
struct Answer {
    snapshot: SnapshotId,
    on_ledger: OnLedger,
    /// What speaks against the snapshot, one sentence each.
    warnings: Vec<String>,
    to: PathBuf,
    files: u64,
    dirs: u64,
    others: u64,
    bytes: u64,
    seconds: f64,
    /// Entries or metadata that could not be made here.
    unrestored: Vec<Place>,
    /// What the repository could not give whole.
    damaged: Vec<Place>,
    notes: Vec<String>,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    if let Some(server) = &args.to_server {
        return server::run(&args, server, app).await;
    }
    match (&args.to, &args.table, &args.to_sql) {
        (_, Some(table), Some(to)) => table::run(&args, table, to, app).await,
        (Some(to), ..) => into_folder(&args, to, app).await,
        (None, ..) => anyhow::bail!("say where to restore to, with --to"),
    }
}

async fn into_folder(args: &Args, to: &Path, app: &App) -> anyhow::Result<Exit> {
    let opened = app.open(&args.policy).await?;
    let Opened { policy, account, rooms, .. } = &opened;
    let request = restore::Request {
        to: to.to_owned(),
        select: select(args)?,
        occupied: if args.overwrite { Occupied::Overwrite } else { Occupied::Refuse },
        fidelity: Fidelity::Full,
        most_bytes: None,
        interrupted: rooms.interrupted.clone(),
    };
    let fetch = async |reading: &Reading| {
        tracing::info!(phase = "fetch");
        let progress = rooms.progress.clone();
        Ok(restore::run(&reading.reader, reading.point.tree, &request, progress).await?)
    };
    let (reading, mut restored) = fetched::under_lock(args, &opened, fetch).await?;
    let Reading { begun, point, unread, .. } = reading;
    let Point { id: snapshot, on_ledger, warnings, .. } = point;
    // What they named may lie in other index files too: whatever came back is whole all the same.
    let damaged = unread.iter().map(|error| Place {
        object: "index".to_owned(),
        what: crate::ground::causes::chain(error),
    });
    restored.damaged.extend(damaged);
    tracing::info!(phase = "record");
    let body = Body::Restore {
        policy: policy.name.clone(),
        run: RunId::draw(),
        snapshot: snapshot.0,
        files: restored.files,
        bytes: restored.bytes,
        reason: args.reason.clone(),
        table: None,
        server: None,
    };
    let recorded = account.journal.record(vec![body]).await?;
    account::tell(&recorded, &*rooms.progress);
    let by_hand: Vec<String> =
        policy.sources.iter().filter_map(|source| server_by_hand(source, to)).collect();
    let answer = Answer {
        snapshot,
        on_ledger,
        warnings,
        to: to.to_owned(),
        files: restored.files,
        dirs: restored.dirs,
        others: restored.others,
        bytes: restored.bytes,
        seconds: begun.elapsed().as_secs_f64(),
        unrestored: restored.unrestored,
        damaged: restored.damaged,
        notes: restored.notes.into_iter().chain(by_hand).collect(),
    };
    app.out.answer(&answer, &text(&answer))?;
    let whole = answer.damaged.is_empty() && answer.unrestored.is_empty();
    Ok(if whole { Exit::Done } else { Exit::Failed })
}

/// How a server's own programs bring it back from what was restored of it.
fn server_by_hand(source: &SourceSettings, to: &Path) -> Option<String> {
    let folder = to.join(source.name.as_str());
    let (name, is_there) = (&source.name, |file| folder.join(file).is_file());
    let folder = folder.display();
    match source.kind {
        SourceKind::Postgres(_) if is_there("globals.sql") => Some(format!(
            "{name} is a PostgreSQL server: on a new one `psql -d postgres -f \
             {folder}/globals.sql`, then for each database `pg_restore -C -d postgres \
             {folder}/databases/NAME.dump`"
        )),
        SourceKind::Mariadb(_) | SourceKind::MariadbFiles(_) if is_there("data/backup-my.cnf") => {
            Some(format!(
                "{name} is the files of a MariaDB server: `mariadb-backup --prepare \
                 --target-dir={folder}/data`, then, into the empty data folder of a server of the same \
                 series that is stopped, `mariadb-backup --copy-back --target-dir={folder}/data` and `chown \
                 -R mysql:` that folder; once it is started, `mariadb-binlog {folder}/binlog/* | mariadb \
                 --binary-mode` adds what was written until the moment that drills compare"
            ))
        }
        SourceKind::Mariadb(_) | SourceKind::MariadbFiles(_) if is_there("grants.sql") => {
            Some(format!(
                "{name} is a MariaDB server: on a new one `mariadb --force < {folder}/grants.sql` (errors \
             of tables that are still to come are no harm), then `mariadb --binary-mode --comments` \
             with each of {folder}/databases/*.sql, {folder}/views.sql if there is one, and \
             {folder}/grants.sql once more"
            ))
        }
        SourceKind::Mysql(_) if is_there("grants.sql") => Some(format!(
            "{name} is a MySQL server: on a new one `mysql --force < {folder}/grants.sql` (errors \
             of tables that are still to come are no harm), then `mysql --binary-mode` with each of \
             {folder}/databases/*.sql, {folder}/views.sql if there is one, and {folder}/grants.sql \
             once more"
        )),
        SourceKind::Redis(_) if is_there("dump.rdb") => Some(format!(
            "{name} is a Redis server: stop the one that shall have it, put {folder}/dump.rdb into \
             its `dir` under the name that `dbfilename` says, owned by its user, and start it with \
             `appendonly no`; keys whose time has come are gone then"
        )),
        _ => None,
    }
}

fn select(args: &Args) -> anyhow::Result<Select> {
    match (&args.source, &args.include[..]) {
        (None, []) => Ok(Select::Everything),
        (Some(source), []) => Ok(Select::Source(source.clone())),
        (None, patterns) => Ok(Select::Patterns(patterns.to_vec())),
        (Some(source), patterns) => {
            let below =
                |pattern: &String| format!("/{source}/**/{}", pattern.trim_start_matches('/'));
            Ok(Select::Patterns(patterns.iter().map(below).collect()))
        }
    }
}

fn text(answer: &Answer) -> String {
    let mut text = format!(
        "{} files, {} folders, {} other entries, {} in {:.1} s, into {}\n",
        answer.files,
        answer.dirs,
        answer.others,
        ByteSize(answer.bytes),
        answer.seconds,
        answer.to.display()
    );
    for warning in &answer.warnings {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "WARNING: {}", visible(warning));
    }
    for note in &answer.notes {
        let _ = writeln!(text, "note: {}", visible(note));
    }
    for Place { object, what } in &answer.unrestored {
        let _ = writeln!(text, "not restored: {}: {}", visible(object), visible(what));
    }
    for Place { object, what } in &answer.damaged {
        let _ = writeln!(text, "damaged: {}: {}", visible(object), visible(what));
    }
    text
}
