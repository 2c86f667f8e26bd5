//! The upper rungs: engines start on what came back, check themselves, and are compared with what
//! was captured; then the owner's assertions, then the controls.
//!
//! Blocking, on one thread of its own. Recovery time ends when every source has answered.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::fetch::Fetched;
use super::starting::{Begun, Starting};
use super::{Error, Rehearsal, Request, controls, programs};
use crate::account::Rooms;
use crate::check::{self, Id, Judged, Outcome, Then, Why};
use crate::ground::causes::chain;
use crate::ground::ids::Name;
use crate::ground::progress::Progress;
use crate::ledger::details::{PartCompared, SourceRecovered};
use crate::policy::{Asks, Assertion, CheckSettings, Query};
use crate::restore::{self, Compared};
use crate::sandbox::{Launcher, Scratch};
use crate::source::{self, Answered, Capture, Fingerprint, Place, Recovered, Source, Trouble};

/// What the thread needs; it outlives no borrow of the act.
pub(super) struct Bench {
    pub(super) fetched: Fetched,
    pub(super) scratch: Arc<Scratch>,
    pub(super) progress: Arc<dyn Progress>,
    pub(super) runtime: Handle,
    launcher: Launcher,
    checks: Vec<CheckSettings>,
    /// All sources of the policy.
    sources: Vec<Name>,
}

/// A source that was brought up.
pub(super) struct Up {
    pub(super) name: Name,
    pub(super) source: Box<dyn Source>,
    pub(super) capture: Capture,
    pub(super) data: PathBuf,
    pub(super) recovered: Box<dyn Recovered>,
}

/// Climbs the rungs above restore.
pub(super) async fn run(
    request: Request<'_>,
    fetched: Fetched,
    starting: Vec<Starting>,
    scratch: &Arc<Scratch>,
    mut rehearsal: Rehearsal,
    rooms: &Rooms,
) -> Result<Rehearsal, Error> {
    let bench = Bench {
        fetched,
        scratch: scratch.clone(),
        progress: rooms.progress.clone(),
        runtime: Handle::current(),
        launcher: rooms.host.launcher.clone(),
        sources: request.policy.sources.iter().map(|source| source.name.clone()).collect(),
        checks: request.drill.map_or_else(Vec::new, |drill| drill.checks.clone()),
    };
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || {
        span.in_scope(|| bench.examine(starting, &mut rehearsal));
        rehearsal
    })
    .await
    .map_err(Error::Thread)
}

impl Bench {
    fn examine(&self, starting: Vec<Starting>, rehearsal: &mut Rehearsal) {
        tracing::info!(phase = "start");
        self.progress.phase("start", None);
        let declared = starting.len();
        let mut up = self.start(starting, rehearsal);
        rehearsal.confinement = confinements(&up);
        if let Err(error) = self.scratch.still_to_write(0) {
            // It only keeps others waiting.
            tracing::warn!(error = chain(&error), "cannot give reserved room back");
        }
        if up.len() == declared {
            rehearsal.measured.recovery = Some(rehearsal.recovery());
        }
        tracing::info!(phase = "checks");
        self.progress.phase("check", None);
        let content = self.compare_with_trees(rehearsal);
        for source in &mut up {
            source.judge(content.as_ref(), rehearsal);
        }
        // Programs last: what one does to a scratch copy must not be what another check looks at.
        let mut checks: Vec<_> = self.checks.iter().enumerate().collect();
        checks.sort_by_key(|(_, check)| matches!(check.asks, Asks::Program(_)));
        for (number, check) in checks {
            let begun = Instant::now();
            let id = Id::Check(number, check.name.clone());
            let judged = self.ask(&id, check, &mut up, rehearsal);
            rehearsal.settle_check(id, judged, check, begun.elapsed());
        }
        let controls = !rehearsal.plan.controls().is_empty();
        let (mut standing, rest): (Vec<_>, Vec<_>) =
            up.into_iter().partition(|up| controls && up.recovered.undoes_faults());
        let down = stop(rest, rehearsal);
        if controls {
            tracing::info!(phase = "controls");
            self.progress.phase("controls", None);
            controls::run(self, &mut standing, &down, rehearsal);
        }
        stop(standing, rehearsal);
    }

