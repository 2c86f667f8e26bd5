//! The files' shape, as users write them: what serde reads and what the JSON Schema is made from.
//!
//! Nothing here is checked beyond single values; `references` checks what they say of each other.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

use super::address::{Endpoint, PathText, StateUrl, StoreUrl};
use super::expect::Expected;
use super::leaf::{Instant, Pattern, Period, PolicyRef, Rate, Size, SnapshotPrefix, Words, Zone};
use super::schedule::Cron;
use super::span::CalendarSpan;
use crate::ground::ids::Name;
use crate::ground::secret::SecretRef;

/// lifeboat.toml: the site
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Site {
    pub state: Option<State>,
    pub scratch: Option<Scratch>,
    /// Database programs that stand elsewhere than Debian puts them
    #[serde(default)]
    pub engine: Vec<Engine>,
    /// Where repositories and ledgers are kept
    #[serde(default)]
    pub store: Vec<Store>,
    /// Whose data is protected; each has its own repository, key and ledger
    #[serde(default)]
    pub customer: Vec<Customer>,
    /// Servers that `lifeboat restore --to-server` loads databases into
    #[serde(default)]
    pub server: Vec<Target>,
    pub signing: Option<Signing>,
    pub daemon: Option<Daemon>,
}

/// A server that takes databases back, and how it is reached
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    pub name: Name,
    pub kind: TargetKind,
    /// Whose data it may take: no other customer's is ever restored into it
    pub customer: Name,
    /// The server's socket (of PostgreSQL the folder of it), or its name or address
    pub host: Words,
    /// Default: 5432 of PostgreSQL, 3306 of MariaDB and MySQL
    pub port: Option<u16>,
    /// Whom to log in as: it makes databases and all that is in them
    pub user: Words,
    pub password: Option<SecretRef>,
    /// Default: off on sockets and loopback, require elsewhere
    pub tls: Option<TlsMode>,
    /// The authority (PEM) that the server's certificate must come from, for tls = "verify"
    pub ca: Option<PathText>,
}

/// What a server is that takes databases back
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    Postgres,
    Mariadb,
    Mysql,
}

/// What only this host needs to know: leases, unfinished runs
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub url: StateUrl,
}

/// How `lifeboat daemon` runs what is scheduled
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Daemon {
    /// How many backups and drills run at once (default: 2)
    pub parallel: Option<u32>,
    /// How long what runs may go on once the daemon is asked to end (default: 10m)
    pub drain: Option<Period>,
    /// How soon a run that could not begin is tried again; doubled each time (default: 30s)
    pub retry_first: Option<Period>,
    /// The longest pause between two tries (default: 30m)
    pub retry_longest: Option<Period>,
}

/// Where drills restore to
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Scratch {
    /// A private folder, ideally on tmpfs or an encrypted volume
    pub dir: Option<PathText>,
    /// Who scratch servers run as when lifeboat is root
    pub user: Option<Words>,
    /// The most that scratch environments may hold together
    pub max: Option<Size>,
    /// Only where bubblewrap cannot be had; every drill's record then says that there was none
    pub without_sandbox: Option<Waiver>,
}

/// That restored dumps, which may hold hostile code, are opened without walls around them
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(super) enum Waiver {
    #[serde(rename = "whatever hides in a restored dump may act on this host")]
    Given,
}

/// The programs of one major version of a database
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Engine {
    Postgres {
        version: PostgresMajor,
        /// The folder with initdb, postgres, pg_dump and pg_restore
        path: PathText,
    },
    Mariadb {
        version: MariadbSeries,
        /// The folder with bin/mariadb-dump, bin/mariadb and sbin/mariadbd
        path: PathText,
    },
    Mysql {
        version: MysqlSeries,
        /// The folder with bin/mysqldump, bin/mysql and sbin/mysqld
        path: PathText,
    },
}

/// A series of MySQL
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(super) enum MysqlSeries {
    #[serde(rename = "9.7")]
    V9_7,
}

/// A series of MariaDB
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(super) enum MariadbSeries {
    #[serde(rename = "10.11")]
    V10_11,
}

