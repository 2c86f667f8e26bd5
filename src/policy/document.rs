//! A file's text as a document: its values where they are sound, each value's place, and findings.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use toml::de::DeTable;

use super::Which;
use super::diagnostic::{Diagnostic, Finding, Level};
use super::mask::mask;
use super::walk::{self, Spans};

/// One file, read and checked by itself.
pub(super) struct Document {
    pub file: PathBuf,
    /// What stood the check; the rest is left out, and the findings say why.
    pub value: Value,
    /// Whether the text was TOML at all: if not, what it declares is unknown.
    pub readable: bool,
    text: Arc<str>,
    spans: HashMap<String, Spans>,
    findings: Vec<Finding>,
}

impl Document {
    /// Reads `text` and checks it against the schema of `which`.
    pub(super) fn read(which: Which, file: &Path, text: &str) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut walked = walk::walk(which, &table, text);
        let readable = errors.is_empty();
        let syntax: Vec<Finding> = errors
            .iter()
            .map(|error| {
                let span = error.span().unwrap_or(0..0);
                Finding::error(span, error.message().to_owned(), None)
            })
            .collect();
        // Half a document breaks rules that the whole one would keep.
        let findings = if readable { std::mem::take(&mut walked.findings) } else { syntax };
        Self {
            file: file.to_owned(),
            value: walked.value,
            readable,
            text: mask(text, &walked.secrets).into(),
            spans: walked.spans,
            findings,
        }
    }

    /// The text at a JSON pointer.
    pub(super) fn text_at(&self, pointer: &str) -> Option<&str> {
        self.value.pointer(pointer)?.as_str()
    }

    /// Whether anything, sound or not, was written at a JSON pointer.
    pub(super) fn stands(&self, pointer: &str) -> bool {
        self.spans.contains_key(pointer)
    }

    /// How many known keys, with sound values or not, stand in the table at a JSON pointer.
    pub(super) fn keys_below(&self, pointer: &str) -> usize {
        let parent = |of: &String| of.rsplit_once('/').is_some_and(|(table, _)| table == pointer);
        self.spans.keys().filter(|key| parent(key)).count()
    }

    /// How many elements the array at a JSON pointer has.
    pub(super) fn length_of(&self, pointer: &str) -> usize {
        self.value.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// Adds an error at the value a JSON pointer names.
    pub(super) fn error(
        &mut self,
        pointer: &str,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        let span = self.span(pointer, |spans| spans.value.clone());
        self.findings.push(Finding::error(span, message, hint));
    }

    /// Adds a warning at the key a JSON pointer names.
    pub(super) fn warn(&mut self, pointer: &str, message: impl Into<String>) {
        let span = self.span(pointer, |spans| spans.key.clone().unwrap_or(spans.value.clone()));
        self.findings.push(Finding {
            level: Level::Warning,
            span,
            message: message.into(),
            hint: None,
        });
    }

    fn span(&self, pointer: &str, of: impl Fn(&Spans) -> Range<usize>) -> Range<usize> {
        self.spans.get(pointer).map_or(0..0, of)
    }

    /// The findings so far, as diagnostics.
    pub(super) fn diagnostics(&self) -> impl Iterator<Item = Diagnostic> + '_ {
        self.findings.iter().map(|finding| Diagnostic::at(&self.file, &self.text, finding.clone()))
    }
}
