//! What users see when they write something wrong, and what they get when they do not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::candidates::{Primary, Servers};
use super::sources::{Equality, SourceKind, Tls};
use super::*;
use crate::ground::digest::Digest;
use crate::ground::secret::SecretRef;

const SITE: &str = r#"
[[store]]
name = "primary"
url = "file:store"

[[customer]]
id = "acme"
name = { zh = "阿克米", en = "Acme" }
locale = "zh-CN"
timezone = "Asia/Shanghai"
store = "primary"
repository_password = { file = "keys/acme" }

[signing]
key = { file = "/etc/lifeboat/key" }
"#;

const POLICY: &str = r#"
customer = "acme"
name = "shop"

[schedule]
backup = "0 */4 * * *"
jitter = "5m"

[objectives]
rpo = "6h"

[[source]]
name = "orders"
kind = "sqlite"
path = "data/shop.db"

[[source]]
name = "uploads"
kind = "files"
paths = ["/srv/uploads"]
exclude = ["*.tmp"]
"#;

const DRILL: &str = r#"
policy = "acme/shop"
name = "weekly"
schedule = "0 3 * * 0"

[[check]]
name = "orders are there"
source = "orders"
query = "SELECT count(*) FROM orders"
expect = "> 0"

[[check]]
name = "pictures exist"
source = "orders"
query = "SELECT picture FROM products"
files_in = "uploads"
"#;

/// A folder with a site, a policy and a drill, each given as text.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new(site: &str, policy: &str, drill: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bench = Self { dir };
        for folder in ["policies", "drills"] {
            fs::create_dir(bench.path(folder)).unwrap();
            bench.chmod(folder, 0o755);
        }
        bench.write("lifeboat.toml", site);
        bench.write("policies/shop.toml", policy);
        bench.write("drills/shop.toml", drill);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.chmod(name, 0o644);
    }

    fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn load(&self) -> Result<Setup, Diagnostics> {
        let caller = Caller {
            uid: rustix::process::geteuid().as_raw(),
            state_home: PathBuf::from("/var/lib/lifeboat"),
        };
        load(&self.path("lifeboat.toml"), &caller)
    }

    /// What is shown, with the folder's name left out.
    fn shown(&self) -> String {
        let errors = self.load().expect_err("something is wrong");
        errors.render(false).replace(self.path("").to_str().unwrap(), "")
    }
}

/// The single error of a setup in which `from` is replaced by `to`, with the text at its place.
fn only_error(from: &str, to: &str) -> (String, String) {
    let texts = [SITE, POLICY, DRILL].map(|text| text.replace(from, to));
    assert!([SITE, POLICY, DRILL].iter().any(|text| text.contains(from)), "{from}");
    let bench = Bench::new(&texts[0], &texts[1], &texts[2]);
    let found = bench.load().expect_err(to);
    if found.len() != 1 {
        return (format!("{} errors: {}", found.len(), found.render(false)), String::new());
    }
    let one = found.iter().next().unwrap();
    let text = fs::read_to_string(&one.file).unwrap();
    let line = text.lines().nth(one.line.unwrap() - 1).unwrap_or_default();
    let at: String = line.chars().skip(one.column.unwrap() - 1).collect();
    (format!("{} | {}", one.message, one.hint.as_deref().unwrap_or_default()), at)
}

#[test]
fn a_sound_setup_loads_with_defaults_and_absolute_paths() {
    let bench = Bench::new(SITE, POLICY, DRILL);

    let setup = bench.load().map_err(|found| found.render(false)).unwrap();

    assert_eq!(setup.site.stores[0].kind, StoreKind::Folder(bench.path("store")));
    assert_eq!(setup.site.state, Path::new("/var/lib/lifeboat/state.db"));
    let customer = &setup.site.customers[0];
    assert_eq!(customer.name(Locale::Chinese), "阿克米");
    assert_eq!(customer.repository_password, SecretRef::File(bench.path("keys/acme")));
    let (policy, drill) = setup.drill(&"shop".parse().unwrap()).unwrap();
    assert_eq!(policy.schedule.as_ref().unwrap().zone.to_string(), "Asia/Shanghai");
    let SourceKind::Sqlite(database) = &policy.sources[0].kind else { panic!("{policy:?}") };
    assert_eq!(database.path, bench.path("data/shop.db"));
    let drill = drill.unwrap();
    assert_eq!(drill.checks.len(), 2);
    assert_eq!(drill.schedule.as_ref().unwrap().zone.to_string(), "Asia/Shanghai");
    assert_eq!(setup.site.daemon, DaemonSettings::default());
    assert!(setup.warnings.is_empty(), "{}", setup.warnings.render(false));
}

#[test]
fn a_site_says_how_its_daemon_runs() {
    let site = format!("{SITE}\n[daemon]\nparallel = 4\ndrain = \"1h\"\nretry_first = \"5s\"\n");
    let bench = Bench::new(&site, POLICY, DRILL);

    let setup = bench.load().map_err(|found| found.render(false)).unwrap();

    let expected = DaemonSettings {
        parallel: 4.try_into().unwrap(),
        drain: Duration::from_secs(3600),
        retry_first: Duration::from_secs(5),
        ..DaemonSettings::default()
    };
    assert_eq!(setup.site.daemon, expected);
}

#[test]
fn four_mistakes_in_three_files_are_all_shown_with_places() {
    let bench = Bench::new(
        &SITE.replace("Asia/Shanghai", "Asia/Shangai"),
        &POLICY.replace("rpo = ", "rpoo = ").replace("kind = \"files\"", "kind = \"mysqll\""),
        &DRILL.replace("0 3 * * 0", "0 25 * * 0"),
    );

    assert_eq!(
        bench.shown(),
        r#"error: unknown time zone
  --> lifeboat.toml:10:12
   |
10 | timezone = "Asia/Shangai"
   |            ^^^^^^^^^^^^^^
   |
   = help: did you mean "Asia/Shanghai"?

error: unknown key `rpoo`
  --> policies/shop.toml:10:1
   |
10 | rpoo = "6h"
   | ^^^^
   |
   = help: did you mean `rpo`? allowed here: rpo, rto

error: unknown kind "mysqll"
  --> policies/shop.toml:19:8
   |
19 | kind = "mysqll"
   |        ^^^^^^^^
   |
   = help: did you mean "mysql"? allowed: files, sqlite, postgres, mariadb, mysql, redis, command

error: `25` does not fit the hour field
 --> drills/shop.toml:4:12
  |
4 | schedule = "0 25 * * 0"
  |            ^^^^^^^^^^^^
  |
  = help: it takes 0-23, `*`, lists 1,3, ranges 1-5 and steps */2 or 1-5/2

"#
    );
}

