//! `lifeboat doctor`: can each policy run here?

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::output::visible;
use super::{App, Exit, advice};
use crate::account::{self, Place, Rooms};
use crate::ground::causes::chain;
use crate::ground::ids::Name;
use crate::ground::size::ByteSize;
use crate::policy::sources::SourceKind;
use crate::policy::{Policy, PolicyName, Setup};
use crate::sandbox::{Bounds, Cage, Confined, Launcher, Limits, Scratch};
use crate::source::{self, Facts, sqlite};
use crate::store::{self, Creation};

/// Check what policies need here: tools, log-ins, store access, space for scratch
///
/// Writes one small probe object to each store and removes it again.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policies to check [default: all]
    #[arg(value_name = "POLICY")]
    policies: Vec<PolicyName>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    policy: String,
    what: String,
    ok: bool,
    found: String,
    /// What to do about it.
    hint: Option<String>,
}

/// What the findings of one policy are gathered in.
struct Examination {
    policy: String,
    findings: Vec<Finding>,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let setup = app.setup().await?;
    let policies = setup.policies_or_all(&args.policies)?;
    let rooms = app.rooms(&setup).await?;
    let mut findings = Vec::new();
    for policy in policies {
        let mut examination = Examination { policy: policy.full_name(), findings: Vec::new() };
        examination.keys(&setup, policy);
        examination.store(&setup, policy).await;
        examination.sources(&setup, policy, &rooms).await?;
        examination.hooks(policy);
        findings.append(&mut examination.findings);
    }
    app.out.answer(&findings, &text(&findings))?;
    let sound = findings.iter().all(|finding| finding.ok);
    Ok(if sound { Exit::Done } else { Exit::Failed })
}

impl Examination {
    fn good(&mut self, what: &str, found: impl Into<String>) {
        self.add(what, true, found.into(), None);
    }

    fn bad(&mut self, what: &str, found: impl Into<String>, hint: &str) {
        self.add(what, false, found.into(), Some(hint.to_owned()));
    }

    fn add(&mut self, what: &str, ok: bool, found: String, hint: Option<String>) {
        let policy = self.policy.clone();
        self.findings.push(Finding { policy, what: what.to_owned(), ok, found, hint });
    }

    /// Can the password and the signing key be read?
    fn keys(&mut self, setup: &Setup, policy: &Policy) {
        let customer = setup.customer_of(policy);
        match customer.repository_password.reveal() {
            Ok(_) => self.good("repository password", "readable"),
            Err(error) => self.bad(
                "repository password",
                chain(&error),
                "the customer's repository_password in the site file says where it is kept",
            ),
        }
        match account::signer(setup) {
            Ok(Some(signer)) => self.good("signing key", signer.fingerprint()),
            Ok(None) => self.bad(
                "signing key",
                "none is declared: the ledger is not signed",
                "add [signing] to the site file, with a key made by `ssh-keygen -t ed25519`",
            ),
            Err(error) => {
                self.bad("signing key", chain(&error), "[signing] in the site file names it");
            }
        }
    }

    /// Can an object be created once, read back and deleted?
    async fn store(&mut self, setup: &Setup, policy: &Policy) {
        let customer = setup.customer_of(policy);
        let place = match Place::open(setup, customer).await {
            Ok(place) => place,
            Err(error) => {
                let hint = advice::of(&error).unwrap_or("the site file says where the store is");
                return self.bad("store", chain(&error), hint);
            }
        };
        // The one folder in which keys that may not delete a backup can delete at all; readers
        // pass over what is no lock.
        match store::probe(&*place.repository, "locks").await {
            Ok(Creation::Refused) => {
                let found = format!("{}: create once, read, delete", place.repository.place());
                self.good("store", found);
            }
            Ok(Creation::Replaced) => self.bad(
                "store",
                format!("{}: what was created can be created again", place.repository.place()),
                "it may hold a repository, but no ledger: take a service that honours \
                 `If-None-Match: *`",
            ),
            Err(error) => {
                let hint = advice::of(&error).unwrap_or("the store must be ours to write");
                self.bad("store", chain(&error), hint);
            }
        }
    }