    /// Brings up every source of the policy that the snapshot holds; the load and start phases.
    fn start(&self, starting: Vec<Starting>, rehearsal: &mut Rehearsal) -> Vec<Up> {
        let mut up = Vec::new();
        for Starting { name, begun: source } in starting {
            let begun = Instant::now();
            let id = Id::Start(name.clone());
            let outcome = match source.map(|source| self.bring_up(name.clone(), source)) {
                Ok(Ok(source)) => {
                    up.push(source);
                    Outcome::of(1, [])
                }
                Ok(Err(trouble)) => Outcome::of_trouble(&id, &trouble),
                Err(absent) => Outcome::not_run(Why::NotApplicable, absent),
            };
            let took = begun.elapsed();
            rehearsal.settle(id, outcome, "engines", took);
            rehearsal.phase(&format!("start {name}"), took, true);
        }
        up
    }

    fn bring_up(&self, name: Name, begun: Begun) -> Result<Up, Trouble> {
        let Begun { source, capture, ready } = begun;
        let data = self.fetched.request.to.join(name.as_str());
        let mut recovered = match ready {
            Some(ready) => ready?.recover(&data, &self.scratch)?,
            None => source.recover(&capture, &data, &self.scratch)?,
        };
        // Recovery ends with an answer, not with a process that runs.
        recovered.first_answer()?;
        Ok(Up { name, source, capture, data, recovered })
    }

    /// The restore rung: everything on the scratch disk, read back, is what the trees record.
    fn compare_with_trees(&self, rehearsal: &mut Rehearsal) -> Option<Compared> {
        let begun = Instant::now();
        let compared = self.read_back();
        let outcome = match &compared {
            Ok(compared) => whole(compared),
            Err(error) => of_restore(&Id::Restore, error),
        };
        rehearsal.settle(Id::Restore, outcome, "entries", begun.elapsed());
        compared.ok()
    }

    /// Reads everything back from the scratch disk and compares it with the trees.
    pub(super) fn read_back(&self) -> Result<Compared, restore::Error> {
        let Fetched { reader, tree, request, .. } = &self.fetched;
        let progress = self.progress.clone();
        self.runtime.block_on(restore::recheck(reader, *tree, request, progress))
    }

    /// What became of one of the owner's assertions.
    fn ask(
        &self,
        id: &Id,
        check: &CheckSettings,
        up: &mut [Up],
        rehearsal: &mut Rehearsal,
    ) -> Judged {
        match &check.asks {
            Asks::Query(query) => Self::query(id, check, query, up),
            Asks::Files(asked) => match folder_of(&asked.source, up) {
                Ok(folder) => {
                    check::files(asked, &folder, check.deadline, &self.scratch, &self.launcher)
                }
                Err(not_up) => not_up.into(),
            },
            Asks::Program(argv) => match self.missing(up) {
                None => {
                    let (judged, confined) =
                        programs::ask(id, argv, check.deadline, up, &self.scratch);
                    rehearsal.confinement =
                        joined(rehearsal.confinement.take().into_iter().chain(confined));
                    judged
                }
                Some(name) => not_up(name).into(),
            },
        }
    }

    /// A source that did not come up.
    fn missing(&self, up: &[Up]) -> Option<&Name> {
        self.sources.iter().find(|name| up.iter().all(|up| up.name != **name))
    }

    fn query(id: &Id, check: &CheckSettings, query: &Query, up: &mut [Up]) -> Judged {
        let folder = match &query.assertion {
            Assertion::FilesIn(wanted) => folder_of(wanted, up).ok(),
            Assertion::Expect(_) => None,
        };
        let Some(source) = up.iter_mut().find(|up| up.name == query.source) else {
            return not_up(&query.source).into();
        };
        let database = query.database.as_deref();
        let rows = match source.recovered.query(database, &query.text, check.deadline) {
            Ok(rows) => rows,
            Err(trouble) => return Outcome::of_trouble(id, &trouble).into(),
        };
        match (&query.assertion, folder) {
            (Assertion::Expect(expectation), _) => {
                check::expect(&check.name, expectation, &rows, &source.then(query))
            }
            (Assertion::FilesIn(_), Some(folder)) => Judged {
                outcome: check::files_in(&rows, &folder),
                found: Some(format!("{} names", rows.rows.len())),
                at_capture: None,
            },
            (Assertion::FilesIn(wanted), None) => not_up(wanted).into(),
        }
    }
}

