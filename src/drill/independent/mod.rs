//! The independent restore: the same point once more, without lifeboat's own readers.
//!
//! In: a copy of what the repository stores of the snapshot, and the totals that lifeboat's own recovery
//! answered. Out: one outcome a source. Stock restic restores, each engine's own client loads, and both
//! recoveries are asked the same plain statements, which go on record with their answers. Nothing here
//! counts as recovery time. Blocking, but for the copy.

mod compare;
mod copy;
mod restic;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(super) use self::compare::Asked;
use self::compare::{Told, compare};
pub(super) use self::copy::{Copied, copy};
pub use self::restic::find as find_restic;
use super::Rehearsal;
use super::examine::{Bench, Down, joined};
use crate::check::{Id, Outcome, Why};
use crate::ground::causes::chain;
use crate::ledger::details::Independent;
use crate::source::Trouble;

/// How long one statement may take.
const STATEMENT: Duration = Duration::from_secs(3600);

/// A source that came out as no folder.
#[derive(Debug, thiserror::Error)]
#[error("{source_name} did not come out as a folder")]
struct NoFolder {
    source_name: String,
}

impl Bench {
    /// Restores once more and compares with what lifeboat's own recovery `asked` of itself.
    pub(super) fn restore_again(
        &self,
        copied: &Result<Copied, String>,
        asked: Vec<Asked>,
        down: &[Down],
        rehearsal: &mut Rehearsal,
    ) {
        tracing::info!(phase = "independent");
        self.progress.phase("restore independently", None);
        let begun = Instant::now();
        match copied.as_ref().map_err(Clone::clone).and_then(|copied| self.unpack(copied)) {
            Err(why) => {
                for Asked { name, .. } in asked {
                    rehearsal.not_run(Id::Independent(name), Why::Environment, &why);
                }
            }
            Ok(unpacked) => {
                let told = rehearsal.confinement.take().into_iter();
                rehearsal.confinement = joined(told.chain([unpacked.confinement]));
                let mut totals = Vec::new();
                for asked in asked {
                    let begun = Instant::now();
                    let id = Id::Independent(asked.name.clone());
                    let down = down.iter().find(|down| down.name == asked.name);
                    let down = down.expect("what was asked was stopped afterwards");
                    let theirs = self.recover_again(&unpacked.folder, &asked, down);
                    let (outcome, compared) = compare(&id, asked, theirs);
                    totals.extend(compared);
                    let outcome = in_spite_of(unpacked.complaint.as_deref(), outcome);
                    rehearsal.settle(id, outcome, "totals", begun.elapsed());
                }
                let restic::Unpacked { by, complaint, .. } = unpacked;
                rehearsal.independent = Some(Independent { by, complaint, totals });
            }
        }
        rehearsal.phase("independent", begun.elapsed(), false);
    }

    /// Stock restic restores the copy, which is not needed afterwards.
    fn unpack(&self, copied: &Copied) -> Result<restic::Unpacked, String> {
        let unpacked = restic::restore(copied, &self.scratch).map_err(|error| chain(&error))?;
        let removed = fs::remove_dir_all(&copied.repository);
        removed.map_err(|error| format!("cannot remove the copied packs: {error}"))?;
        Ok(unpacked)
    }

    /// Brings up what restic restored of one source, and asks it the same.
    fn recover_again(
        &self,
        folder: &Path,
        asked: &Asked,
        down: &Down,
    ) -> Result<Vec<Told>, Trouble> {
        let data = real_folder(folder.join(down.name.as_str()))?;
        if compare::is_of_files(down.capture.kind) {
            return Ok(compare::of_files(&down.capture, &data));
        }
        let mut recovered = down.source.recover(&down.capture, &data, &self.scratch)?;
        let told = compare::ask_again(&mut *recovered, asked, &down.capture);
        recovered.stop()?;
        told
    }
}

/// `path`, which a snapshot may have made a link to anywhere.
pub(super) fn real_folder(path: PathBuf) -> Result<PathBuf, Trouble> {
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_dir() => Ok(path),
        _ => {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Err(Trouble::Data(Box::new(NoFolder { source_name: name })))
        }
    }
}

/// Of a restore that ended badly, equal totals prove what they prove; a difference may well be its own
/// fault and not the data's.
fn in_spite_of(complaint: Option<&str>, outcome: Outcome) -> Outcome {
    match (complaint, outcome) {
        (Some(complaint), Outcome::Broke(broken)) => {
            Outcome::not_run(Why::Environment, format!("{complaint}; then {broken}"))
        }
        (_, outcome) => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_restore_that_ended_badly_lacks_is_not_held_against_the_data_and_never_passes() {
        let broke = || Outcome::broke("table orders", "other totals");
        let Outcome::NotRun(open) = in_spite_of(Some("exit status 1"), broke()) else { panic!() };
        assert_eq!(open.what, "exit status 1; then table orders: other totals");
        assert_eq!(in_spite_of(None, broke()), broke());
        assert_eq!(in_spite_of(Some("exit status 1"), Outcome::of(1, [])), Outcome::of(1, []));
    }

    #[test]
    fn a_link_in_the_place_of_a_source_is_no_folder_of_it() {
        let place = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", place.path().join("orders")).unwrap();
        fs::create_dir(place.path().join("uploads")).unwrap();

        let link = real_folder(place.path().join("orders"));
        assert!(matches!(link, Err(Trouble::Data(_))));
        assert!(matches!(real_folder(place.path().join("gone")), Err(Trouble::Data(_))));
        assert!(real_folder(place.path().join("uploads")).is_ok());
    }
}
