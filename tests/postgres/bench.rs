//! A source on a server of one's own, and a sink that keeps what it is given.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use lifeboat::ground::clock::SystemClock;
use lifeboat::ground::progress::Silent;
use lifeboat::policy::Engine;
use lifeboat::policy::sources::{ServerSettings, Tls};
use lifeboat::source::postgres::{Engines, Postgres};
use lifeboat::source::{Capture, Context, Entry, Error, Facts, Question, Sink, Skipped, Source};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::servers::postgres::{SUPERUSER, Server, bin};

/// Keeps every content; runs a fault in the midst of the first dump.
#[derive(Default)]
pub struct Kept {
    pub files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    reading: Mutex<Vec<JoinHandle<Result<(), Skipped>>>>,
    fault: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Kept {
    /// Runs `fault` once some of the first dump was read.
    pub fn with_fault(fault: impl FnOnce() + Send + 'static) -> Self {
        Self { fault: Mutex::new(Some(Box::new(fault))), ..Self::default() }
    }

    pub fn file(&self, name: &str) -> Vec<u8> {
        self.files.lock().unwrap().get(name).unwrap_or_else(|| panic!("no {name}")).clone()
    }
}

impl Sink for Kept {
    fn put(&self, entry: Entry) -> Result<(), Error> {
        let path = String::from_utf8(entry.path).unwrap();
        let content = entry.content.unwrap();
        let files = self.files.clone();
        let fault = if path.ends_with(".dump") { self.fault.lock().unwrap().take() } else { None };
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
        Ok(())
    }

    fn settle(&self) -> Result<Vec<Skipped>, Error> {
        let reading = std::mem::take(&mut *self.reading.lock().unwrap());
        Ok(reading.into_iter().filter_map(|thread| thread.join().unwrap().err()).collect())
    }
}

/// Settings for a server, as its superuser and for all its databases.
pub fn settings(server: &Server) -> ServerSettings {
    ServerSettings {
        host: server.socket().to_str().unwrap().to_owned(),
        port: 5432,
        user: SUPERUSER.to_owned(),
        password: None,
        databases: Vec::new(),
        tls: Tls::Off,
        lock_timeout: Duration::from_secs(2),
        statement_deadline: Duration::from_secs(60),
    }
}

/// The programs of all versions that the tests have.
pub fn engines() -> Engines {
    let declared = [17, 18].map(|major| Engine::Postgres { major, path: bin(major) });
    Engines::of(&declared)
}

/// What a run of a source is given; its staging folder lives as long.
pub struct Bench {
    runtime: Runtime,
    staging: TempDir,
    pub interrupted: Arc<AtomicBool>,
    pub engines: Engines,
    pub questions: Vec<Question>,
}

impl Default for Bench {
    fn default() -> Self {
        Self {
            runtime: Runtime::new().unwrap(),
            staging: tempfile::tempdir().unwrap(),
            interrupted: Arc::default(),
            engines: engines(),
            questions: Vec::new(),
        }
    }
}

impl Bench {
    /// One whose drills ask `questions` of the captured moment.
    pub fn asking(questions: Vec<Question>) -> Self {
        Self { questions, ..Self::default() }
    }

    /// Captures with `settings` into `sink`.
    pub fn capture(&self, settings: &ServerSettings, sink: &Kept) -> Result<Capture, Error> {
        let _inside = self.runtime.enter();
        let source = self.source(settings);
        let captured = source.capture(&self.context(), sink);
        // As the real sink does: nothing is left running.
        sink.settle().unwrap();
        let _ = std::fs::remove_file(self.staging.path().join("pgpass"));
        captured
    }

    pub fn probe(&self, settings: &ServerSettings) -> Result<Facts, Error> {
        let _inside = self.runtime.enter();
        self.source(settings).probe(&self.context())
    }

    /// Everything that an error says, down to its last cause.
    pub fn refusal(&self, settings: &ServerSettings, sink: &Kept) -> String {
        let error = self.capture(settings, sink).expect_err("something was captured");
        lifeboat::ground::causes::chain(&error)
    }

    fn source(&self, settings: &ServerSettings) -> Postgres {
        Postgres::new("orders".parse().unwrap(), settings.clone(), self.engines.clone())
    }

    fn context(&self) -> Context {
        Context {
            clock: Arc::new(SystemClock),
            progress: Arc::new(Silent),
            staging: self.staging.path().to_owned(),
            interrupted: self.interrupted.clone(),
            questions: self.questions.clone(),
        }
    }
}
