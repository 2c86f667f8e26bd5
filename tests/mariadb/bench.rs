//! A source on a server of one's own, a sink that keeps what it is given, and the drill room's half
//! of its recovery.
#![allow(dead_code, reason = "each test program uses a part")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use lifeboat::check::{self, Id, Outcome};
use lifeboat::ground::clock::SystemClock;
use lifeboat::ground::progress::Silent;
use lifeboat::policy::sources::{ServerSettings, Tls};
use lifeboat::sandbox::{Scratch, TOKEN_VARIABLE};
use lifeboat::source::mysql::{Engines, Mysql};
use lifeboat::source::{
    Capture, Context, Entry, Error, Facts, Question, Recovered, Sink, Skipped, Source, Trouble,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::engine::{DUMPER, PRODUCT, SERVER, declared};
use crate::servers::mariadb::{ADMINISTRATOR, Server, programs_with};

/// A server with a binary log.
pub fn start() -> Server {
    Server::start(SERVER)
}

/// One with these settings.
pub fn start_with(settings: &[&str]) -> Server {
    Server::start_with(SERVER, settings)
}

/// The program that dumps.
pub fn dumper() -> PathBuf {
    SERVER.root().join("bin").join(DUMPER)
}

/// Puts `script` in its place, in `folder`.
pub fn dumper_is(folder: &Path, script: &str) {
    programs_with(SERVER, folder, DUMPER, script);
}

/// Keeps every content; runs a fault in the midst of the first dump.
#[derive(Default)]
pub struct Kept {
    pub files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    pub beginnings: Arc<Mutex<u32>>,
    reading: Mutex<Vec<JoinHandle<Result<(), Skipped>>>>,
    fault: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Kept {
    /// Runs `fault` once some of the first dump was read.
    pub fn with_fault(fault: impl FnOnce() + Send + 'static) -> Self {
        Self { fault: Mutex::new(Some(Box::new(fault))), ..Self::default() }
    }

    pub fn file(&self, name: &str) -> String {
        let files = self.files.lock().unwrap();
        let bytes = files.get(name).unwrap_or_else(|| panic!("no {name}: {:?}", files.keys()));
        String::from_utf8_lossy(bytes).into_owned()
    }
}

impl Sink for Kept {
    fn put(&self, entry: Entry) -> Result<(), Error> {
        let path = String::from_utf8(entry.path).unwrap();
        let content = entry.content.unwrap();
        let files = self.files.clone();
        let is_dump = path.starts_with("databases/") || path.ends_with(".ibd");
        let fault = if is_dump { self.fault.lock().unwrap().take() } else { None };
        self.reading.lock().unwrap().push(std::thread::spawn(move || {
            let skipped =
                |error: std::io::Error| Skipped { path: path.clone(), reason: error.to_string() };
            let mut stream = content.open().map_err(skipped)?;
            let mut bytes = vec![0; 1];
            let first = stream.read(&mut bytes).map_err(skipped)?;
            bytes.truncate(first);
            if let Some(fault) = fault {
                fault();
            }
            stream.read_to_end(&mut bytes).map_err(skipped)?;
            stream.finish().map_err(skipped)?;
            files.lock().unwrap().insert(path, bytes);
            Ok(())
        }));
        Ok(())
    }

    fn in_any_order(&self) {}

    fn start_over(&self) -> Result<(), Error> {
        self.files.lock().unwrap().clear();
        *self.beginnings.lock().unwrap() += 1;
        Ok(())
    }

    fn settle(&self) -> Result<Vec<Skipped>, Error> {
        let reading = std::mem::take(&mut *self.reading.lock().unwrap());
        Ok(reading.into_iter().filter_map(|thread| thread.join().unwrap().err()).collect())
    }
}

/// Settings for a server, as its administrator and for the shop.
pub fn settings(server: &Server) -> ServerSettings {
    ServerSettings {
        host: server.socket().to_str().unwrap().to_owned(),
        port: 3306,
        user: ADMINISTRATOR.to_owned(),
        password: None,
        databases: vec!["shop".to_owned()],
        tls: Tls::Off,
        lock_timeout: Duration::from_secs(2),
        statement_deadline: Duration::from_secs(60),
    }
}

/// What a run of a source is given; its staging folder lives as long.
pub struct Bench {
    runtime: Runtime,
    folder: TempDir,
    engines: Engines,
    is_by_files: bool,
    pub interrupted: Arc<AtomicBool>,
    pub questions: Vec<Question>,
}

impl Default for Bench {
    fn default() -> Self {
        Self {
            runtime: Runtime::new().unwrap(),
            folder: tempfile::tempdir().unwrap(),
            engines: declared(None),
            is_by_files: false,
            interrupted: Arc::default(),
            questions: Vec::new(),
        }
    }
}

impl Bench {
    /// One whose drills ask `questions` of the captured moment.
    pub fn asking(questions: Vec<Question>) -> Self {
        Self { questions, ..Self::default() }
    }

    /// One whose programs stand in `folder`.
    pub fn with_programs(folder: &Path) -> Self {
        Self { engines: declared(Some(folder)), ..Self::default() }
    }

    /// One that captures the server's files.
    pub fn by_files() -> Self {
        Self { is_by_files: true, ..Self::default() }
    }

    /// The same with programs that stand in `folder`.
    pub fn by_files_with(folder: &Path) -> Self {
        Self { is_by_files: true, ..Self::with_programs(folder) }
    }

    /// Captures with `settings` into `sink`.
    pub fn capture(&self, settings: &ServerSettings, sink: &Kept) -> Result<Capture, Error> {
        let _inside = self.runtime.enter();
        let captured = self.source(settings).capture(&self.context(), sink);
        // As the real sink does: nothing is left running.
        sink.settle().unwrap();
        let _ = fs::remove_file(self.folder.path().join("client.cnf"));
        captured
    }

    pub fn probe(&self, settings: &ServerSettings) -> Result<Facts, Error> {
        let _inside = self.runtime.enter();
        self.source(settings).probe(&self.context())
    }

    /// Everything that an error says, down to its last cause.
    #[track_caller]
    pub fn refusal(&self, settings: &ServerSettings, sink: &Kept) -> String {
        let error = self.capture(settings, sink).expect_err("something was captured");
        lifeboat::ground::causes::chain(&error)
    }

    /// The source that `settings` declare.
    pub fn source(&self, settings: &ServerSettings) -> Mysql {
        let (name, engines) = ("orders".parse().unwrap(), self.engines.clone());
        match self.is_by_files {
            true => Mysql::by_files(name, settings.clone(), engines),
            false => Mysql::new(name, PRODUCT, settings.clone(), engines),
        }
    }

    fn context(&self) -> Context {
        Context {
            clock: Arc::new(SystemClock),
            progress: Arc::new(Silent),
            staging: self.folder.path().to_owned(),
            interrupted: self.interrupted.clone(),
            questions: self.questions.clone(),
        }
    }
}

/// A captured server; the server itself may be gone by now.
pub struct Captured {
    bench: Bench,
    pub capture: Capture,
    pub data: PathBuf,
}

impl Captured {
    /// Captures the shop of `server`.
    pub fn of(server: &Server) -> Self {
        Self::with(server, &settings(server))
    }

    /// Captures what `settings` name.
    pub fn with(server: &Server, settings: &ServerSettings) -> Self {
        Self::by(Bench::default(), server, settings, &Kept::default())
    }

    /// Captures all of `server` as its files.
    pub fn of_files(server: &Server) -> Self {
        Self::of_files_by(Bench::by_files(), server)
    }

    /// The same by a bench of one's own.
    pub fn of_files_by(bench: Bench, server: &Server) -> Self {
        Self::of_files_into(bench, server, &Kept::default())
    }

    /// The same with a sink of one's own.
    pub fn of_files_into(bench: Bench, server: &Server, sink: &Kept) -> Self {
        let all = ServerSettings { databases: Vec::new(), ..settings(server) };
        Self::by(bench, server, &all, sink)
    }

    fn by(bench: Bench, server: &Server, settings: &ServerSettings, sink: &Kept) -> Self {
        let capture = bench.capture(settings, sink).unwrap_or_else(|error| {
            panic!("{}\n{}", lifeboat::ground::causes::chain(&error), server.log())
        });
        let data = bench.folder.path().join("data");
        let captured = Self { bench, capture, data };
        captured.put(sink);
        captured
    }

    /// Puts another capture's files in the place of this one's: a recovery point that lies.
    pub fn replace_files(&self, settings: &ServerSettings) {
        let sink = Kept::default();
        let bench = Bench { is_by_files: self.bench.is_by_files, ..Bench::default() };
        bench.capture(settings, &sink).unwrap();
        fs::remove_dir_all(&self.data).unwrap();
        self.put(&sink);
    }

    fn put(&self, sink: &Kept) {
        fs::create_dir_all(self.data.join("databases")).unwrap();
        for (name, bytes) in &*sink.files.lock().unwrap() {
            let path = self.data.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// The dump of a database.
    pub fn dump(&self, database: &str) -> PathBuf {
        self.data.join(lifeboat::source::mysql::file_of(database))
    }

    /// A scratch below a folder of its own.
    pub fn scratch(&self) -> Scratch {
        Scratch::create(&self.bench.folder.path().join("scratch"), None).unwrap()
    }

    /// Brings the dumps up in `scratch`.
    pub fn recover(&self, scratch: &Scratch) -> Result<Box<dyn Recovered>, Trouble> {
        let _entered = self.bench.runtime.enter();
        let server = ServerSettings { host: "/nowhere".into(), ..nobody() };
        self.bench.source(&server).recover(&self.capture, &self.data, scratch)
    }

    /// Equality, as a drill judges it.
    pub fn equality(&self, recovered: &mut dyn Recovered) -> Outcome {
        let _entered = self.bench.runtime.enter();
        match recovered.fingerprint() {
            Ok(found) => check::compare(PRODUCT.kind(), &self.capture.fingerprint, &found),
            Err(trouble) => Outcome::of_trouble(&id(), &trouble),
        }
    }

    /// The engine's own check, as a drill judges it.
    pub fn self_check(&self, recovered: &mut dyn Recovered) -> Outcome {
        let _entered = self.bench.runtime.enter();
        match recovered.self_check() {
            Ok(checked) => Outcome::of_self_check(checked),
            Err(trouble) => Outcome::of_trouble(&id(), &trouble),
        }
    }

    /// Runs something of a recovered server's.
    pub fn within<T>(&self, act: impl FnOnce() -> T) -> T {
        let _entered = self.bench.runtime.enter();
        act()
    }

    /// How a drill would end that asks for the start, the self-check and equality: the first outcome
    /// that did not hold.
    pub fn judged(&self) -> Outcome {
        let scratch = self.scratch();
        let mut recovered = match self.recover(&scratch) {
            Ok(recovered) => recovered,
            Err(trouble) => return Outcome::of_trouble(&id(), &trouble),
        };
        let checked = self.self_check(&mut *recovered);
        let equal = self.equality(&mut *recovered);
        recovered.stop().unwrap();
        let token = scratch.token().to_owned();
        scratch.remove().unwrap();
        assert!(nothing_of(&token), "something is left");
        if matches!(checked, Outcome::Held { .. }) { equal } else { checked }
    }
}

fn nobody() -> ServerSettings {
    ServerSettings {
        host: String::new(),
        port: 0,
        user: String::new(),
        password: None,
        databases: Vec::new(),
        tls: Tls::Off,
        lock_timeout: Duration::ZERO,
        statement_deadline: Duration::ZERO,
    }
}

fn id() -> Id {
    Id::Start("orders".parse().unwrap())
}

/// The objects at which an outcome broke.
#[track_caller]
pub fn places(outcome: &Outcome) -> Vec<String> {
    match outcome {
        Outcome::Broke(broken) => {
            broken.places().iter().map(|place| place.object.clone()).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub fn held(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Held { compared } => compared.get(),
        other => panic!("{other:?}"),
    }
}

/// Whether no process of a scratch is left.
pub fn nothing_of(token: &str) -> bool {
    let mark = format!("{TOKEN_VARIABLE}={token}");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let marked = processes.filter(|process| {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|one| one == mark.as_bytes())
    });
    marked.count() == 0
}
