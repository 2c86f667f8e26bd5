//! What the login cannot see, found before anything is dumped.
//!
//! In: a session, the databases that are meant. Out: a sentence with the statements that mend it,
//! where something is missing. What is hidden would be missing from the dump and from the fingerprint
//! alike, and equality would hold: without TRIGGER a database seems to have no triggers.

use super::Product;
use super::grant::{Grant, On, is_like};
use super::names::identifier;
use super::session::{Error, Session};
use crate::policy::sources::Equality;

/// What each database needs.
pub(super) const OF_DATABASE: [&str; 4] = ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"];

/// What the server's own database needs: accounts and the texts of routines stand there.
pub(super) const OF_SYSTEM: [&str; 1] = ["SELECT"];

/// What is said where the login lacks something; none where it has all. Of what it sees `there` is
/// everything that there is, where it sees all databases. What only an exact point needs may be lacking
/// where the policy does without one.
pub(super) fn lacking(
    session: &mut Session,
    databases: &[String],
    there: &[&str],
    equality: &Equality,
) -> Result<Option<String>, Error> {
    let user = session.value("SELECT CURRENT_USER()")?;
    let mut lines = session.column("SHOW GRANTS")?;
    let product = session.product();
    if product == Product::Mariadb {
        match session.column("SHOW GRANTS FOR PUBLIC") {
            Ok(of_public) => lines.extend(of_public),
            // Nothing was ever granted to everybody.
            Err(Error::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let granted = Granted::of(&lines);
    // One that is not there lacks nothing: it will be said that it is not.
    let sees_all = granted.has_everywhere("SHOW DATABASES");
    let is_there = |name: &&String| !sees_all || there.contains(&name.as_str());
    let databases: Vec<String> = databases.iter().filter(is_there).cloned().collect();
    Ok(told(product, &user, &granted, &databases, equality))
}

/// What an account is granted, and what of it MySQL took back for single databases.
struct Granted {
    grants: Vec<Grant>,
    revoked: Vec<Grant>,
}

fn told(
    product: Product,
    user: &str,
    grants: &Granted,
    databases: &[String],
    equality: &Equality,
) -> Option<String> {
    let dispensable = match equality {
        Equality::Required => &[][..],
        Equality::NotRequired { .. } => product.privileges_of_moment(),
    };
    let global = |one: &&&str| !grants.has_everywhere(one) && !dispensable.contains(*one);
    let missing: Vec<&str> = product.global_privileges().iter().filter(global).copied().collect();
    let (mut what, mut remedies) = (Vec::new(), Vec::new());
    if !missing.is_empty() {
        what.push(format!("it lacks {}", missing.join(", ")));
        remedies.push((missing.join(", "), "*.*".to_owned()));
    }
    let wanted = databases.iter().map(|name| (name.as_str(), &OF_DATABASE[..]));
    for (database, wanted) in wanted.chain([("mysql", &OF_SYSTEM[..])]) {
        let lacks = |privilege: &&&str| !grants.has(privilege, database);
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

impl Granted {
    /// Reads the lines of `SHOW GRANTS`.
    fn of(lines: &[String]) -> Self {
        Self {
            grants: lines.iter().filter_map(|line| Grant::read(line)).collect(),
            revoked: lines.iter().filter_map(|line| Grant::read_revoked(line)).collect(),
        }
    }

    fn has_everywhere(&self, privilege: &str) -> bool {
        self.grants.iter().any(|grant| grant.on == On::Everything && grant.has(privilege))
    }

    fn is_revoked(&self, privilege: &str, database: &str) -> bool {
        self.revoked.iter().any(|one| {
            let is_of_it = matches!(&one.on, On::Databases(name) if is_like(database, name));
            is_of_it && one.has(privilege)
        })
    }

    /// Of several patterns that fit, the server goes by one: all must grant it, then that one does.
    fn has(&self, privilege: &str, database: &str) -> bool {
        if self.has_everywhere(privilege) && !self.is_revoked(privilege, database) {
            return true;
        }
        let mut patterns: Vec<(&str, bool)> = Vec::new();
        for grant in &self.grants {
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
        of(Product::Mariadb, lines)
    }

    fn of(product: Product, lines: &[&str]) -> Option<String> {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        told(product, "backup@%", &Granted::of(&lines), &["shop".to_owned()], &Equality::Required)
    }

    #[test]
    fn what_only_an_exact_point_needs_may_be_lacking_where_the_policy_does_without() {
        let lines = [
            "GRANT SELECT, SHOW DATABASES, SHOW VIEW, EVENT, TRIGGER ON *.* TO `backup`@`%`",
            "GRANT SHOW_ROUTINE ON *.* TO `backup`@`%`",
        ];
        let granted = Granted::of(&lines.map(str::to_owned));
        let told = |granted: &Granted, equality: &Equality| {
            told(Product::Mysql, "backup@%", granted, &["shop".to_owned()], equality)
        };
        let waived = Equality::NotRequired { reason: "it is managed".into() };

        assert_eq!(told(&granted, &waived), None);
        let lacks = told(&granted, &Equality::Required).unwrap();
        assert!(lacks.contains("it lacks RELOAD, REPLICATION CLIENT, BACKUP_ADMIN."), "{lacks}");
        // What hides data is never dispensable.
        let blind = Granted::of(&["GRANT SELECT ON *.* TO `backup`@`%`".to_owned()]);
        assert!(told(&blind, &waived).unwrap().contains("SHOW VIEW, TRIGGER, EVENT"));
    }

    #[test]
    fn what_mysql_took_back_of_a_database_is_not_granted_on_it() {
        let global = "GRANT SELECT, RELOAD, SHOW DATABASES, REPLICATION CLIENT, SHOW VIEW, EVENT, \
                      TRIGGER ON *.* TO `backup`@`%`";
        let dynamic = "GRANT BACKUP_ADMIN,SHOW_ROUTINE ON *.* TO `backup`@`%`";
        let revoked = "REVOKE SELECT, TRIGGER ON `shop`.* FROM `backup`@`%`";

        assert_eq!(of(Product::Mysql, &[global, dynamic]), None);
        let told = of(Product::Mysql, &[global, dynamic, revoked]).unwrap();
        assert!(told.contains("on database shop it lacks SELECT, TRIGGER."), "{told}");
        let told = of(Product::Mysql, &[global]).unwrap();
        assert!(
            told.contains("GRANT BACKUP_ADMIN, SHOW_ROUTINE ON *.* TO `backup`@`%`;"),
            "{told}"
        );
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
