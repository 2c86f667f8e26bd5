//! What the dumping program says on standard error: that its transaction began, and what is wrong.
//!
//! In: pieces of its `--verbose` talk. Out: a word when the dump has begun, and every line that is not
//! known to be mere progress. The program ends with 0 after some of what it could not dump, so that
//! only a dump without such a line is whole.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use super::tables::Table;

/// What it says right before it begins its transaction; whatever it says next, it says within that.
const BEGINS: &str = "-- Starting transaction...";

/// What it says while all is well, as MariaDB's and MySQL's write it: the whole line.
const PROGRESS: [&str; 10] = [
    BEGINS,
    "-- Setting savepoint...",
    "-- Sending SELECT query...",
    "-- Retrieving rows...",
    "-- Rolling back to savepoint sp...",
    "-- Releasing savepoint...",
    "-- It's base table, skipped",
    "-- It's a view, create dummy view",
    "-- Dropping the temporary view structure created",
    "-- It's a view, create dummy view for view",
];

/// The same with a name that may hold line ends, up to `...`.
const NAMING: [&str; 5] = [
    "-- Connecting to ",
    "-- Disconnecting from ",
    "-- Retrieving table structure for table ",
    "-- Retrieving view structure for table ",
    "-- Retrieving sequence structure for ",
];

/// Of all that was complained of only so many lines are kept.
const MOST_KEPT: usize = 20;

/// What a program complained of, shared with whoever listens to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Complaints(Arc<Mutex<Vec<String>>>);

impl Complaints {
    /// All of them in one sentence; none where there are none.
    pub fn told(&self) -> Option<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!lines.is_empty()).then(|| lines.join("; "))
    }

    fn add(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < MOST_KEPT {
            lines.push(line.to_owned());
        }
    }
}

/// Listens to one program.
pub(super) struct Listener {
    begun: Option<Sender<()>>,
    is_beginning: bool,
    /// The beginning of a line that is not there yet.
    rest: Vec<u8>,
    is_in_name: bool,
    /// How lines begin that say of a table what its gap says too.
    expected: Vec<String>,
    complaints: Complaints,
}

impl Listener {
    /// One that tells `begun`, for a dump of `tables`.
    pub fn of(begun: Sender<()>, tables: &[Table], complaints: Complaints) -> Self {
        let elsewhere = tables.iter().filter(|table| table.is_elsewhere);
        let expected = elsewhere
            .map(|table| format!("-- Warning: Skipping data for table '{}' because", table.name));
        Self {
            begun: Some(begun),
            is_beginning: false,
            rest: Vec::new(),
            is_in_name: false,
            expected: expected.collect(),
            complaints,
        }
    }

    /// Hears the next piece; an empty one is the end.
    pub fn hear(&mut self, piece: &[u8]) {
        self.rest.extend_from_slice(piece);
        while let Some(end) = memchr::memchr(b'\n', &self.rest) {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.goes_on();
            self.line(&String::from_utf8_lossy(&line[..end]));
        }
        if !self.rest.is_empty() {
            self.goes_on();
        }
        if piece.is_empty() {
            let line = std::mem::take(&mut self.rest);
            self.line(&String::from_utf8_lossy(&line));
        }
    }

    /// Something follows what was said; within its transaction the dump has begun.
    fn goes_on(&mut self) {
        if self.is_beginning
            && let Some(begun) = self.begun.take()
        {
            // Whoever asked may have given up by now.
            let _ = begun.send(());
        }
    }

    fn line(&mut self, line: &str) {
        let is_naming = self.is_in_name || NAMING.iter().any(|begin| line.starts_with(begin));
        if is_naming {
            self.is_in_name = !line.ends_with("...");
            return;
        }
        self.is_beginning |= line == BEGINS;
        let is_known = line.trim().is_empty() || PROGRESS.contains(&line);
        if !is_known && !self.expected.iter().any(|begin| line.starts_with(begin)) {
            self.complaints.add(line.trim());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// What was complained of in `said`, heard in pieces of `size` bytes.
    fn complaints(said: &str, size: usize) -> Option<String> {
        let complaints = Complaints::default();
        let mut listener = Listener::of(mpsc::channel().0, &[], complaints.clone());
        said.as_bytes().chunks(size).for_each(|piece| listener.hear(piece));
        listener.hear(&[]);
        complaints.told()
    }

    #[test]
    fn a_dump_has_begun_once_it_says_something_within_its_transaction() {
        let (tell, began) = mpsc::channel();
        let mut listener = Listener::of(tell, &[], Complaints::default());

        listener.hear(b"-- Connecting to localhost...\n-- Starting trans");
        listener.hear(b"action...\n");
        assert!(began.try_recv().is_err());

        listener.hear(b"-- Setting");
        assert!(began.try_recv().is_ok());
    }

    #[test]
    fn progress_is_no_complaint_whatever_a_table_is_called_and_all_else_is_one() {
        let well = "-- Connecting to localhost...\n-- Starting transaction...\n-- Retrieving table \
                    structure for table a\nmysqldump: Error: x\n b...\n-- Sending SELECT query...\n";
        let ill = "mysqldump: Error: 'SELECT command denied'\n-- Warning: Couldn't get status\n";

        for size in [1, 7, 1000] {
            assert_eq!(complaints(well, size), None);
            let told = "mysqldump: Error: 'SELECT command denied'; -- Warning: Couldn't get status";
            assert_eq!(complaints(&format!("{well}{ill}"), size).as_deref(), Some(told));
            let cut = complaints(&format!("{well}Killed"), size);
            assert_eq!(cut.as_deref(), Some("Killed"));
        }
    }
}
