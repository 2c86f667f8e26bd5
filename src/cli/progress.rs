//! How far an act got: bars on a terminal, plain lines otherwise, both on standard error.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::visible;
use crate::ground::progress::Progress;
use crate::ground::size::ByteSize;

/// A phase that takes longer says so, where there is no bar, this often.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(10);

/// What of the progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    Notes,
    NotesAsJson,
    Lines,
    JsonLines,
    Bars,
}

/// Shows the progress of one act after the other.
pub(super) struct Meter {
    shown: Shown,
    phase: Mutex<Option<Phase>>,
}

struct Phase {
    name: String,
    begun: Instant,
    told: Instant,
    items: u64,
    bytes: u64,
    total_bytes: Option<u64>,
    bar: Option<ProgressBar>,
}

impl Meter {
    pub(super) fn new(shown: Shown) -> Self {
        Self { shown, phase: Mutex::new(None) }
    }

    /// Ends the phase that runs, so that nothing is drawn any more until the next begins.
    pub(super) fn settle(&self) {
        if let Some(phase) = self.phase().take() {
            self.end(&phase);
        }
    }

    /// Runs `print` with no bar on the screen.
    pub(super) fn suspended<T>(&self, print: impl FnOnce() -> T) -> T {
        let bar = self.phase().as_ref().and_then(|phase| phase.bar.clone());
        match bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn phase(&self) -> MutexGuard<'_, Option<Phase>> {
        // A thread that died while it drew left at worst a count that is off by one.
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, phase: &Phase) {
        match &phase.bar {
            Some(bar) => bar.finish_and_clear(),
            None => self.tell(phase, true),
        }
    }

    /// One line about a phase, where lines are shown.
    fn tell(&self, phase: &Phase, ended: bool) {
        let seconds = phase.begun.elapsed();
        match self.shown {
            Shown::Lines => say(&phase.line(seconds, ended)),
            Shown::JsonLines => say(&serde_json::json!({
                "phase": phase.name,
                "ended": ended,
                "items": phase.items,
                "bytes": phase.bytes,
                "total_bytes": phase.total_bytes,
                "milliseconds": u64::try_from(seconds.as_millis()).unwrap_or(u64::MAX),
            })
            .to_string()),
            Shown::Nothing | Shown::Notes | Shown::NotesAsJson | Shown::Bars => {}
        }
    }
}

impl Phase {
    fn new(name: &str, total_bytes: Option<u64>, bar: Option<ProgressBar>) -> Self {
        let now = Instant::now();
        let name = visible(name).into_owned();
        Self { name, begun: now, told: now, items: 0, bytes: 0, total_bytes, bar }
    }

    fn line(&self, took: Duration, ended: bool) -> String {
        let amount = match (self.total_bytes, ended) {
            (Some(total), false) => format!("{} of {}", ByteSize(self.bytes), ByteSize(total)),
            _ => ByteSize(self.bytes).to_string(),
        };
        let so_far = if ended { "" } else { ", still running" };
        let Self { name, items, bytes, .. } = self;
        let mut parts = Vec::new();
        if *items > 0 {
            parts.push(format!("{items} items"));
        }
        if *bytes > 0 || self.total_bytes.is_some() && !ended {
            parts.push(amount);
        }
        parts.push(format!("{:.1} s{so_far}", took.as_secs_f64()));
        format!("{name}: {}", parts.join(", "))
    }
}

impl Progress for Meter {
    fn phase(&self, name: &str, total_bytes: Option<u64>) {
        if matches!(self.shown, Shown::Nothing | Shown::Notes | Shown::NotesAsJson) {
            return;
        }
        let bar = (self.shown == Shown::Bars).then(|| bar(name, total_bytes));
        let next = Phase::new(name, total_bytes, bar);
        let mut phase = self.phase();
        if let Some(before) = phase.replace(next) {
            self.end(&before);
        }
    }

    fn advance(&self, items: u64, bytes: u64) {
        let mut phase = self.phase();
        let Some(phase) = phase.as_mut() else { return };
        phase.items += items;
        phase.bytes += bytes;
        if let Some(bar) = &phase.bar {
            bar.inc(bytes);
            bar.set_message(format!("{} items", phase.items));
        } else if phase.told.elapsed() >= PLAIN_LINE_EVERY {
            phase.told = Instant::now();
            self.tell(phase, false);
        }
    }

    fn note(&self, line: &str) {
        match self.shown {
            Shown::Nothing => {}
            Shown::JsonLines | Shown::NotesAsJson => {
                say(&serde_json::json!({ "note": line }).to_string());
            }
            Shown::Notes | Shown::Lines | Shown::Bars => {
                self.suspended(|| say(&visible(line)));
            }
        }
    }
}

fn bar(name: &str, total_bytes: Option<u64>) -> ProgressBar {
    let template = match total_bytes {
        Some(_) => {
            "{prefix:>12} {bar:30} {binary_bytes}/{binary_total_bytes} {msg} {elapsed} (left {eta})"
        }
        None => "{prefix:>12} {spinner} {binary_bytes} {msg} {elapsed}",
    };
    let style =
        ProgressStyle::with_template(template).expect("the templates above are well formed");
    let bar = ProgressBar::with_draw_target(total_bytes, ProgressDrawTarget::stderr())
        .with_style(style)
        .with_prefix(visible(name).into_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Prints to standard error; where that is closed, nobody is left to be told.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_phase_tells_its_amounts() {
        let mut phase = Phase::new("fetch", Some(4096), None);
        phase.items = 3;
        phase.bytes = 2048;

        assert_eq!(
            phase.line(Duration::from_millis(1500), true),
            "fetch: 3 items, 2.00 KiB, 1.5 s"
        );
        assert_eq!(
            phase.line(Duration::from_secs(2), false),
            "fetch: 3 items, 2.00 KiB of 4.00 KiB, 2.0 s, still running"
        );
    }

    #[test]
    fn a_phase_that_counts_nothing_tells_its_time_alone() {
        let phase = Phase::new("publish", None, None);

        assert_eq!(phase.line(Duration::from_millis(200), true), "publish: 0.2 s");
    }

    #[test]
    fn amounts_before_the_first_phase_and_after_the_last_go_nowhere() {
        let meter = Meter::new(Shown::JsonLines);
        meter.advance(1, 1);
        meter.settle();

        assert!(meter.phase().is_none());
    }
}
