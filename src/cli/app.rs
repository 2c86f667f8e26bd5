//! What every command gets: where the site is, how to answer, whether to stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::hint::Hinting;
use super::interrupt::Interrupt;
use super::output::Output;
use super::{Global, logging};
use crate::account::{self, Account, Rooms};
use crate::ground::clock::SystemClock;
use crate::ground::process;
use crate::ground::progress::Progress;
use crate::ledger::record::Actor;
use crate::policy::{self, Caller, Diagnostics, Policy, PolicyName, Setup};
use crate::sandbox::Launcher;
use crate::source;
use crate::state::State;

/// Where the site file is looked for when `--config` is not given, in this order.
const SITE_FILES: [&str; 2] = ["lifeboat.toml", "/etc/lifeboat/lifeboat.toml"];

/// The surroundings of one command.
pub(super) struct App {
    config: Option<PathBuf>,
    pub(super) out: Output,
    pub(super) interrupt: Interrupt,
}

/// What a command needs that works on the repository behind one policy.
pub(super) struct Opened {
    pub(super) setup: Setup,
    pub(super) policy: Policy,
    pub(super) account: Account,
    pub(super) rooms: Rooms,
}

/// There is no site file where one is looked for.
#[derive(Debug, thiserror::Error)]
#[error("no lifeboat.toml here and no /etc/lifeboat/lifeboat.toml")]
pub(super) struct NoSite;

impl App {
    pub(super) fn new(global: Global) -> Self {
        let out = Output::new(global.json, global.quiet, global.no_progress);
        logging::start(&out, global.verbose, global.quiet);
        Self { config: global.config, out, interrupt: Interrupt::new() }
    }

    /// The site file that `--config` names, or the first that exists where one is looked for.
    ///
    /// Fails with [`NoSite`] where none is found. That a named file exists is not checked here.
    pub(super) fn site_file(&self) -> anyhow::Result<PathBuf> {
        if let Some(named) = &self.config {
            return Ok(named.clone());
        }
        let found = SITE_FILES.iter().map(Path::new).find(|file| file.exists());
        found.map(Path::to_path_buf).ok_or(NoSite).hint(
            "write one with `lifeboat init`, name one with --config, or try `lifeboat quickstart`",
        )
    }

    /// Reads and checks all that users wrote; the inner error holds every fault of every file.
    ///
    /// Fails with [`NoSite`] where there is no site file.
    pub(super) async fn load(&self) -> anyhow::Result<Result<Setup, Diagnostics>> {
        let file = self.site_file()?;
        Ok(tokio::task::spawn_blocking(move || policy::load(&file, &Caller::current())).await?)
    }

    /// The site with its policies and drills, for commands that need a sound one.
    pub(super) async fn setup(&self) -> anyhow::Result<Setup> {
        Ok(self.load().await??)
    }

    /// The same for an act on `policy` alone: mistakes in drills of other policies are told and do not
    /// stand in its way.
    pub(super) async fn setup_for(&self, policy: &PolicyName) -> anyhow::Result<Setup> {
        let (file, name) = (self.site_file()?, policy.clone());
        let load = move || policy::load_for(&file, &Caller::current(), &name);
        let (setup, of_others) = tokio::task::spawn_blocking(load).await??;
        if !of_others.is_empty() {
            let what = format!("{policy} goes on without drills of other policies");
            self.out.error(&anyhow::Error::new(of_others).context(what));
        }
        Ok(setup)
    }

    /// What this process has for itself: opens its state, which must be to be had.
    pub(super) async fn rooms(&self, setup: &Setup) -> anyhow::Result<Rooms> {
        let file = &setup.site.state;
        let state = State::open(file).await.hint(
            "if its disk is full or read-only, mend that; else move the file away: the state may be \
             lost, what is in the bucket stays the truth",
        )?;
        Ok(Rooms {
            state,
            clock: Arc::new(SystemClock),
            progress: self.progress(),
            interrupted: self.interrupt.flag(),
            actor: Actor { name: person(), host: process::host_name() },
            host: Self::host(setup),
            outbox: account::outbox_beside(file),
        })
    }

    /// What sources work with on this host.
    pub(super) fn host(setup: &Setup) -> source::Host {
        source::Host {
            launcher: Launcher::this_program(),
            postgres: source::postgres::Engines::of(&setup.site.engines),
            mysql: source::mysql::Engines::of(&setup.site.engines),
        }
    }

    /// The policy that `name` leads to, with its customer's belongings.
    pub(super) async fn open(&self, name: &PolicyName) -> anyhow::Result<Opened> {
        let setup = self.setup_for(name).await?;
        let policy = setup.policy(name)?.clone();
        let rooms = self.rooms(&setup).await?;
        let account = Account::open(&setup, setup.customer_of(&policy), &rooms).await?;
        Ok(Opened { setup, policy, account, rooms })
    }

    /// What acts report their progress to.
    pub(super) fn progress(&self) -> Arc<dyn Progress> {
        self.out.meter()
    }
}

/// Who runs this: the person behind `sudo`, or the login of the process's user.
fn person() -> String {
    let named = |name| std::env::var(name).ok().filter(|name| !name.is_empty());
    named("SUDO_USER")
        .or_else(|| named("USER"))
        .or_else(|| named("LOGNAME"))
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}
