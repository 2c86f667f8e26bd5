//! What `mariadb-backup` says on standard error: which locks it waits for and holds, and whether it
//! came to a good end.
//!
//! It knows no limit to either: whoever started it looks here, and ends it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What it says last, where all went well.
const COMPLETED: &str = "completed OK!";

/// The longest that commits may be held back while the last files are copied. To give up costs the
/// whole copy, so that it is more than a capture's own lock gets.
const MOST_HELD: Duration = Duration::from_secs(10);

/// Why a copy must be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Another session has what it waits for.
    NotGranted,
    /// It holds commits back.
    Held,
}

/// Shared with whoever listens.
#[derive(Clone, Default)]
pub(super) struct Stages(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    waits_since: Option<Instant>,
    holds_since: Option<Instant>,
    held: Duration,
    is_completed: bool,
}

impl Stages {
    /// Whether it has waited for a lock longer than `patience`, or holds commits back for too long.
    pub fn overdue(&self, patience: Duration) -> Option<Overdue> {
        let state = self.state();
        let is_past = |since: Option<Instant>, most| since.is_some_and(|one| one.elapsed() > most);
        if is_past(state.waits_since, patience) {
            return Some(Overdue::NotGranted);
        }
        is_past(state.holds_since, MOST_HELD).then_some(Overdue::Held)
    }

    /// Whether commits wait for it right now: nothing must wait for the repository then.
    pub fn holds_commits(&self) -> bool {
        self.state().holds_since.is_some()
    }

    /// How long it held commits back.
    pub fn held(&self) -> Duration {
        self.state().held
    }

    /// Whether its last word is that it came to a good end.
    pub fn is_completed(&self) -> bool {
        self.state().is_completed
    }

    /// Hears a line, e.g. `[00] 2026-11-26 18:20:43 Starting BACKUP STAGE BLOCK_DDL`.
    fn line(&self, line: &str) {
        let said = said(line);
        let mut state = self.state();
        if !said.is_empty() {
            state.is_completed = said == COMPLETED;
        }
        let is_lock = |begin: &str| said.strip_prefix(begin).is_some_and(|stage| stage != "END");
        if said == "Acquiring BACKUP LOCKS..."
            || is_lock("Starting BACKUP STAGE ")
            || is_lock("Started BACKUP STAGE ")
        {
            state.waits_since.get_or_insert_with(Instant::now);
        } else if said.starts_with("Acquired locks for BACKUP STAGE ") {
            state.waits_since = None;
            if said.ends_with(" BLOCK_COMMIT") {
                state.holds_since = Some(Instant::now());
            }
        } else if said == "All tables unlocked"
            && let Some(since) = state.holds_since.take()
        {
            state.held += since.elapsed();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What follows thread, date and time; the whole line where they are missing.
fn said(line: &str) -> &str {
    let line = line.trim();
    let is_stamped = line.starts_with('[');
    let rest = || line.splitn(4, ' ').nth(3);
    if is_stamped { rest().unwrap_or(line) } else { line }
}

/// Cuts what is said into lines.
pub(super) struct Listener {
    stages: Stages,
    /// The beginning of a line that is not there yet.
    rest: Vec<u8>,
}

impl Listener {
    pub fn of(stages: Stages) -> Self {
        Self { stages, rest: Vec::new() }
    }

    /// Hears the next piece; an empty one is the end.
    pub fn hear(&mut self, piece: &[u8]) {
        self.rest.extend_from_slice(piece);
        while let Some(end) = memchr::memchr(b'\n', &self.rest) {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.stages.line(&String::from_utf8_lossy(&line));
        }
        if piece.is_empty() {
            let line = std::mem::take(&mut self.rest);
            self.stages.line(&String::from_utf8_lossy(&line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(lines: &[&str]) -> Stages {
        let stages = Stages::default();
        let mut listener = Listener::of(stages.clone());
        for line in lines {
            listener.hear(format!("[00] 2026-11-26 18:20:43 {line}").as_bytes());
            listener.hear(b"\n");
        }
        listener.hear(&[]);
        stages
    }

    #[test]
    fn locks_are_waited_for_and_held_from_what_it_says_to_what_it_says() {
        let at_once = Duration::ZERO;
        let waits = after(&["Acquiring BACKUP LOCKS..."]);
        assert_eq!(waits.overdue(at_once), Some(Overdue::NotGranted));
        assert_eq!(waits.overdue(Duration::from_secs(60)), None);

        let held =
            ["Starting BACKUP STAGE BLOCK_COMMIT", "Acquired locks for BACKUP STAGE BLOCK_COMMIT"];
        assert!(after(&held).holds_commits());
        assert_eq!(after(&held).overdue(at_once), None);

        let over =
            after(&[&held[..], &["Starting BACKUP STAGE END", "All tables unlocked"]].concat());
        assert!(!over.holds_commits() && over.held() > Duration::ZERO);
        assert_eq!(over.overdue(at_once), None);
    }

    #[test]
    fn only_the_last_word_says_that_all_went_well() {
        assert!(after(&["Streaming ./shop/a.ibd", "completed OK!"]).is_completed());
        assert!(!after(&["completed OK!", "Error: cannot write"]).is_completed());
        assert!(!after(&["Streaming ./completed OK!"]).is_completed());
        assert!(!after(&[]).is_completed());
    }
}