/// A major version of PostgreSQL
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(super) enum PostgresMajor {
    #[serde(rename = "15")]
    V15,
    #[serde(rename = "17")]
    V17,
    #[serde(rename = "18")]
    V18,
}

/// A place for repositories and ledgers
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    pub name: Name,
    pub url: StoreUrl,
    /// The S3 service that has the bucket (default: AWS)
    pub endpoint: Option<Endpoint>,
    /// The bucket's region (default: us-east-1)
    pub region: Option<Words>,
    /// The id of the access key for the bucket
    pub access_key: Option<SecretRef>,
    /// The secret that belongs to the access key
    pub secret_key: Option<SecretRef>,
    /// Certificates in PEM; a service over https must show one that they vouch for (default: the
    /// machine's)
    pub ca: Option<PathText>,
}

/// A customer
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Customer {
    pub id: Name,
    pub name: Option<CustomerName>,
    /// The language of reports
    #[serde(default)]
    pub locale: Locale,
    pub timezone: Option<Zone>,
    /// The store that holds repository and ledger
    pub store: Name,
    pub repository_password: SecretRef,
}

/// A customer's name, the same in all languages or one for each
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum CustomerName {
    Same(Words),
    Each(NameByLanguage),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NameByLanguage {
    pub zh: Words,
    pub en: Words,
}

/// A language of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum Locale {
    #[serde(rename = "zh-CN")]
    Chinese,
    #[default]
    #[serde(rename = "en")]
    English,
}

/// What the ledger's checkpoints are signed with
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Signing {
    /// An OpenSSH private key (Ed25519)
    pub key: SecretRef,
}

/// policies/*.toml: what is protected
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    pub customer: Name,
    pub name: Name,
    pub schedule: Option<BackupSchedule>,
    pub objectives: Option<Objectives>,
    pub retention: Option<Retention>,
    pub limits: Option<Limits>,
    /// All sources of a policy make one snapshot
    #[schemars(length(min = 1))]
    pub source: Vec<Source>,
    pub hooks: Option<Hooks>,
}

/// When to back up
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BackupSchedule {
    pub backup: Cron,
    /// Default: the customer's
    pub timezone: Option<Zone>,
    /// A run starts up to this much later
    pub jitter: Option<Period>,
}

/// What is promised
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Objectives {
    /// At most this much work may be lost
    pub rpo: Option<Period>,
    /// At most this long until the data is back
    pub rto: Option<Period>,
}

/// Which snapshots are kept: those that any of these keeps
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Retention {
    /// The newest
    pub last: Option<u32>,
    /// The newest of each of so many hours that have one
    pub hourly: Option<u32>,
    /// The newest of each of so many days that have one
    pub daily: Option<u32>,
    /// The newest of each of so many weeks, from Monday on, that have one
    pub weekly: Option<u32>,
    /// The newest of each of so many months that have one
    pub monthly: Option<u32>,
    /// The newest of each of so many years that have one
    pub yearly: Option<u32>,
    /// All that are no older than this, seen from the newest
    pub within: Option<CalendarSpan>,
    /// The newest of each hour within this time before the newest
    pub within_hourly: Option<CalendarSpan>,
    /// The newest of each day within this time before the newest
    pub within_daily: Option<CalendarSpan>,
    /// The newest of each week within this time before the newest
    pub within_weekly: Option<CalendarSpan>,
    /// The newest of each month within this time before the newest
    pub within_monthly: Option<CalendarSpan>,
    /// The newest of each year within this time before the newest
    pub within_yearly: Option<CalendarSpan>,
    /// All that carry one of these tags
    #[serde(default)]
    pub tags: Vec<Words>,
    /// Snapshots that are never removed; one that is not there stops `forget`
    #[serde(default)]
    pub pins: Vec<SnapshotPrefix>,
}

/// What production may be asked for by a backup
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    /// The most that is read per second, of all sources together, e.g. 100MiB/s
    pub read_rate: Option<Rate>,
    /// The most that leaves for the store per second, e.g. 100MiB/s
    pub upload_rate: Option<Rate>,
    /// The longest a run may take: what is not done by then is aborted
    pub deadline: Option<Period>,
    /// The niceness of what reads, 0 to 19: it yields the processor and the disk to others
    #[schemars(range(max = 19))]
    pub nice: Option<u8>,
}

