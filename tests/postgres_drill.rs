//! PostgreSQL from a policy to a verdict, through the built binary.

mod bench;
mod servers;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bench::{Bench, Ran, files_below};
use serde_json::Value;
use servers::postgres::Server;

const SECRET: &str = "canary-login-password";

/// A site whose policy protects two databases of a server, with checks, controls and files.
fn shop(server: &Server) -> Bench {
    let bench = Bench::new();
    server.psql(
        "postgres",
        &format!("CREATE DATABASE shop; CREATE DATABASE stock; CREATE ROLE backup SUPERUSER LOGIN PASSWORD '{SECRET}'"),
    );
    server.psql(
        "shop",
        "CREATE TABLE orders (id int PRIMARY KEY, note text);
         INSERT INTO orders SELECT n, 'canary-row ' || n FROM generate_series(1, 500) n;
         CREATE TABLE products (picture text);
         INSERT INTO products SELECT 'p' || n || '.jpg' FROM generate_series(0, 11) n",
    );
    server.psql("stock", "CREATE TABLE shelf (a int); INSERT INTO shelf VALUES (1)");
    bench.write("keys/login", format!("{SECRET}\n"));
    bench.protect(&format!(
        r#"[[source]]
name = "orders"
kind = "postgres"
host = "{}"
user = "backup"
password = {{ file = "keys/login" }}
databases = ["shop", "stock"]

[[source]]
name = "uploads"
kind = "files"
paths = ["data/files"]
"#,
        server.socket().display()
    ));
    bench.check(
        r#"[[check]]
name = "there are orders"
source = "orders"
database = "shop"
query = "SELECT count(*) FROM orders"
expect = "= 500"

[[check]]
name = "every picture exists"
source = "orders"
database = "shop"
query = "SELECT picture FROM products"
files_in = "uploads"
"#,
    );
    bench
}

#[test]
fn a_drill_passes_its_controls_are_found_and_no_secret_shows() {
    let server = Server::start(15);
    let bench = shop(&server);
    bench.backup();
    // The drill asks the bucket alone.
    drop(server);

    let told = bench.passes_and_shows_none_of(&[SECRET, "canary-row"]);

    assert!(told.contains("bubblewrap"), "{told}");
}

#[test]
fn a_check_that_does_not_hold_and_a_missing_engine_are_told_apart() {
    let server = Server::start(15);
    let bench = shop(&server);
    bench.backup();
    bench.edit("drills/weekly.toml", "= 500", "= 501");
    let (code, report) = bench.drill();
    assert_eq!((code, &report["verdict"]), (4, &Value::from("fail")), "{report:#}");

    let other = Server::start(18);
    let bench = shop(&other);
    let engine = servers::postgres::bin(18);
    let site = fs::read_to_string(bench.path("lifeboat.toml")).unwrap();
    let engine = format!(
        "\n[[engine]]\nkind = \"postgres\"\nversion = \"18\"\npath = \"{}\"\n",
        engine.display()
    );
    bench.write("lifeboat.toml", site.clone() + &engine);
    bench.backup();
    let (code, report) = bench.drill();
    assert_eq!((code, &report["verdict"]), (0, &Value::from("pass")), "{report:#}");
    bench.write("lifeboat.toml", site);
    let (code, report) = bench.drill();
    assert_eq!((code, &report["verdict"]), (5, &Value::from("inconclusive")), "{report:#}");
    assert!(report.to_string().contains("install postgresql-18"), "{report:#}");
    // What the bucket gives is known all the same.
    assert_eq!(outcome(&report, "integrity"), "held", "{report:#}");
    assert_eq!(outcome(&report, "start of orders"), "not-run", "{report:#}");
}

