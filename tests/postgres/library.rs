//! The shipped example for an application on PostgreSQL passes on the application's tables.

use std::fs;
use std::path::Path;

use crate::household::Bench;
use crate::servers::postgres::Server;

/// The tables that the drill asks, as Mattermost makes them (columns in use only).
const MATTERMOST: &str = "
    CREATE TABLE users (id varchar(26) PRIMARY KEY, roles varchar(256), deleteat bigint);
    CREATE TABLE channels (id varchar(26) PRIMARY KEY, name varchar(64));
    CREATE TABLE posts (id varchar(26) PRIMARY KEY, channelid varchar(26), createat bigint);
    CREATE TABLE fileinfo (id varchar(26) PRIMARY KEY, path varchar(512), deleteat bigint);
    INSERT INTO users VALUES ('u', 'system_admin system_user', 0);
    INSERT INTO channels VALUES ('c', 'town-square');
    INSERT INTO posts VALUES ('p', 'c', extract(epoch FROM now()) * 1000);
    INSERT INTO fileinfo VALUES ('f', '20261125/teams/noteam/a.png', 0), ('g', 'gone.png', 1);";

fn shipped(folder: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(folder).join("mattermost-postgres.toml")).unwrap()
}

#[test]
fn the_shipped_mattermost_policy_and_drill_pass_and_see_a_lost_upload() {
    let server = Server::start(15);
    server.psql("postgres", "CREATE DATABASE mattermost");
    server.psql("mattermost", MATTERMOST);
    let bench = Bench::new();
    for folder in ["data/uploads/20261125/teams/noteam", "data/config"] {
        fs::create_dir_all(bench.path(folder)).unwrap();
    }
    bench.write("data/uploads/20261125/teams/noteam/a.png", "picture".to_owned());
    bench.write("data/config/config.json", "{}".to_owned());
    let here = |text: String| {
        text.replace("\"example", "\"acme")
            .replace("/run/postgresql", server.socket().to_str().unwrap())
            .replace("/opt/mattermost/data", "data/uploads")
            .replace("/opt/mattermost/config", "data/config")
    };
    fs::remove_file(bench.path("drills/weekly.toml")).unwrap();
    fs::remove_file(bench.path("policies/shop.toml")).unwrap();
    bench.write("policies/mattermost.toml", here(shipped("policies")));
    bench.write("drills/mattermost.toml", here(shipped("drills")));
    let grants = bench.run(&["grants", "mattermost", "--json"]).exits(0).json();
    let statements = grants["sources"][0]["statements"].as_array().unwrap().iter();
    let statements: Vec<&str> = statements.map(|one| one.as_str().unwrap()).collect();
    server.psql("postgres", &statements.join("\n"));

    bench.run(&["backup", "mattermost"]).exits(0);
    let drilled = bench.run(&["drill", "mattermost", "--json"]).exits(0).json();
    assert_eq!(drilled["verdict"], "pass", "{drilled:#}");

    fs::remove_file(bench.path("data/uploads/20261125/teams/noteam/a.png")).unwrap();
    bench.run(&["backup", "mattermost"]).exits(0);
    let drilled = bench.run(&["drill", "mattermost"]).exits(4);
    assert!(drilled.stdout.contains("every upload is there"), "{}", drilled.stdout);
}
