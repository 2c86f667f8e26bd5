//! `lifeboat quickstart`: the whole story on a sample shop.

mod shop;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::hint::Hinting;
use super::starter::{self, Starter};
use super::{App, Exit, report as page};
use crate::account::{Account, Rooms};
use crate::backup::{self, Published};
use crate::drill;
use crate::ground::size::ByteSize;
use crate::ledger::record::{Answer as Part, Parts, Word};
use crate::policy::{self, Caller, Policy, Setup};
use crate::report;

const CUSTOMER: &str = "acme";

const POLICY: &str = r#"# What is protected. All sources make one snapshot. Every key: lifeboat schema policy
customer = "acme"
name     = "shop"

[schedule]
backup = "0 */4 * * *"

[objectives]
rpo = "6h"                       # the newest recovery point may be so old
rto = "15m"                      # recovery may take so long

[[source]]
name = "orders"
kind = "sqlite"
path = "shop/shop.db"

[[source]]
name = "uploads"
kind = "files"
paths = ["shop/uploads"]
exclude = ["*.tmp"]
"#;

const DRILL: &str = r#"# How it is rehearsed, and what must be true of the restored data. Every key: lifeboat schema drill
policy   = "acme/shop"
name     = "weekly"
schedule = "0 3 * * 0"
controls = true                  # prove that the checks can fail

[[check]]
name   = "orders of the last day are there"
source = "orders"
query  = "SELECT count(*) FROM orders WHERE placed > datetime('now', '-1 day')"
expect = "> 0"

[[check]]
name   = "every order has a line"
source = "orders"
query  = "SELECT id FROM orders WHERE id NOT IN (SELECT order_id FROM order_lines)"
expect = "empty"

[[check]]
name     = "every product picture exists"
source   = "orders"
query    = "SELECT picture FROM products WHERE picture IS NOT NULL"
files_in = "uploads"
"#;

/// Set up a sample shop (SQLite and files), back it up, drill it and write the report
///
/// Needs nothing but this program. Everything is made below DIR and nothing outside it is touched.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder to make it in; must be empty or not exist
    #[arg(value_name = "DIR", default_value = "lifeboat-quickstart")]
    folder: PathBuf,
}

/// The answer of `quickstart --json`.
#[derive(Debug, Serialize)]
struct Answer {
    folder: PathBuf,
    snapshots: Vec<String>,
    verdict: Word,
    parts: Parts,
    reports: Vec<PathBuf>,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let folder = make_site(&args.folder)?;
    let file = folder.join("lifeboat.toml");
    let setup = policy::load(&file, &Caller::current())?;
    let name = "acme/shop".parse().context("the sample's own name")?;
    let policy = setup.policy(&name)?;
    let rooms = app.rooms(&setup).await?;
    let first = backup::run(&setup, policy, None, &rooms).await?;
    shop::carry_on(&folder.join("shop"))?;
    let second = backup::run(&setup, policy, None, &rooms).await?;
    let drill = setup.drills_of(policy).next();
    let request =
        drill::Request { setup: &setup, policy, drill, wanted: drill::Wanted::Latest, slot: None };
    let done = drill::run(request, &rooms).await?;
    let reports = write_reports(&folder, &setup, policy, &rooms).await?;
    let answer = Answer {
        folder,
        snapshots: [&first, &second].map(|one| one.snapshot.to_string()).into(),
        verdict: done.finished.verdict,
        parts: done.finished.parts,
        reports,
    };
    let story = story(&args.folder, &first, &second, &done, &answer.reports);
    app.out.answer(&answer, &story)?;
    Ok(done.finished.verdict.into())
}

