//! Controls: deliberate faults, each of which the right assertion must find at the right place.
//!
//! They run after everything was judged, on copies in the same scratch or in transactions that are
//! rolled back, so that one fault never hides another. A control that finds nothing speaks against the
//! checks, not against the data.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Rehearsal;
use super::examine::{Bench, Down, of_restore, whole};
use super::up::Up;
use crate::check::{self, Control, ControlOutcome, ControlResult, NotRun, Outcome, Why};
use crate::ground::causes::chain;
use crate::repo::{BlobId, NodeKind};
use crate::restore::{self, Fidelity, Occupied, Select};
use crate::source::{Capture, Fault, Place, Recovered, Trouble};

/// Runs every declared control; sources that undo faults are still up for it.
pub(super) fn run(bench: &Bench, up: &mut [Up], down: &[Down], rehearsal: &mut Rehearsal) {
    for (number, control) in rehearsal.plan.controls().to_vec().into_iter().enumerate() {
        let (injured, outcome) = match baseline(&control, rehearsal) {
            Some(doubt) => (None, doubt),
            None => bench.inject(number, &control, up, down),
        };
        rehearsal.injured.push(injured.map_or_else(String::new, |place| place.object));
        rehearsal.controls.push(ControlResult { control, outcome });
    }
}

/// A control proves nothing where its assertion did not hold before.
fn baseline(control: &Control, rehearsal: &Rehearsal) -> Option<ControlOutcome> {
    match rehearsal.outcomes.get(&control.must_fail) {
        Some(Outcome::Held { .. } | Outcome::NotRun(NotRun { why: Why::Retold, .. })) => None,
        _ => Some(not_run(Why::Skipped, format!("{} did not hold before it", control.must_fail))),
    }
}

type Injected = (Option<Place>, ControlOutcome);

impl Bench {
    fn inject(&self, number: usize, control: &Control, up: &mut [Up], down: &[Down]) -> Injected {
        if let Some(up) = up.iter_mut().find(|up| Some(&up.name) == control.source.as_ref()) {
            return injure(control, &up.capture, &mut *up.recovered)
                .unwrap_or_else(|doubt| (None, doubt));
        }
        let copy = self.scratch.dir().join(format!("control-{number}"));
        let of_name = |down: &&Down| Some(&down.name) == control.source.as_ref();
        let injected = match (control.fault, down.iter().find(of_name)) {
            (Fault::BlobHidden, _) => self.hide_blob(control, &copy),
            (Fault::ByteFlipped, Some(source)) => self.flip_byte(control, source),
            (Fault::RowChanged | Fault::RowRemoved, Some(source)) => {
                self.injure_copy(control, source, &copy)
            }
            (_, None) => Ok((None, not_run(Why::Skipped, "its source is not up".into()))),
        };
        // What the copy leaves is in scratch and goes with it; the space may be needed before.
        let _ = fs::remove_dir_all(&copy);
        injected.unwrap_or_else(|doubt| (None, doubt))
    }

    /// One row of a copy of the restored database changes or goes; its fingerprint must tell.
    fn injure_copy(
        &self,
        control: &Control,
        down: &Down,
        copy: &Path,
    ) -> Result<Injected, ControlOutcome> {
        copy_folder(&down.data, copy).map_err(|error| environment(&error))?;
        self.scratch.hand_over(copy).map_err(|error| environment(&error))?;
        let recovered = down.source.recover(&down.capture, copy, &self.scratch);
        let mut recovered = recovered.map_err(|trouble| doubt(&trouble))?;
        let injected = injure(control, &down.capture, &mut *recovered)?;
        recovered.stop().map_err(|trouble| doubt(&trouble))?;
        Ok(injected)
    }

    /// One byte of a restored file flips; reading it back against the trees must tell.
    fn flip_byte(&self, control: &Control, down: &Down) -> Result<Injected, ControlOutcome> {
        let recovered = down.source.recover(&down.capture, &down.data, &self.scratch);
        let mut recovered = recovered.map_err(|trouble| doubt(&trouble))?;
        let injured = recovered.injure(control.fault).map_err(|trouble| doubt(&trouble))?;
        let Some(injured) = injured else { return Ok((None, nothing_to_injure())) };
        recovered.stop().map_err(|trouble| doubt(&trouble))?;
        let outcome = match self.read_back() {
            Ok(compared) => whole(&compared),
            Err(error) => of_restore(&control.must_fail, &error),
        };
        Ok(judged(injured, &outcome))
    }

