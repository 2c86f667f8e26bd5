//! What a drill found becomes its record and the details that the report is made from.

use std::time::Duration;

use ignore::gitignore::GitignoreBuilder;

use super::{Rehearsal, Request, Wanted};
use crate::account::Rooms;
use crate::account::journal::Act;
use crate::check::{
    Control, ControlOutcome, ControlResult, Id, Judged, Outcome, PartReason, Verdict, Why,
};
use crate::ground::digest::Digest;
use crate::ground::ids::Name;
use crate::ground::process;
use crate::ledger::details::{self, CheckOutcome, Finding, Phase};
use crate::ledger::record::{Body, DrillFinished, Record};
use crate::policy::sources::SourceKind;
use crate::policy::{Asks, Assertion, CheckSettings, Expectation, FilesAsked, Locale, Policy};
use crate::source::Fault;

impl Rehearsal {
    /// Something of the data is not as it should be.
    pub(super) fn broke(&mut self, id: Id, object: &str, what: &str) {
        self.settle(id, Outcome::broke(object, what), "blobs", Duration::ZERO);
    }

    /// Nothing is known of what `id` asserts.
    pub(super) fn not_run(&mut self, id: Id, why: Why, what: &str) {
        self.settle(id, Outcome::not_run(why, what), "blobs", Duration::ZERO);
    }

    /// One assertion came to its end.
    pub(super) fn settle(&mut self, id: Id, outcome: Outcome, unit: &str, took: Duration) {
        let check = row(&id, &outcome, unit, took);
        self.note(id, outcome, check);
    }

    /// One of the owner's assertions came to its end.
    pub(super) fn settle_check(
        &mut self,
        id: Id,
        judged: Judged,
        settings: &CheckSettings,
        took: Duration,
    ) {
        let (unit, expected) = expected(&settings.asks);
        let Judged { outcome, found, at_capture } = judged;
        let mut check = row(&id, &outcome, unit, took);
        check.name.clone_from(&settings.name);
        check.source = settings.asks.source().cloned();
        check.expected = Some(expected);
        check.found = found;
        check.at_capture = at_capture;
        self.note(id, outcome, check);
    }

    /// A stretch of the drill; `counts`: it is part of the recovery time.
    pub(super) fn phase(&mut self, name: &str, took: Duration, counts: bool) {
        self.phases.push(Phase { name: name.to_owned(), duration_ms: millis(took), counts });
    }

    /// What was declared and never came to its turn.
    fn not_reached(&self) -> impl Iterator<Item = details::Check> {
        let open = self.plan.ids().filter(|id| self.outcomes.get(id).is_none());
        open.map(|id| {
            let skipped = Outcome::not_run(Why::Skipped, "something before it failed");
            row(id, &skipped, "", Duration::ZERO)
        })
    }

    /// The phases that count, added up: what the report shows adds up to what is judged.
    pub(super) fn recovery(&self) -> Duration {
        let counting = self.phases.iter().filter(|phase| phase.counts);
        Duration::from_millis(counting.map(|phase| phase.duration_ms).sum())
    }

    fn note(&mut self, id: Id, outcome: Outcome, check: details::Check) {
        let recorded = self.outcomes.record(id, outcome);
        recorded.expect("only assertions that the plan declares are settled");
        self.checks.push(check);
    }
}

/// What a check compares, and what it expects, in words.
fn expected(asks: &Asks) -> (&'static str, String) {
    let assertion = match asks {
        Asks::Query(query) => &query.assertion,
        Asks::Files(FilesAsked { patterns, expected, .. }) => {
            return ("files", format!("{}: {expected}", patterns.join(" ")));
        }
        Asks::Program(argv) => return ("things", format!("{} is content", argv[0])),
    };
    match assertion {
        Assertion::Expect(expectation @ (Expectation::Rows(_) | Expectation::Matches(_))) => {
            ("rows", expectation.to_string())
        }
        Assertion::Expect(expectation) => ("answers", expectation.to_string()),
        Assertion::FilesIn(source) => ("files", format!("each names a file of {source}")),
    }
}

