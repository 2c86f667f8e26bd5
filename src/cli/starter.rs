//! The first files of a site, for `init` and `quickstart`: configuration and keys.
//!
//! Nothing that exists is ever overwritten; everything is readable by its owner only.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;

use crate::ground::secret::ExposeSecret;
use crate::ledger::sign;

/// Makes a folder, and those above it, that only we may enter; one that exists stays as it is.
pub(super) fn make_folder(path: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make the folder {}", path.display()))
}

/// Writes a file that must not exist yet, durably, for our eyes only.
pub(super) fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(parent) = path.parent() {
        make_folder(parent)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Draws a repository password and a signing key into `folder`.
pub(super) fn make_keys(folder: &Path, customer: &str) -> anyhow::Result<()> {
    let mut bytes = [0; 32];
    rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut bytes)
        .context("the system gives no random numbers")?;
    let password = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    write_new(&folder.join("repository-password"), &format!("{password}\n"))?;
    let key = sign::generate_key(&format!("lifeboat ledger of {customer}"))?;
    write_new(&folder.join("ledger_ed25519"), key.private.expose_secret())?;
    write_new(&folder.join("ledger_ed25519.pub"), &key.public)
}

/// What a new site says of itself.
pub(super) struct Starter<'a> {
    pub customer: &'a str,
    pub name_zh: &'a str,
    pub name_en: &'a str,
    pub timezone: &'a str,
    /// `file:` with a folder, absolute or relative to the site file.
    pub store: &'a str,
    /// `sqlite:` with a file, likewise.
    pub state: &'a str,
    /// A folder, likewise.
    pub scratch: &'a str,
}

impl Starter<'_> {
    /// The text of `lifeboat.toml`.
    pub(super) fn site(&self) -> String {
        let Self { customer, name_zh, name_en, timezone, store, state, scratch } = self;
        format!(
            r#"# The site: where things are. What is protected stands in policies/, how it is rehearsed in drills/.
# Every key: lifeboat schema site

[state]
url = "{state}"               # what runs now; it can be lost, the bucket is the truth

[scratch]
dir = "{scratch}"                      # where drills restore to; private, ideally an encrypted volume

[[store]]
name = "primary"
url  = "{store}"

[[customer]]
id = "{customer}"
name = {{ zh = "{name_zh}", en = "{name_en}" }}
timezone = "{timezone}"
store = "primary"
# Keep a copy of this password somewhere else: without it the backups are noise.
repository_password = {{ file = "keys/repository-password" }}

[signing]
key = {{ file = "keys/ledger_ed25519" }}   # an OpenSSH private key; signs the ledger's checkpoints
"#
        )
    }
}
