//! Messages of the engine without the values that they quote: what goes on record must not hold rows.

/// What stands before a quoted name of an object, a file or a locale; any other quote may be a
/// value's.
const NAMED: [&str; 23] = [
    "relation",
    "table",
    "view",
    "sequence",
    "function",
    "constraint",
    "index",
    "trigger",
    "role",
    "schema",
    "type",
    "extension",
    "database",
    "column",
    "tablespace",
    "language",
    "collation",
    "encoding",
    "parameter",
    "provider",
    "file",
    "library",
    "locale name:",
];

/// A message without the values that it quotes; names stay. A value may hold quotes itself, so
/// that it ends at the last one.
pub fn without_values(message: &str) -> String {
    let (mut told, mut rest) = (String::new(), message);
    while let Some((before, quoted)) = rest.split_once('"') {
        told.push_str(before);
        let is_named = NAMED.iter().any(|word| {
            let cut = before.trim_end().strip_suffix(word);
            cut.is_some_and(|cut| cut.is_empty() || cut.ends_with(' '))
        });
        let ended = if is_named { quoted.split_once('"') } else { quoted.rsplit_once('"') };
        let (inner, after) = ended.unwrap_or((quoted, ""));
        told.push('"');
        told.push_str(if is_named { inner } else { "…" });
        told.push('"');
        rest = after;
    }
    told + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_values_do_not_show_and_names_do() {
        for (message, told) in [
            (
                "invalid input syntax for type integer: \"canary\"",
                "invalid input syntax for type integer: \"…\"",
            ),
            (
                "value \"4111\" is out of range for type integer",
                "value \"…\" is out of range for type integer",
            ),
            ("malformed array literal: \"a\" table \"canary\"", "malformed array literal: \"…\""),
            ("invalid input: \"begun", "invalid input: \"…\""),
            (
                "column \"note\" of relation \"orders\" does not exist",
                "column \"note\" of relation \"orders\" does not exist",
            ),
            (
                "could not extend file \"base/1/2\": No space left on device",
                "could not extend file \"base/1/2\": No space left on device",
            ),
        ] {
            assert_eq!(without_values(message), told);
        }
    }
}
