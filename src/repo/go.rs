//! Go's ways with text, which restic's files are written in: names quoted as `strconv.Quote`
//! does, JSON escaped as `encoding/json` does.
//!
//! Byte for byte, because a tree's id is the hash of its JSON: only equal text deduplicates.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::ser::{CharEscape, Formatter};

/// A time as Go writes it. Its calendar goes to the end of the year 9999, whose last day
/// [`Timestamp`] does not reach: a time of that day is the last that there is.
pub(super) fn time(text: &str) -> Result<Timestamp, jiff::Error> {
    match text.parse() {
        Err(_) if text.starts_with("9999-12-3") => Ok(Timestamp::MAX),
        parsed => parsed,
    }
}

/// As [`time`], from JSON.
pub(super) fn read_time<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    time(&String::deserialize(from)?).map_err(D::Error::custom)
}

/// Quotes `name` as Go's `strconv.Quote`, without the quotation marks around it.
pub(super) fn quote(name: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                ' '..='~' => text.push(c),
                '\x07' => text.push_str("\\a"),
                '\x08' => text.push_str("\\b"),
                '\x0c' => text.push_str("\\f"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\x0b' => text.push_str("\\v"),
                '\0'..='\x7f' => push(&mut text, format_args!("\\x{:02x}", c as u32)),
                _ if is_print(c) => text.push(c),
                '\0'..='\u{ffff}' => push(&mut text, format_args!("\\u{:04x}", c as u32)),
                _ => push(&mut text, format_args!("\\U{:08x}", c as u32)),
            }
        }
        for byte in chunk.invalid() {
            push(&mut text, format_args!("\\x{byte:02x}"));
        }
    }
    return text;

    fn push(text: &mut String, escape: std::fmt::Arguments<'_>) {
        text.write_fmt(escape).expect("a string takes any text");
    }
}

/// Go's `strconv.IsPrint` for what is not ASCII: letters, marks, numbers, punctuation, symbols.
///
/// Rust escapes the same categories, and beyond them a mark, but that only at the begin of a text.
fn is_print(c: char) -> bool {
    let mut buffer = [b'a'; 5];
    let length = c.encode_utf8(&mut buffer[1..]).len();
    let text = std::str::from_utf8(&buffer[..=length]).expect("a letter and a character");
    text.escape_debug().nth(1) == Some(c)
}

/// The bytes that [`quote`] made `text` of; `None` where Go's `strconv.Unquote` refuses it.
pub(super) fn unquote(text: &str) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '"', '\n']) {
        name.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = rest[at..].strip_prefix('\\')?;
        let kind = escape.chars().next()?;
        let after = &escape[kind.len_utf8()..];
        let (digits, radix) = match kind {
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='7' => (3, 8),
            _ => (0, 0),
        };
        if digits == 0 {
            name.push(match kind {
                'a' => 0x07,
                'b' => 0x08,
                'f' => 0x0c,
                'n' => b'\n',
                'r' => b'\r',
                't' => b'\t',
                'v' => 0x0b,
                '\\' | '"' => kind as u8,
                _ => return None,
            });
            rest = after;
            continue;
        }
        let field = if radix == 8 { escape } else { after };
        let number = field.get(..digits).filter(|f| f.chars().all(|c| c.is_digit(radix)))?;
        let value = u32::from_str_radix(number, radix).ok()?;
        if matches!(kind, 'u' | 'U') {
            let c = char::from_u32(value)?;
            name.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            name.push(u8::try_from(value).ok()?);
        }
        rest = &field[digits..];
    }
    name.extend_from_slice(rest.as_bytes());
    Some(name)
}

/// Stands for a byte that is not UTF-8 in a text that [`to_json`] writes: Go's JSON has `\ufffd`
/// there, six characters, while a true U+FFFD stays as it is. Link targets and names of attributes
/// cannot hold a NUL themselves.
const NOT_UTF8: char = '\0';

/// `bytes` as text for [`to_json`].
pub(super) fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(std::iter::repeat_n(NOT_UTF8, chunk.invalid().len()));
    }
    text
}

/// `value` as JSON with Go's escapes.
pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::new();
    value
        .serialize(&mut serde_json::Serializer::with_formatter(&mut json, Escapes))
        .expect("texts, numbers and ids are always JSON");
    json
}

struct Escapes;

impl Formatter for Escapes {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (clean, from) = rest.split_at(at);
            let c = from.chars().next().expect("one was found here");
            write!(writer, "{clean}\\u{:04x}", c as u32)?;
            rest = &from[c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        let short = match escape {
            CharEscape::Quote => b'"',
            CharEscape::ReverseSolidus => b'\\',
            CharEscape::Solidus => b'/',
            CharEscape::Backspace => b'b',
            CharEscape::FormFeed => b'f',
            CharEscape::LineFeed => b'n',
            CharEscape::CarriageReturn => b'r',
            CharEscape::Tab => b't',
            CharEscape::AsciiControl(0) => return writer.write_all(b"\\ufffd"),
            CharEscape::AsciiControl(byte) => return write!(writer, "\\u{byte:04x}"),
        };
        writer.write_all(&[b'\\', short])
    }
}

/// Go writes an empty list that was never filled as `null`.
pub(super) fn null_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_quoted_as_go_quotes_them() {
        // Left: bytes; right: what restic 0.14.0 stored for a file of this name.
        let cases: [(&[u8], &str); 5] = [
            (b"a<b>&\"q\\.txt", "a<b>&\\\"q\\\\.txt"),
            (b"name\xff\n\te\xcc\x81", "name\\xff\\n\\te\u{301}"),
            (
                "u\u{2028}\u{a0}\u{200b}\u{1F600}x\x7f".as_bytes(),
                "u\\u2028\\u00a0\\u200b\u{1F600}x\\x7f",
            ),
            (b"\x00\x1b\x07\x0b", "\\x00\\x1b\\a\\v"),
            ("\u{301}\u{fffd}\u{e0001}".as_bytes(), "\u{301}\u{fffd}\\U000e0001"),
        ];
        for (name, quoted) in cases {
            assert_eq!(quote(name), quoted);
            assert_eq!(unquote(quoted).unwrap(), name);
        }
    }

    #[test]
    fn what_go_refuses_to_unquote_is_refused() {
        for text in [
            "\\",
            "\\x4",
            "\\xzz",
            "\\ud800",
            "\\U00110000",
            "\\400",
            "a\"b",
            "a\nb",
            "\\'",
            "\\é",
            "\\xé",
        ] {
            assert_eq!(unquote(text), None, "{text:?}");
        }
        assert_eq!(unquote("\\101\\u00e9").unwrap(), "Aé".as_bytes());
    }

    #[test]
    fn json_is_escaped_as_go_escapes_it() {
        let json = to_json(&lossy(b"<&>\xff\xe2\x80\xa8\x01\n\"/"));

        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#""\u003c\u0026\u003e\ufffd\u2028\u0001\n\"/""#
        );
    }

    proptest! {
        #[test]
        fn any_name_comes_back_from_its_quoted_form(name in prop::collection::vec(any::<u8>(), 0..40)) {
            let quoted = quote(&name);
            prop_assert_eq!(unquote(&quoted), Some(name));
        }

        #[test]
        fn any_text_is_unquoted_or_refused_without_panic(text in any::<String>()) {
            let _ = unquote(&text);
        }

        #[test]
        fn json_stays_json(text in any::<String>().prop_filter("no NUL", |t| !t.contains('\0'))) {
            prop_assert_eq!(serde_json::from_slice::<String>(&to_json(&text)).unwrap(), text);
        }
    }
}
