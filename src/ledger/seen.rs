//! What one [`super::Ledger`] has read and appended: a chain only grows at its end, so a run that read
//! it once need only ask for what follows.
//!
//! In: lines that hold together. Out: the same lines and where the chain ends. No promise that the
//! store still has them: whatever is signed or proven is read anew.

use super::chain::{Line, Tail};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Where the chain ends as far as it is known.
    tail: Option<Tail>,
    /// All lines up to there, where all of them were read.
    lines: Option<Vec<Line>>,
}

impl Seen {
    /// A ledger that has no line.
    pub fn nothing() -> Self {
        Self::all(Vec::new())
    }

    /// A ledger of these lines, from the first one on.
    pub fn all(lines: Vec<Line>) -> Self {
        Self { tail: Some(Tail::after(&lines).unwrap_or(Tail::START)), lines: Some(lines) }
    }

    /// A ledger of which only the end is known.
    pub fn up_to(tail: Tail) -> Self {
        Self { tail: Some(tail), lines: None }
    }

    pub fn tail(&self) -> Option<Tail> {
        self.tail
    }

    pub fn lines(&self) -> Option<&[Line]> {
        self.lines.as_deref()
    }

    /// The ledger goes on with `more`. Where that is chained to something else, only reading all of it
    /// tells what is wrong.
    pub fn go_on(&mut self, more: Vec<Line>) {
        let is_chained =
            |tail: Tail| more.first().is_none_or(|line| line.record.prev == tail.digest);
        if !self.tail.is_some_and(is_chained) {
            self.lines = None;
        }
        self.tail = Tail::after(&more).or(self.tail);
        if let Some(lines) = &mut self.lines {
            lines.extend(more);
        }
    }
}
