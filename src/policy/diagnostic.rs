//! Diagnostics: what is wrong where, as data and as text that underlines it.
//!
//! In: findings with byte ranges in a file's text. Out: [`Diagnostics`], for people (as rustc
//! shows them) and for `--json`. Never shows a secret: `mask` runs over every quoted text.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level as Severity, Origin, Renderer, Snippet};
use serde::{Serialize, Serializer};

/// How much a diagnostic weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Error,
    Warning,
}

/// One thing that is wrong, or worth knowing, in a file users wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub level: Level,
    pub file: PathBuf,
    /// From 1; none where the file as a whole is meant.
    pub line: Option<usize>,
    /// From 1, in characters.
    pub column: Option<usize>,
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
    #[serde(skip)]
    quoted: Option<Box<Quoted>>,
}

/// The text underlined and the file around it, secrets hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Quoted {
    text: Arc<str>,
    span: Range<usize>,
}

/// A problem at a place of one document, before it is a [`Diagnostic`].
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub level: Level,
    pub span: Range<usize>,
    pub message: String,
    pub hint: Option<String>,
}

impl Finding {
    pub(super) fn error(
        span: Range<usize>,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) -> Self {
        Self { level: Level::Error, span, message: message.into(), hint: hint.into() }
    }
}

impl Diagnostic {
    /// About a file as a whole, e.g. one that cannot be read.
    pub(super) fn of_file(file: &Path, message: impl Into<String>, hint: Option<String>) -> Self {
        Self {
            level: Level::Error,
            file: file.to_owned(),
            line: None,
            column: None,
            message: message.into(),
            hint,
            quoted: None,
        }
    }

    /// About a place in a file; `text` is the file's, masked already.
    pub(super) fn at(file: &Path, text: &Arc<str>, finding: Finding) -> Self {
        let span = underlined(text, finding.span);
        let before = &text[..span.start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            level: finding.level,
            file: file.to_owned(),
            line: Some(before.matches('\n').count() + 1),
            column: Some(before[line_start..].chars().count() + 1),
            message: finding.message,
            hint: finding.hint,
            quoted: Some(Box::new(Quoted { text: text.clone(), span })),
        }
    }

    fn groups(&self) -> Group<'_> {
        let severity = match self.level {
            Level::Error => Severity::ERROR,
            Level::Warning => Severity::WARNING,
        };
        let title = severity.primary_title(self.message.as_str());
        let path = self.file.display().to_string();
        let group = match &self.quoted {
            Some(quoted) => title.element(
                Snippet::source(&*quoted.text)
                    .path(path)
                    .annotation(AnnotationKind::Primary.span(quoted.span.clone())),
            ),
            None => title.element(Origin::path(path)),
        };
        match &self.hint {
            Some(hint) => group.element(Severity::HELP.message(hint.as_str())),
            None => group,
        }
    }
}

impl fmt::Display for Diagnostic {
    /// One line: `file:line:column: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        for place in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{place}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// The part of `span` that one line can show, on whole characters, never empty where text is.
fn underlined(text: &str, span: Range<usize>) -> Range<usize> {
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let line_end = text[start..].find(['\n', '\r']).map_or(text.len(), |at| start + at);
    let mut end = span.end.clamp(start, line_end.max(start));
    while !text.is_char_boundary(end) {
        end += 1;
    }
    if start == end && end < line_end {
        end += text[end..].chars().next().map_or(0, char::len_utf8);
    }
    start..end
}

/// All that is wrong in all files, in the order of files and places.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    pub(super) fn new(mut diagnostics: Vec<Diagnostic>) -> Self {
        // Stable: files stay in the order they were read.
        let order: Vec<PathBuf> = diagnostics.iter().map(|one| one.file.clone()).collect();
        diagnostics.sort_by_key(|one| {
            (order.iter().position(|file| *file == one.file), one.line, one.column)
        });
        diagnostics.dedup();
        Self(diagnostics)
    }

    /// The diagnostics themselves.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// Those about one of `files`, whose paths are canonical.
    pub fn about(self, files: &[PathBuf]) -> Self {
        let named = |one: &Diagnostic| {
            let file = one.file.canonicalize();
            file.is_ok_and(|file| files.contains(&file))
        };
        Self(self.0.into_iter().filter(named).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each with its place underlined and a `help:` line, as rustc shows them; ends with a line
    /// end. Terminal colours only if `colours`.
    pub fn render(&self, colours: bool) -> String {
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        self.0.iter().map(|one| renderer.render(&[one.groups()]) + "\n\n").collect()
    }
}

impl fmt::Display for Diagnostics {
    /// A count: what [`Diagnostics::render`] shows comes before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.0.iter().filter(|one| one.level == Level::Error).count();
        let plural = if errors == 1 { "" } else { "s" };
        write!(f, "the configuration has {errors} error{plural}")
    }
}

impl std::error::Error for Diagnostics {}

impl Serialize for Diagnostics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_beyond_the_text_and_inside_characters_are_shown_nearby() {
        let text: Arc<str> = "a = \"阿\"\nb".into();
        for span in [0..99, 6..7, 50..60, 9..9, 10..10] {
            let one = Diagnostic::at(Path::new("x"), &text, Finding::error(span, "m", None));
            let shown = Diagnostics::new(vec![one]).render(false);
            assert!(shown.contains("error: m") && shown.contains("--> x:"), "{shown}");
        }
    }
}
