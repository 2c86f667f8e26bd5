//! A room imports only rooms on lower floors (design §12), and the bucket's rooms know neither
//! policy nor state.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The rooms and their floors.
const FLOORS: [(&str, u8); 22] = [
    ("ground", 0),
    ("policy", 1),
    ("sandbox", 1),
    ("seal", 1),
    ("state", 1),
    ("store", 1),
    ("ledger", 2),
    ("repo", 2),
    ("source", 2),
    ("account", 3),
    ("check", 3),
    ("discover", 3),
    ("report", 3),
    ("restore", 3),
    ("backup", 4),
    ("drill", 4),
    ("evidence", 4),
    ("repair", 4),
    ("retain", 4),
    ("daemon", 5),
    ("cli", 7),
    ("lib", 8),
];

/// Lower floors that are closed all the same: a bucket must be readable with its keys alone.
const CLOSED: [(&str, &str); 4] =
    [("repo", "policy"), ("repo", "state"), ("ledger", "policy"), ("ledger", "state")];

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// The rooms that a text refers to by `crate::…`, `crate::{…}` included.
fn rooms_used(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let starts_a_word =
            !code[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$'));
        if !starts_a_word {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => rooms.extend(heads_of_group(group)),
            None => rooms.extend(word(rest)),
        }
    }
    rooms
}

/// The first word of each path in `a::b, c::{d, e}, f}…`, up to the brace that closes the group.
fn heads_of_group(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let (mut depth, mut begin) = (0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begin = true,
            c if begin && !c.is_whitespace() => {
                heads.extend(word(&group[at..]));
                begin = false;
            }
            _ => {}
        }
    }
    heads
}

fn word(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

/// What is wrong with a room whose file has this text.
fn violations(room: &str, text: &str) -> Vec<String> {
    let Some(own) = floor(room) else {
        return vec![format!("{room} stands on no floor: add it to FLOORS")];
    };
    let mut found = Vec::new();
    for used in rooms_used(text).iter().filter(|used| *used != room) {
        // A name that is no room is an item or a macro of the crate itself.
        let Some(other) = floor(used) else { continue };
        if other >= own {
            found.push(format!("{room} (floor {own}) uses {used} (floor {other})"));
        }
        if CLOSED.contains(&(room, used)) {
            found.push(format!("{room} must not know {used}"));
        }
    }
    found
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn every_room_stands_on_lower_floors_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 20, "only {} files were found", files.len());

    let mut found = Vec::new();
    for file in files {
        let place = file.strip_prefix(&root).expect("below src").to_path_buf();
        let first = place.iter().next().and_then(|part| part.to_str()).expect("UTF-8");
        let room = first.trim_end_matches(".rs");
        if room == "main" {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("UTF-8 text");
        let wrong = violations(room, &text);
        found.extend(wrong.into_iter().map(|wrong| format!("src/{}: {wrong}", place.display())));
    }

    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_room_of_the_library_has_a_floor() {
    let library = include_str!("../src/lib.rs");
    for line in library.lines() {
        if let Some(room) = line.strip_prefix("pub mod ").and_then(|line| line.strip_suffix(';')) {
            assert!(floor(room).is_some(), "{room} stands on no floor");
        }
    }
}

#[test]
fn a_planted_violation_is_found_however_it_is_written() {
    let upwards = [
        "use crate::drill::Plan;",
        "use crate::{ground::ids::Name, drill::{Plan, Run}};",
        "use crate::{\n    ground::{clock, ids},\n    drill,\n};",
        "pub(crate) fn f() -> crate::drill::Plan { todo!() }",
        "    let x = crate::drill::run();",
    ];
    for text in upwards {
        assert_eq!(violations("repo", text).len(), 1, "{text}");
    }
    assert_eq!(violations("repo", "use crate::source::Kind;").len(), 1, "the same floor");
    assert_eq!(violations("ledger", "use crate::policy::Setup;").len(), 1, "a closed room");
    assert_eq!(violations("attic", "").len(), 1, "a room without a floor");
}

#[test]
fn what_is_allowed_is_not_called_a_violation() {
    let allowed = [
        "use crate::{ground::ids::Name, seal, store::{Put, Shared}};",
        "use crate::repo::pack;",
        "// see crate::drill for why",
        "use other_crate::drill::Plan;",
    ];
    for text in allowed {
        assert_eq!(violations("repo", text), Vec::<String>::new(), "{text}");
    }
}
