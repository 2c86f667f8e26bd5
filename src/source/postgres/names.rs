//! Names and texts written into SQL.

/// A name quoted for SQL, whatever is in it.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name as a person reads it: quoted where it is not plain, so that no two names look alike
/// (`a."b.c"` and `"a.b".c`).
pub fn readable(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_plain) { name.to_owned() } else { identifier(name) }
}

/// A text quoted for SQL. Backslashes are themselves: `standard_conforming_strings` is the
/// default since 9.1, and an `E''` literal is written where the text has one to be sure.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// A database as libpq's programs take it: a bare name with `=` in it would be read as settings.
pub fn connection_to(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_leave_their_quotes() {
        assert_eq!(identifier("a\"; DROP TABLE t; --"), "\"a\"\"; DROP TABLE t; --\"");
        assert_eq!(readable("order_2"), "order_2");
        assert_eq!(readable("p.t"), "\"p.t\"");
        assert_eq!(literal("a'; --"), "'a''; --'");
        assert_eq!(connection_to("a' host='x"), "dbname='a\\' host=\\'x'");
        assert_eq!(literal("\\'"), " E'\\\\'''");
    }
}
