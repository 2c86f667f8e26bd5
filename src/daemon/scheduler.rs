//! The scheduler: one turn looks what has come, starts what may start, and says how things stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;
use tracing::Instrument as _;

use super::calendar::Calendar;
use super::ending::{Ended, Stage};
use super::queue::{Queue, Task};
use super::series::Series;
use super::settle::{self, Outcome};
use super::trouble::{self, Trouble};
use super::work::{self, End};
use super::{Error, House, Wish, systemd};
use crate::account::Rooms;
use crate::account::journal::slots::Slot;
use crate::ground::causes::chain;
use crate::ground::ids::Name;
use crate::policy::{Diagnostics, Setup};
use crate::source;
use crate::source::postgres::Engines;
use crate::state::{self, Board, Lease};

/// The longest that the loop stands still.
const TURN: Duration = Duration::from_secs(1);
/// How often the daemon's own lease is renewed.
const RENEW: Duration = Duration::from_secs(2 * 60);

/// What was done beside the loop.
pub(super) enum News {
    Ran(Series, End),
    Settled(Name, Outcome),
    Loaded(Result<Box<Setup>, Diagnostics>),
}

/// A customer whose ledger this daemon keeps.
struct Kept {
    /// Since when its policies are declared as they are.
    since: Timestamp,
    /// When its past is settled next.
    next: Timestamp,
    is_settling: bool,
    /// What is being settled is so by a configuration that is no longer in force.
    is_stale: bool,
    attempts: u32,
}

/// The daemon between two turns.
pub(super) struct Scheduler {
    pub(super) house: House,
    pub(super) setup: Arc<Setup>,
    pub(super) queue: Queue,
    pub(super) stage: Stage,
    calendar: Calendar,
    customers: BTreeMap<Name, Kept>,
    lease: Lease,
    renewed: Instant,
    /// Set where another daemon took the state over.
    lost: Option<state::Error>,
    refused: Option<String>,
    posted: Option<Board>,
    send: UnboundedSender<News>,
}

impl Scheduler {
    /// A daemon that holds `lease` and has not turned yet; what is done beside it comes by `send`.
    pub(super) fn new(
        setup: Setup,
        house: House,
        lease: Lease,
        send: UnboundedSender<News>,
    ) -> Self {
        let mut scheduler = Self {
            house,
            calendar: Calendar::default(),
            setup: Arc::new(setup.clone()),
            queue: Queue::default(),
            stage: Stage::Serving,
            customers: BTreeMap::new(),
            lease,
            renewed: Instant::now(),
            lost: None,
            refused: None,
            posted: None,
            send,
        };
        scheduler.take_over(setup);
        scheduler
    }

    /// Serves `setup` from now on. The past of every customer is settled anew: what was due until
    /// now follows the policies as they were, what comes follows them as they are.
    fn take_over(&mut self, setup: Setup) {
        let now = self.house.clock.now();
        self.calendar = Calendar::of(&setup);
        let mut before = std::mem::take(&mut self.customers);
        for policy in &setup.policies {
            let customer = &policy.customer;
            let is_settling = before.remove(customer).is_some_and(|kept| kept.is_settling);
            let kept =
                Kept { since: now, next: now, is_settling, is_stale: is_settling, attempts: 0 };
            self.customers.entry(customer.clone()).or_insert(kept);
        }
        let rooms = &self.house.rooms;
        let engines = Engines::of(&setup.site.engines);
        let host = source::Host { engines, ..rooms.host.clone() };
        self.house.rooms = Arc::new(Rooms { host, ..(**rooms).clone() });
        self.setup = Arc::new(setup);
        let Self { calendar, queue, .. } = self;
        queue.keep(|series| calendar.has(series));
    }

    /// Looks once at everything; answers how it ended, if it did.
    pub(super) async fn turn(&mut self) -> Option<Ended> {
        let now = self.house.clock.now();
        self.hold_on().await;
        if matches!(self.stage, Stage::Serving) {
            // On the board before anything is decided: from then on the slots are ours to answer.
            self.post().await;
            self.settle_what_is_due(now);
            for come in self.calendar.come(now) {
                self.offer(come.into());
            }
            while let Some(task) = self.queue.start(now, self.setup.site.daemon.parallel) {
                self.start(task);
            }
        }
        self.post().await;
        systemd::alive(&self.status());
        self.ended()
    }