/// What becomes of a server that is no replica, where several may be asked
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Primary {
    /// It is passed over.
    Refused,
    /// It is taken like the others, in its place in the list.
    Allowed,
}

/// A server with several databases, and how it is reached
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub name: Name,
    /// The server's socket (of PostgreSQL the folder of it), or its name or address
    pub host: Option<Words>,
    /// Several such places instead: the first that qualifies is taken
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub hosts: Vec<Words>,
    /// How far one of `hosts` may be behind its primary (default: 1m)
    pub max_lag: Option<Period>,
    /// Whether one of `hosts` may be taken that is no replica (default: refused)
    pub primary: Option<Primary>,
    /// Default: 5432 of PostgreSQL, 3306 of MariaDB and MySQL
    pub port: Option<u16>,
    /// Whom to log in as; `lifeboat grants` prints what it needs
    pub user: Words,
    pub password: Option<SecretRef>,
    /// Default: all but templates and the server's own
    #[serde(default)]
    pub databases: Vec<Words>,
    /// Of MariaDB: as dumps of its databases, or, beside the server, as a copy of all of its files
    /// (default: logical)
    pub method: Option<Method>,
    /// Default: off on sockets and loopback, require elsewhere
    pub tls: Option<TlsMode>,
    /// The authority (PEM) that the server's certificate must come from, for tls = "verify"
    pub ca: Option<PathText>,
    /// How long a lock is waited for (default: 10s)
    pub lock_timeout: Option<Period>,
    /// The longest that the server may leave one question without an answer (default: 1h)
    pub statement_deadline: Option<Period>,
    /// That a drill may pass without comparing rows, where the server allows no exact point
    pub equality: Option<Equality>,
}

/// What a drill may do without
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Equality {
    /// Why, in words that every report prints
    pub not_required: Words,
}

/// One thing to protect
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Source {
    /// Files and folders
    Files {
        name: Name,
        #[schemars(length(min = 1))]
        paths: Vec<PathText>,
        /// Patterns in .gitignore's syntax, matched below each path
        #[serde(default)]
        exclude: Vec<Pattern>,
        /// Stay on the file system each path begins on (default: true)
        one_file_system: Option<bool>,
        /// Patterns of what may be unreadable without failing a drill
        #[serde(default)]
        may_skip: Vec<Pattern>,
    },
    /// One SQLite database
    Sqlite {
        name: Name,
        /// The database file
        path: PathText,
    },
    /// Databases of a PostgreSQL server
    Postgres(Server),
    /// Databases of a MariaDB server
    Mariadb(Server),
    /// Databases of a MySQL server
    Mysql(Server),
    /// All databases of a Redis or Valkey server
    Redis {
        name: Name,
        /// The path of the server's socket, or the server's name or address
        host: Option<Words>,
        /// Several such places instead: the first that qualifies is taken
        #[serde(default)]
        #[schemars(length(min = 1))]
        hosts: Vec<Words>,
        /// How long ago one of `hosts` may have heard from its master (default: 1m)
        max_lag: Option<Period>,
        /// Whether one of `hosts` may be taken that is no replica (default: refused)
        primary: Option<Primary>,
        /// Default: 6379
        port: Option<u16>,
        /// The user to log in as (default: the server's own); `lifeboat grants` prints what it needs
        user: Option<Words>,
        password: Option<SecretRef>,
        /// Default: off on sockets and loopback, require elsewhere
        tls: Option<TlsMode>,
        /// The authority (PEM) that the server's certificate must come from, for tls = "verify"
        ca: Option<PathText>,
        /// The longest that the server may say nothing (default: 1m)
        silence: Option<Period>,
    },
    /// Any other system, by programs of yours (docs/command.md): argv, never a shell
    Command {
        name: Name,
        /// Prints the data, and reports of it
        #[schemars(length(min = 1))]
        capture: Vec<Words>,
        /// Brings the data back, in the cage of a drill
        #[schemars(length(min = 1))]
        recover: Vec<Words>,
        /// Reports of what came back, as the capture did
        #[schemars(length(min = 1))]
        check: Vec<Words>,
        /// What `capture` finds in its environment
        #[serde(default)]
        secret: Vec<SecretVariable>,
        /// The longest that each of the three may take (default: 1h)
        deadline: Option<Period>,
    },
}

