//! A column's character set where its collation says it already.
//!
//! MySQL remembers whether a collation was written or came from the table: after a dump, which writes
//! it, `SHOW CREATE TABLE` names the character set beside it.

use std::borrow::Cow;

use super::names::unquoted;

const CLAUSE: &str = " CHARACTER SET ";

/// A column's line without the character set that the collation right after it implies.
pub(super) fn without_implied(line: &str) -> Cow<'_, str> {
    let cut = || {
        let (_, rest) = unquoted(line.trim_start())?;
        let at = line.len() - rest.len() + outside_of_texts(rest)?;
        let (name, after) = line[at + CLAUSE.len()..].split_once(" COLLATE ")?;
        let is_implied = after.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'));
        is_implied.then(|| format!("{} COLLATE {after}", &line[..at]))
    };
    cut().map_or(Cow::Borrowed(line), Cow::Owned)
}

/// Where the clause stands, outside of what is quoted: values of an ENUM, defaults, comments.
fn outside_of_texts(text: &str) -> Option<usize> {
    let mut is_quoted = false;
    for (at, c) in text.char_indices() {
        // Of a doubled quote the second one begins the text again.
        if c == '\'' {
            is_quoted = !is_quoted;
        } else if !is_quoted && text[at..].starts_with(CLAUSE) {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_set_goes_only_where_the_collation_tells_it() {
        for (line, without) in [
            (
                "  `a` varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,",
                "  `a` varchar(9) COLLATE utf8mb4_bin NOT NULL,",
            ),
            (
                "  `a` enum(' CHARACTER SET x','it''s') CHARACTER SET latin1 COLLATE latin1_bin,",
                "  `a` enum(' CHARACTER SET x','it''s') COLLATE latin1_bin,",
            ),
            ("  `a` varchar(9) CHARACTER SET latin1 DEFAULT NULL,", ""),
            ("  `a CHARACTER SET b COLLATE b_c` int,", ""),
            ("  `a` int COMMENT ' CHARACTER SET utf8mb4 COLLATE utf8mb4_bin'", ""),
            ("  KEY `a` (`a`)", ""),
        ] {
            let without = if without.is_empty() { line } else { without };
            assert_eq!(without_implied(line), without);
        }
    }
}
