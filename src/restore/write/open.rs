//! Files whose content comes in several pieces: few of them are open at a time.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::sync::Arc;

/// So many files stay open: a pack mostly holds neighbours.
const OPEN_FILES: usize = 64;

/// The files that some piece was met of.
#[derive(Debug, Default)]
pub(super) struct Open {
    begun: HashMap<usize, Begun>,
    /// Those used last, by entry, the newest at the end.
    files: VecDeque<(usize, Arc<File>)>,
}

#[derive(Debug, Clone, Copy)]
struct Begun {
    /// Pieces to come.
    left: usize,
    file: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unmade,
    Made,
    /// This machine does not let it be made.
    Refused,
}

impl Open {
    /// The file of an entry with so many pieces; whoever is first makes it, later ones may have to
    /// open it again. None where it could not be made before.
    pub(super) fn file(
        &mut self,
        index: usize,
        pieces: usize,
        make: impl FnOnce() -> io::Result<File>,
        again: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<Option<Arc<File>>> {
        let begun = self.begun(index, pieces);
        let file = match begun.file {
            State::Refused => return Ok(None),
            State::Unmade => {
                begun.file = State::Refused;
                let file = make()?;
                begun.file = State::Made;
                file
            }
            State::Made => {
                if let Some((_, file)) = self.files.iter().find(|(open, _)| *open == index) {
                    return Ok(Some(file.clone()));
                }
                again()?
            }
        };
        let file = Arc::new(file);
        if self.files.len() >= OPEN_FILES {
            self.files.pop_front();
        }
        self.files.push_back((index, file.clone()));
        Ok(Some(file))
    }

    /// One piece less is to come; whether it was the last of a file that was made.
    pub(super) fn settle(&mut self, index: usize, pieces: usize) -> bool {
        let begun = self.begun(index, pieces);
        begun.left -= 1;
        let (is_last, is_made) = (begun.left == 0, begun.file == State::Made);
        if is_last {
            self.begun.remove(&index);
            self.files.retain(|(open, _)| *open != index);
        }
        is_last && is_made
    }

    fn begun(&mut self, index: usize, pieces: usize) -> &mut Begun {
        self.begun.entry(index).or_insert(Begun { left: pieces, file: State::Unmade })
    }
}
