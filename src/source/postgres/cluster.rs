//! What a scratch server must be like to take in what was captured: stands in `lifeboat.json`.

use serde::{Deserialize, Serialize};

use super::super::{Gap, GapKind};

/// A captured cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// The major version of server and dump.
    pub major: u32,
    /// The server's version in full, e.g. `15.20`.
    pub version: String,
    /// The role that initdb made (its oid is 10). The scratch server's superuser bears its name,
    /// for it owns what comes with every database.
    pub superuser: String,
    /// The databases that were dumped, in the order of their dumps; at least one.
    pub databases: Vec<Database>,
    /// For people: how the server was made and run.
    #[serde(default)]
    pub server: Server,
}

/// What a rebuilt server should be like, though no dump needs it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Server {
    /// Whether pages carry checksums.
    pub page_checksums: bool,
    pub wal_segment_bytes: u64,
    /// `shared_preload_libraries`; empty where the login may not see it.
    pub preload_libraries: String,
    /// Whether it was a standby.
    pub is_standby: bool,
    /// Whether `globals.sql` holds the hashes of roles' passwords.
    pub has_role_passwords: bool,
    /// By name, with their folders: dumps leave them out.
    pub tablespaces: Vec<String>,
    /// What else the dumps leave out.
    #[serde(default)]
    pub gaps: Vec<Gap>,
}

impl Cluster {
    /// What a dump of it does not cover.
    pub fn gaps(&self) -> Vec<Gap> {
        let Server { has_role_passwords, tablespaces, gaps, .. } = &self.server;
        let of_server = |kind, names| Gap { kind, database: None, names };
        let passwords =
            (!has_role_passwords).then(|| of_server(GapKind::RolePasswords, Vec::new()));
        let tablespaces =
            (!tablespaces.is_empty()).then(|| of_server(GapKind::Tablespaces, tablespaces.clone()));
        gaps.iter().cloned().chain(tablespaces).chain(passwords).collect()
    }
}

/// A captured database, as `pg_database` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    pub name: String,
    /// `pg_encoding_to_char(encoding)`, e.g. `UTF8`.
    pub encoding: String,
    /// `datlocprovider`: `c` (libc), `i` (ICU) or `b` (the server's own, since 17).
    pub provider: char,
    /// `datcollate`
    pub collate: String,
    /// `datctype`
    pub ctype: String,
    /// `datlocale`, before 17 `daticulocale`: of ICU and of the server's own.
    pub locale: Option<String>,
    /// `daticurules`, since 16.
    pub icu_rules: Option<String>,
    /// `datcollversion`
    pub collation_version: Option<String>,
    /// Of the procedural languages and all other extensions.
    pub extensions: Vec<Extension>,
    /// `pg_database_size`: about what a scratch copy takes.
    pub bytes: u64,
    /// The moment of its snapshot, by the server's clock.
    #[serde(default)]
    pub snapshot_time: String,
}

/// An extension of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    pub name: String,
    pub version: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_that_could_not_be_read_and_tablespaces_are_gaps() {
        let server = Server { tablespaces: vec!["fast at /ssd".into()], ..Server::default() };
        let (version, superuser) = ("15.20".into(), "postgres".into());
        let cluster = Cluster { major: 15, version, superuser, databases: Vec::new(), server };

        let gaps = cluster.gaps();

        let kinds: Vec<_> = gaps.iter().map(|gap| gap.kind).collect();
        assert_eq!(kinds, [GapKind::Tablespaces, GapKind::RolePasswords]);
        let read = Server { has_role_passwords: true, ..Server::default() };
        assert!(Cluster { server: read, ..cluster }.gaps().is_empty());
    }
}
