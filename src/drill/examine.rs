//! The upper rungs: engines start on what came back, check themselves, and are compared with what
//! was captured; then the owner's assertions, then the controls.
//!
//! Blocking, on one thread of its own. Recovery time ends when every source has answered.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::fetch::Fetched;
use super::independent::{Asked, real_folder};
use super::starting::{Begun, Starting};
use super::up::Up;
use super::{Error, Rehearsal, Request, controls};
use crate::account::Rooms;
use crate::check::{Id, Outcome, Why};
use crate::ground::causes::chain;
use crate::ground::ids::Name;
use crate::ground::progress::Progress;
use crate::policy::{Asks, CheckSettings};
use crate::restore::{self, Compared};
use crate::sandbox::{Launcher, Scratch};
use crate::source::{Capture, Source, Trouble};

/// What the thread needs; it outlives no borrow of the act.
pub(super) struct Bench {
    pub(super) fetched: Fetched,
    pub(super) scratch: Arc<Scratch>,
    pub(super) progress: Arc<dyn Progress>,
    pub(super) runtime: Handle,
    pub(super) launcher: Launcher,
    checks: Vec<CheckSettings>,
    /// All sources of the policy.
    pub(super) sources: Vec<Name>,
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
        if let Err(error) = self.scratch.still_to_write(self.fetched.later_bytes) {
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
        let asked = self.fetched.copied.as_ref().map(|_| up.iter_mut().map(Asked::of).collect());
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
        let mut down = stop(rest, rehearsal);
        if controls {
            tracing::info!(phase = "controls");
            self.progress.phase("controls", None);
            controls::run(self, &mut standing, &down, rehearsal);
        }
        down.extend(stop(standing, rehearsal));
        if let (Some(copied), Some(asked)) = (&self.fetched.copied, asked) {
            self.restore_again(copied, asked, &down, rehearsal);
        }
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
        let Begun { source, capture, onto, ready } = begun;
        let data = real_folder(self.fetched.request.to.join(name.as_str()))?;
        let mut recovered = match ready {
            Some(ready) => ready?.recover(&data, &self.scratch)?,
            None => source.recover(&capture, &data, &self.scratch)?,
        };
        // Recovery ends with an answer, not with a process that runs.
        recovered.first_answer()?;
        Ok(Up { name, source, capture, onto, data, recovered })
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
pub(super) fn joined(confinements: impl Iterator<Item = String>) -> Option<String> {
    let all: Vec<String> = confinements.collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Stops every source; one that does not end leaves its start in doubt.
fn stop(up: Vec<Up>, rehearsal: &mut Rehearsal) -> Vec<Down> {
    let mut down = Vec::new();
    for Up { name, source, capture, data, recovered, .. } in up {
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
