//! A site in a temporary folder, driven through the built binary; shared by the tests of this folder.
#![allow(dead_code, reason = "each test program uses the part of the bench that it needs")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// One customer with one policy: an SQLite database and a folder of files.
pub struct Bench {
    folder: tempfile::TempDir,
}

/// How a run of the binary ended.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The one JSON document on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {}\n{}", self.stdout, self.stderr))
    }

    /// Asserts the exit status.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let signal = output.status.signal().map(|signal| 128 + signal);
        Self {
            code: output.status.code().or(signal).unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

pub const PASSWORD: &str = "canary-repository-password";

impl Bench {
    /// A site with a database of 300 orders and a few odd files; nothing backed up yet.
    pub fn new() -> Self {
        let bench =
            Self { folder: tempfile::Builder::new().prefix("lifeboat-").tempdir().unwrap() };
        for folder in ["keys", "policies", "drills", "store", "data/files/deep/er"] {
            fs::create_dir_all(bench.path(folder)).unwrap();
        }
        bench.write("keys/repository-password", format!("{PASSWORD}\n"));
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f"])
            .arg(bench.path("keys/ledger_ed25519"))
            .status()
            .unwrap();
        assert!(made.success());
        let place = bench.folder.path().display().to_string();
        bench.write(
            "lifeboat.toml",
            format!(
                r#"[state]
url = "sqlite://{place}/state/state.db"

[scratch]
dir = "{place}/scratch"

[[store]]
name = "primary"
url = "file://{place}/store"

[[customer]]
id = "acme"
name = {{ zh = "阿克米制造", en = "Acme Manufacturing" }}
locale = "zh-CN"
timezone = "Asia/Shanghai"
store = "primary"
repository_password = {{ file = "keys/repository-password" }}

[signing]
key = {{ file = "keys/ledger_ed25519" }}
"#
            ),
        );
        bench.protect(
            r#"[[source]]
name = "orders"
kind = "sqlite"
path = "data/shop.db"

[[source]]
name = "uploads"
kind = "files"
paths = ["data/files"]
"#,
        );
        bench.check(
            r#"[[check]]
name = "there are orders"
source = "orders"
query = "SELECT count(*) FROM orders"
expect = "> 0"

[[check]]
name = "every picture exists"
source = "orders"
query = "SELECT picture FROM products"
files_in = "uploads"
"#,
        );
        bench.fill();
        bench
    }

    /// Writes the policy anew, with these sources.
    pub fn protect(&self, sources: &str) {
        let head =
            "customer = \"acme\"\nname = \"shop\"\n\n[objectives]\nrpo = \"6h\"\nrto = \"45m\"\n";
        self.write("policies/shop.toml", format!("{head}\n{sources}"));
    }

    /// Writes the drill anew, with these checks.
    pub fn check(&self, checks: &str) {
        let head = "policy = \"acme/shop\"\nname = \"weekly\"\ncontrols = true\n";
        self.write("drills/weekly.toml", format!("{head}\n{checks}"));
    }

    fn fill(&self) {
        for product in 0..12 {
            self.write(
                &format!("data/files/p{product}.jpg"),
                format!("picture {product}").repeat(90),
            );
        }
        self.write("data/files/deep/er/empty", String::new());
        fs::write(self.path("data/files/large.bin"), noise(3_000_000)).unwrap();
        std::os::unix::fs::symlink("p1.jpg", self.path("data/files/link")).unwrap();
        self.sql(
            "CREATE TABLE products (id INTEGER PRIMARY KEY, picture TEXT);
             CREATE TABLE orders (id INTEGER PRIMARY KEY, cents INTEGER, note TEXT);
             CREATE INDEX orders_by_cents ON orders (cents);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
               INSERT INTO orders SELECT i, i * 7, 'order ' || i FROM n;
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 11)
               INSERT INTO products SELECT i, 'p' || i || '.jpg' FROM n;",
        );
    }

    /// A path in the bench's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a text file that only we may read or write.
    pub fn write(&self, name: &str, text: String) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Moves the store, while it is empty, into a folder of a bucket.
    pub fn move_to_bucket(&self, endpoint: &str, bucket: &str, access: &str, secret: &str) {
        let folder = format!("url = \"file://{}\"", self.path("store").display());
        let store = format!(
            "url = \"s3://{bucket}/lifeboat\"\nendpoint = \"{endpoint}\"\n\
             access_key = {{ file = \"keys/s3-id\" }}\n\
             secret_key = {{ file = \"keys/s3-secret\" }}"
        );
        self.edit("lifeboat.toml", &folder, &store);
        self.write("keys/s3-id", access.into());
        self.write("keys/s3-secret", secret.into());
    }

    /// Replaces text in a file that must hold it.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{name} does not hold {from:?}");
        self.write(name, text.replace(from, to));
    }

    /// Runs SQL on the live database.
    pub fn sql(&self, sql: &str) {
        let database = rusqlite::Connection::open(self.path("data/shop.db")).unwrap();
        database.execute_batch(sql).unwrap();
    }

    /// The binary, in the bench's folder, with arguments and `--config`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command
            .args(arguments)
            .arg("--config")
            .arg(self.path("lifeboat.toml"))
            .current_dir(self.folder.path())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    /// Backs up, expecting full success; answers the document.
    #[track_caller]
    pub fn backup(&self) -> Value {
        self.run(&["backup", "shop", "--json"]).exits(0).json()
    }

    /// Asserts that the drill passes in all its parts and leaves nothing, and that none of `secrets` shows
    /// in what is told or is kept in the state; answers what was told.
    #[track_caller]
    pub fn passes_and_shows_none_of(&self, secrets: &[&str]) -> String {
        let ran = self.run(&["drill", "shop", "--json"]);
        let answer = ran.json();
        let verdict = (ran.code, &answer["verdict"]);
        assert_eq!(verdict, (0, &"pass".into()), "{answer:#} {}", ran.stderr);
        for part in ["restorable", "intact", "within_rto", "within_rpo", "cleaned_up"] {
            assert_eq!(answer["parts"][part], "yes", "{part}: {answer:#}");
        }
        assert!(self.leftovers().is_empty());
        let told = self.run(&["report", "drill", "shop"]);
        let told = format!("{answer}{}{}{}", ran.stderr, told.stdout, told.stderr);
        let kept = files_below(&self.path("state")).into_iter();
        let kept: Vec<(PathBuf, Vec<u8>)> =
            kept.map(|file| (file.clone(), fs::read(file).unwrap())).collect();
        for secret in secrets.iter().chain(&[PASSWORD]) {
            assert!(!told.contains(secret), "{secret} shows");
            for (file, bytes) in &kept {
                let holds = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                assert!(!holds, "{} holds {secret}", file.display());
            }
        }
        told
    }

    /// Drills with `--json`; answers the exit status and the document.
    #[track_caller]
    pub fn drill(&self) -> (i32, Value) {
        let ran = self.run(&["drill", "shop", "--json"]);
        let document = ran.json();
        (ran.code, document)
    }

    /// Gives everything but `kept` to an ordinary user; answers a way to run the binary as that user.
    pub fn as_nobody_except(&self, kept: &str) -> impl Fn(&[&str]) -> Ran {
        use std::os::unix::fs::chown;
        let binary = self.path("lifeboat");
        fs::copy(env!("CARGO_BIN_EXE_lifeboat"), &binary).unwrap();
        must(Command::new("chown").args(["-R", "65534:65534"]).arg(self.folder.path()));
        chown(self.path(kept), Some(0), Some(0)).unwrap();
        let folder = self.folder.path().to_owned();
        move |arguments| {
            Command::new("setpriv")
                .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
                .arg(&binary)
                .args(arguments)
                .arg("--config")
                .arg(folder.join("lifeboat.toml"))
                .env_clear()
                .env("HOME", &folder)
                .env("PATH", "/usr/bin:/bin")
                .stdin(Stdio::null())
                .output()
                .unwrap()
                .into()
        }
    }

    /// The repository's folder.
    pub fn repository(&self) -> PathBuf {
        self.path("store/acme/repo")
    }

    /// Every file below a folder of the bench, sorted.
    pub fn files(&self, folder: &str) -> Vec<PathBuf> {
        files_below(&self.path(folder))
    }

    /// A restic command on the bench's repository.
    pub fn restic(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .arg("-r")
            .arg(self.repository())
            .arg("--password-file")
            .arg(self.path("keys/repository-password"))
            .arg("--no-cache")
            .env("HOME", self.folder.path());
        command
    }

    /// A rustic command on the bench's repository.
    pub fn rustic(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .arg("-r")
            .arg(self.repository())
            .arg("--password-file")
            .arg(self.path("keys/repository-password"))
            .arg("--no-cache")
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path());
        command
    }

    /// What scratch holds: nothing, once every drill is over.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        match fs::read_dir(self.path("scratch")) {
            Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
            Err(_) => Vec::new(),
        }
    }
}

