//! Pictures that a restored tree holds.

use lifeboat::check::pictures::{Decoded, decode};

/// Told twice alike, and what is wrong in words.
pub fn picture(input: &[u8]) {
    let decoded = decode(input);
    assert_eq!(decoded, decode(input));
    if let Decoded::Flawed(what) | Decoded::TooLarge(what) = decoded {
        assert!(!what.is_empty());
    }
}
