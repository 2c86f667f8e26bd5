//! A source of Redis with what was captured of it, and a scratch to bring it back in.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lifeboat::check::{self, Id, Outcome};
use lifeboat::ground::clock::SystemClock;
use lifeboat::ground::progress::Silent;
use lifeboat::policy::sources::{RedisSettings, Tls};
use lifeboat::sandbox::Scratch;
use lifeboat::source::redis::Redis;
use lifeboat::source::{
    Capture, Context, Entry, Error, Kind, Recovered, Sink, Skipped, Source, Trouble,
};

use super::servers::redis::Server;

/// How to capture a server over its socket.
pub fn settings(host: impl Into<String>) -> RedisSettings {
    RedisSettings {
        host: host.into(),
        port: 6379,
        user: None,
        password: None,
        tls: Tls::Off,
        silence: Duration::from_secs(60),
    }
}

/// Writes what is put to where a restore would; what cannot be read is left out.
pub struct Restore {
    folder: PathBuf,
    skipped: std::sync::Mutex<Vec<Skipped>>,
}

impl Sink for Restore {
    fn put(&self, entry: Entry) -> Result<(), Error> {
        let name = String::from_utf8(entry.path).unwrap();
        let path = self.folder.join(&name);
        let written = entry.content.unwrap().open().and_then(|mut stream| {
            std::io::copy(&mut stream, &mut fs::File::create(&path)?)?;
            stream.finish()
        });
        if let Err(error) = written {
            self.skipped.lock().unwrap().push(Skipped { path: name, reason: error.to_string() });
            return Ok(());
        }
        // The owner's rights alone, as a restored file has them.
        fs::set_permissions(path, Permissions::from_mode(0o400)).unwrap();
        Ok(())
    }

    fn in_any_order(&self) {}

    fn start_over(&self) -> Result<(), Error> {
        unreachable!("a data set is captured once")
    }

    fn settle(&self) -> Result<Vec<Skipped>, Error> {
        Ok(std::mem::take(&mut *self.skipped.lock().unwrap()))
    }
}

pub struct Bench {
    _folder: tempfile::TempDir,
    pub scratch: Scratch,
    pub source: Redis,
    pub capture: Capture,
    pub data: PathBuf,
}

impl Bench {
    /// Captures all that `server` has.
    pub fn of(server: &Server) -> Self {
        Self::with(settings(server.socket().display().to_string())).unwrap()
    }

    pub fn with(settings: RedisSettings) -> Result<Self, Error> {
        let folder = tempfile::tempdir().unwrap();
        let source = Redis::new("cache".parse().unwrap(), settings);
        let scratch = Scratch::create(&folder.path().join("scratch"), None).unwrap();
        let data = scratch.dir().join("restored");
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
        let context = Context {
            clock: Arc::new(SystemClock),
            progress: Arc::new(Silent),
            staging: folder.path().to_owned(),
            interrupted: Arc::default(),
            questions: Vec::new(),
        };
        let sink = Restore { folder: data.clone(), skipped: Default::default() };
        let capture = source.capture(&context, &sink)?;
        Ok(Self { _folder: folder, scratch, source, capture, data })
    }

    pub fn file(&self) -> PathBuf {
        self.data.join("dump.rdb")
    }

    pub fn recover(&self) -> Result<Box<dyn Recovered>, Trouble> {
        self.source.recover(&self.capture, &self.data, &self.scratch)
    }

    /// How equality ends on `recovered`.
    pub fn equality(&self, recovered: &mut dyn Recovered) -> Outcome {
        match recovered.fingerprint() {
            Ok(found) => check::compare(Kind::Redis, &self.capture.fingerprint, &found),
            Err(trouble) => Outcome::of_trouble(&Id::Equality("cache".parse().unwrap()), &trouble),
        }
    }

    /// How it all ends: the start, the engine's own check, equality. The first that does not hold.
    pub fn outcome(&self) -> Outcome {
        let start = Id::Start("cache".parse().unwrap());
        let mut recovered = match self.recover() {
            Ok(recovered) => recovered,
            Err(trouble) => return Outcome::of_trouble(&start, &trouble),
        };
        let checked = match recovered.self_check() {
            Ok(checked) => Outcome::of_self_check(checked),
            Err(trouble) => Outcome::of_trouble(&start, &trouble),
        };
        let equality = self.equality(&mut *recovered);
        recovered.stop().unwrap();
        if matches!(checked, Outcome::Held { .. }) { equality } else { checked }
    }

    /// Puts other bytes in the place of the restored ones.
    pub fn replace(&self, bytes: &[u8]) {
        fs::set_permissions(self.file(), Permissions::from_mode(0o600)).unwrap();
        fs::write(self.file(), bytes).unwrap();
    }
}

/// What holds, and over how much.
#[track_caller]
pub fn held(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Held { compared } => compared.get(),
        other => panic!("{other:?}"),
    }
}

/// What broke, and where.
#[track_caller]
pub fn broke(outcome: Outcome) -> String {
    match outcome {
        Outcome::Broke(broken) => {
            let places = broken.places().iter();
            places.map(|place| format!("{}: {}\n", place.object, place.what)).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// Every type, small and large, in two databases, some with expiry, and a library of functions.
pub fn everything(server: &Server) {
    let mut commands = String::new();
    let mut say = |line: String| {
        commands.push_str(&line);
        commands.push('\n');
    };
    for n in 0..300 {
        say(format!("SET text:{n} value-{n}"));
        say(format!("SET soon:{n} {n} PX 86400000"));
        say(format!("RPUSH longlist element-{n}"));
        say(format!("SADD bigset member-{n}"));
        say(format!("HSET bighash field-{n} {}", n * 7));
        say(format!("ZADD bigz {n}.25 member-{n}"));
        say(format!("XADD stream {}-1 a {n} b value-{n}", n + 1));
    }
    let long = "z".repeat(9000);
    for line in [
        "SET number 12345",
        "SET negative -9223372036854775808",
        "SET halfword -300",
        "SET word 100000",
        "RPUSH smalllist a 1 -5 300 70000 3000000000 -3000000000000 5000000",
        "SADD ints 1 2 3 -70000 5000000000",
        "SADD shorts 1 2",
        "SADD smallset a b c",
        "HSET smallhash f v n 5",
        "HSET hashsoon f v",
        "EXPIRE hashsoon 90000",
        "ZADD smallz 1 a 2.5 b -inf c inf d 0 e 3.14159265358979 f 100000000 g",
        "XADD stream 400-5 other field",
        "XDEL stream 5-1",
        "XGROUP CREATE stream readers 10-1",
        "XREADGROUP GROUP readers alice COUNT 3 STREAMS stream >",
        "XACK stream readers 11-1",
        "XGROUP CREATECONSUMER stream readers bob",
        "SELECT 3",
        "SET elsewhere 1",
        "ZADD other 1 a",
    ] {
        say(line.to_owned());
    }
    say(format!("SELECT 0\nSET long {long}\nRPUSH plain {long} short"));
    server.run(&commands);
    server.command(&[b"SET", b"bytes \x00\xff\r\n", b"\xff\x00\r\n"]);
    server.command(&[b"SET", b"empty", b""]);
    let library = b"#!lua name=shop\nredis.register_function('f', function() return 1 end)";
    server.command(&[b"FUNCTION", b"LOAD", library]);
}