fn row(id: &Id, outcome: &Outcome, unit: &str, took: Duration) -> details::Check {
    let mut check = details::Check {
        rung: id.rung().to_owned(),
        name: id.to_string(),
        source: id.source().cloned(),
        outcome: CheckOutcome::NotRun,
        compared: 0,
        unit: unit.to_owned(),
        expected: None,
        found: None,
        at_capture: None,
        places: Vec::new(),
        places_total: 0,
        reason: None,
        duration_ms: millis(took),
    };
    match outcome {
        Outcome::Held { compared } => {
            check.outcome = CheckOutcome::Held;
            check.compared = compared.get();
        }
        Outcome::Broke(broken) => {
            check.outcome = CheckOutcome::Broke;
            check.compared = broken.compared();
            check.places_total = broken.total().get();
            check.places = broken
                .places()
                .iter()
                .map(|place| Finding { object: place.object.clone(), what: place.what.clone() })
                .collect();
        }
        Outcome::NotRun(not_run) => check.reason = Some(not_run.what.clone()),
    }
    check
}

/// The line for the ledger and the details it names; the journal fills in their digest.
pub(super) fn compose(
    request: Request<'_>,
    act: &Act,
    policy_digest: Digest,
    rehearsal: &Rehearsal,
    verdict: &Verdict,
    rooms: &Rooms,
) -> (DrillFinished, details::Drill) {
    let finished = line(request, act, policy_digest, rehearsal, verdict);
    let details = drill(request, &finished, rehearsal, verdict, rooms);
    (finished, details)
}

fn line(
    request: Request<'_>,
    act: &Act,
    policy_digest: Digest,
    rehearsal: &Rehearsal,
    verdict: &Verdict,
) -> DrillFinished {
    let measured = rehearsal.measured;
    DrillFinished {
        policy: request.policy.name.clone(),
        drill: request.drill.map(|drill| drill.name.clone()),
        run: act.run,
        slot: act.slot,
        snapshot: rehearsal.point.as_ref().map(|point| point.snapshot),
        verdict: verdict.word(),
        parts: verdict.parts(),
        recovery_ms: measured.recovery.map(millis),
        data_age_ms: measured.data_age.map(millis),
        checks_held: rehearsal.outcomes.held(),
        checks_declared: rehearsal.plan.ids().len() as u64,
        controls_found: rehearsal.controls.iter().filter(|control| was_found(control)).count()
            as u64,
        controls_run: rehearsal.controls.len() as u64,
        policy_digest,
        // The journal sets both.
        details: Digest::ZERO,
        signed: None,
        instead_of: rehearsal.instead_of,
        named: matches!(request.wanted, Wanted::Named(_)),
        searched_for: request.wanted.searched_for(),
        draw: request.wanted.draw(),
        upgrade: !request.upgrades().is_empty(),
    }
}

/// The details of the drill whose line is `finished`.
fn drill(
    request: Request<'_>,
    finished: &DrillFinished,
    rehearsal: &Rehearsal,
    verdict: &Verdict,
    rooms: &Rooms,
) -> details::Drill {
    let Request { setup, policy, .. } = request;
    let customer = setup.customer_of(policy);
    details::Drill {
        format: details::FORMAT,
        lifeboat: env!("CARGO_PKG_VERSION").to_owned(),
        run: finished.run,
        customer: customer.id.clone(),
        customer_names: [Locale::Chinese, Locale::English]
            .map(|locale| (locale.language().to_owned(), customer.name(locale).to_owned()))
            .into(),
        timezone: customer.zone.to_string(),
        policy: policy.name.clone(),
        drill: finished.drill.clone(),
        policy_digest: finished.policy_digest,
        slot: finished.slot,
        started: rehearsal.started,
        finished: rooms.clock.now(),
        point: rehearsal.point.clone(),
        scratch: environment(request, rehearsal),
        verdict: finished.verdict,
        parts: finished.parts,
        reasons: verdict.reasons().iter().map(reason).collect(),
        phases: rehearsal.phases.clone(),
        recovery_ms: finished.recovery_ms,
        rto_ms: policy.objectives.rto.map(millis),
        data_age_ms: finished.data_age_ms,
        rpo_ms: policy.objectives.rpo.map(millis),
        sources: rehearsal.sources.clone(),
        checks: rehearsal.checks.iter().cloned().chain(rehearsal.not_reached()).collect(),
        controls: rehearsal.controls.iter().zip(&rehearsal.injured).map(control).collect(),
        independent: rehearsal.independent.clone(),
        skipped: rehearsal.skipped.clone(),
        not_covered: rehearsal.not_covered.clone(),
        beside: rehearsal.beside.clone(),
    }
}