#[test]
fn every_single_mistake_is_found_at_its_place_with_a_hint() {
    let cases = [
        (
            "url = \"file:store\"",
            "url = \"s3://bucket\"\naccess_key = { env = \"A\" }",
            "a bucket without `secret_key`",
            "\"s3://bucket\"",
        ),
        ("url = \"file:store\"", "url = \"s3://B\"", "not the name of a bucket", "\"s3://B\""),
        (
            "url = \"file:store\"",
            "url = \"file:store\"\nregion = \"eu\"",
            "a folder has no `region`",
            "\"eu\"",
        ),
        (
            "url = \"file:store\"",
            "url = \"s3://bucket\"\naccess_key = { env = \"A\" }\nsecret_key = { env = \"B\" }\n\
             endpoint = \"s3.example.net\"",
            "not the address of an S3 service",
            "\"s3.example.net\"",
        ),
        ("url = \"file:store\"", "url = \"ftp://x\"", "not the address of a store", "\"ftp://x\""),
        ("store = \"primary\"", "store = \"secondary\"", "unknown store", "\"secondary\""),
        ("store = \"primary\"", "store = \"primry\"", "did you mean \"primary\"", "\"primry\""),
        (
            "store = \"primary\"",
            "store = \"primary\"\ncopies = []",
            "does not carry out `copies`",
            "copies",
        ),
        (
            "[signing]",
            "[[engine]]\nkind = \"postgres\"\nversion = \"16\"\npath = \"/opt/16\"\n[signing]",
            "allowed: 15, 17, 18",
            "\"16\"",
        ),
        (
            "[signing]",
            "[scratch]\nwithout_sandbox = \"yes\"\n[signing]",
            "allowed: whatever hides in a restored dump may act on this host",
            "\"yes\"",
        ),
        ("[signing]", "[scratch]\nwithout_sandbox = true\n[signing]", "expected a text", "true"),
        (
            "[signing]",
            "[[engine]]\nkind = \"oracle\"\nversion = \"17\"\npath = \"/opt\"\n[signing]",
            "allowed: postgres, mariadb, mysql",
            "\"oracle\"",
        ),
        ("locale = \"zh-CN\"", "locale = \"zh-cn\"", "did you mean", "\"zh-cn\""),
        ("id = \"acme\"", "id = \"Acme\"", "is not a name", "\"Acme\""),
        ("[signing]", "[daemon]\nparallel = 0\n[signing]", "runs nothing", "0"),
        ("[signing]", "[daemon]\ndrain = \"soon\"\n[signing]", "not a duration", "\"soon\""),
        ("[signing]", "[daemon]\nthreads = 2\n[signing]", "unknown key `threads`", "threads"),
        ("name = \"primary\"", "name = 5", "expected a text, found a whole number", "5"),
        ("customer = \"acme\"", "customer = \"acmee\"", "unknown customer", "\"acmee\""),
        (
            "[schedule]",
            "[limits]\nread_rate = \"50Mbit/s\"\n[schedule]",
            "bytes, not bits",
            "\"50Mbit",
        ),
        ("[schedule]", "[limits]\nupload_rate = \"0B/s\"\n[schedule]", "leave it out", "\"0B/s\""),
        ("[schedule]", "[limits]\nupload_rate = 5\n[schedule]", "100MiB/s", "5"),
        ("[schedule]", "[limits]\ndeadline = \"0h\"\n[schedule]", "of zero", "\"0h\""),
        ("[schedule]", "[limits]\nnice = 20\n[schedule]", "from 0 to 19", "20"),
        ("[schedule]", "[limits]\nnice = -5\n[schedule]", "from 0 to 19", "-5"),
        ("[schedule]", "[limits]\nread = \"1B/s\"\n[schedule]", "unknown key `read`", "read"),
        ("[schedule]", "[retention]\n[schedule]", "keeps nothing", "[retention]"),
        ("[schedule]", "[retention]\ndaily = -1\n[schedule]", "out of range", "-1"),
        ("[schedule]", "[retention]\ntags = [\"x\"]\n[schedule]", "keeps nothing", "[retention]"),
        ("[schedule]", "[retention]\nwithin = \"5m\"\n[schedule]", "y, mo, w, d or h", "\"5m\""),
        (
            "[schedule]",
            "[retention]\nlast = 1\npins = [\"latest\"]\n[schedule]",
            "id of a",
            "\"latest\"",
        ),
        (
            "[schedule]",
            "[retention]\nlast = 1\nkeep_daily = 7\n[schedule]",
            "unknown key",
            "keep_daily",
        ),
        ("rpo = \"6h\"", "rpo = \"0h\"", "a duration of zero", "\"0h\""),
        ("rpo = \"6h\"", "rpo = 6", "expected a text", "6"),
        ("jitter = \"5m\"", "jitter = \"5 parsecs\"", "not a duration", "\"5 parsecs\""),
        ("backup = \"0 */4 * * *\"", "backup = \"0 0 30 2 *\"", "never comes", "\"0 0 30"),
        ("kind = \"sqlite\"", "kind = \"sqllite\"", "did you mean \"sqlite\"", "\"sqllite\""),
        ("kind = \"sqlite\"\n", "", "missing key `kind`", "[[source]]"),
        ("path = \"data/shop.db\"\n", "", "missing key `path`", "[[source]]"),
        ("path = \"data/shop.db\"", "pth = \"x\"", "did you mean `path`", "pth"),
        ("path = \"data/shop.db\"", "path = \"../x\"", "a path with `..`", "\"../x\""),
        (
            "path = \"data/shop.db\"",
            "path = \"x\"\nequality = \"u\"",
            "unknown key `equality`",
            "equality",
        ),
        ("paths = [\"/srv/uploads\"]", "paths = []", "at least one", "[]"),
        (
            "paths = [\"/srv/uploads\"]",
            "paths = [\"/a\"]\nmay_skip = \"x\"",
            "expected a list",
            "\"x\"",
        ),
        ("exclude = [\"*.tmp\"]", "exclude = [\"{a\"]", "not a pattern", "\"{a\""),
        ("name = \"uploads\"", "name = \"orders\"", "is there already", "\"orders\""),
        (
            "policy = \"acme/shop\"",
            "policy = \"acme/shp\"",
            "did you mean \"acme/shop\"",
            "\"acme/shp\"",
        ),
        ("policy = \"acme/shop\"", "policy = \"shop\"", "not the name of a policy", "\"shop\""),
        (
            "name = \"weekly\"",
            "name = \"weekly\"\npick = { random = 0 }",
            "a whole number from 1 to 500",
            "0",
        ),
        ("name = \"weekly\"", "name = \"weekly\"\npick = { random = 501 }", "out of range", "501"),
        (
            "name = \"weekly\"",
            "name = \"weekly\"\npick = { random = -3 }",
            "a whole number from 1 to 500",
            "-3",
        ),
        (
            "name = \"weekly\"",
            "name = \"weekly\"\npick = { random = \"30\" }",
            "expected a whole number",
            "\"30\"",
        ),
        (
            "name = \"weekly\"",
            "name = \"weekly\"\npick = { random = 3, before = \"2026-01-01T00:00:00Z\" }",
            "exactly one key is expected",
            "{ random = 3, before = ",
        ),
        (
            "name = \"weekly\"",
            "name = \"weekly\"\npick = \"random\"",
            "allowed: latest, oldest",
            "\"random\"",
        ),
        (
            "name = \"weekly\"",
            "name = \"weekly\"\npick = \"newest\"",
            "allowed: latest, oldest",
            "\"newest\"",
        ),
        (
            "name = \"weekly\"",
            "name = \"weekly\"\npick = { before = \"yesterday\" }",
            "not a moment",
            "\"yesterday\"",
        ),
        (
            "name = \"weekly\"",
            "name = \"weekly\"\ncontrols = \"yes\"",
            "expected true or false",
            "\"yes\"",
        ),
        (
            "source = \"orders\"\nquery = \"SELECT count",
            "source = \"uploads\"\nquery = \"SELECT count",
            "answers no queries",
            "\"uploads\"",
        ),
        (
            "source = \"orders\"\nquery = \"SELECT count",
            "source = \"orders\"\ndatabase = \"shop\"\nquery = \"SELECT count",
            "no databases to choose from",
            "\"shop\"",
        ),
        (
            "source = \"orders\"\nquery = \"SELECT count",
            "source = \"order\"\nquery = \"SELECT count",
            "unknown source",
            "\"order\"",
        ),
        ("expect = \"> 0\"\n", "", "expects nothing", "[[check]]"),
        ("expect = \"> 0\"", "expect = \"some\"", "not an expectation", "\"some\""),
        ("expect = \"> 0\"", "expect = \"between 9 and 1\"", "nothing lies between", "\"between"),
        ("expect = \"> 0\"", "expect = \"matches '('\"", "not a regular expression", "\"matches"),
        (
            "expect = \"> 0\"",
            "expect = \"> 0\"\ntimezone = \"Asia/Shanghai\"",
            "no moment is read",
            "\"Asia/Shanghai\"",
        ),
        (
            "expect = \"> 0\"",
            "expect = \"> 0\"\nfiles_in = \"uploads\"",
            "in one check",
            "\"uploads\"",
        ),
        ("files_in = \"uploads\"", "files_in = \"orders\"", "holds no files", "\"orders\""),
        ("query = \"SELECT picture FROM products\"\n", "", "asks nothing", "[[check]]"),
        (
            "source = \"orders\"\nquery = \"SELECT p",
            "query = \"SELECT p",
            "missing key",
            "[[check]]",
        ),
        (
            "expect = \"> 0\"",
            "expect = \"> 0\"\nfiles = [\"*.jpg\"]",
            "`query` and `files` in one check",
            "[\"*.jpg\"]",
        ),
        ("expect = \"> 0\"", "expect = \"pictures\"", "not an expectation", "\"pictures\""),
        (
            "name = \"pictures exist\"",
            "name = \"orders are there\"",
            "is there already",
            "\"orders are",
        ),
    ];
    let mut different = Vec::new();
    for (from, to, what, place) in cases {
        let (said, at) = only_error(from, to);
        if !said.contains(what) || !at.starts_with(place) {
            different.push(format!("{to}: {said} at {at}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn the_sandbox_is_waived_by_a_whole_sentence_only_and_that_is_warned_of() {
    let waived = "[scratch]\nwithout_sandbox = \
                  \"whatever hides in a restored dump may act on this host\"\n";
    let bench = Bench::new(&format!("{SITE}{waived}"), POLICY, DRILL);

    let setup = bench.load().map_err(|found| found.render(false)).unwrap();

    assert!(setup.site.scratch.without_sandbox);
    let warned = setup.warnings.render(false);
    assert!(warned.contains("opened without a sandbox"), "{warned}");
    let usual = Bench::new(SITE, POLICY, DRILL).load().unwrap();
    assert!(!usual.site.scratch.without_sandbox);
}

#[test]
fn a_server_takes_only_its_customers_data_and_is_checked_as_sources_are() {
    let server = "[[server]]\nname = \"standby\"\nkind = \"mysql\"\ncustomer = \"acme\"\n\
                  host = \"db2.internal\"\nuser = \"restore\"\npassword = { file = \"keys/db2\" }\n";
    let site = |server: &str| Bench::new(&format!("{SITE}{server}"), POLICY, DRILL);
    let bench = site(server);

    let setup = bench.load().map_err(|found| found.render(false)).unwrap();

    let standby = "standby".parse().unwrap();
    let found = setup.target(&standby, &setup.policies[0]).unwrap();
    assert_eq!((found.kind, found.settings.port), (TargetKind::Mysql, 3306));
    assert_eq!(found.settings.tls, Tls::Require);
    let password = SecretRef::File(bench.path("keys/db2"));
    assert_eq!(found.settings.password, Some(password));
    let mut of_another = setup.policies[0].clone();
    of_another.customer = "beta".parse().unwrap();
    let refused = setup.target(&standby, &of_another).unwrap_err().to_string();
    assert!(refused.contains("declares no server standby for this customer"), "{refused}");
    for (from, to, told) in [
        ("\"acme\"", "\"beta\"", "unknown customer \"beta\""),
        (
            "{ file = \"keys/db2\" }",
            "\"canary\"",
            "a secret does not stand in a configuration file",
        ),
        ("db2.internal", "run/mysqld.sock", "neither a socket nor a name"),
        (
            "host = ",
            "tls = \"verify\"\nhost = ",
            "nothing to verify the server's certificate against",
        ),
        ("\"mysql\"", "\"redis\"", "allowed: postgres, mariadb, mysql"),
    ] {
        let shown = site(&server.replace(from, to)).shown();
        assert!(shown.contains(told) && !shown.contains("canary"), "{to}: {shown}");
    }
    let twice = site(&format!("{server}{server}")).shown();
    assert!(twice.contains("\"standby\" is there already"), "{twice}");
}

#[test]
fn an_engine_is_a_version_and_its_folder_and_declared_once() {
    let engine = "[[engine]]\nkind = \"postgres\"\nversion = \"17\"\npath = \"pg17/bin\"\n";
    let once = Bench::new(&format!("{SITE}{engine}"), POLICY, DRILL);
    let twice = Bench::new(&format!("{SITE}{engine}{engine}"), POLICY, DRILL);

    let setup = once.load().map_err(|found| found.render(false)).unwrap();

    let expected = Engine::Postgres { major: 17, path: once.path("pg17/bin") };
    assert_eq!(setup.site.engines, [expected]);
    assert!(twice.shown().contains("postgres 17 is there already"), "{}", twice.shown());
}

#[test]
fn an_engine_whose_programs_are_not_there_is_warned_of_at_its_place() {
    let engine = "[[engine]]\nkind = \"postgres\"\nversion = \"17\"\npath = \"pg17/bin\"\n";
    let bench = Bench::new(&format!("{SITE}{engine}"), POLICY, DRILL);

    let missing = bench.load().unwrap().warnings.render(false);
    std::fs::create_dir_all(bench.path("pg17/bin")).unwrap();
    std::fs::write(bench.path("pg17/bin/postgres"), "").unwrap();
    let there = bench.load().unwrap().warnings;

    assert!(missing.contains("pg17/bin") && missing.contains("no server's programs"), "{missing}");
    assert!(there.is_empty(), "{}", there.render(false));
}

#[test]
fn a_jitter_longer_than_the_time_between_slots_is_warned_of() {
    let often = POLICY.replace("jitter = \"5m\"", "jitter = \"5h\"");
    assert_ne!(often, POLICY);

    let warned = Bench::new(SITE, &often, DRILL).load().unwrap().warnings.render(false);

    assert!(warned.contains("longer than the time between two slots"), "{warned}");
    assert!(warned.contains("jitter = \"5h\""), "{warned}");
    let calm = Bench::new(SITE, POLICY, DRILL).load().unwrap().warnings;
    assert!(calm.is_empty(), "{}", calm.render(false));
}

/// A source of PostgreSQL to put into a policy.
const SERVER: &str = "[[source]]
name = \"ledger\"
kind = \"postgres\"
host = \"db1.internal\"
user = \"backup\"
password = { credential = \"acme-db\" }
databases = [\"ledger\", \"it's\"]
";

#[test]
fn a_postgres_source_has_strict_defaults() {
    let settings = |server: String| {
        let bench = Bench::new(SITE, &format!("{POLICY}{server}"), DRILL);
        let setup = bench.load().map_err(|found| found.render(false)).unwrap();
        let effective = setup.effective(&setup.policies[0])["policy"]["sources"][2].clone();
        match setup.policies[0].sources[2].kind.clone() {
            SourceKind::Postgres(Servers::One(settings)) => (settings, effective),
            other => panic!("{other:?}"),
        }
    };

    let (remote, effective) = settings(SERVER.to_owned());
    assert_eq!((remote.port, remote.tls), (5432, Tls::Require));
    assert_eq!(remote.databases, ["ledger", "it's"]);
    assert_eq!(remote.lock_timeout.as_secs(), 10);
    assert_eq!(effective["password"], json!({ "credential": "acme-db" }));
    assert_eq!(effective["statement_deadline_ms"], 3_600_000);
    assert_eq!(effective["tls"], "require");
    for near in ["/run/postgresql", "localhost", "127.0.0.1", "::1"] {
        let (local, _) = settings(SERVER.replace("db1.internal", near));
        assert_eq!(local.tls, Tls::Off, "{near}");
    }
    for verified in ["ca = \"ca.pem\"\n", "ca = \"ca.pem\"\ntls = \"verify\"\n"] {
        let (verified, effective) = settings(format!("{SERVER}{verified}"));
        let Tls::Verify { ca } = verified.tls else { panic!("{:?}", verified.tls) };
        assert!(ca.is_absolute() && ca.ends_with("ca.pem"), "{}", ca.display());
        assert_eq!(effective["tls"], "verify");
    }
}

#[test]
fn several_servers_are_tried_in_their_order_and_a_primary_only_where_it_is_allowed() {
    let servers = |keys: &str| {
        let server = SERVER.replace("host = \"db1.internal\"", keys);
        let bench = Bench::new(SITE, &format!("{POLICY}{server}"), DRILL);
        let setup = bench.load().map_err(|found| found.render(false)).unwrap();
        let effective = setup.effective(&setup.policies[0])["policy"]["sources"][2].clone();
        match setup.policies[0].sources[2].kind.clone() {
            SourceKind::Postgres(Servers::FirstOf(candidates)) => (candidates, effective),
            other => panic!("{other:?}"),
        }
    };

    let (usual, effective) = servers("hosts = [\"replica1.internal\", \"/run/postgresql\"]");
    assert_eq!((&*usual.first.host, &usual.first.tls), ("replica1.internal", &Tls::Require));
    assert_eq!((&*usual.others[0].host, &usual.others[0].tls), ("/run/postgresql", &Tls::Off));
    assert_eq!(usual.rule.max_lag.as_secs(), 60);
    assert_eq!(usual.rule.primary, Primary::Refused);
    let hosts = json!([
        { "host": "replica1.internal", "tls": "require" },
        { "host": "/run/postgresql", "tls": "off" }
    ]);
    assert_eq!((&effective["hosts"], &effective["host"]), (&hosts, &json!(null)));
    assert_eq!(
        (&effective["max_lag_ms"], &effective["primary"]),
        (&json!(60_000), &json!("refused"))
    );

    let (told, effective) = servers("hosts = [\"a\"]\nmax_lag = \"30s\"\nprimary = \"allowed\"");
    assert_eq!((told.rule.max_lag.as_secs(), told.rule.primary), (30, Primary::Allowed));
    assert_eq!(effective["primary"], "allowed");
}

/// A source of Redis to put into a policy.
const CACHE: &str = "[[source]]
name = \"cache\"
kind = \"redis\"
host = \"cache1.internal\"
user = \"backup\"
password = { credential = \"acme-cache\" }
";

#[test]
fn a_redis_source_has_strict_defaults() {
    let settings = |server: String| {
        let bench = Bench::new(SITE, &format!("{POLICY}{server}"), DRILL);
        let setup = bench.load().map_err(|found| found.render(false)).unwrap();
        let effective = setup.effective(&setup.policies[0])["policy"]["sources"][2].clone();
        match setup.policies[0].sources[2].kind.clone() {
            SourceKind::Redis(Servers::One(settings)) => (settings, effective),
            other => panic!("{other:?}"),
        }
    };

    let (remote, effective) = settings(CACHE.to_owned());
    assert_eq!((remote.port, remote.tls, remote.silence.as_secs()), (6379, Tls::Require, 60));
    assert_eq!(effective["kind"], "redis");
    assert_eq!(effective["password"], json!({ "credential": "acme-cache" }));
    assert_eq!((&effective["tls"], &effective["silence_ms"]), (&json!("require"), &json!(60_000)));
    let (local, _) = settings(CACHE.replace("cache1.internal", "/run/redis/redis-server.sock"));
    assert_eq!(local.tls, Tls::Off);
    let (bare, _) = settings(CACHE.replace("user = \"backup\"\n", ""));
    assert!(bare.user.is_none() && bare.password.is_some());
}

#[test]
fn mistakes_of_a_redis_source_are_found_at_their_places() {
    let cases = [
        ("host = \"cache1.internal\"\n", "", "missing key `host`", "[[source]]"),
        ("cache1.internal", "run/redis.sock", "neither a path nor a name", "\"run/redis.sock\""),
        ("cache1.internal\"", "/run/s\"\nport = 6379", "a socket has no port", "6379"),
        ("cache1.internal\"", "/run/s\"\ntls = \"require\"", "a socket has no TLS", "\"require\""),
        ("user", "tls = \"verify\"\nuser", "nothing to verify", "\"verify\""),
        ("password = { credential = \"acme-cache\" }\n", "", "without a password", "\"backup\""),
        ("{ credential = \"acme-cache\" }", "\"geheim\"", "a secret does not stand", "password"),
        ("user", "databases = [\"1\"]\nuser", "unknown key `databases`", "databases"),
    ];
    for (from, to, what, place) in cases {
        let policy = format!("{POLICY}{}", CACHE.replace(from, to));
        let shown = Bench::new(SITE, &policy, DRILL).shown();
        assert!(shown.contains(what) && shown.contains(place), "{from:?} → {to:?}: {shown}");
    }
    let check = |database: &str| {
        let check = format!(
            "\n[[check]]\nname = \"c\"\nsource = \"cache\"\nquery = \"DBSIZE\"\nexpect = \"> 0\"\n{database}"
        );
        Bench::new(SITE, &format!("{POLICY}{CACHE}"), &format!("{DRILL}{check}"))
    };
    for fine in ["", "database = \"3\""] {
        assert!(check(fine).load().is_ok(), "{fine}");
    }
    let shown = check("database = \"shop\"").shown();
    assert!(shown.contains("numbered from 0"), "{shown}");
    let near =
        format!("{DRILL}\n[[check]]\nname = \"c\"\nsource = \"cache\"\nquery = \"DBSIZE\"\n");
    let near = format!("{near}expect = \"within 5 % of capture\"\n");
    let shown = Bench::new(SITE, &format!("{POLICY}{CACHE}"), &near).shown();
    assert!(shown.contains("asked nothing while it is captured"), "{shown}");
}

/// A source of the owner's programs to put into a policy.
const PROGRAMS: &str = "[[source]]
name = \"crm\"
kind = \"command\"
capture = [\"programs/crm\", \"capture\"]
recover = [\"/opt/crm\", \"recover\"]
check = [\"programs/crm\", \"check\"]

[[source.secret]]
variable = \"CRM_PASSWORD\"
value = { credential = \"crm\" }
";

#[test]
fn a_command_source_has_absolute_programs_and_its_secrets_as_references() {
    let bench = Bench::new(SITE, &format!("{POLICY}{PROGRAMS}"), DRILL);
    let setup = bench.load().map_err(|found| found.render(false)).unwrap();
    let SourceKind::Command(settings) = &setup.policies[0].sources[2].kind else { panic!() };

    assert_eq!(
        settings.capture,
        [bench.path("programs/crm").display().to_string(), "capture".into()]
    );
    assert_eq!((settings.recover[0].as_str(), settings.deadline.as_secs()), ("/opt/crm", 3600));
    let effective = setup.effective(&setup.policies[0])["policy"]["sources"][2].clone();
    assert_eq!(effective["kind"], "command");
    let secret = json!([{ "variable": "CRM_PASSWORD", "value": { "credential": "crm" } }]);
    assert_eq!((&effective["secrets"], &effective["deadline_ms"]), (&secret, &json!(3_600_000)));
}

#[test]
fn mistakes_of_a_command_source_are_found_at_their_places() {
    let cases = [
        ("check = [\"programs/crm\", \"check\"]\n", "", "missing key `check`", "[[source]]"),
        ("[\"programs/crm\", \"capture\"]", "[]", "at least one is needed", "capture = []"),
        ("[\"programs/crm\", \"capture\"]", "[\"crm\"]", "a program without a path", "\"crm\""),
        ("\"capture\"]", "\"--password=geheim\"]", "does not stand in an argument", "capture"),
        ("CRM_PASSWORD", "LIFEBOAT_REPORT", "not the name of a variable", "LIFEBOAT_REPORT"),
        ("{ credential = \"crm\" }", "\"geheim\"", "a secret does not stand", "value"),
        ("variable", "name", "unknown key `name`", "name ="),
    ];
    for (from, to, what, place) in cases {
        let policy = format!("{POLICY}{}", PROGRAMS.replace(from, to));
        let shown = Bench::new(SITE, &policy, DRILL).shown();
        assert!(shown.contains(what) && shown.contains(place), "{from:?} → {to:?}: {shown}");
        assert!(!shown.contains("geheim"), "{shown}");
    }
    let check = "\n[[check]]\nname = \"c\"\nsource = \"crm\"\nquery = \"x\"\nexpect = \"> 0\"\n";
    let asked = Bench::new(SITE, &format!("{POLICY}{PROGRAMS}"), &format!("{DRILL}{check}"));
    assert!(asked.shown().contains("a source of command answers no queries"), "{}", asked.shown());
}

#[test]
fn mistakes_of_a_postgres_source_are_found_at_their_places() {
    let cases = [
        ("user = \"backup\"\n", "", "missing key `user`", "[[source]]"),
        ("host = \"db1.internal\"\n", "", "missing key `host`", "[[source]]"),
        ("db1.internal", "run/postgresql", "neither a folder nor a name", "\"run/postgresql\""),
        ("user", "port = 70000\nuser", "from 0 to 65535", "70000"),
        ("user", "tls = \"prefer\"\nuser", "allowed: off, require, verify", "\"prefer\""),
        ("user", "tls = \"verify\"\nuser", "nothing to verify", "\"verify\""),
        ("user", "tls = \"off\"\nca = \"x\"\nuser", "verified against", "\"x\""),
        ("\"it's\"", "\"ledger\"", "is there already", "\"ledger\"]"),
        ("{ credential = \"acme-db\" }", "\"geheim\"", "a secret does not stand", "\"geheim\""),
        ("user", "hosts = [\"a\"]\nuser", "`host` beside `hosts`", "\"db1.internal\""),
        ("user", "max_lag = \"1m\"\nuser", "that only `hosts` have", "\"1m\""),
        ("user", "primary = \"allowed\"\nuser", "that only `hosts` have", "\"allowed\""),
        ("host = \"db1.internal\"", "hosts = []", "at least one", "[]"),
        ("host = \"db1.internal\"", "hosts = [\"a\", \"a\"]", "is there already", "\"a\"]"),
        ("host = \"db1.internal\"", "hosts = [\"a/b\"]", "neither a folder nor a name", "\"a/b\""),
        (
            "host = \"db1.internal\"",
            "hosts = [\"a\"]\nprimary = \"yes\"",
            "allowed: refused, allowed",
            "\"yes\"",
        ),
        ("host = \"db1.internal\"", "hosts = [\"a\"]\nmax_lag = \"0s\"", "of zero", "\"0s\""),
        ("user", "equality = { not_required = \"x\" }\nuser", "always possible", "{ not_required"),
        ("user", "lock_timeout = \"0s\"\nuser", "a duration of zero", "\"0s\""),
        ("user", "database = \"x\"\nuser", "did you mean `databases`", "database ="),
    ];
    let mut different = Vec::new();
    for (from, to, what, place) in cases {
        let server = SERVER.replacen(from, to, 1);
        let bench = Bench::new(SITE, &format!("{POLICY}{server}"), DRILL);
        let found = bench.load().expect_err(to);
        let one = found.iter().next().unwrap();
        let text = fs::read_to_string(&one.file).unwrap();
        let line = text.lines().nth(one.line.unwrap() - 1).unwrap();
        let said = format!("{} | {}", one.message, one.hint.as_deref().unwrap_or_default());
        let at: String = line.chars().skip(one.column.unwrap() - 1).collect();
        if found.len() != 1 || !said.contains(what) || !at.starts_with(place) {
            different.push(format!("{to}: {} errors, {said} at {at}", found.len()));
        }
    }
    let socket = SERVER.replace("db1.internal", "/run/postgresql");
    let bench = Bench::new(SITE, &format!("{POLICY}{socket}tls = \"require\"\n"), DRILL);
    assert!(bench.shown().contains("a socket has no TLS"), "{}", bench.shown());
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn a_mysql_source_is_read_as_a_server_of_its_own_kind() {
    let server = SERVER.replace("\"postgres\"", "\"mysql\"");
    let engine = "[[engine]]\nkind = \"mysql\"\nversion = \"9.7\"\npath = \"mysql\"\n";
    let site = SITE.replace("[signing]", &format!("{engine}[signing]"));
    let bench = Bench::new(&site, &format!("{POLICY}{server}"), DRILL);

    let setup = bench.load().map_err(|found| found.render(false)).unwrap();

    let effective = setup.effective(&setup.policies[0])["policy"]["sources"][2].clone();
    assert_eq!((&effective["kind"], &effective["port"]), (&json!("mysql"), &json!(3306)));
    let SourceKind::Mysql(settings) = &setup.policies[0].sources[2].kind else { panic!() };
    assert_eq!(settings.any().tls, Tls::Require);
    let path = bench.path("mysql");
    assert_eq!(setup.site.engines, [Engine::Mysql { series: "9.7".into(), path }]);

    let untried = site.replace("\"9.7\"", "\"8.4\"");
    let bench = Bench::new(&untried, &format!("{POLICY}{server}"), DRILL);
    assert!(bench.shown().contains("= help: allowed: 9.7"), "{}", bench.shown());
}

#[test]
fn what_a_drill_may_do_without_is_told_with_its_reason_and_stands_in_the_effective_policy() {
    let key = "equality = { not_required = \"our provider forbids the lock\" }\n";
    let server = SERVER.replace("\"postgres\"", "\"mysql\"");
    let bench = Bench::new(SITE, &format!("{POLICY}{server}{key}"), DRILL);

    let setup = bench.load().map_err(|found| found.render(false)).unwrap();

    for (wrong, what) in [("\"x\"", "expected a table"), ("{}", "missing key `not_required`")] {
        let key = format!("equality = {wrong}\n");
        let shown = Bench::new(SITE, &format!("{POLICY}{server}{key}"), DRILL).shown();
        assert!(shown.contains(what), "{shown}");
    }
    let reason = "our provider forbids the lock";
    let expected = Equality::NotRequired { reason: reason.to_owned() };
    assert_eq!(setup.policies[0].sources[2].equality, expected);
    assert_eq!(setup.policies[0].sources[0].equality, Equality::Required);
    let effective = setup.effective(&setup.policies[0])["policy"]["sources"].clone();
    assert_eq!(effective[2]["equality"], json!({ "not_required": reason }));
    assert_eq!(effective[0].get("equality"), None);
    let warned = setup.warnings.render(false);
    assert!(warned.contains("drills may pass without comparing rows"), "{warned}");
}

#[test]
fn a_mariadb_source_is_read_as_a_server_of_its_own_kind() {
    let server = SERVER.replace("\"postgres\"", "\"mariadb\"");
    let server = server.replace("db1.internal", "/run/mysqld/mysqld.sock");
    let engine = "[[engine]]\nkind = \"mariadb\"\nversion = \"10.11\"\npath = \"maria\"\n";
    let site = SITE.replace("[signing]", &format!("{engine}[signing]"));
    let bench = Bench::new(&site, &format!("{POLICY}{server}"), DRILL);

    let setup = bench.load().map_err(|found| found.render(false)).unwrap();

    let effective = setup.effective(&setup.policies[0])["policy"]["sources"][2].clone();
    assert_eq!((&effective["kind"], &effective["port"]), (&json!("mariadb"), &json!(3306)));
    let SourceKind::Mariadb(settings) = &setup.policies[0].sources[2].kind else { panic!() };
    assert_eq!(settings.any().tls, Tls::Off);
    let path = bench.path("maria");
    assert_eq!(setup.site.engines, [Engine::Mariadb { series: "10.11".into(), path }]);
    assert!(setup.warnings.render(false).contains("no server's programs are there"));

    let relative = server.replace("/run/mysqld", "run/mysqld");
    let shown = Bench::new(SITE, &format!("{POLICY}{relative}"), DRILL).shown();
    assert!(shown.contains("neither a socket nor a name"), "{shown}");
}

#[test]
fn a_mariadb_server_may_be_captured_as_its_files_where_lifeboat_runs_beside_it() {
    let server = SERVER.replace("\"postgres\"", "\"mariadb\"\nmethod = \"physical\"");
    let beside = server.replace("db1.internal", "/run/mysqld/mysqld.sock");
    let databases = |server: &str| {
        let lines = server.lines().filter(|line| !line.starts_with("databases"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let bench = |server: &str| Bench::new(SITE, &format!("{POLICY}{server}\n"), DRILL);

    let setup = bench(&databases(&beside)).load().map_err(|found| found.render(false)).unwrap();

    let source = &setup.policies[0].sources[2];
    assert!(matches!(source.kind, SourceKind::MariadbFiles(_)), "{source:?}");
    let effective = setup.effective(&setup.policies[0])["policy"]["sources"][2].clone();
    assert_eq!((&effective["kind"], &effective["method"]), (&json!("mariadb"), &json!("physical")));

    for (lie, told) in [
        (
            databases(&beside).replace("host = ", "hosts = [\"/run/b.sock\"]\nhost = "),
            "files are captured of one server",
        ),
        (beside.clone(), "single databases are not captured as files"),
        (databases(&server), "files of a server are read on its own host"),
        (
            databases(&beside).replace("mariadb\"", "mysql\""),
            "a choice that this kind does not have",
        ),
        (databases(&beside).replace("\"physical\"", "\"copy\""), "allowed: logical, physical"),
    ] {
        let shown = bench(&lie).shown();
        assert!(shown.contains(told), "{told}: {shown}");
    }
}

#[test]
fn paths_inside_one_another_and_checks_of_several_paths_are_refused() {
    let paths = "paths = [\"/srv/uploads\", \"/srv/uploads/img\"]";
    let bench = Bench::new(SITE, &POLICY.replace("paths = [\"/srv/uploads\"]", paths), DRILL);

    let shown = bench.shown();

    assert!(shown.contains("inside `/srv/uploads`") && shown.contains(":20:26"), "{shown}");
    assert!(shown.contains("a source with several paths"), "{shown}");
}

#[test]
fn checks_of_files_say_which_and_what_must_be_true_of_them() {
    let check = |keys: &str| {
        let check = format!("\n[[check]]\nname = \"c\"\n{keys}\n");
        Bench::new(SITE, POLICY, &format!("{DRILL}{check}"))
    };
    let files = "source = \"uploads\"\nfiles = [\"*.jpg\", \"!/cache/\"]\n";

    let setup = check(&format!("{files}expect = \"pictures\"")).load().unwrap();

    let declared = setup.drills[0].checks.last().unwrap();
    let Asks::Files(asked) = &declared.asks else { panic!("{declared:?}") };
    assert_eq!(asked.patterns, ["*.jpg", "!/cache/"]);
    assert_eq!(asked.expected, ExpectedFiles::Pictures);
    assert_eq!(declared.deadline, Duration::from_secs(3600));
    let effective = setup.effective(&setup.policies[0]);
    let told = &effective["drills"][0]["checks"][2];
    assert_eq!(told["files"], json!(["*.jpg", "!/cache/"]));
    assert_eq!(told["expect"], "pictures");
    let faulty = [
        (files.to_owned(), "a check that expects nothing"),
        (format!("{files}expect = \"> 0\""), "not an expectation of files"),
        (format!("{files}expect = \"= 0 files\""), "a number of files that is none"),
        (format!("{files}expect = \"sha256 abc\""), "not a SHA-256"),
        (
            format!("{files}expect = \"pictures\"\ndatabase = \"shop\""),
            "`database` in a check of files",
        ),
        (
            format!("{files}files_in = \"uploads\"\nexpect = \"empty\""),
            "`files_in` in a check of files",
        ),
        ("source = \"uploads\"\nfiles = []\nexpect = \"empty\"".into(), "no pattern"),
        ("source = \"orders\"\nfiles = [\"*\"]\nexpect = \"empty\"".into(), "holds no files"),
        ("files = [\"*\"]\nexpect = \"empty\"".into(), "missing key `source`"),
    ];
    for (keys, what) in faulty {
        let shown = check(&keys).shown();
        assert!(shown.contains(what) && shown.contains("drills/shop.toml:"), "{keys}: {shown}");
    }
}

#[test]
fn checks_by_programs_name_them_by_their_path_and_nothing_else() {
    let check = |keys: &str| {
        let check = format!("\n[[check]]\nname = \"c\"\n{keys}\n");
        Bench::new(SITE, POLICY, &format!("{DRILL}{check}"))
    };

    let bench = check("run = [\"programs/look\", \"-v\"]\ndeadline = \"5m\"");
    let setup = bench.load().unwrap();

    let declared = setup.drills[0].checks.last().unwrap();
    let Asks::Program(argv) = &declared.asks else { panic!("{declared:?}") };
    assert_eq!(argv[0], bench.path("programs/look").display().to_string());
    assert_eq!((argv[1].as_str(), declared.deadline), ("-v", Duration::from_secs(300)));
    assert_eq!(setup.effective(&setup.policies[0])["drills"][0]["checks"][2]["run"][1], "-v");
    for (keys, what) in [
        ("run = [\"look\"]", "a program without a path"),
        ("run = []", "no program"),
        ("run = [\"./look\"]\nsource = \"orders\"", "`source` in a check by a program"),
        ("run = [\"./look\"]\nexpect = \"> 0\"", "`expect` in a check by a program"),
        ("run = [\"./look\"]\nquery = \"SELECT 1\"", "`query` and `run` in one check"),
        ("run = [\"./look\", \"--password=canary\"]", "a secret does not stand"),
    ] {
        let shown = check(keys).shown();
        assert!(shown.contains(what) && shown.contains("drills/shop.toml:"), "{keys}: {shown}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[test]
fn an_upgrade_names_a_source_of_postgres_and_a_version_that_lifeboat_works_with() {
    let policy = format!("{POLICY}{SERVER}");
    let upgrade = |source: &str, version: &str| {
        format!("{DRILL}\n[[upgrade]]\nsource = \"{source}\"\nversion = \"{version}\"\n")
    };
    let bench = Bench::new(SITE, &policy, &upgrade("ledger", "17"));
    let setup = bench.load().map_err(|found| found.render(false)).unwrap();
    let ledger = "ledger".parse().unwrap();
    assert_eq!(setup.drills[0].upgrades, [Upgrade { source: ledger, major: 17 }]);
    let effective = setup.effective(&setup.policies[0])["drills"][0].clone();
    assert_eq!(effective["upgrade"], json!([{ "source": "ledger", "version": 17 }]));
    let usual = Bench::new(SITE, &policy, DRILL).load().unwrap();
    assert_eq!(usual.effective(&usual.policies[0])["drills"][0].get("upgrade"), None);

    for (drill, what) in [
        (upgrade("orders", "17"), "a source of sqlite in an upgrade"),
        (upgrade("ledgr", "17"), "did you mean \"ledger\""),
        (upgrade("ledger", "16"), "allowed: 15, 17, 18"),
        (
            upgrade("ledger", "17").replacen("schedule", "independent = true\nschedule", 1),
            "independently",
        ),
        (
            upgrade("ledger", "17").replacen("schedule", "pick = { random = 3 }\nschedule", 1),
            "campaign",
        ),
    ] {
        let shown = Bench::new(SITE, &policy, &drill).shown();
        assert!(shown.contains(what), "{what}: {shown}");
    }
}

#[test]
fn an_independent_restore_is_declared_and_drills_without_one_stay_what_they_were() {
    let drill = |text: &str| {
        let setup = Bench::new(SITE, POLICY, text).load().unwrap();
        let effective = setup.effective(&setup.policies[0])["drills"][0].clone();
        (setup.drills[0].independent, effective["independent"].clone())
    };

    assert_eq!(drill(DRILL), (false, serde_json::Value::Null));
    let declared = DRILL.replacen("schedule", "independent = true\nschedule", 1);
    assert_eq!(drill(&declared), (true, json!(true)));
    let (message, place) = only_error("name = \"weekly\"", "name = \"weekly\"\nindependent = 1");
    assert!(message.contains("expected true or false"), "{message} at {place}");
}

#[test]
fn a_secret_in_the_file_is_refused_and_never_shown() {
    let cases = [
        ("{ file = \"keys/acme\" }", "\"canary-word\""),
        ("{ file = \"keys/acme\" }", "{ value = \"canary-word\" }"),
        ("{ file = \"keys/acme\" }", "{ file = \"x\", password = \"canary-word\" }"),
        ("url = \"file:store\"", "url = \"https://bob:canary-word@host/\""),
        ("url = \"file:store\"", "url = \"file:store\"\nsecret_key = \"canary-word\""),
        (
            "url = \"file:store\"",
            "url = \"file:store\"\npasswort = \"x\"\npassword = \"canary-word\"",
        ),
        ("url = \"file:store\"", "url = \"file:store\"\npassword = \"canary-word"),
        ("[schedule]", "[hooks]\nbefore = [\"dump\", \"--password=canary-word\"]\n[schedule]"),
    ];
    for (from, to) in cases {
        let texts = [SITE, POLICY, DRILL].map(|text| text.replace(from, to));
        let found = Bench::new(&texts[0], &texts[1], &texts[2]).load().expect_err(to);
        let everything =
            format!("{}{found:?}{}", found.render(true), serde_json::to_string(&found).unwrap());
        assert!(!everything.contains("canary"), "{to}: {everything}");
    }
    let (said, _) = only_error("{ file = \"keys/acme\" }", "\"canary-word\"");
    assert!(said.contains("{ file ="), "{said}");
}

#[test]
fn broken_toml_is_told_with_its_place_and_the_other_files_are_still_checked() {
    let bench = Bench::new(
        SITE,
        &POLICY.replace("rpo = \"6h\"", "rpo = \"6h"),
        &DRILL.replace("expect =", "expects ="),
    );

    let found = bench.load().unwrap_err();

    let places: Vec<_> = found
        .iter()
        .map(|one| {
            (
                one.file.file_name().unwrap().to_owned(),
                one.file.parent().unwrap().ends_with("drills"),
                one.line,
            )
        })
        .collect();
    assert!(places.contains(&("shop.toml".into(), false, Some(10))), "{}", found.render(false));
    assert!(places.contains(&("shop.toml".into(), true, Some(10))), "{}", found.render(false));
    assert!(!found.render(false).contains("unknown policy"), "{}", found.render(false));
}

#[test]
fn names_used_twice_across_files_are_told_with_the_first_file() {
    let bench = Bench::new(SITE, POLICY, DRILL);
    bench.write("policies/twin.toml", POLICY);
    bench.write("drills/twin.toml", DRILL);

    let shown = bench.shown();

    assert_eq!(shown.matches("is declared in").count(), 2, "{shown}");
    assert!(shown.contains("--> policies/twin.toml:3:8"), "{shown}");
}

#[test]
fn what_others_may_write_is_refused() {
    for (path, mode) in [
        ("lifeboat.toml", 0o664),
        ("policies", 0o775),
        ("drills", 0o1777),
        ("drills/shop.toml", 0o646),
        ("", 0o770),
    ] {
        let bench = Bench::new(SITE, POLICY, DRILL);
        bench.chmod(path, mode);
        let shown = bench.shown();
        assert!(shown.contains("chmod go-w"), "{path}: {shown}");
    }
    let bench = Bench::new(SITE, POLICY, DRILL);
    let stranger = Caller { uid: 4_000_000, state_home: "/x".into() };
    let refused = load(&bench.path("lifeboat.toml"), &stranger).is_err();
    assert_eq!(refused, rustix::process::geteuid().as_raw() != 0);
}

#[test]
fn one_mistake_does_not_make_others_up() {
    let bench = Bench::new(&SITE.replace("[[store]]", "[[store"), POLICY, DRILL);
    assert_eq!(bench.shown().matches("error").count(), 1, "{}", bench.shown());

    let bench = Bench::new(SITE, POLICY, DRILL);
    bench.chmod("policies/shop.toml", 0o666);
    assert_eq!(bench.shown().matches("error").count(), 1, "{}", bench.shown());

    let bench = Bench::new(SITE, "customer = \"acme\"\nname = \"shop\"\n", DRILL);
    assert!(bench.shown().contains("missing key `source`"), "{}", bench.shown());
    assert_eq!(bench.shown().matches("error").count(), 1, "{}", bench.shown());
}

#[test]
fn a_missing_site_and_a_fifo_in_its_place_are_errors_of_the_file() {
    let bench = Bench::new(SITE, POLICY, DRILL);
    fs::remove_file(bench.path("lifeboat.toml")).unwrap();
    assert!(bench.shown().contains("there is no such file"), "{}", bench.shown());

    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let file_type = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, bench.path("lifeboat.toml"), file_type, mode, 0).unwrap();
    assert!(bench.shown().contains("not a regular file"), "{}", bench.shown());
}

#[test]
fn names_lead_to_policies_and_drills_as_users_type_them() {
    let bench = Bench::new(SITE, POLICY, DRILL);
    bench.write("drills/monthly.toml", &DRILL.replace("weekly", "monthly"));
    let setup = bench.load().unwrap();
    let drill = |name: &str| setup.drill(&name.parse().unwrap()).map(|(_, drill)| drill.cloned());

    assert_eq!(drill("acme/shop/weekly").unwrap().unwrap().name.as_str(), "weekly");
    let several = drill("shop").unwrap_err().to_string();
    assert!(several.contains("acme/shop/monthly, acme/shop/weekly"), "{several}");
    assert!(matches!(drill("acme/shop/daily"), Err(NoSuch::Drill { .. })));
    assert!(matches!(drill("other/shop"), Err(NoSuch::Policy { .. })));
    assert!("a/b/c/d".parse::<DrillName>().is_err() && "A".parse::<PolicyName>().is_err());
}

#[test]
fn the_effective_policy_is_stable_and_gives_the_schedules_back() {
    let limits = "[limits]\nread_rate = \"100MiB/s\"\ndeadline = \"2h\"\nnice = 19\n";
    let text = POLICY.replace("[objectives]", &format!("{limits}[objectives]"));
    let bench = Bench::new(SITE, &text, DRILL);
    let setup = bench.load().unwrap();
    let policy = &setup.policies[0];

    let effective = setup.effective(policy);

    assert_eq!(effective["policy"]["objectives"], json!({ "rpo_ms": 21_600_000, "rto_ms": null }));
    assert_eq!(effective["drills"][0]["checks"][0]["expect"], "> 0");
    assert_eq!(effective["site"]["stores"][0]["name"], "primary");
    assert_eq!(
        effective["site"]["customer"]["repository_password"]["file"],
        bench.path("keys/acme").to_str().unwrap()
    );
    assert_eq!(
        effective["policy"]["limits"],
        json!({
            "read_rate_bytes": 104_857_600, "upload_rate_bytes": null,
            "deadline_ms": 7_200_000, "nice": 19,
        })
    );
    let reordered = Bench { dir: bench.dir };
    reordered.write(
        "policies/shop.toml",
        &text.replace("name = \"shop\"\n", "").replace("customer =", "name = \"shop\"\ncustomer ="),
    );
    let again = reordered.load().unwrap();
    assert_eq!(
        Digest::of(effective.to_string().as_bytes()),
        Digest::of(again.effective(&again.policies[0]).to_string().as_bytes())
    );
    assert!(!has_float(&effective), "{effective}");

    let schedules = schedules_of(&effective).unwrap();
    assert_eq!(schedules[0], (Slots::Backup, policy.schedule.clone().unwrap()));
    assert_eq!(
        schedules[1],
        (Slots::Drill("weekly".parse().unwrap()), setup.drills[0].schedule.clone().unwrap())
    );
    assert!(schedules_of(&json!({ "policy": {} })).is_err());
}

#[test]
fn a_bucket_is_in_force_with_its_keys_as_references() {
    let bucket = "url = \"s3://backups/lifeboat\"\nendpoint = \"https://s3.example.net\"\n\
                  access_key = { env = \"ID\" }\nsecret_key = { file = \"keys/s3\" }\nca = \"ca.pem\"";
    let bench = Bench::new(&SITE.replace("url = \"file:store\"", bucket), POLICY, DRILL);

    let setup = bench.load().map_err(|found| found.render(false)).unwrap();

    let StoreKind::S3(store) = &setup.site.stores[0].kind else { panic!("{:?}", setup.site) };
    assert_eq!(store.folder.as_deref(), Some("lifeboat"));
    assert_eq!(store.secret_key, SecretRef::File(bench.path("keys/s3")));
    assert_eq!(
        setup.effective(&setup.policies[0])["site"]["stores"],
        json!([{
            "name": "primary",
            "url": "s3://backups/lifeboat",
            "endpoint": "https://s3.example.net",
            "region": "us-east-1",
            "access_key": { "env": "ID" },
            "secret_key": { "file": bench.path("keys/s3") },
            "ca": bench.path("ca.pem"),
        }])
    );
}

#[test]
fn plain_http_to_another_machine_is_warned_of_and_to_this_one_is_not() {
    for (endpoint, warned) in [("http://s3.lan:9000", true), ("http://127.0.0.1:8333", false)] {
        let bucket = format!(
            "url = \"s3://backups\"\nendpoint = \"{endpoint}\"\n\
             access_key = {{ env = \"ID\" }}\nsecret_key = {{ env = \"SECRET\" }}"
        );
        let bench = Bench::new(&SITE.replace("url = \"file:store\"", &bucket), POLICY, DRILL);

        let shown = bench.load().unwrap().warnings.render(false);

        assert_eq!(shown.contains("without https"), warned, "{shown}");
    }
}

fn has_float(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Number(number) => number.is_f64(),
        serde_json::Value::Array(list) => list.iter().any(has_float),
        serde_json::Value::Object(map) => map.values().any(has_float),
        _ => false,
    }
}

#[test]
fn schemas_name_every_key_and_refuse_unknown_ones() {
    for which in [Which::Site, Which::Policy, Which::Drill] {
        let schema = schema(which);
        assert_eq!(schema["additionalProperties"], false, "{schema:#}");
    }
    assert!(schema(Which::Policy)["properties"]["source"]["minItems"] == 1);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn no_text_makes_reading_panic(text in "\\PC{0,80}", cut in 0usize..400) {
        for (which, sound) in [(Which::Site, SITE), (Which::Policy, POLICY), (Which::Drill, DRILL)] {
            let mut at = cut.min(sound.len());
            while !sound.is_char_boundary(at) {
                at -= 1;
            }
            let mixed = format!("{}{text}{}", &sound[..at], &sound[at..]);
            let document = document::Document::read(which, Path::new("x"), &mixed);
            let shown = Diagnostics::new(document.diagnostics().collect());
            proptest::prop_assert!(shown.is_empty() == shown.render(false).is_empty());
        }
    }
}