/// A secret that a program finds in its environment
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretVariable {
    pub variable: Words,
    pub value: SecretRef,
}

/// How a server is captured
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Method {
    Logical,
    Physical,
}

/// How strictly a connection is encrypted
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum TlsMode {
    Off,
    Require,
    Verify,
}

/// Programs run around a backup: argv, never a shell
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Hooks {
    /// Runs before anything is captured; where it fails there is no backup
    #[schemars(length(min = 1))]
    pub before: Option<Vec<Words>>,
    /// Runs also after failure, and at the next start after a crash
    #[schemars(length(min = 1))]
    pub after: Option<Vec<Words>>,
    /// The longest each may take (default: 10m)
    pub deadline: Option<Period>,
}

/// drills/*.toml: how recovery is rehearsed
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Drill {
    pub policy: PolicyRef,
    pub name: Name,
    pub schedule: Option<Cron>,
    /// Default: the policy's
    pub timezone: Option<Zone>,
    /// A run starts up to this much later
    pub jitter: Option<Period>,
    #[serde(default)]
    pub pick: Pick,
    /// Prove that the checks can fail (default: false)
    #[serde(default)]
    pub controls: bool,
    /// Rehearse an upgrade: these sources are brought up on a newer major version
    #[serde(default)]
    pub upgrade: Vec<Upgrade>,
    /// Restore once more with stock restic and the engines' own clients, and compare totals (default:
    /// false)
    #[serde(default)]
    pub independent: bool,
    #[serde(default)]
    pub check: Vec<Check>,
}

/// Which recovery point is rehearsed
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Pick {
    #[default]
    Latest,
    Oldest,
    /// The newest taken before this moment
    Before(Instant),
    /// So many, drawn at random among all there are, one drill each: a sampling campaign
    Random(#[schemars(range(min = 1, max = 500))] NonZeroU32),
}

/// One assertion on restored data
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    pub name: Words,
    /// The source that answers, or whose files are looked at
    pub source: Option<Name>,
    /// Its database, where the source has several
    pub database: Option<Words>,
    pub query: Option<Words>,
    /// Patterns in .gitignore's syntax of the files that are looked at, below the source's path
    pub files: Option<Vec<Pattern>>,
    /// A program of yours that checks all sources (docs/command.md): argv, never a shell
    pub run: Option<Vec<Words>>,
    pub expect: Option<Expected>,
    /// The source whose files the query's values must name
    pub files_in: Option<Name>,
    /// The longest it may take (default: 5m for a query, 1h for files and programs)
    pub deadline: Option<Period>,
    /// Whose clock the query's moments without a zone are by, for "within … of capture" (default: UTC)
    pub timezone: Option<Zone>,
}

impl MariadbSeries {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V10_11 => "10.11",
        }
    }
}

impl MysqlSeries {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V9_7 => "9.7",
        }
    }
}

/// A source that is brought up on a newer major version than its own
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Upgrade {
    /// One of the policy's, of kind postgres
    pub source: Name,
    /// The major version to rehearse on
    pub version: PostgresMajor,
}

impl PostgresMajor {
    pub(super) fn number(self) -> u32 {
        match self {
            Self::V15 => 15,
            Self::V17 => 17,
            Self::V18 => 18,
        }
    }
}

impl CustomerName {
    pub(super) fn by_language(self) -> BTreeMap<&'static str, String> {
        match self {
            Self::Same(Words(name)) => [("zh", name.clone()), ("en", name)].into(),
            Self::Each(NameByLanguage { zh, en }) => [("zh", zh.0), ("en", en.0)].into(),
        }
    }
}
