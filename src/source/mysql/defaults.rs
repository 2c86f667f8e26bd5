//! Default roles, taken out of the statement that makes a MySQL account: they can be set only once
//! they were granted.

use super::names::unquoted;

/// The clause, as `SHOW CREATE USER` writes it.
const CLAUSE: &str = " DEFAULT ROLE ";

/// Statements that make the account `name` without its default roles, and the one that sets them.
pub(super) fn apart(name: &str, definition: Vec<String>) -> (Vec<String>, Option<String>) {
    let mut set = None;
    let made = definition.into_iter().map(|line| {
        let Some((before, roles, after)) = clause(name, &line) else { return line };
        set = Some(format!("SET DEFAULT ROLE {roles} TO {name}"));
        format!("{before}{after}")
    });
    (made.collect(), set)
}

/// What stands before the clause, its roles, and what follows.
fn clause<'a>(name: &str, line: &'a str) -> Option<(&'a str, &'a str, &'a str)> {
    // A name may hold anything; what follows it up to the clause is the server's own.
    let known = line.find(name)? + name.len();
    let at = known + line[known..].find(CLAUSE)?;
    let roles = &line[at + CLAUSE.len()..];
    let mut rest = roles;
    loop {
        rest = unquoted(rest)?.1.strip_prefix('@')?;
        rest = unquoted(rest)?.1;
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => break,
        }
    }
    Some((&line[..at], &roles[..roles.len() - rest.len()], rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_roles_are_set_by_a_statement_of_their_own() {
        let name = "`a DEFAULT ROLE ``x`@`%`";
        let line = format!(
            "CREATE USER IF NOT EXISTS {name} IDENTIFIED WITH 'caching_sha2_password' AS 0x2441 \
             DEFAULT ROLE `r``,`@`%`,`s`@`host` REQUIRE NONE COMMENT ' DEFAULT ROLE `t`@`%`'"
        );

        let (made, set) = apart(name, vec![line]);

        assert_eq!(
            made,
            [format!(
                "CREATE USER IF NOT EXISTS {name} IDENTIFIED WITH 'caching_sha2_password' AS \
                 0x2441 REQUIRE NONE COMMENT ' DEFAULT ROLE `t`@`%`'"
            )]
        );
        assert_eq!(set, Some(format!("SET DEFAULT ROLE `r``,`@`%`,`s`@`host` TO {name}")));
    }

    #[test]
    fn an_account_without_default_roles_stays_as_it_is() {
        let line = "CREATE USER IF NOT EXISTS `a`@`%` IDENTIFIED WITH 'x' REQUIRE NONE".to_owned();

        assert_eq!(apart("`a`@`%`", vec![line.clone()]), (vec![line], None));
    }
}
