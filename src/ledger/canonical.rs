//! RFC 8785 (JSON Canonicalization Scheme) for values whose numbers are integers.
//!
//! In: anything serde can serialise. Out: the one byte string that every reader must arrive at.
//! Floats are refused: their canonical form is where implementations differ. Pure.

use serde::Serialize;
use serde_json::Value;

use crate::ground::digest::Digest;

/// The largest magnitude that every JSON reader keeps exactly (RFC 7493, section 2.2).
const LARGEST: u64 = (1 << 53) - 1;

/// Why a value has no canonical form here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the number at {place:?} is not an integer of at most 53 bits")]
    NotAnInteger { place: String },
    #[error("the value cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// The canonical JSON of `value`, without a line end.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let value = serde_json::to_value(value)?;
    let mut out = Vec::new();
    write(&value, &mut String::new(), &mut out)?;
    Ok(out)
}

/// SHA-256 of the canonical JSON of `value`: how policy versions are told apart.
pub fn digest<T: Serialize + ?Sized>(value: &T) -> Result<Digest, Error> {
    to_vec(value).map(|bytes| Digest::of(&bytes))
}

fn write(value: &Value, place: &mut String, out: &mut Vec<u8>) -> Result<(), Error> {
    match value {
        Value::Number(number) => {
            let exact = number.as_u64().or(number.as_i64().map(i64::unsigned_abs));
            if exact.is_none_or(|magnitude| magnitude > LARGEST) {
                return Err(Error::NotAnInteger { place: place.clone() });
            }
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                within(place, &index.to_string(), |place| write(item, place, out))?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            // RFC 8785, section 3.2.3: by UTF-16 code units, which is not the order of UTF-8 bytes.
            sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (index, (key, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, key)?;
                out.push(b':');
                within(place, key, |place| write(member, place, out))?;
            }
            out.push(b'}');
        }
        // serde_json escapes exactly what RFC 8785 section 3.2.2.2 asks for, and nothing else.
        Value::Null | Value::Bool(_) | Value::String(_) => serde_json::to_writer(&mut *out, value)?,
    }
    Ok(())
}

/// Runs `act` with `part` added to `place`, as in a JSON pointer.
fn within<T>(place: &mut String, part: &str, act: impl FnOnce(&mut String) -> T) -> T {
    let length = place.len();
    place.push('/');
    place.push_str(part);
    let result = act(place);
    place.truncate(length);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(json: &str) -> Result<String, Error> {
        let value: Value = serde_json::from_str(json).unwrap();
        to_vec(&value).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn keys_are_sorted_as_in_the_example_of_rfc_8785() {
        // Section 3.2.3: the expected order by UTF-16 code units.
        let json = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;

        let written = canonical(json).unwrap();

        let order = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"];
        let places: Vec<_> = order.iter().map(|word| written.find(word).unwrap()).collect();
        assert!(places.is_sorted(), "{written}");
    }

    #[test]
    fn strings_are_escaped_as_rfc_8785_asks() {
        let written = canonical(r#"["\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/\u007f"]"#);

        assert_eq!(written.unwrap(), "[\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\u{7f}\"]");
    }

    #[test]
    fn blanks_vanish_and_integers_stay() {
        let written = canonical(" { \"b\" : [ 1 , -20, 0 ] , \"a\" : null, \"c\": true } ");

        assert_eq!(written.unwrap(), r#"{"a":null,"b":[1,-20,0],"c":true}"#);
    }

    #[test]
    fn floats_and_numbers_beyond_53_bits_are_refused_by_place() {
        for number in ["1.5", "1e3", "9007199254740992", "-9007199254740992"] {
            let error = canonical(&format!(r#"{{"a":[0,{number}]}}"#)).unwrap_err();

            assert!(error.to_string().contains("/a/1"), "{number}: {error}");
        }
        assert!(canonical("9007199254740991").is_ok());
    }
}
