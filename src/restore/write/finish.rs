//! Finishing: damaged files go, hard links and metadata come.

use super::super::metadata::Setting;
use super::super::plan::object;
use super::super::{Error, Fidelity, Restored};
use super::{Made, Writing};
use crate::ground::progress::Progress;
use crate::repo::NodeKind;
use crate::source::Place;

impl Writing {
    /// Removes what is damaged, makes hard links, sets metadata from the inside out and, unless it
    /// is a drill's, makes it all durable.
    pub(in crate::restore) fn finish(mut self, progress: &dyn Progress) -> Result<Restored, Error> {
        self.open.clear();
        let mut restored = std::mem::take(&mut self.restored);
        restored.damaged.append(&mut self.plan.damaged);
        self.remove_damaged(&mut restored)?;
        self.make_hard_links(&mut restored);
        self.set_metadata(&mut restored, progress)?;
        if self.devices_left_out > 0 {
            restored.notes.push(format!("{} devices were not restored", self.devices_left_out));
        }
        if self.target.fidelity == Fidelity::Full {
            self.target.sync()?;
        }
        Ok(restored)
    }

    fn remove_damaged(&mut self, restored: &mut Restored) -> Result<(), Error> {
        for (&index, reason) in &self.damage {
            let planned = &self.plan.entries[index];
            if self.made[index] == Made::Yes {
                self.target.remove(&planned.path).map_err(|source| Error::Local {
                    action: "remove the damaged",
                    object: object(planned),
                    source,
                })?;
                self.made[index] = Made::No;
            }
            restored.damaged.push(Place { object: object(planned), what: reason.clone() });
        }
        Ok(())
    }

    fn make_hard_links(&mut self, restored: &mut Restored) {
        for (index, planned) in self.plan.entries.iter().enumerate() {
            let Made::LinkTo(first) = self.made[index] else { continue };
            let original = &self.plan.entries[first];
            if let Some(reason) = self.damage.get(&first) {
                restored.damaged.push(Place { object: object(planned), what: reason.clone() });
            } else if let Err(error) = self.target.make_hard_link(&planned.path, &original.path) {
                restored.unrestored.push(Place {
                    object: object(planned),
                    what: format!("could not be linked to {}: {error}", object(original)),
                });
            } else {
                restored.files += 1;
            }
        }
    }

    fn set_metadata(&self, restored: &mut Restored, progress: &dyn Progress) -> Result<(), Error> {
        let mut setting = Setting::default();
        for (planned, made) in self.plan.entries.iter().zip(&self.made).rev() {
            self.request.check_interrupted()?;
            if *made != Made::Yes {
                continue;
            }
            match &planned.node.kind {
                NodeKind::File { size, .. } => {
                    restored.files += 1;
                    restored.bytes = restored.bytes.saturating_add(*size);
                }
                NodeKind::Dir { .. } => restored.dirs += 1,
                _ => restored.others += 1,
            }
            let refused = match setting.apply(&self.target, planned) {
                Ok(refused) => refused,
                Err(error) => vec![("its metadata", error)],
            };
            for (what, error) in refused {
                let what = format!("{what} could not be set: {error}");
                restored.unrestored.push(Place { object: object(planned), what });
            }
            progress.advance(1, 0);
        }
        restored.notes.extend(setting.notes());
        Ok(())
    }
}