/// Every file below a folder, sorted.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// Bytes that do not compress, the same in every run.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// Debian 12's restic, 0.14.0.
pub fn old_restic() -> PathBuf {
    PathBuf::from("/usr/bin/restic")
}

/// restic 0.19.1, which `tests/tools` unpacked.
pub fn new_restic() -> PathBuf {
    tool("restic-0.19")
}

/// rustic, which `tests/tools` built.
pub fn rustic() -> PathBuf {
    tool("bin/rustic")
}

fn tool(name: &str) -> PathBuf {
    let folder = std::env::var_os("LIFEBOAT_TEST_TOOLS")
        .expect("LIFEBOAT_TEST_TOOLS names the folder that tests/tools filled; run tests/run");
    let path = PathBuf::from(folder).join(name);
    assert!(path.exists(), "{} is missing: run tests/tools", path.display());
    path
}

/// Runs a command that must succeed; answers its standard output.
#[track_caller]
pub fn must(command: &mut Command) -> String {
    let ran = Ran::from(command.output().unwrap());
    assert_eq!(ran.code, 0, "{command:?}\n{}\n{}", ran.stdout, ran.stderr);
    ran.stdout
}

/// Every entry below a folder with what must survive a restore: type, mode, owner, size, mtime in
/// nanoseconds, links, link target, extended attributes and content.
pub fn inventory(folder: &Path) -> String {
    let script = r#"
cd "$1" || exit 1
find . -mindepth 1 -printf '%P|%y|%m|%U:%G|%T@|%n|%l\n' | sed 's/|d|\(.*\)|[0-9]*|$/|d|\1|/' | LC_ALL=C sort
find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum
getfattr -R -h -d -m - --absolute-names . 2>/dev/null
"#;
    must(Command::new("bash").args(["-c", script, "inventory"]).arg(folder))
}

/// The digest of every regular file below a folder, by its name.
pub fn contents(folder: &Path) -> String {
    let script = "cd \"$1\" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum";
    must(Command::new("bash").args(["-c", script, "contents"]).arg(folder))
}
