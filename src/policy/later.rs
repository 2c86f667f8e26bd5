//! What later versions will carry out: named, so that a policy of the future is told from a typo.

/// Keys by the table they stand in: a JSON pointer with `*` for indices.
const KEYS: [(&str, &[&str]); 1] = [("site:/customer/*", &["copies"])];

/// The message for something that is declared but not built yet.
pub(super) fn not_yet(what: &str) -> String {
    format!("this version of lifeboat does not carry out {what} yet")
}

/// Whether a later version knows `key` in the table at `place`, e.g. `site:/customer/*`.
pub(super) fn is_key(place: &str, key: &str) -> bool {
    KEYS.iter().any(|(table, keys)| *table == place && keys.contains(&key))
}