/// The folder, absolute, with the shop, the site and its keys in it.
fn make_site(folder: &Path) -> anyhow::Result<PathBuf> {
    if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) || folder.is_file() {
        return Err(anyhow::anyhow!("{} is not empty", folder.display()))
            .hint("name a folder that is empty or does not exist");
    }
    starter::make_folder(folder)?;
    let folder =
        folder.canonicalize().with_context(|| format!("cannot enter {}", folder.display()))?;
    for part in ["store", "reports", "shop"] {
        starter::make_folder(&folder.join(part))?;
    }
    starter::make_keys(&folder.join("keys"), CUSTOMER)?;
    let site = Starter {
        customer: CUSTOMER,
        name_zh: "阿克米商城",
        name_en: "Acme Shop",
        timezone: "Asia/Shanghai",
        store: "file:store",
        state: "sqlite:state/state.db",
        scratch: "scratch",
    };
    starter::write_new(&folder.join("lifeboat.toml"), &site.site())?;
    starter::write_new(&folder.join("policies/shop.toml"), POLICY)?;
    starter::write_new(&folder.join("drills/weekly.toml"), DRILL)?;
    shop::create(&folder.join("shop"))?;
    Ok(folder)
}

async fn write_reports(
    folder: &Path,
    setup: &Setup,
    policy: &Policy,
    rooms: &Rooms,
) -> anyhow::Result<Vec<PathBuf>> {
    let customer = setup.customer_of(policy);
    let account = Account::open(setup, customer, rooms).await?;
    let mut written = Vec::new();
    for (lang, name) in [(report::Lang::En, "drill-en"), (report::Lang::Zh, "drill-zh")] {
        let (_, text) = page::page(&account, customer, policy, None, lang).await?;
        let file = folder.join(format!("reports/{name}.html"));
        page::write(&file, &text)?;
        written.push(file);
    }
    Ok(written)
}

/// The story in one screenful.
fn story(
    folder: &Path,
    first: &Published,
    second: &Published,
    done: &drill::Done,
    reports: &[PathBuf],
) -> String {
    let place = folder.display();
    let mut text =
        format!("A sample shop in {place}: an SQLite database and a folder of pictures.\n\n");
    let mut line = |what: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{what}");
    };
    for (order, published) in [("1st", first), ("2nd", second)] {
        line(format!(
            "backup   {order}: snapshot {}, {} entries, {}, {} new with metadata",
            published.snapshot.0.short(),
            published.entries,
            ByteSize(published.bytes),
            ByteSize(published.added.added_bytes),
        ));
    }
    rehearsal(done, &mut line);
    line("\nThe report an auditor gets (open it in a browser):".into());
    for report in reports {
        line(format!("  {}", report.display()));
    }
    line(format!(
        "\nLook around:\n  \
         lifeboat --config {place}/lifeboat.toml status\n  \
         lifeboat --config {place}/lifeboat.toml ledger log {CUSTOMER}\n  \
         restic -r {place}/store/{CUSTOMER}/repo --password-file {place}/keys/repository-password \
         check --read-data"
    ));
    text
}

/// The lines that tell of the drill.
fn rehearsal(done: &drill::Done, mut line: impl FnMut(String)) {
    let details = &done.details;
    let rows: u64 = details
        .sources
        .iter()
        .flat_map(|source| source.parts.iter().filter_map(|part| part.rows_restored))
        .sum();
    let tables: usize = details.sources.iter().map(|source| source.parts.len()).sum();
    line(format!(
        "drill    restored into scratch: {rows} rows and entries in {tables} parts compared with \
         what was captured"
    ));
    line(format!(
        "checks   {} of {} held",
        done.finished.checks_held, done.finished.checks_declared
    ));
    line(format!(
        "controls {} of {} deliberate faults found by the right check",
        done.finished.controls_found, done.finished.controls_run
    ));
    let seconds = done.finished.recovery_ms.unwrap_or_default() as f64 / 1000.0;
    line(format!("time     back in {seconds:.1} s (in scratch; at most 15 min are allowed)"));
    let word = match done.finished.verdict {
        Word::Pass => "PASS",
        Word::Fail => "FAIL",
        Word::Inconclusive => "INCONCLUSIVE",
    };
    let Parts { restorable, intact, within_rto, within_rpo, cleaned_up } = done.finished.parts;
    let yes = |part| if part == Part::Yes { "yes" } else { "NO" };
    line(format!(
        "verdict  {word}: restorable {}, intact {}, within RTO {}, within RPO {}, cleaned up {}",
        yes(restorable),
        yes(intact),
        yes(within_rto),
        yes(within_rpo),
        yes(cleaned_up)
    ));
    for reason in &details.reasons {
        line(format!("         {}", reason.why));
    }
}
