//! What one check of a drill says: what it asks, of which source, and whether that can answer.

use super::document::Document;
use super::expect::{Expectation, ExpectedFiles};
use super::leaf::Wrong;
use super::references::{SourceFacts, Sources, known_name};
use super::{command, redis, server};

/// The keys of which a check has one: what it asks.
const ASKS: [&str; 3] = ["query", "files", "run"];

/// Adds what is wrong with the check at `at`, e.g. `/check/0`; `sources` are its policy's, where that
/// is known.
pub(super) fn check(sources: Option<&Sources>, drill: &mut Document, at: &str) {
    let asked: Vec<&str> =
        ASKS.into_iter().filter(|key| drill.stands(&format!("{at}/{key}"))).collect();
    match asked[..] {
        [] => {
            let hint = "add query = \"SELECT …\" of a database, files = [\"*.jpg\"] of a source \
                        of kind files, or run = [\"/path/of/a/program\"]";
            drill.error(at, "a check that asks nothing", hint.to_owned());
        }
        ["query"] => query(sources, drill, at),
        ["files"] => files(sources, drill, at),
        ["run"] => return program(drill, at),
        [first, second, ..] => {
            let message = format!("`{first}` and `{second}` in one check");
            drill.error(&format!("{at}/{second}"), message, "make two checks of it".to_owned());
        }
        [_] => {}
    }
    if !drill.stands(&format!("{at}/source")) {
        let hint = "add source = \"…\", which names one of the policy's".to_owned();
        drill.error(at, "missing key `source`", hint);
    }
    if let Some(sources) = sources {
        for key in ["source", "files_in"] {
            known_name(drill, &format!("{at}/{key}"), "source", &sources.names);
        }
    }
}

fn query(sources: Option<&Sources>, drill: &mut Document, at: &str) {
    let (expect, files_in) = (format!("{at}/expect"), format!("{at}/files_in"));
    // A faulty `expect` is pruned from the value but was written all the same.
    match (drill.stands(&expect), drill.stands(&files_in)) {
        (false, false) => {
            let hint = "say what the answer must be: expect = \"> 0\"; or files_in = \"<source>\"";
            drill.error(at, "a check that expects nothing", hint.to_owned());
        }
        (true, true) => {
            let hint = "make two checks of it".to_owned();
            drill.error(&files_in, "`files_in` and `expect` in one check", hint);
        }
        _ => {}
    }
    let expected: Option<Expectation> = read(drill, &expect);
    let timezone = format!("{at}/timezone");
    if drill.stands(&timezone) && !matches!(expected, Some(Expectation::FreshAtCapture(_))) {
        let hint = "leave it out; it is for expect = \"within 2h of capture\"".to_owned();
        drill.error(&timezone, "a clock by which no moment is read", hint);
    }
    let Some(sources) = sources else { return };
    let source = format!("{at}/source");
    let kind = facts(sources, drill, &source).and_then(|facts| facts.kind.clone());
    if let Some(kind @ ("files" | "command")) = kind.as_deref() {
        let hint = "name a database; compare files with what it says by `files_in`".to_owned();
        drill.error(&source, format!("a source of {kind} answers no queries"), hint);
    }
    if let (Some("redis"), Some(Expectation::NearCapture(_))) = (kind.as_deref(), &expected) {
        let hint = "leave it out: equality compares every key with the captured ones".to_owned();
        drill.error(&expect, "Redis is asked nothing while it is captured", hint);
    }
    holds_files(sources, drill, &files_in);
    if let Some(facts) = facts(sources, drill, &source) {
        let wrong = one_database(facts, drill.text_at(&format!("{at}/database")));
        if let Some((message, hint)) = wrong {
            let key = format!("{at}/database");
            let place = if drill.stands(&key) { key } else { source };
            drill.error(&place, message, hint);
        }
    }
}

