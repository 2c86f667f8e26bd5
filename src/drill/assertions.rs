//! The owner's assertions: queries, files and programs, each asked of the sources that are up.

use std::path::PathBuf;

use super::examine::{Bench, joined};
use super::up::Up;
use super::{Rehearsal, programs};
use crate::check::{self, Id, Judged, Outcome, Then, Why};
use crate::ground::ids::Name;
use crate::ground::size::Count;
use crate::policy::{Asks, Assertion, CheckSettings, Query};
use crate::source::Answered;

impl Bench {
    /// What became of one of the owner's assertions.
    pub(super) fn ask(
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
                found: Some(Count(rows.rows.len() as u64, "name").to_string()),
                at_capture: None,
            },
            (Assertion::FilesIn(wanted), None) => not_up(wanted).into(),
        }
    }
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