/// Where the files of the source `wanted` came out; the outcome where they did not.
fn folder_of(wanted: &Name, up: &[Up]) -> Result<PathBuf, Outcome> {
    let source = up.iter().find(|up| up.name == *wanted);
    let folder = source.and_then(|up| up.recovered.files());
    folder.map(ToOwned::to_owned).ok_or_else(|| not_up(wanted))
}

fn not_up(source: &Name) -> Outcome {
    Outcome::not_run(Why::Skipped, format!("the source {source} is not up"))
}

impl Up {
    /// What the capture says of a check.
    fn then<'a>(&'a self, query: &'a Query) -> Then<'a> {
        let same = |one: &&Answered| one.query == query.text && one.database == query.database;
        Then {
            moment: self.capture.consistent_time,
            answered: self.capture.answers.iter().find(same),
            zone: &query.zone,
        }
    }

    /// The engine's own check, then equality with what was captured.
    fn judge(&mut self, content: Option<&Compared>, rehearsal: &mut Rehearsal) {
        let begun = Instant::now();
        let id = Id::SelfCheck(self.name.clone());
        let outcome = match self.recovered.self_check() {
            Ok(checked) => Outcome::of_self_check(checked),
            Err(trouble) => Outcome::of_trouble(&id, &trouble),
        };
        rehearsal.settle(id, outcome, self.checked_unit(), begun.elapsed());

        let begun = Instant::now();
        let id = Id::Equality(self.name.clone());
        let restored = self.recovered.fingerprint();
        let outcome = match &restored {
            Ok(restored) => self.equality(restored, content),
            Err(trouble) => Outcome::of_trouble(&id, trouble),
        };
        rehearsal.sources.push(self.compared(restored.ok().as_ref(), content));
        rehearsal.settle(id, outcome, self.unit(), begun.elapsed());
    }

    /// A fingerprint of files speaks of names and metadata; their content is equal only if reading
    /// all of it back found no difference either.
    fn equality(&self, restored: &Fingerprint, content: Option<&Compared>) -> Outcome {
        let Capture { kind, fingerprint, .. } = &self.capture;
        let named = check::compare(*kind, fingerprint, restored);
        if let Some(why) = self.capture.unheld()
            && !matches!(named, Outcome::Broke(_))
        {
            return Outcome::not_run(Why::NotApplicable, why);
        }
        match (named, content) {
            (named, _) if *kind != source::Kind::Files => named,
            // A folder that lost its content, as where its disk is not mounted, is there itself.
            (Outcome::Held { .. }, _) if self.capture.holds_nothing() => {
                let what = "each of its paths was an empty folder, or an empty file";
                Outcome::not_run(Why::NothingToCompare, what)
            }
            (Outcome::Held { compared }, Some(content)) => {
                let below = format!("{}/", self.name);
                let here = |place: &&Place| {
                    place.object.split_once(' ').is_some_and(|(_, path)| path.starts_with(&below))
                };
                let told = content.differences.len() as u64;
                if content.total_differences > told {
                    return whole(content);
                }
                Outcome::of(compared.get(), content.differences.iter().filter(here).cloned())
            }
            (Outcome::Held { .. }, None) => {
                Outcome::not_run(Why::Skipped, "the files' content was not read back")
            }
            (named, _) => named,
        }
    }

