//! What the login cannot see, found before anything is dumped.
//!
//! In: a session, the databases that are meant. Out: a sentence with the statements that mend it,
//! where something is missing. What is hidden would be missing from the dump and from the fingerprint
//! alike, and equality would hold: without TRIGGER a database seems to have no triggers.

use super::grant::{Grant, On, is_like};
use super::names::identifier;
use super::session::{Error, Session};

/// What the lock, the moment and the list of databases need.
pub(super) const GLOBAL: [&str; 4] = ["RELOAD", "PROCESS", "BINLOG MONITOR", "SHOW DATABASES"];

/// What each database needs.
pub(super) const OF_DATABASE: [&str; 4] = ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"];

/// What the server's own database needs: accounts and the texts of routines stand there.
pub(super) const OF_SYSTEM: [&str; 1] = ["SELECT"];

/// What is said where the login lacks something; none where it has all.
pub(super) fn lacking(
    session: &mut Session,
    databases: &[String],
) -> Result<Option<String>, Error> {
    let user = session.value("SELECT CURRENT_USER()")?;
    let mut lines = session.column("SHOW GRANTS")?;
    match session.column("SHOW GRANTS FOR PUBLIC") {
        Ok(of_public) => lines.extend(of_public),
        // Nothing was ever granted to everybody.
        Err(Error::Refused { .. }) => {}
        Err(error) => return Err(error),
    }
    let grants: Vec<Grant> = lines.iter().filter_map(|line| Grant::read(line)).collect();
    Ok(told(&user, &grants, databases))
}

fn told(user: &str, grants: &[Grant], databases: &[String]) -> Option<String> {
    let global = |privilege: &&&str| !is_global(grants, privilege);
    let missing: Vec<&str> = GLOBAL.iter().filter(global).copied().collect();
    let (mut what, mut remedies) = (Vec::new(), Vec::new());
    if !missing.is_empty() {
        what.push(format!("it lacks {}", missing.join(", ")));
        remedies.push((missing.join(", "), "*.*".to_owned()));
    }
    let wanted = databases.iter().map(|name| (name.as_str(), &OF_DATABASE[..]));
    for (database, wanted) in wanted.chain([("mysql", &OF_SYSTEM[..])]) {
        let lacks = |privilege: &&&str| !is_granted(grants, privilege, database);
        let missing: Vec<&str> = wanted.iter().filter(lacks).copied().collect();
        if !missing.is_empty() {
            what.push(format!("on database {database} it lacks {}", missing.join(", ")));
            remedies.push((missing.join(", "), format!("{}.*", identifier(database))));
        }
    }
    if what.is_empty() {
        return None;
    }
    let to = account(user);
    let remedies: Vec<String> =
        remedies.iter().map(|(what, on)| format!("GRANT {what} ON {on} TO {to};")).collect();
    Some(format!(
        "the login does not see everything, so nothing was dumped: {}. An administrator mends it: {}",
        what.join("; "),
        remedies.join(" ")
    ))
}

fn is_global(grants: &[Grant], privilege: &str) -> bool {
    grants.iter().any(|grant| grant.on == On::Everything && grant.has(privilege))
}

/// Of several patterns that fit, the server goes by one: all must grant it, then that one does.
fn is_granted(grants: &[Grant], privilege: &str, database: &str) -> bool {
    if is_global(grants, privilege) {
        return true;
    }
    let mut patterns: Vec<(&str, bool)> = Vec::new();
    for grant in grants {
        let On::Databases(pattern) = &grant.on else { continue };
        if !is_like(database, pattern) {
            continue;
        }
        match patterns.iter_mut().find(|(known, _)| known == pattern) {
            Some((_, granted)) => *granted |= grant.has(privilege),
            None => patterns.push((pattern, grant.has(privilege))),
        }
    }
    !patterns.is_empty() && patterns.iter().all(|(_, granted)| *granted)
}

/// `backup@%` as SQL writes it.
pub(super) fn account(user: &str) -> String {
    let (name, host) = user.rsplit_once('@').unwrap_or((user, "%"));
    format!("{}@{}", identifier(name), identifier(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacks(lines: &[&str]) -> Option<String> {
        let grants: Vec<Grant> = lines.iter().filter_map(|line| Grant::read(line)).collect();
        told("backup@%", &grants, &["shop".to_owned()])
    }

    #[test]
    fn a_login_that_sees_everything_lacks_nothing() {
        let global = "GRANT RELOAD, PROCESS, BINLOG MONITOR, SHOW DATABASES ON *.* TO `backup`@`%`";
        let system = "GRANT SELECT ON `mysql`.* TO `backup`@`%`";
        let shop = "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `shop`.* TO `backup`@`%`";

        assert_eq!(lacks(&[global, system, shop]), None);
        assert_eq!(lacks(&["GRANT ALL PRIVILEGES ON *.* TO `backup`@`%`"]), None);

        let told = lacks(&[global, system, "GRANT SELECT ON `shop`.* TO `backup`@`%`"]).unwrap();
        assert!(told.contains("on database shop it lacks SHOW VIEW, TRIGGER, EVENT"), "{told}");
        assert!(told.contains("GRANT SHOW VIEW, TRIGGER, EVENT ON `shop`.* TO `backup`@`%`;"));
    }

    #[test]
    fn a_narrower_pattern_that_grants_less_is_not_made_good_by_a_wider_one() {
        let all = "GRANT RELOAD, PROCESS, BINLOG MONITOR, SHOW DATABASES ON *.* TO `b`@`%`";
        let wide = "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `%`.* TO `b`@`%`";

        assert_eq!(lacks(&[all, wide]), None);
        let told = lacks(&[all, wide, "GRANT SELECT ON `shop`.* TO `b`@`%`"]).unwrap();
        assert!(told.contains("on database shop it lacks SHOW VIEW, TRIGGER, EVENT"), "{told}");
    }

    #[test]
    fn what_a_table_is_granted_is_not_granted_to_its_database() {
        let told = lacks(&["GRANT SELECT ON `shop`.`orders` TO `b`@`%`"]).unwrap();

        assert!(told.contains("on database shop it lacks SELECT"), "{told}");
    }
}