#[test]
fn an_upgrade_is_rehearsed_and_says_so_and_is_no_proof_for_the_points_own_engine() {
    let server = Server::start(15);
    let bench = shop(&server);
    bench.backup();
    let upgrade = "[[upgrade]]\nsource = \"orders\"\nversion = \"17\"\n";
    bench.write(
        "drills/upgrade.toml",
        format!("policy = \"acme/shop\"\nname = \"upgrade\"\ncontrols = true\n\n{upgrade}"),
    );
    let rehearse = || bench.run(&["drill", "acme/shop/upgrade", "--json"]);
    let missing = rehearse().exits(5).json();
    assert!(missing.to_string().contains("install postgresql-17"), "{missing:#}");

    let bin = servers::postgres::bin(17);
    let engine = format!(
        "[[engine]]\nkind = \"postgres\"\nversion = \"17\"\npath = \"{}\"\n\n[signing]",
        bin.display()
    );
    bench.edit("lifeboat.toml", "[signing]", &engine);
    let rehearsed = rehearse().exits(0).json();
    assert_eq!(rehearsed["parts"]["intact"], "yes", "{rehearsed:#}");
    let status = || bench.run(&["status", "--json"]).json().to_string();
    assert!(status().contains("\"upgrade\":true"), "{}", status());

    // A view, which the newer version tells in other words.
    server.psql("shop", "CREATE VIEW large AS SELECT orders.id FROM orders WHERE orders.id > 400");
    bench.backup();
    let drilled = bench.run(&["drill", "acme/shop/weekly", "--json"]).exits(0).json();
    assert_eq!(drilled["parts"]["intact"], "yes", "{drilled:#}");
    let told = bench.run(&["drill", "acme/shop/upgrade"]).exits(0).stdout;
    for word in
        ["upgrade rehearsal", "orders on major version 17", "in other words", "view public.large"]
    {
        assert!(told.contains(word), "{word}: {told}");
    }
    for (language, word) in [("en", "upgrade rehearsal"), ("zh", "升级演练")] {
        let page = bench.run(&["report", "drill", "shop", "--lang", language]).exits(0).stdout;
        assert!(page.contains(word) && page.contains("view public.large"), "{language}");
    }
    let log = bench.run(&["ledger", "log", "shop"]).stdout;
    assert!(log.contains("an upgrade rehearsal"), "{log}");
    // The last word of the point is its own engine's.
    let shown = bench.run(&["status", "--json"]).json();
    let shown = shown.as_array().map_or(&shown, |all| &all[0]);
    assert_eq!(shown["last_drill"]["drill"], "weekly", "{shown:#}");
}

/// How one assertion of a drill ended.
fn outcome<'a>(report: &'a Value, name: &str) -> &'a str {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("no {name} in {report:#}"))["outcome"].as_str().unwrap()
}

#[test]
fn a_server_made_ready_for_dumps_that_do_not_come_is_gone_with_the_drill() {
    let server = Server::start(15);
    let bench = shop(&server);
    bench.backup();
    // The largest pack holds dumps; without it the fetch comes to its end, and is damage.
    let packs = files_below(&bench.repository().join("data"));
    let largest = packs.iter().max_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap();
    fs::remove_file(largest).unwrap();

    let (code, report) = bench.drill();

    assert_eq!((code, &report["verdict"]), (4, &Value::from("fail")), "{report:#}");
    assert_eq!(report["parts"]["cleaned_up"], "yes", "{report:#}");
    assert_eq!(outcome(&report, "start of orders"), "not-run", "{report:#}");
    assert!(bench.leftovers().is_empty());
    assert_eq!(processes_in(&bench.path("scratch")), Vec::<String>::new());
}