/// The drill's line as it stands on the ledger, its details' digest filled in.
pub(super) fn as_recorded(record: Option<&Record>) -> Option<DrillFinished> {
    match &record?.event.body {
        Body::DrillFinished(finished) => Some(finished.clone()),
        _ => None,
    }
}

fn reason(found: &PartReason) -> details::Reason {
    details::Reason { part: found.part, why: found.why.clone() }
}

fn control((result, injured): (&ControlResult, &String)) -> details::Control {
    let ControlResult { control: Control { fault, source, must_fail }, outcome } = result;
    let said = match outcome {
        ControlOutcome::Found => "found there".to_owned(),
        ControlOutcome::Missed(said) => said.clone(),
        ControlOutcome::NotRun(not_run) => not_run.what.clone(),
    };
    let fault = match fault {
        Fault::RowChanged => "row-changed",
        Fault::RowRemoved => "row-removed",
        Fault::ByteFlipped => "byte-flipped",
        Fault::BlobHidden => "blob-hidden",
    };
    details::Control {
        fault: fault.to_owned(),
        source: source.clone(),
        injured: injured.clone(),
        expected_check: must_fail.to_string(),
        found: was_found(result),
        said,
        not_run: matches!(outcome, ControlOutcome::NotRun(_)),
    }
}

fn was_found(result: &ControlResult) -> bool {
    result.outcome == ControlOutcome::Found
}

/// The hardware and the settings that the recovery time was measured with.
fn environment(request: Request<'_>, rehearsal: &Rehearsal) -> details::Environment {
    let Request { setup, policy, .. } = request;
    let scratch = &setup.site.scratch.dir;
    let memory = rustix::system::sysinfo();
    let unit = u64::from(memory.mem_unit);
    details::Environment {
        host: process::host_name(),
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
        memory_bytes: memory.totalram.saturating_mul(unit),
        storage: format!("{}, not synced", file_system(scratch)),
        sandbox: rehearsal.confinement.clone().unwrap_or_else(|| "files only".to_owned()),
        store: setup.store_of(setup.customer_of(policy)).url(),
    }
}

/// The kind of file system, by its magic number (statfs(2)).
fn file_system(path: &std::path::Path) -> String {
    let known = [
        (0xef53, "ext4"),
        (0x5846_5342, "xfs"),
        (0x9123_683e, "btrfs"),
        (0x0102_1994, "tmpfs"),
        (0x794c_7630, "overlayfs"),
        (0x2fc1_2fc1, "zfs"),
        (0x6969, "nfs"),
    ];
    match rustix::fs::statfs(path) {
        Ok(found) => known
            .iter()
            .find(|(magic, _)| *magic == i128::from(found.f_type))
            .map_or_else(|| format!("file system {:#x}", found.f_type), |(_, name)| (*name).into()),
        Err(_) => "unknown file system".to_owned(),
    }
}

/// Whether the policy says that a path of this source may be left out.
pub(super) fn may_skip(policy: &Policy, source: &Name) -> impl Fn(&str) -> bool {
    let mut builder = GitignoreBuilder::new("");
    for settings in policy.sources.iter().filter(|settings| settings.name == *source) {
        if let SourceKind::Files(files) = &settings.kind {
            for pattern in &files.may_skip {
                // Loading refused patterns that cannot be read; one that slips by allows nothing.
                let _ = builder.add_line(None, pattern);
            }
        }
    }
    let patterns = builder.build().ok();
    move |path| {
        patterns.as_ref().is_some_and(|patterns| {
            let below = path.trim_start_matches('/');
            // Nobody knows any more whether it was a folder, so patterns for either hold.
            [false, true]
                .into_iter()
                .any(|is_dir| patterns.matched_path_or_any_parents(below, is_dir).is_ignore())
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
