//! The shipped library: each policy and drill loads beside a site, and each query runs on tables of
//! the platform it is written for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lifeboat::policy::{self, Asks, Caller, Setup};
use rusqlite::Connection;

const SITE: &str = r#"
[[store]]
name = "primary"
url = "file:///srv/backups"

[[customer]]
id = "example"
store = "primary"
repository_password = { file = "/etc/lifeboat/example.key" }

[signing]
key = { file = "/etc/lifeboat/ledger_ed25519" }
"#;

/// The tables that the queries name, as the platforms make them (columns in use only).
const GITEA: &str = "
    CREATE TABLE user (id INTEGER PRIMARY KEY, is_admin INTEGER, is_active INTEGER);
    CREATE TABLE repository (id INTEGER PRIMARY KEY, owner_id INTEGER, owner_name TEXT, lower_name TEXT);
    CREATE TABLE attachment (id INTEGER PRIMARY KEY, uuid TEXT);
    INSERT INTO user VALUES (1, 1, 1);
    INSERT INTO repository VALUES (1, 1, 'Ada', 'engine');
    INSERT INTO attachment VALUES (1, 'a0eebc99-9c0b');";
const VAULTWARDEN: &str = "
    CREATE TABLE users (uuid TEXT, enabled BOOLEAN);
    CREATE TABLE attachments (id TEXT, cipher_uuid TEXT);
    INSERT INTO users VALUES ('u', 1);
    INSERT INTO attachments VALUES ('f1', 'c1');";

fn library() -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &Path, text: &str| {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    };
    write(&dir.path().join("lifeboat.toml"), SITE);
    for folder in ["policies", "drills"] {
        let target = dir.path().join(folder);
        fs::create_dir(&target).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in fs::read_dir(shipped).unwrap() {
            let entry = entry.unwrap();
            let text = fs::read_to_string(entry.path()).unwrap();
            assert!(text.starts_with("#:schema ./"), "{:?}", entry.path());
            write(&target.join(entry.file_name()), &text);
        }
    }
    policy::load(&dir.path().join("lifeboat.toml"), &Caller::current())
        .unwrap_or_else(|found| panic!("{}", found.render(false)))
}

fn answers(tables: &str, query: &str) -> Vec<String> {
    let database = Connection::open_in_memory().unwrap();
    database.execute_batch(tables).unwrap();
    let mut statement = database.prepare(query).unwrap();
    let rows = statement.query_map((), |row| row.get_ref(0).map(|cell| format!("{cell:?}")));
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn every_shipped_policy_loads_and_has_a_drill() {
    let setup = library();

    assert!(setup.policies.len() >= 3);
    for policy in &setup.policies {
        assert!(setup.drills_of(policy).count() > 0, "{}", policy.full_name());
        assert!(policy.objectives.rpo.is_some() && policy.schedule.is_some());
    }
}

#[test]
fn every_shipped_query_runs_on_its_platforms_tables() {
    let setup = library();

    let mut run = 0;
    for drill in &setup.drills {
        let tables = match drill.policy.as_str() {
            "gitea" => GITEA,
            "vaultwarden" => VAULTWARDEN,
            _ => continue,
        };
        for check in &drill.checks {
            let Asks::Query(query) = &check.asks else { continue };
            let found = answers(tables, &query.text);
            assert_eq!(found.is_empty(), check.name.starts_with("no "), "{}", check.name);
            run += 1;
        }
    }
    assert!(run >= 6, "only {run} queries were run");
}
