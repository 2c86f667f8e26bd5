//! A command as people type it: words with blanks between, quoted where they hold blanks.

/// The words of `text`, as redis-cli splits them; none where a quote is not closed.
pub(super) fn split(text: &str) -> Option<Vec<Vec<u8>>> {
    let (mut words, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '"' | '\'' => quoted(&rest[1..], first)?,
            _ => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (rest.as_bytes()[..end].to_vec(), &rest[end..])
            }
        };
        words.push(word);
        rest = after.trim_start();
    }
    Some(words)
}

/// The word up to the closing `quote`, and what follows. In double quotes `\` escapes.
fn quoted(text: &str, quote: char) -> Option<(Vec<u8>, &str)> {
    let mut word = Vec::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        let letter = match letter {
            letter if letter == quote => return Some((word, &text[at + letter.len_utf8()..])),
            '\\' if quote == '"' => match letters.next()?.1 {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            },
            '\\' if text[at + 1..].starts_with('\'') => letters.next()?.1,
            letter => letter,
        };
        word.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_as_redis_cli_splits_them() {
        let words = |text| {
            let words = split(text)?.into_iter();
            Some(words.map(|word| String::from_utf8(word).unwrap()).collect::<Vec<_>>())
        };

        assert_eq!(words("  GET  cart:17 ").unwrap(), ["GET", "cart:17"]);
        assert_eq!(words(r#"HGET "a b" 'it\'s'"#).unwrap(), ["HGET", "a b", "it's"]);
        assert_eq!(words(r#"GET "a\"b\n""#).unwrap(), ["GET", "a\"b\n"]);
        assert_eq!(words("").unwrap(), Vec::<String>::new());
        assert_eq!(words("GET \"open"), None);
    }
}
