//! A line of `SHOW GRANTS`, taken apart.

use super::names::{identifier, unquoted};

/// What a line of `SHOW GRANTS` grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    /// E.g. `SELECT`, without columns; `ALL PRIVILEGES` stands for itself.
    pub privileges: Vec<String>,
    pub on: On,
}

/// On what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum On {
    Everything,
    /// A pattern of databases, as LIKE reads it.
    Databases(String),
    Table {
        database: String,
        name: String,
    },
    /// A routine or a package.
    Routine {
        database: String,
        name: String,
    },
}

impl Grant {
    /// Reads a line; none for one that grants a role or the right to be a proxy, or grants nothing.
    pub(super) fn read(line: &str) -> Option<Self> {
        Self::after(line.strip_prefix("GRANT ")?)
    }

    /// Reads a line that takes back for one database what is granted on all: MySQL's partial revokes.
    pub(super) fn read_revoked(line: &str) -> Option<Self> {
        Self::after(line.strip_prefix("REVOKE ")?)
    }

    fn after(rest: &str) -> Option<Self> {
        let (mut privileges, mut rest) = (Vec::new(), rest);
        loop {
            let word = rest.find([',', '(']).into_iter().chain(rest.find(" ON ")).min()?;
            let name = rest[..word].trim().to_owned();
            if name.starts_with('`') || name == "PROXY" {
                return None;
            }
            privileges.push(name);
            rest = &rest[word..];
            if let Some(list) = rest.strip_prefix('(') {
                rest = columns(list)?.1;
            }
            match rest.strip_prefix(',') {
                Some(more) => rest = more.trim_start_matches(' '),
                None => break,
            }
        }
        let rest = rest.strip_prefix(" ON ")?;
        let routine = ["PROCEDURE ", "FUNCTION ", "PACKAGE BODY ", "PACKAGE "];
        let bare = routine.iter().find_map(|word| rest.strip_prefix(word));
        let place = bare.unwrap_or(rest);
        if place.starts_with("*.*") {
            return Some(Self { privileges, on: On::Everything });
        }
        let (database, rest) = unquoted(place)?;
        let rest = rest.strip_prefix('.')?;
        if rest.starts_with('*') {
            return Some(Self { privileges, on: On::Databases(database) });
        }
        let (name, _) = unquoted(rest)?;
        let on = match bare {
            Some(_) => On::Routine { database, name },
            None => On::Table { database, name },
        };
        Some(Self { privileges, on })
    }

    /// Whether it grants `privilege`, wherever.
    pub(super) fn has(&self, privilege: &str) -> bool {
        self.privileges.iter().any(|one| one == privilege || one == "ALL PRIVILEGES")
    }
}

/// The columns of a list that was begun, and what follows it.
fn columns(text: &str) -> Option<(Vec<String>, &str)> {
    let (mut names, mut rest) = (Vec::new(), text);
    loop {
        let (name, after) = unquoted(rest.trim_start_matches([',', ' ']))?;
        names.push(identifier(&name));
        match after.strip_prefix(')') {
            Some(after) => return Some((names, after)),
            None => rest = after,
        }
    }
}

/// A line with its columns in order: the server writes them in any.
pub(super) fn with_columns_in_order(line: &str) -> String {
    let (mut told, mut rest) = (String::new(), line);
    // Columns stand before the object; whatever else has a bracket in it is quoted.
    while let Some(at) = rest.find(" (`")
        && let before = &rest[..at]
        && !before.contains(" ON ")
        && let Some((mut names, after)) = columns(&rest[at + " (".len()..])
    {
        names.sort();
        told.push_str(&format!("{before} ({})", names.join(", ")));
        rest = after;
    }
    told + rest
}

/// Whether `name` is like `pattern`: `%`, `_`, and a backslash before either.
pub(super) fn is_like(name: &str, pattern: &str) -> bool {
    let mut pattern = pattern.chars();
    let Some(first) = pattern.next() else { return name.is_empty() };
    let mut name_left = name.chars();
    match first {
        '%' => name
            .char_indices()
            .map(|(at, _)| at)
            .chain([name.len()])
            .any(|at| is_like(&name[at..], pattern.as_str())),
        '_' => name_left.next().is_some() && is_like(name_left.as_str(), pattern.as_str()),
        '\\' => match pattern.next() {
            Some(c) => name_left.next() == Some(c) && is_like(name_left.as_str(), pattern.as_str()),
            None => name == "\\",
        },
        c => name_left.next() == Some(c) && is_like(name_left.as_str(), pattern.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(privileges: &[&str], on: On) -> Option<Grant> {
        let privileges = privileges.iter().map(|one| (*one).to_owned()).collect();
        Some(Grant { privileges, on })
    }

    #[test]
    fn lines_are_read_as_the_server_writes_them() {
        let (database, name) = ("shop".to_owned(), "or`d ON x".to_owned());
        for (line, read) in [
            (
                "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION",
                grant(&["ALL PRIVILEGES"], On::Everything),
            ),
            (
                "GRANT BACKUP_ADMIN,SHOW_ROUTINE ON *.* TO `a`@`%`",
                grant(&["BACKUP_ADMIN", "SHOW_ROUTINE"], On::Everything),
            ),
            (
                "GRANT SELECT, SHOW VIEW ON `sh\\_op`.* TO `a`@`%`",
                grant(&["SELECT", "SHOW VIEW"], On::Databases("sh\\_op".to_owned())),
            ),
            (
                "GRANT SELECT (`a ON b`, `c)`), UPDATE ON `shop`.`or``d ON x` TO `a`@`%`",
                grant(
                    &["SELECT", "UPDATE"],
                    On::Table { database: database.clone(), name: name.clone() },
                ),
            ),
            (
                "GRANT EXECUTE ON PROCEDURE `shop`.`or``d ON x` TO `a`@`%`",
                grant(&["EXECUTE"], On::Routine { database, name }),
            ),
            ("GRANT `ro` TO `a`@`%`", None),
            ("GRANT PROXY ON ``@`%` TO `root`@`localhost` WITH GRANT OPTION", None),
            ("SET DEFAULT ROLE `ro` FOR `a`@`%`", None),
        ] {
            assert_eq!(Grant::read(line), read, "{line}");
        }
    }

    #[test]
    fn columns_come_in_order_and_nothing_else_changes() {
        let line = "GRANT SELECT (`total`, `id ON (`), UPDATE (`b`, `a`) ON `shop`.`t (`b`, `a`)`";
        let same = "GRANT SELECT ON `shop`.`t (`b`, `a`)` TO `a`@`%`";

        assert_eq!(
            with_columns_in_order(line),
            "GRANT SELECT (`id ON (`, `total`), UPDATE (`a`, `b`) ON `shop`.`t (`b`, `a`)`"
        );
        assert_eq!(with_columns_in_order(same), same);
    }

    #[test]
    fn patterns_of_databases_are_read_as_like_reads_them() {
        assert!(is_like("shop", "shop"));
        assert!(is_like("s_op1", "s\\_op%"));
        assert!(is_like("shop", "s_op"));
        assert!(is_like("shop", "%"));
        assert!(!is_like("shop", "s\\_op"));
        assert!(!is_like("shop", "sho"));
    }
}
