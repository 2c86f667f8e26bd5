//! What of this host is looked at: each source, scratch, and what confines restored data.

use std::sync::Arc;
use std::time::Duration;

use super::super::advice;
use super::Examination;
use crate::account::Rooms;
use crate::ground::causes::chain;
use crate::ground::ids::Name;
use crate::ground::size::ByteSize;
use crate::policy::sources::{SourceKind, SourceSettings};
use crate::policy::{Policy, Setup};
use crate::sandbox::{self, Bounds, Cage, Confined, Launcher, Limits, Scratch};
use crate::source::{self, Facts, sqlite};

/// What a look at this host found.
struct Looked {
    probes: Vec<(Name, Result<Facts, source::Error>)>,
    free: Result<u64, sandbox::Error>,
    confinement: Result<String, String>,
    walls: Result<String, String>,
}

impl Examination {
    /// Can each source be captured, and is there room to bring it back in a sandbox?
    pub(super) async fn sources(
        &mut self,
        setup: &Setup,
        policy: &Policy,
        rooms: &Rooms,
    ) -> anyhow::Result<()> {
        let site = setup.site.scratch.clone();
        let (settings, rooms) = (policy.sources.clone(), rooms.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let scratch = Scratch::create(&site.dir, site.user.as_deref())?;
            Ok::<_, sandbox::Error>(look(&settings, &Arc::new(scratch), rooms))
        });
        match looked.await? {
            Ok(Looked { probes, free, confinement, walls }) => {
                let needed = self.probed(probes);
                self.room(free, needed);
                self.confinement(confinement);
                self.walls(walls, policy, setup.site.scratch.without_sandbox);
            }
            Err(error) => {
                let hint = "[scratch] dir in the site file: a private folder";
                self.bad("scratch", chain(&error), hint);
            }
        }
        Ok(())
    }

    /// Is there room for what the sources need in scratch?
    fn room(&mut self, free: Result<u64, sandbox::Error>, needed: u64) {
        // A control on a database needs a second copy of it.
        let needed = needed.saturating_mul(2);
        match free {
            Ok(free) if free >= needed => self.good("scratch", format!("{} free", ByteSize(free))),
            Ok(free) => self.bad(
                "scratch",
                format!("{} free, up to {} needed", ByteSize(free), ByteSize(needed)),
                "[scratch] dir in the site file may name another disk",
            ),
            Err(error) => self.bad("scratch", chain(&error), "[scratch] dir in the site file"),
        }
    }

    fn confinement(&mut self, confinement: Result<String, String>) {
        match confinement {
            Ok(confinement) => self.good("sandbox", confinement),
            Err(error) => self.bad(
                "sandbox",
                error,
                "user namespaces or Landlock (Linux 6.7) must be allowed here, or run as root",
            ),
        }
    }

    /// Can servers and restore clients be walled in, where a source needs them?
    fn walls(&mut self, walls: Result<String, String>, policy: &Policy, is_waived: bool) {
        const WHAT: &str = "sandbox for servers";
        let is_file =
            |kind: &SourceKind| matches!(kind, SourceKind::Files(_) | SourceKind::Sqlite(_));
        let is_needed = !policy.sources.iter().all(|source| is_file(&source.kind));
        match walls {
            Ok(_) if is_waived => self.good(WHAT, "waived by [scratch] without_sandbox"),
            Ok(walls) => self.good(WHAT, walls),
            Err(error) if is_needed && !is_waived => self.bad(
                WHAT,
                error,
                "apt install bubblewrap; where it is there, user namespaces must be allowed here, \
                 or run as root",
            ),
            Err(error) => self.good(WHAT, format!("note: not needed here, and {error}")),
        }
    }

    /// What each source's probe said; the bytes that all of them need in scratch.
    fn probed(&mut self, probes: Vec<(Name, Result<Facts, source::Error>)>) -> u64 {
        let mut needed = 0;
        for (name, probed) in probes {
            let what = format!("source {name}");
            match probed {
                Ok(facts) => {
                    needed += facts.scratch_bytes;
                    let engine = if facts.engine.is_empty() { "files" } else { &facts.engine };
                    self.good(&what, format!("{engine}, {}", ByteSize(facts.scratch_bytes)));
                    for warning in facts.warnings {
                        self.good(&what, format!("note: {warning}"));
                    }
                }
                Err(error) => {
                    let policy = &self.policy;
                    let grants = format!("`lifeboat grants {policy}` prints what it must allow");
                    self.bad(&what, chain(&error), advice::of(&error).unwrap_or(&grants));
                }
            }
        }
        needed
    }
}

/// Looks at everything; blocking.
fn look(settings: &[SourceSettings], scratch: &Arc<Scratch>, rooms: Rooms) -> Looked {
    let Rooms { clock, progress, interrupted, host, .. } = rooms;
    let staging = scratch.dir().to_owned();
    let context = source::Context { clock, progress, staging, interrupted, questions: Vec::new() };
    let probe = |one: &SourceSettings| (one.name.clone(), source::of(one, &host).probe(&context));
    Looked {
        probes: settings.iter().map(probe).collect(),
        free: scratch.free_bytes(),
        confinement: confinement(&host.launcher, scratch),
        walls: walls(scratch),
    }
}

fn confinement(launcher: &Launcher, scratch: &Scratch) -> Result<String, String> {
    let limits = Limits {
        memory_bytes: 1 << 30,
        cpu_seconds: 10,
        file_bytes: 1 << 20,
        wall: Duration::from_secs(30),
    };
    let child = Confined::spawn(launcher, sqlite::child::ROLE, scratch, limits)
        .map_err(|error| chain(&error))?;
    let found = child.confinement().to_string();
    child.end().map_err(|error| chain(&error))?;
    Ok(found)
}

/// What walls are worth here, measured.
fn walls(scratch: &Scratch) -> Result<String, String> {
    let bounds = Bounds {
        memory_bytes: 1 << 30,
        processes: 64,
        file_bytes: 1 << 20,
        wall: Duration::from_secs(30),
    };
    let cage = Cage::raise(scratch, scratch.dir(), &[], bounds).map_err(|error| chain(&error))?;
    Ok(cage.confinement().to_owned())
}
