//! `lifeboat plan`: what this host's daemon is going to run, and what that will need.

mod past;

use std::collections::HashMap;
use std::time::Duration;

use comfy_table::Table;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use self::past::Past;
use super::hint::Trouble;
use super::output::visible;
use super::{App, Exit, advice};
use crate::account::Account;
use crate::daemon::{self, Foreseen, Series};
use crate::ground::ids::Name;
use crate::ground::size::ByteSize;
use crate::policy::Scratch;

/// Show the runs of the days to come, with the time and the space that they will need
///
/// How long a run takes and what it stores is the middle one of the last five of its kind; a drill restores
/// what the newest complete backup holds. Runs that find no room beside others wait in this plan as they
/// will in the daemon. Ends with 1, 10 or 12 where a ledger could not be read: then nothing is known of
/// that customer's runs but their times.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many days
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=366))]
    days: u16,
}

/// The answer of `plan --json`.
#[derive(Debug, Serialize)]
struct Answer {
    from: Timestamp,
    to: Timestamp,
    runs: Vec<Run>,
    scratch: Need,
    /// Customers whose ledgers could not be read, and why.
    trouble: Vec<Unread>,
}

#[derive(Debug, Serialize)]
struct Run {
    /// `customer/policy`.
    policy: String,
    /// None: a backup.
    drill: Option<Name>,
    slot: Timestamp,
    /// When it may start: the slot with its jitter.
    at: Timestamp,
    /// None: it is going to be missed, for the next slot comes before its turn.
    starts: Option<Timestamp>,
    /// None where no such run ended yet.
    seconds: Option<u64>,
    /// What a backup adds to the bucket.
    stores_bytes: Option<u64>,
    /// What a drill restores.
    restores_bytes: Option<u64>,
}

/// What drills that run at the same time restore together, at most, and what there is for it.
#[derive(Debug, Default, Serialize)]
struct Need {
    bytes: u64,
    at: Option<Timestamp>,
    /// What one drill may take, where the site says so.
    most_of_one: Option<u64>,
    /// None where the folder is not made yet.
    free: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Unread {
    customer: Name,
    #[serde(flatten)]
    trouble: Trouble,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let setup = app.setup().await?;
    let rooms = app.rooms(&setup).await?;
    let (mut pasts, mut trouble, mut first) = (HashMap::new(), Vec::new(), None);
    for customer in &setup.site.customers {
        let read = async {
            let Some(account) = Account::open_if_begun(&setup, customer, &rooms).await? else {
                return Ok(Past::default());
            };
            anyhow::Ok(Past::of(&customer.id, &account.records().await?))
        };
        match read.await {
            Ok(past) => drop(pasts.insert(customer.id.clone(), past)),
            Err(error) => {
                let error = advice::advised(error);
                let (customer, told) = (customer.id.clone(), Trouble::of(&error));
                trouble.push(Unread { customer, trouble: told });
                first = first.or(Some(error));
            }
        }
    }
    let from = rooms.clock.now();
    let day = SignedDuration::from_hours(24);
    let to = from.checked_add(day * i32::from(args.days))?;
    let took = |series: &Series| pasts.get(&series.customer).and_then(|past| past.took(series));
    let foreseen = daemon::foresee(&setup, from, to, |series| took(series).unwrap_or_default());
    let runs: Vec<_> = foreseen.into_iter().map(|run| Run::of(run, &pasts, took)).collect();
    let scratch = Need::of(&runs, &setup.site.scratch);
    let answer = Answer { from, to, runs, scratch, trouble };
    app.out.answer(&answer, &answer.text())?;
    first.map_or(Ok(Exit::Done), Err)
}

impl Run {
    fn of(
        run: Foreseen,
        pasts: &HashMap<Name, Past>,
        took: impl Fn(&Series) -> Option<Duration>,
    ) -> Self {
        let Foreseen { series, slot, at, runs } = run;
        let past = pasts.get(&series.customer);
        let is_drill = series.drill.is_some();
        let policy = &series.policy;
        Self {
            seconds: took(&series).map(|took| took.as_secs_f64().ceil() as u64),
            stores_bytes: past.filter(|_| !is_drill).and_then(|past| past.stored(policy)),
            restores_bytes: past.filter(|_| is_drill).and_then(|past| past.bytes(policy)),
            policy: series.policy_name(),
            drill: series.drill,
            slot,
            at,
            starts: runs.map(|(start, _)| start),
        }
    }

