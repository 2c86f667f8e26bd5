//! Time comes from a `Clock`, in UTC, so that tests can set it.

mod steady;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::Timestamp;

pub use steady::{CONFIRMED_AFTER, Steady};

/// Where an act takes the time of day from.
pub trait Clock: Send + Sync {
    /// The present moment, in UTC.
    fn now(&self) -> Timestamp;
}

/// A clock beside which one can see time pass, whatever the hands are set to.
pub trait Timepiece: Clock {
    /// How long it has been since some moment; never goes back, and goes on while the machine
    /// sleeps.
    fn uptime(&self) -> Duration;

    /// How long to wait, by the machine, until `duration` of this clock is over.
    fn wait(&self, duration: Duration) -> Duration;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Timepiece for SystemClock {
    /// Since the machine started, its sleep included: the first number of proc_uptime(5).
    fn uptime(&self) -> Duration {
        let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds = text.split_whitespace().next().and_then(|number| number.parse().ok());
        // Without /proc a machine's sleep looks like a step of the clock: noticed, and outlasted.
        let without_proc = || Instant::now().duration_since(*BEGINNING);
        seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).unwrap_or_else(without_proc)
    }

    fn wait(&self, duration: Duration) -> Duration {
        duration
    }
}

/// A moment of this process that others are counted from.
static BEGINNING: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);

/// A clock that stands still until it is set: for tests and for rebuilding a ledger of the past.
#[derive(Debug)]
pub struct SetClock(Mutex<Timestamp>);

impl SetClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves the hands to `now`, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(|held| held.into_inner()) = now;
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(|held| held.into_inner())
    }
}