    /// How long nothing will happen, by the machine's clock.
    pub(super) fn pause(&self) -> Duration {
        let now = self.house.clock.now();
        let settling = self.customers.values().filter(|kept| !kept.is_settling);
        let next = settling.map(|kept| kept.next).chain(self.calendar.next());
        let next = next.chain(self.queue.next(now)).min();
        let turn = systemd::watchdog().map_or(TURN, |watchdog| TURN.min(watchdog / 3));
        let until = next.map(|next| now.duration_until(next).try_into().unwrap_or(Duration::ZERO));
        until.map_or(turn, |until| self.house.clock.wait(until).min(turn))
    }

    /// Somebody wishes for something.
    pub(super) fn heed(&mut self, wish: Wish) {
        match wish {
            Wish::End => self.end_nearer(),
            Wish::Reload => {
                systemd::reloading();
                let (load, send) = (self.house.load.clone(), self.send.clone());
                tokio::task::spawn_blocking(move || {
                    // Nobody listens any more once the daemon has ended.
                    let _ = send.send(News::Loaded(load().map(Box::new)));
                });
            }
        }
    }

    /// Something that was done beside the loop is over.
    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Ran(series, end) => self.ran(&series, end),
            News::Settled(customer, outcome) => self.settled(&customer, outcome),
            News::Loaded(loaded) => self.loaded(loaded),
        }
    }

    /// Gives back what only a daemon holds. Fails where another one took it over.
    pub(super) async fn leave(self) -> Result<(), Error> {
        if let Some(lost) = self.lost {
            return Err(lost.into());
        }
        self.lease.take_down().await?;
        Ok(self.lease.release().await?)
    }

    fn loaded(&mut self, loaded: Result<Box<Setup>, Diagnostics>) {
        match loaded {
            Ok(setup) if setup.site.state != self.setup.site.state => {
                self.refuse("the state is another one: that needs a restart".into());
            }
            Ok(setup) => {
                tracing::info!(policies = setup.policies.len(), "the configuration was read again");
                self.refused = None;
                self.take_over(*setup);
            }
            Err(diagnostics) => {
                let errors: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
                self.refuse(errors.join("; "));
            }
        }
        systemd::ready();
    }

    fn refuse(&mut self, why: String) {
        tracing::error!(why, "the new configuration is refused; the one before stays in force");
        self.refused = Some(why);
    }

    fn offer(&mut self, task: Task) {
        let Task { series, slot, .. } = &task;
        tracing::debug!(%series, %slot, at = %task.at, "due");
        if let Some(before) = self.queue.offer(task) {
            let Task { series, slot, error, .. } = before;
            tracing::warn!(%series, %slot, error, "not run before the next slot came");
        }
    }

    fn start(&self, task: Task) {
        let (setup, rooms) = (self.setup.clone(), self.house.rooms.clone());
        let (send, series) = (self.send.clone(), task.series.clone());
        let span = tracing::info_span!("slot", %series, slot = %task.slot, attempt = task.attempts);
        let work = tokio::spawn(work::run(task, setup, rooms).instrument(span));
        tokio::spawn(async move {
            let end = work.await.unwrap_or_else(|died| End::Failed {
                trouble: Trouble::Lasting,
                is_on_record: true,
                error: died.to_string(),
            });
            // Nobody listens any more once the daemon has ended.
            let _ = send.send(News::Ran(series, end));
        });
    }

    fn ran(&mut self, series: &Series, end: End) {
        let Some(mut task) = self.queue.ended(series) else { return };
        let now = self.house.clock.now();
        let slot = task.slot;
        match end {
            End::Done => {}
            End::Answered { was_run: true } => {
                tracing::info!(%series, %slot, "was run already");
            }
            End::Answered { was_run: false } => {
                tracing::warn!(%series, %slot, "is on record as missed; run without a slot");
                self.queue.again(Task { answers: false, at: now, ..task });
            }
            End::Failed { trouble, is_on_record, error } => {
                task.attempts += 1;
                task.answers &= !is_on_record;
                if task.attempts >= trouble.tries(is_on_record) {
                    tracing::error!(%series, %slot, error, "came to nothing");
                    return;
                }
                let pause = trouble::pause(&self.setup.site.daemon, task.attempts);
                tracing::warn!(
                    %series, %slot, error, attempts = task.attempts, seconds = pause.as_secs(),
                    "came to nothing; will be tried again"
                );
                task.error = Some(error);
                task.at = now.checked_add(pause).unwrap_or(now);
                self.queue.again(task);
            }
        }
    }

    fn settle_what_is_due(&mut self, now: Timestamp) {
        let due = |(_, kept): &(&Name, &mut Kept)| !kept.is_settling && kept.next <= now;
        for (customer, kept) in self.customers.iter_mut().filter(due) {
            kept.is_settling = true;
            let spared: BTreeSet<_> = self
                .queue
                .answering()
                .filter(|task| task.series.customer == *customer)
                .map(|task| {
                    let Series { policy, drill, .. } = &task.series;
                    (policy.clone(), Slot { time: task.slot, drill: drill.clone() })
                })
                .collect();
            let (setup, rooms) = (self.setup.clone(), self.house.rooms.clone());
            let (send, customer) = (self.send.clone(), customer.clone());
            let span = tracing::info_span!("settle", %customer);
            tokio::spawn(
                async move {
                    let outcome = settle::settle(&setup, &customer, &spared, &rooms).await;
                    // Nobody listens any more once the daemon has ended.
                    let _ = send.send(News::Settled(customer, outcome));
                }
                .instrument(span),
            );
        }
    }

    fn settled(&mut self, customer: &Name, outcome: Outcome) {
        let now = self.house.clock.now();
        let Some(kept) = self.customers.get_mut(customer) else { return };
        kept.is_settling = false;
        if std::mem::take(&mut kept.is_stale) {
            return;
        }
        let settings = &self.setup.site.daemon;
        let later = |pause: Duration| now.checked_add(pause).unwrap_or(now);
        match outcome {
            Outcome::Settled { at, open, next } => {
                (kept.attempts, kept.next) = (0, next);
                self.calendar.settled(customer, at);
                for (series, slot) in open {
                    if let Some(come) = self.calendar.place(&series, slot) {
                        tracing::info!(%series, %slot, "was not run when it was due");
                        self.offer(come.into());
                    }
                }
            }
            Outcome::Nothing => {
                // A first run by hand would bring something to settle.
                kept.next = later(settings.retry_longest);
                self.calendar.settled(customer, kept.since);
            }
            Outcome::Failed { trouble, error } => {
                kept.attempts += 1;
                let pause = trouble::pause(settings, kept.attempts);
                kept.next = later(pause);
                tracing::error!(
                    %customer, error, seconds = pause.as_secs(),
                    "the past is not settled; will be tried again"
                );
                if trouble == Trouble::Lasting {
                    // Runs will say what is wrong, drills on record.
                    self.calendar.settled(customer, kept.since);
                }
            }
        }
    }

    /// Renews the daemon's own lease; where it was taken over this daemon ends.
    async fn hold_on(&mut self) {
        if self.renewed.elapsed() < RENEW || self.lost.is_some() {
            return;
        }
        match self.lease.renew().await {
            Ok(()) => self.renewed = Instant::now(),
            Err(error) => self.not_written(error),
        }
    }

    /// Says on the board how things stand, where that changed.
    async fn post(&mut self) {
        let board = Board {
            serves: self.setup.policies.iter().map(|policy| policy.full_name()).collect(),
            waiting: self.queue.waiting(),
            refused: self.refused.clone(),
            draining: !matches!(self.stage, Stage::Serving),
        };
        if self.posted.as_ref() == Some(&board) || self.lost.is_some() {
            return;
        }
        match self.lease.post(&board).await {
            Ok(()) => self.posted = Some(board),
            Err(error) => self.not_written(error),
        }
    }

    fn not_written(&mut self, error: state::Error) {
        tracing::error!("{}", chain(&error));
        if matches!(error, state::Error::LeaseLost { .. } | state::Error::Gone { .. }) {
            self.stage = self.interrupt("the state is no longer this daemon's");
            self.lost = Some(error);
        }
    }

    fn status(&self) -> String {
        let (running, waiting) = (self.queue.running().count(), self.queue.waiting().len());
        let next = self.calendar.next().map_or(String::new(), |next| {
            format!(", next slot {}", next.strftime("%Y-%m-%d %H:%M:%SZ"))
        });
        let refused =
            if self.refused.is_some() { "; the new configuration is refused" } else { "" };
        format!("{running} running, {waiting} waiting{next}{refused}")
    }
}