#[test]
fn a_database_that_the_policy_names_since_the_recovery_point_is_not_passed_over() {
    let server = Server::start(15);
    let bench = shop(&server);
    let (one, both) = (r#"databases = ["shop"]"#, r#"databases = ["shop", "stock"]"#);
    bench.edit("policies/shop.toml", both, one);
    bench.backup();
    let (code, report) = bench.drill();
    assert_eq!((code, &report["verdict"]), (0, &Value::from("pass")), "{report:#}");

    let narrow = fs::read_to_string(bench.path("policies/shop.toml")).unwrap();
    for wider in [both, "# every database"] {
        bench.write("policies/shop.toml", narrow.replace(one, wider));
        let (code, report) = bench.drill();
        assert_eq!((code, &report["verdict"]), (5, &Value::from("inconclusive")), "{report:#}");
        assert!(report.to_string().contains("declared otherwise"), "{report:#}");
    }
}

#[test]
fn a_server_that_the_policy_names_since_the_recovery_point_is_not_judged_by_another_one() {
    let server = Server::start(15);
    let bench = shop(&server);
    bench.backup();
    let before = fs::read_to_string(bench.path("policies/shop.toml")).unwrap();
    let host = server.socket().display().to_string();

    for elsewhere in
        [before.replace(&host, "/run/other"), before.replace("user =", "port = 6543\nuser =")]
    {
        bench.write("policies/shop.toml", elsewhere);
        let (code, report) = bench.drill();

        assert_eq!((code, &report["verdict"]), (5, &Value::from("inconclusive")), "{report:#}");
        assert!(report.to_string().contains("declared otherwise: back up anew"), "{report:#}");
    }
}

#[test]
fn a_drill_killed_while_its_server_runs_leaves_nothing_after_the_next() {
    let server = Server::start(15);
    let bench = shop(&server);
    bench.backup();
    let mut drill = drilling(&bench);

    drill.kill().unwrap();
    drill.wait().unwrap();
    let (code, report) = bench.drill();

    assert_eq!(code, 0, "{report:#}");
    assert!(bench.leftovers().is_empty());
    assert_eq!(processes_in(&bench.path("scratch")), Vec::<String>::new());
}

#[test]
fn a_drill_that_is_interrupted_ends_its_server_at_once_and_is_aborted_on_record() {
    let server = Server::start(15);
    let bench = shop(&server);
    bench.backup();
    let mut drill = drilling(&bench);

    bench::must(std::process::Command::new("kill").args(["-INT", &drill.id().to_string()]));

    let ended = drill.wait().unwrap();
    assert_eq!(ended.code(), Some(130));
    assert!(bench.leftovers().is_empty());
    assert_eq!(processes_in(&bench.path("scratch")), Vec::<String>::new());
    let log = bench.run(&["ledger", "log", "shop"]).exits(0);
    assert!(log.stdout.contains("aborted"), "{}", log.stdout);
}

#[test]
fn a_drill_without_a_sandbox_says_so_in_its_report() {
    let server = Server::start(15);
    let bench = shop(&server);
    bench.backup();
    let passable = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    fs::set_permissions(bench.path(""), passable).unwrap();
    bench.edit(
        "lifeboat.toml",
        "[scratch]",
        "[scratch]\nwithout_sandbox = \"whatever hides in a restored dump may act on this host\"",
    );

    let (code, report) = bench.drill();

    assert_eq!(code, 0, "{report:#}");
    let told = bench.run(&["report", "drill", "shop"]).exits(0).stdout;
    assert!(told.contains("NO SANDBOX, as the site says"), "{told}");
    assert!(bench.leftovers().is_empty());
    assert_eq!(processes_in(&bench.path("scratch")), Vec::<String>::new());
}

#[test]
fn a_check_of_one_of_several_databases_must_name_it() {
    let server = Server::start(15);
    let bench = shop(&server);
    bench.edit(
        "drills/weekly.toml",
        "database = \"shop\"\nquery = \"SELECT count",
        "query = \"SELECT count",
    );

    let ran = bench.run(&["validate"]).exits(2);

    let told = ran.stdout + &ran.stderr;
    assert!(told.contains("one of: shop, stock"), "{told}");
}

/// A drill whose scratch server is there.
fn drilling(bench: &Bench) -> Child {
    let mut drill = bench.command(&["drill", "shop"]);
    let mut drill = drill.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while processes_in(&bench.path("scratch")).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no server came up");
        assert!(drill.try_wait().unwrap().is_none(), "the drill was over first");
        std::thread::sleep(Duration::from_millis(10));
    }
    drill
}

