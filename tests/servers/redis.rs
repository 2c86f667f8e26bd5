//! A Redis server of one's own on a socket in a temporary folder, stopped by its process id.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lifeboat::policy::sources::Tls;
use lifeboat::source::redis::{Login, Reply, Session};
use tempfile::TempDir;

/// How long a server may take to start or to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; dropped, it is gone.
pub struct Server {
    folder: TempDir,
    process: Child,
}

impl Server {
    /// One without keys that sends its data set at once and writes nothing by itself.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further settings, e.g. `["--databases", "4"]`.
    pub fn start_with(settings: &[&str]) -> Self {
        Self::serve(tempfile::Builder::new().prefix("lbrd").tempdir_in("/tmp").unwrap(), settings)
    }

    /// One that begins with the data set in a file.
    pub fn on(data: &Path, settings: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("lbrd").tempdir_in("/tmp").unwrap();
        fs::copy(data, folder.path().join("dump.rdb")).unwrap();
        Self::serve(folder, settings)
    }

    fn serve(folder: TempDir, settings: &[&str]) -> Self {
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new("/usr/bin/redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(folder.path().join("redis.sock"))
            .arg("--dir")
            .arg(folder.path())
            // Debian's own waits for further replicas before it sends.
            .args(["--repl-diskless-sync-delay", "0"])
            .args(settings)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { folder, process };
        server.wait_until_it_answers();
        server
    }

    fn wait_until_it_answers(&mut self) {
        let begun = Instant::now();
        loop {
            let session = Session::open(&self.login(), PATIENCE, Default::default());
            if let Ok(mut session) = session
                && !matches!(session.ask(&[b"PING"]), Ok(Reply::Error(said)) if said.starts_with("LOADING"))
            {
                return;
            }
            assert!(self.process.try_wait().unwrap().is_none(), "it ended: {}", self.log());
            assert!(begun.elapsed() < PATIENCE, "the server did not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What it said of itself.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub fn login(&self) -> Login {
        Login {
            host: self.socket().to_str().unwrap().to_owned(),
            port: 0,
            user: None,
            password: None,
            tls: Tls::Off,
        }
    }

    pub fn session(&self) -> Session {
        Session::open(&self.login(), PATIENCE, Default::default()).unwrap()
    }

    /// Runs commands, one a line, words with blanks between; panics where one is refused.
    #[track_caller]
    pub fn run(&self, commands: &str) -> Reply {
        let mut session = self.session();
        let mut last = Reply::Nil;
        for line in commands.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
            last = session.ask(&words).unwrap();
            assert!(!matches!(last, Reply::Error(_)), "{line}: {last:?}");
        }
        last
    }

    /// Runs one command of any bytes.
    #[track_caller]
    pub fn command(&self, words: &[&[u8]]) {
        let reply = self.session().ask(words).unwrap();
        assert!(!matches!(reply, Reply::Error(_)), "{reply:?}");
    }

    /// Has it write its data set; the file.
    pub fn save(&self) -> PathBuf {
        self.run("SAVE");
        self.folder.path().join("dump.rdb")
    }

    /// Kills it without warning.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