fn files(sources: Option<&Sources>, drill: &mut Document, at: &str) {
    let (files, expect) = (format!("{at}/files"), format!("{at}/expect"));
    let is_list = drill.value.pointer(&files).is_some();
    if is_list && drill.length_of(&files) == 0 {
        let hint = "name some: files = [\"*.jpg\", \"*.png\"]".to_owned();
        drill.error(&files, "no pattern", hint);
    }
    if !drill.stands(&expect) {
        let hint = "say what must be true of them: expect = \"not empty\", \">= 100 files\", \
                    \"pictures\" or \"sha256 …\"";
        drill.error(at, "a check that expects nothing", hint.to_owned());
    }
    read::<ExpectedFiles>(drill, &expect);
    strangers(drill, at, "of files", &["database", "files_in", "timezone"]);
    if let Some(sources) = sources {
        holds_files(sources, drill, &format!("{at}/source"));
    }
}

/// A program sees all sources, and says by itself whether it is content.
fn program(drill: &mut Document, at: &str) {
    let run = format!("{at}/run");
    if drill.value.pointer(&run).is_some() && drill.length_of(&run) == 0 {
        let hint = "name it: run = [\"/path/of/a/program\"]".to_owned();
        drill.error(&run, "no program", hint);
    }
    command::named_by_path(drill, &run);
    let strangers_to_it = ["source", "database", "expect", "files_in", "timezone"];
    strangers(drill, at, "by a program", &strangers_to_it);
}

/// Keys that mean nothing in such a check.
fn strangers(drill: &mut Document, at: &str, check: &str, keys: &[&str]) {
    for key in keys {
        let place = format!("{at}/{key}");
        if drill.stands(&place) {
            let message = format!("`{key}` in a check {check}");
            drill.error(&place, message, "leave it out".to_owned());
        }
    }
}

/// What stands at `expect`, or what is wrong with it as an expectation of what is asked.
fn read<T: std::str::FromStr<Err = Wrong>>(drill: &mut Document, expect: &str) -> Option<T> {
    match drill.text_at(expect)?.parse() {
        Ok(expected) => Some(expected),
        Err(Wrong { what, hint }) => {
            drill.error(expect, what, hint);
            None
        }
    }
}

fn facts<'a>(sources: &'a Sources, drill: &Document, pointer: &str) -> Option<&'a SourceFacts> {
    sources.facts.get(drill.text_at(pointer)?)
}

/// The source named at `pointer` must be one folder of files.
fn holds_files(sources: &Sources, drill: &mut Document, pointer: &str) {
    match facts(sources, drill, pointer) {
        Some(SourceFacts { kind: Some(kind), .. }) if kind != "files" => {
            let message = format!("a source of kind {kind} holds no files");
            drill.error(pointer, message, "name a source of kind files".to_owned());
        }
        Some(SourceFacts { paths: 2.., .. }) => {
            let hint = "make a source of the path that the names are relative to";
            drill.error(pointer, "a source with several paths", hint.to_owned());
        }
        _ => {}
    }
}

/// What is wrong with the database that a check names, or does not name: message and hint.
fn one_database(source: &SourceFacts, named: Option<&str>) -> Option<(String, String)> {
    let is_server = server::is_server(source.kind.as_deref());
    let listed = source.databases.join(", ");
    match (named, &source.databases[..]) {
        (Some(name), _) if source.kind.as_deref() == Some("redis") => redis::wrong_database(name),
        (Some(_), _) if !is_server => {
            let message = "the source has no databases to choose from".to_owned();
            Some((message, "leave `database` out".to_owned()))
        }
        (Some(name), known @ [_, ..]) if !known.iter().any(|known| known == name) => {
            Some((format!("unknown database \"{name}\""), format!("there are: {listed}")))
        }
        (None, [] | [_, _, ..]) if is_server => {
            let hint = match source.databases[..] {
                [] => "add `database`, the name of the one that is asked".to_owned(),
                _ => format!("add `database`, one of: {listed}"),
            };
            Some(("the source has several databases".to_owned(), hint))
        }
        _ => None,
    }
}