    /// One blob cannot be found any more; restoring the file that needs it must tell.
    fn hide_blob(&self, control: &Control, copy: &Path) -> Result<Injected, ControlOutcome> {
        let found = self.runtime.block_on(self.some_content());
        let Some((path, blob)) = found.map_err(|why| not_run(Why::Environment, why))? else {
            return Ok((None, nothing_to_injure()));
        };
        let injured = Place { object: format!("file {path}"), what: format!("blob {blob} hidden") };
        let request = restore::Request {
            to: copy.to_owned(),
            select: Select::Patterns(vec![literal(&path)]),
            occupied: Occupied::Refuse,
            fidelity: Fidelity::Drill,
            most_bytes: None,
            interrupted: self.fetched.request.interrupted.clone(),
        };
        let blind = self.fetched.reader.without([blob]);
        let restored = restore::run(&blind, self.fetched.tree, &request, self.progress.clone());
        let outcome = match self.runtime.block_on(restored) {
            Ok(restored) => Outcome::of(restored.blobs, restored.damaged),
            Err(error) => of_restore(&control.must_fail, &error),
        };
        Ok(judged(injured, &outcome))
    }

    /// A file of the snapshot with content, and its last blob. `lifeboat.json` is the last choice.
    async fn some_content(&self) -> Result<Option<(String, BlobId)>, String> {
        let mut walk = self.fetched.reader.walk(self.fetched.tree);
        let mut fallback = None;
        while let Some(entry) = walk.next().await {
            let entry = entry.map_err(|error| chain(&error))?;
            let NodeKind::File { content, .. } = &entry.node.kind else { continue };
            let (Some(blob), Ok(path)) = (content.last(), String::from_utf8(entry.path.clone()))
            else {
                continue;
            };
            if path.contains('/') {
                return Ok(Some((path, *blob)));
            }
            fallback = Some((path, *blob));
        }
        Ok(fallback)
    }
}

/// One row changes or goes; the fingerprint must tell.
fn injure(
    control: &Control,
    capture: &Capture,
    recovered: &mut dyn Recovered,
) -> Result<Injected, ControlOutcome> {
    let injured = recovered.injure(control.fault).map_err(|trouble| doubt(&trouble))?;
    let Some(injured) = injured else { return Ok((None, nothing_to_injure())) };
    let outcome = match recovered.fingerprint() {
        Ok(found) => check::compare(capture.kind, &capture.fingerprint, &found),
        Err(trouble) => Outcome::of_trouble(&control.must_fail, &trouble),
    };
    Ok(judged(injured, &outcome))
}

fn judged(injured: Place, outcome: &Outcome) -> Injected {
    let said = match outcome {
        _ if outcome.found(&injured) => return (Some(injured), ControlOutcome::Found),
        Outcome::Held { .. } => "everything seemed right".to_owned(),
        Outcome::Broke(broken) => format!("something else was found: {broken}"),
        Outcome::NotRun(not_run) => not_run.what.clone(),
    };
    (Some(injured), ControlOutcome::Missed(said))
}

fn nothing_to_injure() -> ControlOutcome {
    not_run(Why::NothingToCompare, "there is nothing to injure".into())
}

fn doubt(trouble: &Trouble) -> ControlOutcome {
    let (Trouble::Data(error) | Trouble::Environment(error)) = trouble;
    not_run(Why::Environment, chain(&**error))
}

fn environment(error: &(dyn std::error::Error + 'static)) -> ControlOutcome {
    not_run(Why::Environment, chain(error))
}

fn not_run(why: Why, what: String) -> ControlOutcome {
    ControlOutcome::NotRun(NotRun { why, what })
}

/// `path` as a pattern in .gitignore's syntax that matches nothing else.
fn literal(path: &str) -> String {
    let mut pattern = String::from("/");
    for letter in path.chars() {
        if "\\*?[]!# ".contains(letter) {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

/// Copies a restored source's folder, links as links.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target): (_, PathBuf) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
        }
    }
    Ok(())
}