    /// Whether nothing that was read back below `path`, a part of the fingerprint, differs; a
    /// database's fingerprint is of its content already.
    fn content_is_equal(&self, path: &str, content: Option<&Compared>) -> bool {
        if self.capture.kind != source::Kind::Files {
            return true;
        }
        let top = format!("{}{}", self.name, path.trim_end_matches('/'));
        let is_below = |place: &Place| {
            let path = place.object.split_once(' ').map_or("", |(_, path)| path);
            path.strip_prefix(&top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        content.is_some_and(|content| {
            content.total_differences == content.differences.len() as u64
                && !content.differences.iter().any(is_below)
        })
    }

    fn checked_unit(&self) -> &'static str {
        match self.capture.kind {
            source::Kind::Files | source::Kind::Command => "entries",
            source::Kind::Sqlite => "pages",
            source::Kind::Postgres => "relations",
            source::Kind::Redis => "keys",
            source::Kind::Mariadb | source::Kind::Mysql => "tables",
        }
    }

    fn unit(&self) -> &'static str {
        match self.capture.kind {
            source::Kind::Files | source::Kind::Command => "entries",
            source::Kind::Sqlite
            | source::Kind::Postgres
            | source::Kind::Mariadb
            | source::Kind::Mysql => "rows",
            source::Kind::Redis => "keys",
        }
    }

    /// What the report shows of this source.
    fn compared(
        &self,
        restored: Option<&Fingerprint>,
        content: Option<&Compared>,
    ) -> SourceRecovered {
        let Capture { kind, fingerprint, .. } = &self.capture;
        let captured = &fingerprint.parts;
        let none = std::collections::BTreeMap::new();
        let restored = restored.map_or(&none, |restored| &restored.parts);
        let mut names: Vec<_> = captured.keys().chain(restored.keys()).collect();
        names.sort();
        names.dedup();
        if fingerprint.version != kind.fingerprint_version() {
            // No part is known to be equal, and none to differ.
            names.clear();
        }
        let part = |name: &String| PartCompared {
            name: name.clone(),
            rows_captured: captured.get(name).map(|part| part.rows),
            rows_restored: restored.get(name).map(|part| part.rows),
            equal: captured.get(name) == restored.get(name) && self.content_is_equal(name, content),
        };
        SourceRecovered {
            source: self.name.clone(),
            kind: kind.to_string(),
            engine: self.capture.engine.clone(),
            captured_on: self.capture.host.clone(),
            consistent_time: Some(self.capture.consistent_time),
            entries: self.capture.entries,
            bytes: self.capture.bytes,
            parts: names.into_iter().map(part).collect(),
        }
    }
}

/// A source that is down again; a control may bring a copy of it up.
pub(super) struct Down {
    pub(super) name: Name,
    pub(super) source: Box<dyn Source>,
    pub(super) capture: Capture,
    pub(super) data: PathBuf,
}

/// How what opens each source's data is confined: one alone, several by their sources.
fn confinements(up: &[Up]) -> Option<String> {
    let told: Vec<(&Name, String)> =
        up.iter().filter_map(|up| Some((&up.name, up.recovered.confinement()?))).collect();
    match told.len() {
        0 | 1 => told.into_iter().next().map(|(_, only)| only),
        _ => joined(told.iter().map(|(name, confinement)| format!("{name}: {confinement}"))),
    }
}

/// All of them in one line; none for none.
fn joined(confinements: impl Iterator<Item = String>) -> Option<String> {
    let all: Vec<String> = confinements.collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Stops every source; one that does not end leaves its start in doubt.
fn stop(up: Vec<Up>, rehearsal: &mut Rehearsal) -> Vec<Down> {
    let mut down = Vec::new();
    for Up { name, source, capture, data, recovered } in up {
        if let Err(trouble) = recovered.stop() {
            let id = Id::Start(name.clone());
            let outcome = Outcome::of_trouble(&id, &trouble);
            rehearsal.settle(id, outcome, "engines", Duration::ZERO);
        }
        down.push(Down { name, source, capture, data });
    }
    down
}

/// The outcome of reading everything back.
pub(super) fn whole(compared: &Compared) -> Outcome {
    Outcome::of(compared.entries, compared.differences.iter().cloned())
}

pub(super) fn of_restore(id: &Id, error: &restore::Error) -> Outcome {
    if error.is_environment() {
        Outcome::not_run(Why::Environment, chain(error))
    } else {
        Outcome::broke(id.to_string(), chain(error))
    }
}
