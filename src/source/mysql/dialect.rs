//! Where the two products want other SQL for the same thing.
//!
//! Everything else of this room is written once, for both.

use std::time::Duration;

use super::Product;

/// What a session sets before anything else, of what both know. The first ones change the text of
/// values, and so a fingerprint; the rest keeps the server's own limits out of long reads. A day
/// without a question is longer than any dump that the session waits for.
const PINNED: [&str; 10] = [
    "sql_mode = ''",
    "time_zone = '+00:00'",
    "sql_quote_show_create = 1",
    "group_concat_max_len = 1048576",
    "sql_select_limit = 18446744073709551615",
    "sql_safe_updates = 0",
    "completion_type = 'NO_CHAIN'",
    "wait_timeout = 86400",
    "net_read_timeout = 600",
    "net_write_timeout = 600",
];

/// The same, of what only one knows. MySQL would else remember for a day when a table was written,
/// print hashes of passwords as bytes that are no text, and hide key columns that it made itself.
const PINNED_MARIADB: [&str; 1] = ["old_mode = ''"];
const PINNED_MYSQL: [&str; 5] = [
    "information_schema_stats_expiry = 0",
    "print_identified_with_as_hex = 1",
    "show_gipk_in_create_table_and_information_schema = 1",
    "show_create_table_verbosity = 0",
    "show_create_table_skip_secondary_engine = 0",
];

/// Global variables that change what a definition or a row means where it is made again.
const VARIABLES: [&str; 6] = [
    "lower_case_table_names",
    "innodb_page_size",
    "innodb_default_row_format",
    "innodb_strict_mode",
    "character_set_server",
    "collation_server",
];
const VARIABLES_MYSQL: [&str; 3] =
    ["explicit_defaults_for_timestamp", "partial_revokes", "restrict_fk_on_non_standard_key"];

/// The most that MySQL knows as a limit: it counts milliseconds in 32 bits.
const LONGEST_MS: u128 = u32::MAX as u128;

impl Product {
    /// The statement that pins a session's settings.
    pub(super) fn pins(self) -> String {
        let own: &[&str] = match self {
            Self::Mariadb => &PINNED_MARIADB,
            Self::Mysql => &PINNED_MYSQL,
        };
        format!("SET SESSION {}", [&PINNED, own].concat().join(", SESSION "))
    }

    /// The statement by which the server itself ends later ones that take longer; MySQL only those
    /// that read.
    pub(super) fn limits(self, limit: Duration) -> String {
        match self {
            // A year is the most that it knows.
            Self::Mariadb => {
                let seconds = limit.as_secs_f64().min(31_536_000.0);
                format!("SET SESSION max_statement_time = {seconds:.3}")
            }
            Self::Mysql => {
                let milliseconds = limit.as_millis().min(LONGEST_MS);
                format!("SET SESSION max_execution_time = {milliseconds}")
            }
        }
    }

    /// SQL for the digest of a text, in hexadecimal digits. MySQL's MD5 is a component that need not
    /// be there; MariaDB's fingerprints are of MD5 since their first version.
    pub(super) fn digest(self, text: &str) -> String {
        match self {
            Self::Mariadb => format!("MD5({text})"),
            Self::Mysql => format!("SHA2({text},256)"),
        }
    }

    /// What of a database's own properties stands in `information_schema.SCHEMATA`.
    pub(super) fn database_columns(self) -> &'static str {
        match self {
            Self::Mariadb => "DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME, SCHEMA_COMMENT",
            Self::Mysql => "DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME, DEFAULT_ENCRYPTION",
        }
    }

    /// All accounts, roles first: name, host, whether it is a role. MySQL makes a role as an account
    /// that nobody can log in to, and knows no other difference.
    pub(super) fn accounts(self) -> &'static str {
        match self {
            Self::Mariadb => {
                "SELECT User, Host, COALESCE(JSON_VALUE(Priv, '$.is_role'), '0') IN ('1', 'true')
                 FROM mysql.global_priv ORDER BY 3 DESC, 1, 2"
            }
            Self::Mysql => {
                "SELECT User, Host, account_locked = 'Y' AND password_expired = 'Y'
                   AND authentication_string = ''
                 FROM mysql.user ORDER BY 3 DESC, 1, 2"
            }
        }
    }

    /// Accounts that a server makes for itself.
    pub(super) fn own_accounts(self) -> &'static [&'static str] {
        match self {
            Self::Mariadb => &["mariadb.sys"],
            Self::Mysql => &["mysql.sys", "mysql.session", "mysql.infoschema"],
        }
    }

    /// Global variables that a scratch server takes over.
    pub(super) fn variables(self) -> Vec<&'static str> {
        let own: &[&str] = match self {
            Self::Mariadb => &[],
            Self::Mysql => &VARIABLES_MYSQL,
        };
        [&VARIABLES, own].concat()
    }

    /// What of [`Product::global_privileges`] nothing needs but the moment.
    pub(super) fn privileges_of_moment(self) -> &'static [&'static str] {
        match self {
            Self::Mariadb => &["RELOAD", "BINLOG MONITOR"],
            Self::Mysql => &["RELOAD", "REPLICATION CLIENT", "BACKUP_ADMIN"],
        }
    }

    /// What the lock, the moment and the list of databases need.
    pub(super) fn global_privileges(self) -> &'static [&'static str] {
        match self {
            Self::Mariadb => &["RELOAD", "PROCESS", "BINLOG MONITOR", "SHOW DATABASES"],
            Self::Mysql => {
                &["RELOAD", "REPLICATION CLIENT", "SHOW DATABASES", "BACKUP_ADMIN", "SHOW_ROUTINE"]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_stay_within_what_each_server_knows() {
        let ever = Duration::MAX;

        assert!(Product::Mariadb.limits(ever).ends_with("= 31536000.000"));
        assert!(Product::Mysql.limits(ever).ends_with("= 4294967295"));
        assert!(Product::Mysql.limits(Duration::from_millis(1500)).ends_with("= 1500"));
    }
}
