//! Finishing: damaged files go, hard links and the metadata of what is no file come.

use super::super::entry::Kind;
use super::super::plan::object;
use super::super::{Error, Fidelity, Restored};
use super::{Made, Writing, filling};
use crate::ground::progress::Progress;
use crate::source::Place;

impl Writing {
    /// Removes what is damaged, makes hard links, sets metadata from the inside out and, unless it
    /// is a drill's, makes it all durable.
    pub(in crate::restore) fn finish(mut self, progress: &dyn Progress) -> Result<Restored, Error> {
        let mut restored = Restored { blobs: self.blobs, ..Restored::default() };
        restored.damaged.append(&mut self.plan.damaged);
        self.note_what_never_came();
        self.remove_damaged(&mut restored)?;
        self.make_hard_links(&mut restored);
        self.set_metadata(&mut restored, progress)?;
        for (index, reasons) in &self.unmade {
            let object = object(&self.plan.at(*index));
            let place = |what: &String| Place { object: object.clone(), what: what.clone() };
            restored.unrestored.extend(reasons.iter().map(place));
        }
        restored.notes.extend(self.setting.notes());
        if self.devices_left_out > 0 {
            restored.notes.push(format!("{} devices were not restored", self.devices_left_out));
        }
        if self.target.fidelity == Fidelity::Full {
            self.target.sync()?;
        }
        Ok(restored)
    }

    /// Content that never came is damage too, whoever failed to tell of it, and so are further names
    /// of what is damaged.
    fn note_what_never_came(&mut self) {
        for (index, made) in self.made.iter().enumerate() {
            let is_told = self.damage.contains_key(&index) || self.unmade.contains_key(&index);
            let reason = match made {
                Made::Awaited if !is_told => Some("its content never came".to_owned()),
                Made::LinkTo(first) => self.damage.get(&(*first as usize)).cloned(),
                _ => None,
            };
            if let Some(reason) = reason {
                self.damage.insert(index, reason);
            }
        }
    }

    /// Removes what was made of damaged files. Where nothing was made, what is there may be the last
    /// copy: it stays, and that is told, for it must not pass for the damaged one.
    fn remove_damaged(&mut self, restored: &mut Restored) -> Result<(), Error> {
        for (&index, reason) in &self.damage {
            let planned = self.plan.at(index);
            let mut what = reason.clone();
            if self.made[index] == Made::Yes {
                self.target.remove(&planned.path).map_err(|source| Error::Local {
                    action: "remove the damaged",
                    object: object(&planned),
                    source,
                })?;
            } else if self.target.is_there(&planned.path) {
                what.push_str("; what is there now is older and stays");
            }
            self.made[index] = Made::No;
            restored.damaged.push(Place { object: object(&planned), what });
        }
        Ok(())
    }

    fn make_hard_links(&mut self, restored: &mut Restored) {
        for (index, made) in self.made.iter().enumerate() {
            let Made::LinkTo(first) = *made else { continue };
            let (planned, original) = (self.plan.at(index), self.plan.at(first as usize));
            if let Err(error) = self.target.make_hard_link(&planned.path, &original.path) {
                let what = format!("could not be linked to {}: {error}", object(&original));
                self.unmade.entry(index).or_default().push(what);
            } else {
                restored.files += 1;
            }
        }
    }

    fn set_metadata(
        &mut self,
        restored: &mut Restored,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        for index in (0..self.made.len()).rev() {
            self.request.check_interrupted()?;
            if self.made[index] != Made::Yes {
                continue;
            }
            progress.advance(1, 0);
            match self.plan.entries.item(index).kind {
                Kind::File { size, .. } => {
                    restored.files += 1;
                    restored.bytes = restored.bytes.saturating_add(size);
                    // It was set when its last byte was written.
                    continue;
                }
                Kind::Dir => restored.dirs += 1,
                _ => restored.others += 1,
            }
            let planned = self.plan.at(index);
            let refused = match self.setting.apply(&self.target, &planned) {
                Ok(refused) => refused,
                Err(error) => vec![("its metadata", error)],
            };
            filling::note_refused(&mut self.unmade, index, refused);
        }
        Ok(())
    }
}
