//! `lifeboat validate`: are site, policies and drills sound, and what runs next?

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;

use super::hint::Hinting;
use super::{App, Exit};
use crate::policy::{Diagnostics, Schedule, Setup};

/// How many of a schedule's next times are shown.
const NEXT_TIMES: usize = 3;

/// Check site, policies and drills; show every error with its place, and the next run times
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show what is wrong in these files only; all are read in any case [default: all]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// The answer of `validate --json`.
#[derive(Debug, Serialize)]
struct Answer {
    ok: bool,
    diagnostics: Diagnostics,
    schedules: Vec<Next>,
}

/// When one schedule runs next.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Next {
    /// `backup` or `drill`.
    what: &'static str,
    /// `customer/policy`, or `customer/policy/drill`.
    name: String,
    timezone: String,
    /// In that zone, with the offset.
    times: Vec<String>,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let files = args
        .files
        .iter()
        .map(|file| {
            file.canonicalize()
                .with_context(|| format!("cannot read {}", file.display()))
                .hint("name the site file, or a file in policies/ or drills/ beside it")
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let narrowed = |all: Diagnostics| if files.is_empty() { all } else { all.about(&files) };
    let answer = match app.load().await? {
        Ok(setup) => Answer {
            ok: true,
            schedules: upcoming(&setup, Timestamp::now()),
            diagnostics: narrowed(setup.warnings),
        },
        Err(all) => {
            let shown = narrowed(all.clone());
            // What stands in other files makes this site as unusable.
            let diagnostics = if shown.is_empty() { all } else { shown };
            Answer { ok: false, diagnostics, schedules: Vec::new() }
        }
    };
    if app.out.json() {
        app.out.answer(&answer, "")?;
    } else if answer.ok {
        app.out.diagnostics(&answer.diagnostics);
        app.out.answer(&answer, &text(&answer))?;
    } else {
        return Err(answer.diagnostics.into());
    }
    Ok(if answer.ok { Exit::Done } else { Exit::Invalid })
}

fn upcoming(setup: &Setup, now: Timestamp) -> Vec<Next> {
    let next = |what, name: String, schedule: &Schedule| {
        let zone = schedule.zone.time_zone();
        let slots =
            std::iter::successors(schedule.next_after(now), |slot| schedule.next_after(*slot));
        Next {
            what,
            name,
            timezone: zone.iana_name().unwrap_or("UTC").to_owned(),
            times: slots
                .take(NEXT_TIMES)
                .map(|slot| {
                    let local = slot.to_zoned(zone.clone());
                    local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
                })
                .collect(),
        }
    };
    let backups = setup
        .policies
        .iter()
        .filter_map(|policy| Some(next("backup", policy.full_name(), policy.schedule.as_ref()?)));
    let drills = setup
        .drills
        .iter()
        .filter_map(|drill| Some(next("drill", drill.full_name(), drill.schedule.as_ref()?)));
    backups.chain(drills).collect()
}

fn text(answer: &Answer) -> String {
    let mut text = String::from("the configuration is valid\n");
    for next in &answer.schedules {
        let Next { what, name, timezone, times } = next;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n{what} {name} ({timezone})");
        for time in times {
            let _ = writeln!(text, "  {time}");
        }
    }
    text
}
