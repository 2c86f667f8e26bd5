//! Answers to standard output, everything else to standard error.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use serde::Serialize;

use super::exit::Exit;
use super::hint;
use super::progress::{Meter, Shown};
pub(super) use crate::ground::visible::{visible, visible_lines};
use crate::policy::Diagnostics;
use crate::report::{Line, Tone};

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DOUBT: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// How this process answers.
pub(super) struct Output {
    json: bool,
    meter: Arc<Meter>,
}

impl Output {
    pub(super) fn new(json: bool, quiet: bool, no_progress: bool) -> Self {
        let shown = match (quiet, no_progress, json) {
            (true, _, _) => Shown::Nothing,
            (_, true, true) => Shown::NotesAsJson,
            (_, true, false) => Shown::Notes,
            (_, _, true) => Shown::JsonLines,
            _ if io::stderr().is_terminal() => Shown::Bars,
            _ => Shown::Lines,
        };
        Self { json, meter: Arc::new(Meter::new(shown)) }
    }

    pub(super) fn json(&self) -> bool {
        self.json
    }

    pub(super) fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }

    pub(super) fn stderr_has_colour(&self) -> bool {
        !self.json && anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
    }

    /// Answers: `document` with `--json`, else `text`, which may hold terminal styles.
    ///
    /// Called once per command. That nobody reads the answer any more (a closed pipe) is no
    /// error: the act is done and its exit status stands.
    pub(super) fn answer(&self, document: &impl Serialize, text: &str) -> anyhow::Result<()> {
        if self.json {
            self.raw(serde_json::to_string_pretty(document)?.as_bytes())
        } else {
            self.raw(text.trim_end().as_bytes())
        }
    }

    /// Answers with `bytes` as they are, and a line end: documents that are not lifeboat's own.
    pub(super) fn raw(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.meter.settle();
        let mut stdout = anstream::stdout().lock();
        match stdout
            .write_all(bytes)
            .and_then(|()| if bytes.ends_with(b"\n") { Ok(()) } else { stdout.write_all(b"\n") })
            .and_then(|()| stdout.flush())
        {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.context("cannot write the answer; the act itself is done"),
        }
    }

    /// Shows what is wrong in users' files, each with its place underlined.
    pub(super) fn diagnostics(&self, diagnostics: &Diagnostics) {
        self.meter.settle();
        if !diagnostics.is_empty() {
            say(diagnostics.render(self.stderr_has_colour()).trim_end());
        }
    }

    /// Says what went wrong: places in users' files, the chain once, then the hint.
    pub(super) fn error(&self, error: &anyhow::Error) {
        self.meter.settle();
        let causes = hint::causes(error);
        let diagnostics = error.chain().find_map(|link| link.downcast_ref::<Diagnostics>());
        if self.json {
            say(&json_line(&causes.join(": "), hint::of(error), diagnostics));
        } else {
            diagnostics.into_iter().for_each(|diagnostics| self.diagnostics(diagnostics));
            say(&chain(&causes, hint::of(error)));
        }
    }

    /// Ends the progress display.
    pub(super) fn settle(&self) {
        self.meter.settle();
    }
}

/// Answers `--help` and `--version`, or says why the arguments are none.
///
/// There is no [`Output`] yet: whether JSON was asked for is looked up in the arguments.
pub(super) fn parse_error(error: &clap::Error, arguments: &[OsString]) -> Exit {
    if !error.use_stderr() {
        // A reader that closed the pipe has read what it wanted.
        let _ = error.print();
        return Exit::Done;
    }
    if arguments.iter().any(|argument| argument == "--json") {
        let text = error.render().to_string();
        let line = text.lines().next().unwrap_or_default();
        let what = line.strip_prefix("error: ").unwrap_or(line);
        say(&json_line(what, Some("see `lifeboat --help`"), None));
    } else {
        // Standard error is gone: nobody is left to be told.
        let _ = error.print();
    }
    Exit::Invalid
}

fn json_line(error: &str, hint: Option<&str>, diagnostics: Option<&Diagnostics>) -> String {
    let mut line = serde_json::json!({ "error": error, "hint": hint });
    if let Some(diagnostics) = diagnostics {
        line["diagnostics"] = serde_json::json!(diagnostics);
    }
    line.to_string()
}

fn chain(causes: &[String], hint: Option<&str>) -> String {
    let mut text = String::new();
    let mut line = |style: Style, label: &str, what: &str| {
        let what = visible(what);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{style}{label}{style:#} {what}");
    };
    let mut causes = causes.iter();
    line(BAD, "error:", causes.next().map_or("failed", |cause| cause));
    causes.for_each(|cause| line(Style::new().dimmed(), "  because", cause));
    if let Some(hint) = hint {
        line(HINT, "hint:", hint);
    }
    text.truncate(text.trim_end().len());
    text
}

/// Lines of a report for [`Output::answer`]; names in them cannot steer the terminal.
pub(super) fn styled(lines: &[Line]) -> String {
    let mut text = String::new();
    for Line { tone, text: line } in lines {
        let style = match tone {
            Tone::Good => GOOD,
            Tone::Bad => BAD,
            Tone::Doubt => DOUBT,
            Tone::Faint => Style::new().dimmed(),
            _ => Style::new(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{style}{}{style:#}", visible(line));
    }
    text
}

/// Prints to standard error; where that is closed, nobody is left to be told.
fn say(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_printed_once_as_a_chain_and_then_the_hint() {
        let causes = ["cannot store".to_owned(), "disk full".to_owned()];

        let text = anstream::adapter::strip_str(&chain(&causes, Some("free some"))).to_string();

        assert_eq!(text, "error: cannot store\n  because disk full\nhint: free some");
    }

    #[test]
    fn a_report_is_styled_by_its_tones_and_by_nothing_in_its_names() {
        let lines = [Line { tone: Tone::Bad, text: "table \x1b[8m".into() }];

        let text = styled(&lines);

        assert_eq!(anstream::adapter::strip_str(&text).to_string(), "table \\u{1b}[8m\n");
        assert!(text.starts_with("\x1b["), "{text:?}");
    }

    #[test]
    fn a_hostile_name_writes_no_line_of_its_own() {
        let named = "a\nhint: run rm -rf /\r\u{2028}\u{85}b";

        let error = chain(&["cannot read".to_owned(), named.to_owned()], None);
        let report = styled(&[Line { tone: Tone::Bad, text: named.into() }]);

        assert_eq!((error.lines().count(), report.lines().count()), (2, 1), "{error}\n{report}");
        assert!(error.contains("a\\nhint"), "{error}");
        assert_eq!(visible_lines("one\ntwo\t\r"), "one\ntwo\\t\\r");
    }

    #[test]
    fn a_hostile_name_cannot_steer_the_terminal() {
        let causes = ["no file \x1b[2J\u{202e}gpj.exe".to_owned()];

        let text = chain(&causes, None);

        assert!(text.contains("\\u{1b}[2J\\u{202e}gpj"), "{text:?}");
    }
}