    /// Can each source be captured, and is there room to bring it back in a sandbox?
    async fn sources(
        &mut self,
        setup: &Setup,
        policy: &Policy,
        rooms: &Rooms,
    ) -> anyhow::Result<()> {
        let (dir, user) = (setup.site.scratch.dir.clone(), setup.site.scratch.user.clone());
        let is_waived = setup.site.scratch.without_sandbox;
        let settings = policy.sources.clone();
        let (clock, progress) = (rooms.clock.clone(), rooms.progress.clone());
        let (interrupted, host) = (rooms.interrupted.clone(), rooms.host.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let scratch = match Scratch::create(&dir, user.as_deref()) {
                Ok(scratch) => Arc::new(scratch),
                Err(error) => return Err(chain(&error)),
            };
            let staging = scratch.dir().to_owned();
            let context = source::Context { clock, progress, staging, interrupted };
            let probes: Vec<_> = settings
                .iter()
                .map(|one| (one.name.clone(), source::of(one, &host).probe(&context)))
                .collect();
            let confinement = confinement(&host.launcher, &scratch);
            Ok((probes, scratch.free_bytes(), confinement, walls(&scratch)))
        })
        .await?;
        let (probes, free, confinement, walls) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                self.bad("scratch", error, "[scratch] dir in the site file: a private folder");
                return Ok(());
            }
        };
        let needed = self.probed(probes);
        match free {
            // A control on a database needs a second copy of it.
            Ok(free) if free >= needed.saturating_mul(2) => {
                self.good("scratch", format!("{} free", ByteSize(free)));
            }
            Ok(free) => self.bad(
                "scratch",
                format!(
                    "{} free, up to {} needed",
                    ByteSize(free),
                    ByteSize(needed.saturating_mul(2))
                ),
                "[scratch] dir in the site file may name another disk",
            ),
            Err(error) => self.bad("scratch", chain(&error), "[scratch] dir in the site file"),
        }
        match confinement {
            Ok(confinement) => self.good("sandbox", confinement),
            Err(error) => self.bad(
                "sandbox",
                error,
                "user namespaces or Landlock (Linux 6.7) must be allowed here, or run as root",
            ),
        }
        self.walls(walls, policy, is_waived);
        Ok(())
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
                    let hint = format!(
                        "it must be there; `lifeboat grants {}` prints what it must allow",
                        self.policy
                    );
                    self.bad(&what, chain(&error), &hint);
                }
            }
        }
        needed
    }

    /// Are the hooks' programs there?
    fn hooks(&mut self, policy: &Policy) {
        for (what, argv) in
            [("hook before", &policy.hooks.before), ("hook after", &policy.hooks.after)]
        {
            let Some(program) = argv.as_ref().and_then(|argv| argv.first()) else { continue };
            let mode = std::fs::metadata(program)
                .map(|found| std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o111);
            match mode {
                Ok(0) => self.bad(what, format!("{program} is not executable"), "chmod +x it"),
                Ok(_) => self.good(what, program),
                Err(error) => {
                    self.bad(what, format!("{program}: {error}"), "name it by its absolute path");
                }
            }
        }
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

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    let mut policy = "";
    for finding in findings {
        // Writing to a string cannot fail.
        if finding.policy != policy {
            policy = &finding.policy;
            let _ = writeln!(text, "{policy}");
        }
        let mark = if finding.ok { "ok  " } else { "FAIL" };
        let _ = writeln!(text, "  {mark}  {:<20} {}", finding.what, visible(&finding.found));
        if let Some(hint) = &finding.hint {
            let _ = writeln!(text, "        {:<20} hint: {hint}", "");
        }
    }
    if findings.is_empty() {
        text.push_str("no policies yet: `lifeboat init` writes a first one");
    }
    text
}