    fn ends(&self) -> Option<Timestamp> {
        let takes = SignedDuration::from_secs(i64::try_from(self.seconds?).ok()?);
        self.starts?.checked_add(takes).ok()
    }

    /// What is to be known of when it starts.
    fn note(&self) -> String {
        match self.starts {
            None => "MISSED: the next slot comes before its turn".to_owned(),
            Some(starts) if starts > self.at => {
                format!("waits {:#} for others", starts.duration_since(self.at))
            }
            Some(_) if self.seconds.is_none() => "none ended yet: not known how long".to_owned(),
            Some(_) => String::new(),
        }
    }
}

impl Need {
    fn of(runs: &[Run], scratch: &Scratch) -> Self {
        let drills: Vec<_> = runs
            .iter()
            .filter_map(|run| Some((run.starts?, run.ends()?, run.restores_bytes?)))
            .collect();
        let at_once = |moment: Timestamp| -> u64 {
            let there = drills.iter().filter(|(start, end, _)| *start <= moment && moment <= *end);
            there.map(|(.., bytes)| bytes).sum()
        };
        let most = drills.iter().map(|(start, ..)| (at_once(*start), *start));
        let most = most.max_by_key(|(bytes, start)| (*bytes, std::cmp::Reverse(*start)));
        let space = rustix::fs::statvfs(&scratch.dir).ok();
        Self {
            bytes: most.map_or(0, |(bytes, _)| bytes),
            at: most.map(|(_, start)| start),
            most_of_one: scratch.max.map(|size| size.0),
            free: space.map(|space| space.f_bavail.saturating_mul(space.f_frsize)),
        }
    }

    fn text(&self) -> Option<String> {
        let needed = format!("scratch: drills restore up to {} at once", ByteSize(self.bytes));
        let needed = format!("{needed}, at {}; servers need room beside it", utc(self.at?));
        Some(match self.free {
            Some(free) if free < self.bytes => {
                format!("{needed}\nTROUBLE  only {} are free there", ByteSize(free))
            }
            Some(free) => format!("{needed}; {} are free", ByteSize(free)),
            None => needed,
        })
    }
}

impl Answer {
    fn text(&self) -> String {
        let mut parts = Vec::new();
        for Unread { customer, trouble: Trouble { error, hint } } in &self.trouble {
            let hint = hint.as_ref().map_or(String::new(), |hint| format!("\nhint     {hint}"));
            parts.push(format!("UNKNOWN  {customer}: {}{hint}", visible(error)));
        }
        match &self.runs[..] {
            [] => parts.push("no schedules: nothing is going to run by itself".to_owned()),
            runs => parts.push(table(runs).to_string()),
        }
        parts.extend(self.scratch.text());
        parts.join("\n")
    }
}

fn table(runs: &[Run]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["starts (UTC)", "run", "takes", "stores", "restores", ""]);
    let bytes =
        |bytes: Option<u64>| bytes.map_or(String::new(), |bytes| ByteSize(bytes).to_string());
    for run in runs {
        let what = match &run.drill {
            None => format!("backup {}", run.policy),
            Some(drill) => format!("drill {}/{drill}", run.policy),
        };
        let takes = run.seconds.and_then(|seconds| i64::try_from(seconds).ok());
        table.add_row([
            utc(run.starts.unwrap_or(run.at)),
            what,
            takes.map_or(String::new(), |takes| format!("{:#}", SignedDuration::from_secs(takes))),
            bytes(run.stores_bytes),
            bytes(run.restores_bytes),
            run.note(),
        ]);
    }
    table
}

fn utc(time: Timestamp) -> String {
    time.strftime("%a %Y-%m-%d %H:%M:%S").to_string()
}
