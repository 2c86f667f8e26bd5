//! What only policies of command sources say: defaults, and programs that must be named by path.

use std::time::Duration;

use super::document::Document;

/// How long each of the three programs may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(3600);

/// Variables that lifeboat sets itself.
const OURS: &str = "LIFEBOAT_";

/// Adds what is wrong with the source at `at`, e.g. `/source/0`.
pub(super) fn check(policy: &mut Document, at: &str) {
    if policy.text_at(&format!("{at}/kind")) != Some("command") {
        return;
    }
    for key in ["capture", "recover", "check"] {
        named_by_path(policy, &format!("{at}/{key}"));
    }
    let secrets = format!("{at}/secret");
    let mut seen: Vec<String> = Vec::new();
    for index in 0..policy.length_of(&secrets) {
        let place = format!("{secrets}/{index}/variable");
        let Some(name) = policy.text_at(&place).map(str::to_owned) else { continue };
        let is_name =
            name.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_');
        if !is_name || name.starts_with(OURS) || name.starts_with(|c: char| c.is_ascii_digit()) {
            let hint = "A-Z, 0-9 and _, not beginning with a digit or LIFEBOAT_".to_owned();
            policy.error(&place, "not the name of a variable", hint);
        }
        if seen.contains(&name) {
            policy.error(&place, format!("\"{name}\" is there already"), "leave it out".to_owned());
        }
        seen.push(name);
    }
}

/// Adds an error where the program whose argv stands at `pointer` is not named by its path.
pub(super) fn named_by_path(document: &mut Document, pointer: &str) {
    let place = format!("{pointer}/0");
    if document.text_at(&place).is_some_and(|program| !program.contains('/')) {
        let hint = "write its path, absolute or beside the site file: what a search path finds may be \
                    another one tomorrow";
        document.error(&place, "a program without a path", hint.to_owned());
    }
}
