//! A PostgreSQL server of one's own: made from a template, stopped by its process id.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use lifeboat::source::postgres::{Login, Session, Tls};
use tempfile::TempDir;

/// The superuser that every server is made with.
pub const SUPERUSER: &str = "postgres";

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// By version: a server's files are a copy of it. It is shared for as long as a server lives, for a
/// static would never be dropped and leave its folder behind.
static TEMPLATES: Mutex<BTreeMap<u32, Weak<TempDir>>> = Mutex::new(BTreeMap::new());

/// A running server; dropped, it is gone.
pub struct Server {
    pub major: u32,
    folder: TempDir,
    process: Child,
    port: u16,
    /// Held for the servers that come after it.
    template: Arc<TempDir>,
}

/// The folder of a version's programs: Debian's own, or unpacked by tests/tools.
pub fn bin(major: u32) -> PathBuf {
    let debian = format!("usr/lib/postgresql/{major}/bin");
    if major == 15 {
        return Path::new("/").join(debian);
    }
    let tools = std::env::var("LIFEBOAT_TEST_TOOLS").expect("tests/run names the test tools");
    Path::new(&tools).join(format!("postgresql-{major}")).join(debian)
}

impl Server {
    /// Makes and starts one, with UTF-8, the C locale, and page checksums, as a scratch server has.
    pub fn start(major: u32) -> Self {
        Self::start_with(major, &[])
    }

    /// The same with further settings, e.g. `wal_level=logical`.
    pub fn start_with(major: u32, settings: &[&str]) -> Self {
        Self::start_in(folder(), major, settings, 5432)
    }

