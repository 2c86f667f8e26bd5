//! Platforms without a server: Gitea on SQLite, and a host's configuration.

use std::fs;

use crate::bench::Bench;
use crate::shipped;

/// The tables that the drill asks, as Gitea makes them (columns in use only).
const GITEA: &str = "
    CREATE TABLE user (id INTEGER PRIMARY KEY, lower_name TEXT, is_admin INTEGER, is_active INTEGER);
    CREATE TABLE repository (id INTEGER PRIMARY KEY, owner_id INTEGER, owner_name TEXT, lower_name TEXT);
    CREATE TABLE attachment (id INTEGER PRIMARY KEY, uuid TEXT);
    INSERT INTO user VALUES (1, 'ada', 1, 1);
    INSERT INTO repository VALUES (1, 1, 'Ada', 'engine'), (2, 1, 'Ada', 'notes');
    INSERT INTO attachment VALUES (1, 'a0eebc99-9c0b');";

const REPOSITORY: &str = "data/gitea/data/gitea-repositories/ada/notes.git/HEAD";

fn gitea() -> Bench {
    let moved = [("/var/lib/gitea", "data/gitea"), ("/etc/gitea", "data/etc-gitea")];
    let bench = shipped::bench("gitea-sqlite", &moved);
    for (name, content) in [
        (REPOSITORY, "ref: refs/heads/main"),
        ("data/gitea/data/gitea-repositories/ada/engine.git/HEAD", "ref: refs/heads/main"),
        ("data/gitea/data/attachments/a/0/a0eebc99-9c0b", "drawing"),
        ("data/etc-gitea/app.ini", "[security]"),
    ] {
        shipped::put(&bench, name, content);
    }
    database(&bench).execute_batch(GITEA).unwrap();
    bench
}

fn database(bench: &Bench) -> rusqlite::Connection {
    rusqlite::Connection::open(bench.path("data/gitea/data/gitea.db")).unwrap()
}

#[test]
fn giteas_pair_passes_and_finds_a_lost_repository_and_one_without_an_owner() {
    let bench = gitea();
    shipped::passes(&bench, "gitea");

    fs::remove_file(bench.path(REPOSITORY)).unwrap();
    database(&bench).execute_batch("UPDATE repository SET owner_id = 7 WHERE id = 2").unwrap();

    let broken = ["every repository is there", "no repository lacks its owner"];
    shipped::fails_by(&bench, "gitea", &broken);
}

/// The last pack that a run stored.
fn newest_pack(bench: &Bench) -> std::path::PathBuf {
    let packs = bench.files("store/acme/repo/data").into_iter();
    packs.max_by_key(|path| path.metadata().unwrap().modified().unwrap()).unwrap()
}

#[test]
fn the_hosts_pair_passes_and_finds_a_flipped_bit_and_a_lost_list_of_packages() {
    let moved = [
        ("/etc\"", "data/host/etc\""),
        ("/usr/local", "data/host/local"),
        ("/root", "data/host/root"),
        ("/var/spool/cron", "data/host/cron"),
        ("/var/lib/dpkg", "data/host/dpkg"),
    ];
    let bench = shipped::bench("host-config", &moved);
    for (name, content) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("local/bin/quiesce", "#!/bin/sh\n"),
        ("root/.profile", "umask 077\n"),
        ("cron/root", "0 1 * * * true\n"),
        ("dpkg/status", "Package: base-files\n"),
    ] {
        shipped::put(&bench, &format!("data/host/{name}"), content);
    }
    shipped::passes(&bench, "host-config");

    fs::rename(bench.path("data/host/dpkg/status"), bench.path("data/host/dpkg/status.1")).unwrap();
    shipped::fails_by(&bench, "host-config", &["the list of packages is there"]);
    fs::rename(bench.path("data/host/dpkg/status.1"), bench.path("data/host/dpkg/status")).unwrap();

    bench.run(&["backup", "host-config"]).exits(0);
    let pack = newest_pack(&bench);
    let mut bytes = fs::read(&pack).unwrap();
    bytes[20] ^= 1;
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, bytes).unwrap();

    let drill = bench.run(&["drill", "host-config", "--json"]).exits(4).json();
    assert_eq!(drill["verdict"], "fail", "{drill:#}");
}
