//! Hints: what to do about an error, carried along with it.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use serde::Serialize;

/// A link of an error's chain that says what to do instead of what happened.
///
/// It is skipped where the chain is printed; the outermost hint is printed after it. Everything
/// below it stays reachable by `source`, so that exit statuses are still told by type.
#[derive(Debug)]
pub(super) struct Hint {
    text: Cow<'static, str>,
    below: anyhow::Error,
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Hint {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.below.as_ref())
    }
}

/// Attaches hints to results.
pub(super) trait Hinting<T> {
    /// Says what to do about the error: a sentence without a full stop.
    fn hint(self, text: impl Into<Cow<'static, str>>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Hinting<T> for Result<T, E> {
    fn hint(self, text: impl Into<Cow<'static, str>>) -> anyhow::Result<T> {
        self.map_err(|error| anyhow::Error::new(Hint { text: text.into(), below: error.into() }))
    }
}

/// What happened, outermost first, without hints, and without causes that the link before told.
pub(super) fn causes(error: &anyhow::Error) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    for link in error.chain().filter(|link| !link.is::<Hint>()) {
        let text = link.to_string();
        if !causes.last().is_some_and(|before| before.ends_with(&text)) {
            causes.push(text);
        }
    }
    causes
}

/// What to do about it: the outermost hint.
pub(super) fn of(error: &anyhow::Error) -> Option<&str> {
    error.chain().find_map(|link| link.downcast_ref::<Hint>()).map(|hint| &*hint.text)
}

/// An error as a part of an answer: why something is so, and what to do.
#[derive(Debug, Serialize)]
pub(super) struct Trouble {
    pub(super) error: String,
    pub(super) hint: Option<String>,
}

impl Trouble {
    pub(super) fn of(error: &anyhow::Error) -> Self {
        Self { error: causes(error).join(": "), hint: of(error).map(str::to_owned) }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_that_was_told_already_is_not_told_again() {
        let full = anyhow::anyhow!("disk is full");
        let error = full.context("database error: disk is full").context("cannot write");

        assert_eq!(causes(&error), ["cannot write", "database error: disk is full"]);
    }

    #[test]
    fn a_hint_is_told_apart_from_the_causes_and_hides_none() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        let error = Err::<(), _>(missing)
            .context("cannot read the key")
            .hint("look at the path")
            .context("cannot open the repository")
            .unwrap_err();

        let causes = causes(&error);

        assert_eq!(causes.len(), 3, "{causes:?}");
        assert_eq!(causes[..2], ["cannot open the repository", "cannot read the key"]);
        assert_eq!(of(&error), Some("look at the path"));
        assert!(error.chain().any(|link| link.is::<std::io::Error>()));
    }
}