    /// The same, listening on loopback with TLS: `keys` with `.key` and `.pem`.
    pub fn start_with_tls(major: u32, keys: &Path) -> Self {
        let folder = folder();
        for kind in ["key", "pem"] {
            let file = folder.path().join(kind);
            fs::copy(keys.with_extension(kind), &file).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            if let Some((uid, gid)) = unprivileged() {
                chown(&file, Some(uid), Some(gid)).unwrap();
            }
        }
        let of = |name: &str| folder.path().join(name).display().to_string();
        let (key, certificate) = (of("key"), of("pem"));
        // Free a moment ago; the tests of one program run in threads that ask for one each.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = [
            "listen_addresses=127.0.0.1",
            "ssl=on",
            &format!("ssl_key_file={key}"),
            &format!("ssl_cert_file={certificate}"),
        ];
        Self::start_in(folder, major, &settings, port)
    }

    /// A hot standby of this server.
    pub fn standby(&self) -> Self {
        let folder = folder();
        let copied = command(bin(self.major).join("pg_basebackup"))
            .args(["-R", "-X", "stream", "-c", "fast", "-U", SUPERUSER, "-h"])
            .arg(self.socket())
            .args(["-p", &self.port.to_string(), "-D"])
            .arg(folder.path().join("data"))
            .output()
            .unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        Self::serve(folder, self.template.clone(), self.major, &[], 5432)
    }

    fn start_in(folder: TempDir, major: u32, settings: &[&str], port: u16) -> Self {
        let data = folder.path().join("data");
        let template = template(major);
        let made = template.path().join("data");
        assert!(command("cp").arg("-a").arg(made).arg(&data).status().unwrap().success());
        Self::serve(folder, template, major, settings, port)
    }

    /// Starts the server whose files are in `folder`.
    fn serve(
        folder: TempDir,
        template: Arc<TempDir>,
        major: u32,
        settings: &[&str],
        port: u16,
    ) -> Self {
        let data = folder.path().join("data");
        let mut postgres = command(bin(major).join("postgres"));
        postgres.arg("-D").arg(&data).arg("-k").arg(folder.path()).args(["-p", &port.to_string()]);
        for setting in
            ["listen_addresses=", "fsync=off", "shared_buffers=16MB"].iter().chain(settings)
        {
            postgres.arg("-c").arg(setting);
        }
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = postgres.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let server = Self { major, folder, process, port, template };
        server.wait_until_it_answers();
        server
    }

    /// The folder that holds the socket.
    pub fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// Where it listens, on its socket too.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's own process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What it said of itself.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Logs in as `user`, without a password.
    pub fn login(&self, user: &str) -> Login {
        Login {
            host: self.socket().to_str().unwrap().to_owned(),
            port: self.port,
            user: user.to_owned(),
            password: None,
            tls: Tls::Off,
        }
    }

    /// A session as superuser; must be called under a runtime.
    pub fn session(&self, database: &str) -> Session {
        let never = Arc::new(AtomicBool::new(false));
        Session::open(&self.login(SUPERUSER), database, PATIENCE, never).unwrap()
    }

    /// Runs a script as superuser and returns what it printed; panics on its first error.
    pub fn psql(&self, database: &str, script: &str) -> String {
        self.psql_as(SUPERUSER, database, script).unwrap_or_else(|said| panic!("{script}: {said}"))
    }

    /// Runs a script as `user`; fails with what psql said.
    pub fn psql_as(&self, user: &str, database: &str, script: &str) -> Result<String, String> {
        let database = format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"));
        let mut psql = command(bin(self.major).join("psql"));
        psql.env("PGCLIENTENCODING", "UTF8")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", user])
            .args(["-p", &self.port.to_string(), "-h"])
            .arg(self.socket())
            .args(["-d", &database, "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = psql.spawn().unwrap();
        // A psql that could not log in takes no script; its status says so.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes());
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Runs one of its version's programs against it and returns its output; panics where it fails.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        let output = command(bin(self.major).join(program))
            .env("PGHOST", self.socket())
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", SUPERUSER)
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// Sends it a signal, e.g. `HUP`.
    pub fn signal(&self, signal: &str) {
        self.signal_process(self.pid(), signal);
    }

    /// Sends one of its processes a signal.
    pub fn signal_process(&self, pid: u32, signal: &str) {
        let sent = command("kill").args(["-s", signal, &pid.to_string()]).status().unwrap();
        assert!(sent.success(), "{signal} to {pid}");
    }

    /// The server's process and all its children.
    pub fn processes(&self) -> Vec<u32> {
        let children = format!("/proc/{0}/task/{0}/children", self.pid());
        let children = fs::read_to_string(children).unwrap();
        let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        std::iter::once(self.pid()).chain(children).collect()
    }

    /// Lets `lines` decide who may log in how (pg_hba.conf), from now on.
    pub fn allow(&self, lines: &str) {
        fs::write(self.folder.path().join("data/pg_hba.conf"), lines).unwrap();
        self.signal("HUP");
    }

    fn wait_until_it_answers(&self) {
        let begun = Instant::now();
        while !self.socket().join(format!(".s.PGSQL.{}", self.port)).exists()
            || self.psql_as(SUPERUSER, "postgres", "SELECT 1").is_err()
        {
            assert!(begun.elapsed() < PATIENCE, "the server did not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A stopped process takes no other signal; immediate shutdown takes the children along.
        if let Ok(None) = self.process.try_wait() {
            for process in self.processes() {
                let mut go_on = command("kill");
                go_on.args(["-s", "CONT", &process.to_string()]);
                let _ = go_on.stderr(Stdio::null()).status();
            }
            let _ = command("kill").args(["-s", "QUIT", &self.pid().to_string()]).status();
        }
        let _ = self.process.wait();
    }
}

/// The folder of the files that `initdb` makes, made once while a server lives.
fn template(major: u32) -> Arc<TempDir> {
    let mut templates = TEMPLATES.lock().unwrap();
    if let Some(folder) = templates.get(&major).and_then(Weak::upgrade) {
        return folder;
    }
    let folder = folder();
    let made = command(bin(major).join("initdb"))
        .arg("-D")
        .arg(folder.path().join("data"))
        .args(["-U", SUPERUSER, "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "-N", "-k"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let folder = Arc::new(folder);
    templates.insert(major, Arc::downgrade(&folder));
    folder
}

/// A folder of the user that servers run as: PostgreSQL refuses to be root.
pub(super) fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("lbpg").tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    if let Some((uid, gid)) = unprivileged() {
        chown(folder.path(), Some(uid), Some(gid)).unwrap();
    }
    folder
}

/// A program that runs as the servers' user.
pub(super) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8").current_dir("/tmp");
    if let Some((uid, gid)) = unprivileged() {
        command.uid(uid).gid(gid);
    }
    command
}

/// Whom root becomes: Debian's `postgres`, which its packages make.
fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let line = accounts.lines().find(|line| line.starts_with("postgres:")).expect("a user");
    let fields: Vec<&str> = line.split(':').collect();
    Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
}
