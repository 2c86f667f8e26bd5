//! A shipped pair in a site of its own, moved to where its platform stands in the test.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::bench::Bench;
use crate::servers::mariadb::Server;

const SECRET: &str = "canary-login-password";

/// A shipped file's text.
pub fn text(folder: &str, pair: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(folder).join(format!("{pair}.toml"))).unwrap()
}

/// A site with the pair alone; `moved` says what stands in the place of which path, in this order.
pub fn bench(pair: &str, moved: &[(&str, &str)]) -> Bench {
    let bench = Bench::new();
    fs::remove_file(bench.path("policies/shop.toml")).unwrap();
    fs::remove_file(bench.path("drills/weekly.toml")).unwrap();
    for folder in ["policies", "drills"] {
        let mut here = text(folder, pair).replace("\"example", "\"acme");
        for (from, to) in moved {
            assert!(folder == "drills" || here.contains(from), "{pair} does not name {from}");
            here = here.replace(from, to);
        }
        bench.write(&format!("{folder}/{pair}.toml"), here);
    }
    bench
}

/// Writes a file below the bench's folder, with all folders above it.
pub fn put(bench: &Bench, name: &str, content: &str) {
    fs::create_dir_all(bench.path(name).parent().unwrap()).unwrap();
    bench.write(name, content.to_owned());
}

/// Puts a real picture there.
pub fn put_picture(bench: &Bench, name: &str) {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/check/pictures/samples");
    let sample = if name.ends_with(".jpg") { "baseline.jpg" } else { "plain.png" };
    fs::create_dir_all(bench.path(name).parent().unwrap()).unwrap();
    fs::copy(samples.join(sample), bench.path(name)).unwrap();
}

/// Leaves the first half of a file, as an upload that broke off does.
pub fn cut(bench: &Bench, name: &str) {
    let file = fs::OpenOptions::new().write(true).open(bench.path(name)).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
}

/// Gives the policy's account what `grants` prints, and the password that stands in `keys/database`.
pub fn admit(bench: &Bench, policy: &str, server: &Server) {
    bench.write("keys/database", format!("{SECRET}\n"));
    server.sql(&bench.run(&["grants", policy, "--sql"]).exits(0).stdout);
    server.sql(&format!("ALTER USER lifeboat@localhost IDENTIFIED BY '{SECRET}' ACCOUNT UNLOCK"));
}

/// Backs up and drills; the drill's exit status and answer.
#[track_caller]
pub fn rehearsed(bench: &Bench, policy: &str) -> (i32, Value) {
    bench.run(&["backup", policy]).exits(0);
    let ran = bench.run(&["drill", policy, "--json"]);
    (ran.code, ran.json())
}

/// Asserts that the drill passed with all its checks.
#[track_caller]
pub fn passes(bench: &Bench, policy: &str) {
    let (code, drill) = rehearsed(bench, policy);
    assert_eq!((code, &drill["verdict"]), (0, &"pass".into()), "{drill:#}");
}

/// Asserts that of all checks exactly those in `broken` found the lie, though everything equals what was
/// captured.
#[track_caller]
pub fn fails_by(bench: &Bench, policy: &str, broken: &[&str]) {
    let (code, drill) = rehearsed(bench, policy);
    assert_eq!((code, &drill["verdict"]), (4, &"fail".into()), "{drill:#}");
    let checks = drill["checks"].as_array().unwrap().iter();
    let found = checks.filter(|check| check["outcome"] == "broke").map(|check| &check["name"]);
    assert_eq!(found.collect::<Vec<_>>(), broken, "{drill:#}");
}