/// Servers that work in the scratch folder.
fn processes_in(folder: &std::path::Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let inside = processes.filter(|process| {
        let cwd = fs::read_link(process.path().join("cwd")).unwrap_or_default();
        cwd.starts_with(folder) && cwd.ends_with("cluster")
    });
    inside.map(|process| process.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn what_init_writes_for_a_server_is_backed_up_and_drilled_once_its_grants_are_applied() {
    let server = Server::start(15);
    server.psql("postgres", "CREATE DATABASE shop; CREATE DATABASE crm");
    server.psql(
        "shop",
        "CREATE TABLE orders AS SELECT n, 'order ' || n AS note FROM generate_series(1, 200) n;
         CREATE UNLOGGED TABLE cache (a int);
         CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM orders",
    );
    let place = tempfile::tempdir().unwrap();
    let (site, password) = (place.path().join("site"), place.path().join("password"));
    fs::write(&password, SECRET).unwrap();
    fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let run = |arguments: &[&str]| -> Ran {
        let mut lifeboat = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        lifeboat.args(arguments).env("NO_COLOR", "1").stdin(Stdio::null()).output().unwrap().into()
    };
    let url = format!("postgres://backup@/shop?host={}", server.socket().display());
    let (folder, file) = (site.to_str().unwrap(), password.to_str().unwrap());
    let init = ["init", folder, "--postgres", &url, "--password-file", file];

    let told = run(&init).exits(0).stdout;

    assert!(told.contains("psql") && told.contains("grants/postgres-1.sql"), "{told}");
    let example = fs::read_to_string(site.join("drills/host.toml")).unwrap();
    assert!(example.contains("\"postgres-1\"\n# database =") && !example.contains("unixepoch"));
    let config = site.join("lifeboat.toml");
    let with =
        |arguments: &[&str]| run(&[arguments, &["--config", config.to_str().unwrap()]].concat());
    with(&["validate"]).exits(0);
    server.psql("postgres", &fs::read_to_string(site.join("grants/postgres-1.sql")).unwrap());
    server.psql("postgres", &format!("ALTER ROLE backup PASSWORD '{SECRET}'"));
    server.allow("local all backup scram-sha-256\nlocal all all trust\n");
    with(&["doctor"]).exits(0);
    with(&["backup", "host"]).exits(0);
    let drilled = with(&["drill", "host"]).exits(0).stdout;

    for gap in ["crm", "Rows of unlogged tables in shop: public.cache", "public.totals"] {
        assert!(drilled.contains(gap), "{gap} in {drilled}");
    }
    for (lang, heading) in [("en", "Not covered"), ("zh", "未覆盖的内容")] {
        let page = with(&["report", "drill", "host", "--lang", lang]).exits(0).stdout;
        for told in [heading, "crm", "shop: public.cache", "shop: public.totals"] {
            assert!(page.contains(told), "{told} in {lang}");
        }
    }
    let again = run(&init).exits(1);
    assert!(again.stderr.contains("exists already"), "{}", again.stderr);
}

#[test]
fn a_server_that_does_not_answer_and_a_log_in_that_is_refused_have_different_hints() {
    let server = Server::start(15);
    let bench = shop(&server);
    server.psql("postgres", "ALTER ROLE backup NOLOGIN");

    let refused = bench.run(&["backup", "shop"]).exits(1).stderr;
    drop(server);
    let away = bench.run(&["backup", "shop"]).exits(1).stderr;

    assert!(refused.contains("hint: look at `user`, `password`"), "{refused}");
    assert!(away.contains("hint: is the server up?"), "{away}");
    let doctor = bench.run(&["doctor"]).exits(1).stdout;
    assert!(doctor.contains("hint: is the server up?"), "{doctor}");
}

#[test]
fn programs_that_the_site_declares_and_that_are_not_there_are_told_of_by_all_that_need_them() {
    let server = Server::start(15);
    let bench = shop(&server);
    let site = fs::read_to_string(bench.path("lifeboat.toml")).unwrap();
    let engine = "[[engine]]\nkind = \"postgres\"\nversion = \"15\"\npath = \"/opt/gone/bin\"\n";
    bench.write("lifeboat.toml", format!("{site}\n{engine}"));

    let validated = bench.run(&["validate"]).exits(0).stderr;
    let doctor = bench.run(&["doctor"]).exits(0).stdout;
    let backup = bench.run(&["backup", "shop"]).exits(0).stderr;
    let drill = bench.run(&["drill", "shop"]).exits(0).stderr;

    for told in [validated, doctor, backup, drill] {
        assert!(told.contains("/opt/gone/bin"), "{told}");
    }
}
