//! `lifeboat snapshots`: what there is to restore.

use comfy_table::Table;
use jiff::Timestamp;
use serde::Serialize;

use super::output::visible;
use super::{App, Exit};
use crate::account::{self, Account, Snapshots};
use crate::ground::causes;
use crate::ground::ids::Name;
use crate::policy::PolicyName;
use crate::repo::{OpenError, Snapshot, SnapshotId};
use crate::source::manifest;

/// List snapshots, newest last
///
/// One that carries a policy's tags and that the ledger does not name is marked: no retention counts
/// it, no drill takes it for a recovery point.
///
/// Ends with 1 where one cannot be read, or is gone that the ledger says was published; these are
/// named on standard error.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this policy's [default: every snapshot of every repository, restic's own too]
    policy: Option<PolicyName>,
}

/// One snapshot, as `snapshots --json` lists it.
#[derive(Debug, Serialize)]
struct Listed {
    id: SnapshotId,
    time: Timestamp,
    /// `customer/policy`; none for snapshots that lifeboat did not make.
    policy: Option<String>,
    customer: Name,
    host: String,
    tags: Vec<String>,
    paths: Vec<String>,
    complete: bool,
    /// Whether the ledger says that it was published.
    on_ledger: bool,
    /// The snapshot of which this is what a repair left.
    original: Option<SnapshotId>,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let setup = app.setup().await?;
    let policy = args.policy.as_ref().map(|name| setup.policy(name)).transpose()?;
    let rooms = app.rooms(&setup).await?;
    let (mut listed, mut lost, mut exit) = (Vec::new(), Vec::new(), Exit::Done);
    for customer in &setup.site.customers {
        if policy.is_some_and(|policy| policy.customer != customer.id) {
            continue;
        }
        let account = match Account::open(&setup, customer, &rooms).await {
            // A customer whose first backup is still to come has no snapshots.
            Err(account::Error::Repository { source: OpenError::Missing { .. }, .. })
                if policy.is_none() =>
            {
                continue;
            }
            opened => opened?,
        };
        let tags = policy.map(|policy| {
            [manifest::policy_tag(&policy.name), manifest::repaired_tag(&policy.name)]
        });
        let mut snapshots = Vec::new();
        let Snapshots { files, gone, named } = account.snapshots().await?;
        for id in gone {
            rooms.progress.note(&format!("snapshot {id} is on the ledger, but not here any more"));
            lost.push(id);
            exit = Exit::Failed;
        }
        for (id, file) in files {
            match file {
                Ok(snapshot) => snapshots.push((id, snapshot)),
                Err(error) => {
                    rooms.progress.note(&causes::chain(&error));
                    exit = Exit::Failed;
                }
            }
        }
        snapshots.sort_by_key(|(id, snapshot)| (snapshot.time, *id));
        for (id, snapshot) in snapshots {
            let is_of = |tags: &[String; 2]| tags.iter().any(|tag| snapshot.tags.contains(tag));
            if tags.as_ref().is_none_or(is_of) {
                listed.push(Listed::new(&customer.id, id, snapshot, named.contains(&id)));
            }
        }
    }
    app.out.answer(&listed, &text(&listed, &lost))?;
    Ok(exit)
}

impl Listed {
    fn new(customer: &Name, id: SnapshotId, snapshot: Snapshot, on_ledger: bool) -> Self {
        let ours = snapshot.tags.iter().any(|tag| tag == manifest::TAG);
        let of = ["policy:", "repaired:"];
        let policy = snapshot
            .tags
            .iter()
            .find_map(|tag| of.iter().find_map(|prefix| tag.strip_prefix(prefix)));
        Self {
            id,
            time: snapshot.time,
            policy: policy.filter(|_| ours).map(|policy| format!("{customer}/{policy}")),
            customer: customer.clone(),
            original: snapshot.left_of(),
            host: snapshot.hostname,
            complete: !snapshot.tags.iter().any(|tag| tag == manifest::INCOMPLETE),
            tags: snapshot.tags,
            paths: snapshot.paths,
            on_ledger,
        }
    }

    /// What is not as it should be.
    fn marks(&self) -> String {
        let is_unknown = self.policy.is_some() && !self.on_ledger;
        let incomplete = match self.original {
            Some(original) => format!("what is left of {}", original.0.short()),
            None => "incomplete".to_owned(),
        };
        let marks = [(!self.complete, incomplete), (is_unknown, "NOT ON THE LEDGER".to_owned())];
        let marks = marks.into_iter().filter_map(|(is_so, mark)| is_so.then_some(mark));
        marks.collect::<Vec<_>>().join(", ")
    }
}

fn text(listed: &[Listed], lost: &[SnapshotId]) -> String {
    let lost = match lost.len() {
        0 => String::new(),
        number => format!("GONE: {number} that the ledger says were published"),
    };
    match (listed, &*lost) {
        ([], "") => "no snapshots yet".to_owned(),
        ([], lost) => lost.to_owned(),
        (listed, lost) => format!("{}\n{lost}", table(listed)),
    }
}

fn table(listed: &[Listed]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["id", "time (UTC)", "policy", "host", "paths", ""]);
    for one in listed {
        let made_by = one.policy.clone().unwrap_or_else(|| "—".to_owned());
        table.add_row([
            one.id.0.short(),
            one.time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            visible(&made_by).into_owned(),
            visible(&one.host).into_owned(),
            visible(&one.paths.join(" ")).into_owned(),
            one.marks(),
        ]);
    }
    table
}
