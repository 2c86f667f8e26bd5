//! Deparsed expressions that a restore writes in another way, brought into one form.
//!
//! `status IN ('a', 'b')` on a `varchar` is stored as an array that is cast to `text[]`. Parsed
//! again, as every restore does, the cast moves into the elements, so the restored copy's text
//! differs for ever though nothing does. Here both become the second form.

use std::borrow::Cow;

/// What a cast array begins with.
const OPEN: &str = "(ARRAY[";

/// `definition` as the server would write it after a restore.
pub(super) fn settled(definition: &str) -> Cow<'_, str> {
    if !definition.contains(OPEN) {
        return Cow::Borrowed(definition);
    }
    let mut out = String::with_capacity(definition.len());
    let mut rest = definition;
    while let Some(at) = next_open(rest) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        match cast_array(from) {
            Some((elements, element_type, after)) => {
                let cast = |element: &str| format!("({})::{element_type}", settled(element.trim()));
                let elements: Vec<String> = elements.into_iter().map(cast).collect();
                out.push_str(&format!("ARRAY[{}]", elements.join(", ")));
                rest = after;
            }
            None => {
                out.push_str(OPEN);
                rest = &from[OPEN.len()..];
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Where the next `(ARRAY[` stands outside of quotes.
fn next_open(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\'' | b'"' => at = after_quoted(bytes, at),
            b'(' if text[at..].starts_with(OPEN) => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// Reads `(ARRAY[a, b])::type[]`: its elements, the type, and what follows.
fn cast_array(text: &str) -> Option<(Vec<&str>, &str, &str)> {
    let bytes = text.as_bytes();
    let mut elements = Vec::new();
    let (mut at, mut begun, mut depth) = (OPEN.len(), OPEN.len(), 0usize);
    loop {
        match *bytes.get(at)? {
            b'\'' | b'"' => {
                at = after_quoted(bytes, at);
                continue;
            }
            b'(' | b'[' => depth += 1,
            b')' => depth = depth.checked_sub(1)?,
            b']' if depth > 0 => depth -= 1,
            b']' => break,
            b',' if depth == 0 => {
                elements.push(&text[begun..at]);
                begun = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    elements.push(&text[begun..at]);
    let cast = text[at..].strip_prefix("])::")?;
    let end = cast.find("[]")?;
    let (element_type, after) = (&cast[..end], &cast[end + 2..]);
    let is_name = |c: char| c.is_alphanumeric() || "_ .\"".contains(c);
    element_type.chars().all(is_name).then_some((elements, element_type, after))
}

/// The place after the quoted text or name that begins at `at`. A doubled quote reads as two
/// quoted texts in a row; an `E''` text has its backslashes doubled, its quotes too.
fn after_quoted(bytes: &[u8], at: usize) -> usize {
    let quote = bytes[at];
    let close = bytes[at + 1..].iter().position(|byte| *byte == quote);
    close.map_or(bytes.len(), |close| at + close + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_cast_array_become_one() {
        let created = "CHECK (((status)::text = ANY ((ARRAY['a'::character varying, \
                       'q''],x'::character varying])::text[])))";
        let restored = "CHECK (((status)::text = ANY (ARRAY[('a'::character varying)::text, \
                        ('q''],x'::character varying)::text])))";

        assert_eq!(settled(created), restored);
        assert_eq!(settled(restored), restored);
    }

    #[test]
    fn quoted_text_and_other_arrays_stay_as_they_are() {
        for text in [
            "SELECT '(ARRAY[1])::text[]'",
            "(ARRAY[1, 2])",
            "(ARRAY[1, 2])::",
            "(ARRAY['unclosed",
            "\"(ARRAY[1])::text[]\"",
            "",
        ] {
            assert_eq!(settled(text), text);
        }
    }
}
