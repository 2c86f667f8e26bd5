//! The site, checked: one provider's stores and customers as this host sees them.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::leaf::Zone;
use super::raw::{Locale, TargetKind};
use super::sources::ServerSettings;
use crate::ground::ids::Name;
use crate::ground::secret::SecretRef;
use crate::ground::size::ByteSize;

/// `lifeboat.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The site file's folder, absolute: where relative paths start.
    pub root: PathBuf,
    /// The SQLite file of this host's state, absolute.
    pub state: PathBuf,
    pub scratch: Scratch,
    /// Database programs that stand elsewhere than Debian puts them.
    pub engines: Vec<Engine>,
    pub stores: Vec<Store>,
    pub customers: Vec<Customer>,
    /// Servers that databases are restored into.
    pub targets: Vec<Target>,
    /// The OpenSSH private key that signs checkpoints.
    pub signing_key: Option<SecretRef>,
    pub daemon: DaemonSettings,
}

/// How the daemon runs what is scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DaemonSettings {
    /// How many backups and drills run at once.
    pub parallel: NonZeroU32,
    /// How long what runs may go on once the daemon is asked to end.
    pub drain: Duration,
    /// How soon a run that could not begin is tried again; doubled each time.
    pub retry_first: Duration,
    /// The longest pause between two tries.
    pub retry_longest: Duration,
}

impl Default for DaemonSettings {
    fn default() -> Self {
        Self {
            parallel: NonZeroU32::new(2).expect("two is not zero"),
            drain: Duration::from_secs(10 * 60),
            retry_first: Duration::from_secs(30),
            retry_longest: Duration::from_secs(30 * 60),
        }
    }
}

/// Where drills restore to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scratch {
    /// Absolute; need not exist yet.
    pub dir: PathBuf,
    /// Who scratch servers run as when lifeboat is root.
    pub user: Option<String>,
    /// The most that scratch environments may hold together.
    pub max: Option<ByteSize>,
    /// Servers and restore clients may run without a sandbox.
    pub without_sandbox: bool,
}

/// The programs of one major version of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    Postgres {
        major: u32,
        /// The folder they are in, absolute.
        path: PathBuf,
    },
    Mysql {
        /// E.g. `9.7`.
        series: String,
        /// The folder that holds `bin`, `sbin` and `share`, absolute.
        path: PathBuf,
    },
    Mariadb {
        /// E.g. `10.11`.
        series: String,
        /// The folder that holds `bin`, `sbin` and `share`, absolute.
        path: PathBuf,
    },
}

/// A server that databases are restored into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub name: Name,
    pub kind: TargetKind,
    /// The only one whose data it takes.
    pub customer: Name,
    /// Of no databases: what was captured says which.
    pub settings: ServerSettings,
}

/// A place for repositories and ledgers; objects of customer `c` are below `<place>/<c>/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    pub name: Name,
    pub kind: StoreKind,
}

/// What a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreKind {
    /// A folder of this machine, absolute.
    Folder(PathBuf),
    /// A bucket of an S3 service, or a folder in one.
    S3(S3Settings),
}

/// Where a bucket is, and where the keys to it are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Settings {
    pub bucket: String,
    /// Below which all objects lie.
    pub folder: Option<String>,
    /// `scheme://host[:port]`; none: AWS, found by its region.
    pub endpoint: Option<String>,
    pub region: String,
    pub access_key: SecretRef,
    pub secret_key: SecretRef,
    /// A PEM file, absolute: the only certificates that are trusted.
    pub ca: Option<PathBuf>,
}

impl Store {
    /// The address, as the site file has it once paths are absolute.
    pub fn url(&self) -> String {
        match &self.kind {
            StoreKind::Folder(folder) => format!("file://{}", folder.display()),
            StoreKind::S3(S3Settings { bucket, folder: None, .. }) => format!("s3://{bucket}"),
            StoreKind::S3(S3Settings { bucket, folder: Some(folder), .. }) => {
                format!("s3://{bucket}/{folder}")
            }
        }
    }
}

/// One customer: one repository, one key, one ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    pub id: Name,
    /// By language, `zh` and `en`.
    pub(super) names: BTreeMap<&'static str, String>,
    pub locale: Locale,
    pub zone: Zone,
    /// The store's name; the site has it.
    pub store: Name,
    pub repository_password: SecretRef,
}

impl Customer {
    /// What the customer is called in a report in `locale`.
    pub fn name(&self, locale: Locale) -> &str {
        self.names.get(locale.language()).map_or(self.id.as_str(), String::as_str)
    }
}

impl Locale {
    /// `zh` or `en`.
    pub fn language(self) -> &'static str {
        match self {
            Self::Chinese => "zh",
            Self::English => "en",
        }
    }

    /// As the site file writes it: `zh-CN` or `en`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Chinese => "zh-CN",
            Self::English => "en",
        }
    }
}
