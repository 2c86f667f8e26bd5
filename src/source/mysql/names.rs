//! Names and texts written into SQL, as every `sql_mode` of ours reads them.

/// A name quoted for SQL, whatever is in it.
pub fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A name as a person reads it: quoted where it is not plain, so that no two names look alike.
pub fn readable(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_plain) { name.to_owned() } else { identifier(name) }
}

/// A text quoted for SQL. Sessions have an empty `sql_mode`, so that backslashes escape.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// What a name that begins with a backtick says, and what follows it; none where it does not end.
pub(super) fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('`')?;
    let mut name = String::new();
    loop {
        let (before, after) = rest.split_once('`')?;
        name.push_str(before);
        match after.strip_prefix('`') {
            Some(further) => {
                name.push('`');
                rest = further;
            }
            None => return Some((name, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_leave_their_quotes() {
        assert_eq!(identifier("a`; DROP TABLE t; --"), "`a``; DROP TABLE t; --`");
        assert_eq!(readable("order_2"), "order_2");
        assert_eq!(readable("p.t"), "`p.t`");
        assert_eq!(literal("a'; --\\"), "'a''; --\\\\'");
    }

    #[test]
    fn a_quoted_name_is_read_back_whole() {
        assert_eq!(unquoted("`a``b` rest"), Some(("a`b".to_owned(), " rest")));
        assert_eq!(unquoted("`a``b"), None);
        assert_eq!(unquoted("a"), None);
    }
}
