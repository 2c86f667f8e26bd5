//! Hides secrets in text that is about to be shown. Bytes and characters stay as many as they were, so
//! that places stay right.
//!
//! A file whose secrets stand where they should holds none. This is for the others: diagnostics
//! quote the file, and what they quote ends in logs.

use std::ops::Range;

const SECRET_WORDS: [&str; 7] =
    ["password", "passwd", "passphrase", "secret", "token", "credential", "private_key"];

/// Whether a key's name says that its value is a secret.
pub(super) fn is_secret_key(key: &str) -> bool {
    let key = key.to_lowercase().replace('-', "_");
    SECRET_WORDS.iter().any(|word| key.contains(word)) || key.ends_with("access_key")
}

/// Where the password stands in `scheme://user:password@…`, if there is one.
pub(super) fn url_password(text: &str) -> Option<Range<usize>> {
    let mut from = 0;
    while let Some(found) = text[from..].find("://") {
        let start = from + found + 3;
        let rest = &text[start..];
        let end = rest.find(|c: char| c.is_whitespace() || c == '"' || c == '\'');
        let rest = &rest[..end.unwrap_or(rest.len())];
        if let Some(at) = rest.rfind('@')
            && let Some(colon) = rest[..at].find([':', '/'])
            && rest.as_bytes()[colon] == b':'
            && colon + 1 < at
            && !is_port(&rest[colon + 1..at])
        {
            return Some(start + colon + 1..start + at);
        }
        from = start;
    }
    None
}

/// `443/path`: what follows the colon of a host rather than that of a user.
fn is_port(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(port, _)| !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit()))
}

/// `text` with stars in place of `ranges`, of values beside keys that sound secret, and of
/// passwords in URLs.
pub(super) fn mask(text: &str, ranges: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut cover = |range: Range<usize>| {
        let start = text.floor_char_boundary(range.start);
        let covered = text.get(start..text.ceil_char_boundary(range.end)).unwrap_or_default();
        for (at, c) in covered.char_indices() {
            if !matches!(c, '\n' | '\r' | '"' | '\'') {
                star(c).encode_utf8(&mut bytes[start + at..]);
            }
        }
    };
    ranges.iter().cloned().for_each(&mut cover);
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if let Some((key, value)) = line.split_once('=')
            && is_secret_key(key)
            && !value.trim_start().starts_with('{')
        {
            let gap = value.len() - value.trim_start().len();
            cover(start + key.len() + 1 + gap..start + line.trim_end().len());
        }
        let mut from = 0;
        while let Some(password) = url_password(&line[from..]) {
            cover(start + from + password.start..start + from + password.end);
            from += password.end;
        }
        start += line.len();
    }
    // Characters were replaced by others of their length, so this never replaces anything.
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A star, or what looks like one, that takes as many bytes as `c`.
fn star(c: char) -> char {
    match c.len_utf8() {
        1 => '*',
        2 => '×',
        3 => '＊',
        _ => '🞲',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_every_place_stays_where_it_was() {
        let text = "name = \"acme\"\nrepository_password = \"hünter2\" # mine\n\
                    url = \"https://bob:hunter2@host/x\"\nkey = { file = \"/etc/k\" }\n";

        let masked = mask(text, &[]);

        assert!(!masked.contains("nter2"), "{masked}");
        assert!(
            masked.contains("acme") && masked.contains("/etc/k") && masked.contains("https://bob:")
        );
        assert_eq!(masked.len(), text.len());
        let places = |text: &str| text.char_indices().map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!(places(&masked), places(text));
    }

    #[test]
    fn a_secret_of_any_script_is_hidden_and_what_follows_it_stays_in_its_column() {
        let masked = mask("password = '密码é🔑' x", &[]);

        assert_eq!(masked, "password = '＊＊×🞲'**");
    }

    #[test]
    fn a_port_or_a_path_is_no_password() {
        for text in ["https://host:443/a@b", "file:///a:b@c", "postgres://u@h/db", "a@b:c"] {
            assert_eq!(url_password(text), None, "{text}");
        }
        assert!(url_password("see http://x and https://u:p@h").is_some());
    }
}
