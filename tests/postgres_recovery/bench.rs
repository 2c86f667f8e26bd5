//! A live server, dumped by its own tools, and the drill room's half of its recovery.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use lifeboat::check::{self, Outcome};
use lifeboat::policy;
use lifeboat::sandbox::{Scratch, TOKEN_VARIABLE};
use lifeboat::source::postgres::{
    Cluster, Database, Engines, Extension, Session, file_of, fingerprint, prepare, schema,
};
use lifeboat::source::{Capture, Fingerprint, Kind, Recovered, Trouble};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::servers::postgres::{self, SUPERUSER, Server};

pub const SHOP: &str = "
    CREATE ROLE clerk; CREATE SCHEMA sales;
    CREATE TABLE sales.orders (id serial PRIMARY KEY, total numeric CHECK (total >= 0), note text);
    INSERT INTO sales.orders (total, note)
      SELECT n * 1.0, 'order ' || n FROM generate_series(1, 2000) n;
    CREATE INDEX orders_by_total ON sales.orders (total);
    CREATE VIEW sales.large AS SELECT * FROM sales.orders WHERE total > 1000;
    CREATE FUNCTION sales.stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
    CREATE TRIGGER stamped BEFORE UPDATE ON sales.orders
      FOR EACH ROW EXECUTE FUNCTION sales.stamp();
    GRANT SELECT ON sales.orders TO clerk;
    CREATE TABLE sales.notes (words text); INSERT INTO sales.notes VALUES ('first'), ('second');
    CREATE TABLE sales.prices (price numeric); INSERT INTO sales.prices VALUES (1.0);";

/// A captured server; the server itself may be gone by now.
pub struct Bench {
    pub runtime: Runtime,
    pub folder: TempDir,
    pub capture: Capture,
    pub engines: Engines,
    /// The newer version to recover on, where it is rehearsed.
    pub onto: Option<u32>,
}

impl Bench {
    /// Dumps `databases` of a server, each filled by its script.
    pub fn capture(major: u32, databases: &[(&str, &str)]) -> Self {
        Self::capture_changed(major, databases, |_| {})
    }

    /// The same; `change` is done after the fingerprint and before the dump.
    pub fn capture_changed(
        major: u32,
        databases: &[(&str, &str)],
        change: impl FnOnce(&Server),
    ) -> Self {
        Self::capture_of(Server::start(major), databases, change)
    }

    /// The same of a server of one's own.
    pub fn capture_of(
        server: Server,
        databases: &[(&str, &str)],
        change: impl FnOnce(&Server),
    ) -> Self {
        let runtime = Runtime::new().unwrap();
        let _entered = runtime.enter();
        for (name, script) in databases {
            server.psql("postgres", &format!("CREATE DATABASE {}", quoted(name)));
            server.psql(name, script);
        }
        let names: Vec<&str> = databases.iter().map(|(name, _)| *name).collect();
        let capture = describe(&server, &names);
        change(&server);
        let folder = tempfile::tempdir().unwrap();
        dump(&server, &names, folder.path());
        drop(_entered);
        Self { runtime, folder, capture, engines: engines(), onto: None }
    }

    /// A scratch below a folder of its own.
    pub fn scratch(&self) -> Scratch {
        Scratch::create(&self.folder.path().join("scratch"), None).unwrap()
    }

    /// Brings the dumps up in `scratch`.
    pub fn recover(&self, scratch: &Scratch) -> Result<Box<dyn Recovered>, Trouble> {
        let _entered = self.runtime.enter();
        let name = "orders".parse().unwrap();
        prepare(&self.engines, &name, &self.capture, self.onto, scratch)?
            .recover(self.folder.path(), scratch)
    }

    /// Equality, as a drill judges it.
    pub fn equality(&self, recovered: &mut dyn Recovered) -> Outcome {
        let _entered = self.runtime.enter();
        match recovered.fingerprint() {
            Ok(found) if self.onto.is_some() => {
                let is_retold = |object: &str| self.capture.is_retold(object);
                let captured = &self.capture.fingerprint;
                check::compare_upgraded(Kind::Postgres, captured, &found, is_retold).0
            }
            Ok(found) => check::compare(Kind::Postgres, &self.capture.fingerprint, &found),
            Err(trouble) => Outcome::of_trouble(&id(), &trouble),
        }
    }

    /// The engine's own check, as a drill judges it.
    pub fn self_check(&self, recovered: &mut dyn Recovered) -> Outcome {
        let _entered = self.runtime.enter();
        match recovered.self_check() {
            Ok(checked) => Outcome::of_self_check(checked),
            Err(trouble) => Outcome::of_trouble(&id(), &trouble),
        }
    }

