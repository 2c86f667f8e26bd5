//! What a capture does not cover, though it stands beside what it does.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Things of one kind that a capture leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub kind: GapKind,
    /// The database that they are in; none where they are the server's.
    pub database: Option<String>,
    /// None where the kind says it all.
    pub names: Vec<String>,
}

/// Why something is left out, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapKind {
    /// Databases that the login sees and the policy does not name.
    Databases,
    UnloggedRows,
    ForeignRows,
    /// A restore runs the query anew.
    MaterialisedRows,
    Subscriptions,
    /// Only a superuser sees their options.
    UserMappings,
    Tablespaces,
    /// Made by ALTER ROLE ALL.
    RoleSettings,
    /// What users made in `pg_catalog`: `pg_dump` takes it for the server's.
    Strangers,
    /// What default privileges granted on what an extension made.
    DefaultGrants,
    PublishedOfExtensions,
    /// Constraints whose triggers somebody switched off: a restore checks them again.
    ConstraintTriggers,
    /// Of the server's own roles in each other, where they are not as initdb made them.
    PredefinedMemberships,
    /// The login may not read their hashes.
    RolePasswords,
    /// Of Redis' modules: only they can read them.
    ModuleValues,
    /// Of a Redis cluster, which have the rest of its data.
    OtherNodes,
    /// A Redis server was told to write none, so that nothing proves what it sent.
    Checksum,
    /// FLOAT columns: MariaDB's dumps write six digits of what may have more.
    RoundedFloats,
    /// Of tables that no transaction holds still: they are dumped, and not compared.
    UnheldRows,
    /// MySQL's, which the server keeps for columns of any database.
    MaskingPolicies,
    /// Of accounts on tables and routines that are not captured, or gone.
    GrantsElsewhere,
    /// Of AUTO_INCREMENT and sequences: a copy of files has them about as they were.
    Counters,
}

impl GapKind {
    /// Its word in records.
    pub fn code(self) -> &'static str {
        match self {
            Self::Databases => "databases",
            Self::UnloggedRows => "unlogged-rows",
            Self::ForeignRows => "foreign-rows",
            Self::MaterialisedRows => "materialised-rows",
            Self::Subscriptions => "subscriptions",
            Self::UserMappings => "user-mappings",
            Self::Tablespaces => "tablespaces",
            Self::RoleSettings => "role-settings",
            Self::Strangers => "strangers",
            Self::DefaultGrants => "default-grants",
            Self::PublishedOfExtensions => "published-of-extensions",
            Self::ConstraintTriggers => "constraint-triggers",
            Self::PredefinedMemberships => "predefined-memberships",
            Self::RolePasswords => "role-passwords",
            Self::ModuleValues => "module-values",
            Self::OtherNodes => "other-nodes",
            Self::Checksum => "checksum",
            Self::RoundedFloats => "rounded-floats",
            Self::UnheldRows => "unheld-rows",
            Self::MaskingPolicies => "masking-policies",
            Self::GrantsElsewhere => "grants-elsewhere",
            Self::Counters => "counters",
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(database) = &self.database {
            write!(f, "{database}: ")?;
        }
        f.write_str(match self.kind {
            GapKind::Databases => "the databases that `databases` does not name:",
            GapKind::UnloggedRows => "rows of the unlogged tables",
            GapKind::ForeignRows => "rows of the foreign tables",
            GapKind::MaterialisedRows => "rows, which a restore computes anew, of the views",
            GapKind::Subscriptions => "the subscriptions",
            GapKind::UserMappings => {
                "options of the user mappings, which only a superuser sees, of"
            }
            GapKind::Tablespaces => "the tablespaces",
            GapKind::RoleSettings => "settings made by ALTER ROLE ALL:",
            GapKind::Strangers => "what stands in pg_catalog and did not come with the server:",
            GapKind::DefaultGrants => "what default privileges granted on what an extension made:",
            GapKind::PublishedOfExtensions => "what publications publish of an extension's tables:",
            GapKind::ConstraintTriggers => {
                "that ALTER TABLE … TRIGGER switched the triggers of the constraints"
            }
            GapKind::PredefinedMemberships => {
                "memberships of the server's own roles in each other that initdb did not make so:"
            }
            GapKind::RolePasswords => "passwords of roles, which the login may not read",
            GapKind::ModuleValues => "values that only a module can read, of",
            GapKind::OtherNodes => "the other nodes of the cluster",
            GapKind::Checksum => "damage on the way from the server, which sends no checksum",
            GapKind::RoundedFloats => {
                "all but six digits, to which dumps round FLOAT, of the columns"
            }
            GapKind::UnheldRows => {
                "a comparison of rows, which are dumped and no transaction held still, of"
            }
            GapKind::MaskingPolicies => "masking policies, which the server keeps for its columns",
            GapKind::GrantsElsewhere => "grants on what is not captured, or is gone:",
            GapKind::Counters => {
                "a comparison of the next values of AUTO_INCREMENT and sequences, which no log tells"
            }
        })?;
        match &self.names[..] {
            [] => Ok(()),
            names => write!(f, " {}", names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_told_with_its_database_and_names_and_recorded_by_the_same_word() {
        let names = vec!["sales.cache".to_owned(), "sales.other".to_owned()];
        let database = Some("shop".to_owned());
        let gap = Gap { kind: GapKind::UnloggedRows, database, names };

        assert_eq!(gap.to_string(), "shop: rows of the unlogged tables sales.cache, sales.other");
        let written = serde_json::to_value(&gap).unwrap();
        assert_eq!(written["kind"], gap.kind.code());
    }
}