    /// How a drill would end that asks for the start, the self-check and equality, and is in
    /// favour of no path around them: the first outcome that did not hold.
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

    /// A dump below the captured folder.
    pub fn dump(&self, database: &str) -> PathBuf {
        self.folder.path().join("databases").join(format!("{database}.dump"))
    }
}

fn id() -> check::Id {
    check::Id::Start("orders".parse().unwrap())
}

/// The objects at which an outcome broke.
pub fn places(outcome: &Outcome) -> Vec<String> {
    match outcome {
        Outcome::Broke(broken) => {
            broken.places().iter().map(|place| place.object.clone()).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// Why nothing is known.
pub fn unknown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::NotRun(not_run) => not_run.what.clone(),
        other => panic!("{other:?}"),
    }
}

pub fn held(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Held { compared } => compared.get(),
        other => panic!("{other:?}"),
    }
}

pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub fn engines() -> Engines {
    let declared =
        [17, 18].map(|major| policy::Engine::Postgres { major, path: postgres::bin(major) });
    Engines::of(&declared)
}

fn describe(server: &Server, databases: &[&str]) -> Capture {
    let mut whole = Fingerprint::empty(Kind::Postgres);
    let mut session = server.session("postgres");
    whole.schema.extend(schema::of_cluster(&mut session).unwrap());
    let version = session.value("SHOW server_version").unwrap();
    let mut described = Vec::new();
    for name in databases {
        let mut session = server.session(name);
        described.push(facts(&mut session));
        let found = fingerprint(&mut session).unwrap();
        whole.parts.extend(found.parts);
        whole.schema.extend(found.schema);
    }
    let now = Timestamp::now();
    Capture {
        source: "orders".parse().unwrap(),
        kind: Kind::Postgres,
        engine: format!("PostgreSQL {version}"),
        host: "db1".to_owned(),
        served: None,
        started: now,
        consistent_time: now,
        finished: now,
        entries: 1,
        bytes: 1,
        skipped: Vec::new(),
        fingerprint: whole,
        cluster: Some(Cluster {
            major: server.major,
            version,
            superuser: SUPERUSER.to_owned(),
            databases: described,
            server: Default::default(),
        }),
        answers: Vec::new(),
        redis: None,
        server: None,
    }
}

fn facts(session: &mut Session) -> Database {
    let row = session
        .row(
            "SELECT d.datname, pg_encoding_to_char(d.encoding), d.datlocprovider, d.datcollate,
               d.datctype, coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale'),
               to_jsonb(d)->>'daticurules', d.datcollversion, pg_database_size(d.oid)
             FROM pg_database d WHERE d.datname = current_database()",
        )
        .unwrap();
    let text = |n: usize| row[n].clone().unwrap();
    let extensions = session.rows("SELECT extname, extversion FROM pg_extension").unwrap();
    let extensions = extensions
        .into_iter()
        .map(|row| Extension { name: row[0].clone().unwrap(), version: row[1].clone().unwrap() });
    Database {
        name: text(0),
        encoding: text(1),
        snapshot_time: String::new(),
        provider: text(2).chars().next().unwrap(),
        collate: text(3),
        ctype: text(4),
        locale: row[5].clone(),
        icu_rules: row[6].clone(),
        collation_version: row[7].clone(),
        extensions: extensions.collect(),
        bytes: text(8).parse().unwrap(),
    }
}

fn dump(server: &Server, databases: &[&str], to: &Path) {
    let globals = server.run("pg_dumpall", &["--globals-only"]);
    fs::write(to.join("globals.sql"), globals).unwrap();
    fs::create_dir(to.join("databases")).unwrap();
    for name in databases {
        let connection = format!("dbname='{}'", name.replace('\\', "\\\\").replace('\'', "\\'"));
        let dumped =
            server.run("pg_dump", &["-Fc", "-Z0", "--no-subscriptions", "-d", &connection]);
        fs::write(to.join(file_of(name)), dumped).unwrap();
    }
}

pub fn nothing_of(token: &str) -> bool {
    let mark = format!("{TOKEN_VARIABLE}={token}");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let marked = processes.filter(|process| {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|one| one == mark.as_bytes())
    });
    marked.count() == 0
}

/// What differs between two fingerprints' schemas, for messages.
pub fn differences(a: &Fingerprint, b: &Fingerprint) -> BTreeMap<String, &'static str> {
    let of = |a: &Fingerprint, b: &Fingerprint, what| {
        let gone = a.schema.iter().filter(|(name, digest)| b.schema.get(*name) != Some(digest));
        gone.map(|(name, _)| (name.clone(), what)).collect::<Vec<_>>()
    };
    of(a, b, "captured").into_iter().chain(of(b, a, "restored")).collect()
}
