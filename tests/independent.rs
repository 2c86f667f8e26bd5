//! The same point restored once more by stock restic and the engines' own clients: its totals are
//! compared, and whatever those others leave out is found.

mod bench;
mod servers;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use bench::{Bench, PASSWORD, Ran, must};
use serde_json::Value;
use servers::{mariadb, postgres, redis};

/// One source of each kind that has servers or files.
struct Shop {
    bench: Bench,
    sales: mariadb::Server,
    ledger: postgres::Server,
    carts: redis::Server,
}

impl Shop {
    fn new() -> Self {
        let sales = mariadb::Server::start(mariadb::Product::Mariadb);
        sales.sql(
            "CREATE DATABASE shop; USE shop;
             CREATE TABLE orders (id BIGINT PRIMARY KEY AUTO_INCREMENT, amount DECIMAL(20,2) NOT NULL,
                 placed DATETIME NOT NULL, note VARCHAR(100));
             INSERT INTO orders (amount, placed, note)
                 SELECT seq * 90071992547409.93, '2026-01-01' + INTERVAL seq HOUR, repeat('ä', seq % 9)
                 FROM seq_1_to_200;
             CREATE TABLE empty_one (a INT)",
        );
        let ledger = postgres::Server::start(15);
        ledger.psql("postgres", "CREATE DATABASE books");
        ledger.psql(
            "books",
            "CREATE SCHEMA \"Odd one\";
             CREATE TABLE \"Odd one\".entries (id bigint PRIMARY KEY, amount numeric, at timestamptz, what text);
             INSERT INTO \"Odd one\".entries
                 SELECT n, n * 1.5, '2026-01-01Z'::timestamptz + n * interval '1 hour', 'entry ' || n
                 FROM generate_series(1, 150) n",
        );
        let carts = redis::Server::start();
        carts.run("SET cart:a full\nSET cart:b full\nSELECT 3\nSET cart:c full");
        let bench = Bench::new();
        let sources = format!(
            "\n[[source]]\nname = \"sales\"\nkind = \"mariadb\"\nhost = \"{}\"\nuser = \"root\"\n\
             databases = [\"shop\"]\n\n[[source]]\nname = \"ledger\"\nkind = \"postgres\"\nhost = \"{}\"\n\
             user = \"postgres\"\ndatabases = [\"books\"]\n\n[[source]]\nname = \"carts\"\nkind = \"redis\"\n\
             host = \"{}\"\n",
            sales.socket().display(),
            ledger.socket().display(),
            carts.socket().display()
        );
        let policy = fs::read_to_string(bench.path("policies/shop.toml")).unwrap();
        bench.write("policies/shop.toml", policy + &sources);
        bench.edit("drills/weekly.toml", "controls = true", "independent = true");
        // What a program does to a scratch server is not held against the data.
        let program = bench.path("programs/spoil");
        fs::create_dir(bench.path("programs")).unwrap();
        let spoil = "#!/bin/sh\nset -e\n/usr/lib/postgresql/15/bin/psql -X -q -h \"$LIFEBOAT_LEDGER_HOST\" -p \"$LIFEBOAT_LEDGER_PORT\" \
                     -U \"$LIFEBOAT_LEDGER_USER\" -d books -c 'TRUNCATE \"Odd one\".entries'\n\
                     echo compared 1\n";
        bench.write("programs/spoil", spoil.to_owned());
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let drill = fs::read_to_string(bench.path("drills/weekly.toml")).unwrap();
        let check = "\n[[check]]\nname = \"spoils\"\nrun = [\"programs/spoil\"]\n";
        bench.write("drills/weekly.toml", drill + check);
        bench.backup();
        Self { bench, sales, ledger, carts }
    }

    /// Drills with `folder` before all others on the search path.
    fn drill(&self, folder: &Path) -> (Ran, Value) {
        let path = format!("{}:/usr/bin:/bin", folder.display());
        let ran = Ran::from(
            self.bench.command(&["drill", "shop", "--json"]).env("PATH", path).output().unwrap(),
        );
        let document = ran.json();
        assert_eq!(self.bench.leftovers(), Vec::<PathBuf>::new());
        (ran, document)
    }
}

/// A program named restic, in a folder of its own.
fn impostor(script: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("restic");
    fs::write(&program, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Restores, then goes on in the restored folder.
fn restoring(then: &str) -> String {
    format!(
        "/usr/bin/restic \"$@\" || exit\n[ \"$1\" = version ] && exit\n\
         while [ \"$1\" != --target ]; do shift; done\ncd \"$2\" || exit 9\n{then}"
    )
}

/// Puts `content` in the place of the file at `path`.
fn replacing(path: &str, content: &[u8]) -> String {
    let copy = tempfile::NamedTempFile::new().unwrap();
    fs::write(copy.path(), content).unwrap();
    let text = must(Command::new("base64").arg(copy.path()));
    format!("base64 -d > {path} <<'END'\n{text}END\n")
}

fn of<'a>(document: &'a Value, rung: &str, source: &str) -> &'a Value {
    let checks = document["checks"].as_array().unwrap();
    let mut found = checks.iter().filter(|one| one["rung"] == rung && one["source"] == source);
    found.next().unwrap_or_else(|| panic!("no {rung} of {source}: {document:#}"))
}

const SOURCES: [&str; 5] = ["orders", "uploads", "sales", "ledger", "carts"];

#[test]
fn each_source_has_the_same_totals_restored_independently_and_what_the_others_drop_is_found() {
    let shop = Shop::new();

    let (ran, passed) = shop.drill(Path::new("/usr/bin"));

    assert_eq!((ran.code, &passed["verdict"]), (0, &"pass".into()), "{passed:#}\n{}", ran.stderr);
    assert_eq!(passed["independent"]["by"], "restic 0.14.0");
    for source in SOURCES {
        let check = of(&passed, "independent", source);
        assert_eq!(check["outcome"], "held", "{check:#}");
    }
    let totals = passed["independent"]["totals"].as_array().unwrap();
    let told = |object: &str| totals.iter().find(|one| one["object"] == object).unwrap();
    let orders = told("shop: table orders");
    assert_eq!(
        orders["statement"],
        "SELECT COUNT(*), CAST(SUM(`id`) AS CHAR), CAST(SUM(`amount`) AS CHAR), MIN(`placed`), \
         MAX(`placed`), CAST(SUM(LENGTH(`note`)) AS CHAR) FROM `shop`.`orders`"
    );
    // To the last digit, beyond what a number of 64 bits tells apart.
    let sum = "200, 20100, 1810447050202939593.00, 2026-01-01 01:00:00, 2026-01-09 08:00:00, 795";
    assert_eq!((&orders["lifeboat"], &orders["independent"]), (&sum.into(), &sum.into()));
    assert_eq!(orders["at_capture"], 200);
    let entries = told("books: table \"Odd one\".entries");
    assert!(
        entries["independent"].as_str().unwrap().starts_with("150, 11325, 16987.5, 2026-01-01 01:")
    );
    assert_eq!((&told("db0")["independent"], &told("db3")["at_capture"]), (&"2".into(), &1.into()));
    assert!(told("table orders")["statement"].as_str().unwrap().contains("TOTAL(\"cents\")"));
    let files = told(&shop.bench.path("data/files").display().to_string());
    assert!(files["lifeboat"].as_str().unwrap().starts_with("18, 14, "), "{files:#}");
    assert!(totals.iter().all(|total| total["equal"] == true), "{totals:#?}");
    // It is no part of the recovery.
    let phases = passed["phases"].as_array().unwrap();
    let phase = phases.iter().find(|phase| phase["name"] == "independent").unwrap();
    assert_eq!(phase["counts"], false);
    let told = format!("{}{passed}", ran.stderr);
    assert!(!told.contains(PASSWORD));

    // Others that restore less: a file, a row, a key, an order.
    shop.ledger.psql("books", "DELETE FROM \"Odd one\".entries WHERE id = 70");
    let books = shop.ledger.run("pg_dump", &["-Fc", "books"]);
    shop.carts.run("SELECT 3\nSET cart:d full");
    let carts = fs::read(shop.carts.save()).unwrap();
    shop.bench.sql("DELETE FROM orders WHERE id = 40; VACUUM");
    let orders = fs::read(shop.bench.path("data/shop.db")).unwrap();
    let lies = [
        replacing("ledger/databases/books.dump", &books),
        replacing("carts/dump.rdb", &carts),
        replacing("orders/shop.db", &orders),
        "sed -i '/^(100,/d' sales/databases/shop.sql\n".to_owned(),
        format!("rm uploads{}/p7.jpg\n", shop.bench.path("data/files").display()),
    ];
    let liar = impostor(&restoring(&lies.concat()));

    let (ran, failed) = shop.drill(liar.path());

    assert_eq!((ran.code, &failed["verdict"]), (4, &"fail".into()), "{failed:#}\n{}", ran.stderr);
    let files = shop.bench.path("data/files").display().to_string();
    for (source, object) in [
        ("orders", "table orders"),
        ("uploads", &files),
        ("sales", "shop: table orders"),
        ("ledger", "books: table \"Odd one\".entries"),
        ("carts", "db3"),
    ] {
        let check = of(&failed, "independent", source);
        assert_eq!(check["outcome"], "broke", "{check:#}");
        assert_eq!(check["places"][0]["object"], object, "{check:#}");
        assert_eq!(check["places_total"], 1, "{check:#}");
        assert_eq!(of(&failed, "equality", source)["outcome"], "held", "lifeboat's own is sound");
    }
    assert_eq!(shop.sales.count("shop.orders"), 200);
}

#[test]
fn a_restic_that_is_missing_or_fails_or_restores_nothing_leaves_the_drill_undecided_or_failed() {
    let bench = Bench::new();
    bench.edit("drills/weekly.toml", "controls = true", "independent = true\ncontrols = true");
    bench.backup();
    let drill = |path: &Path| {
        let ran = Ran::from(
            bench.command(&["drill", "shop", "--json"]).env("PATH", path).output().unwrap(),
        );
        assert_eq!(bench.leftovers(), Vec::<PathBuf>::new());
        ran
    };
    let nowhere = tempfile::tempdir().unwrap();

    let missing = drill(nowhere.path()).exits(5).json();

    let reason = of(&missing, "independent", "uploads")["reason"].as_str().unwrap();
    assert!(reason.contains("restic is not on this host"), "{reason}");
    assert_eq!(missing["parts"]["restorable"], "yes");
    assert_eq!(missing["parts"]["intact"], "unknown");
    let doctor = bench.command(&["doctor"]).env("PATH", nowhere.path()).output().unwrap();
    let doctor = Ran::from(doctor).exits(1).stdout;
    assert!(doctor.contains("FAIL  independent drill"), "{doctor}");
    assert!(doctor.contains("apt install restic"), "{doctor}");
    let doctor = bench.run(&["doctor"]).exits(0).stdout;
    assert!(doctor.contains("ok    independent drill    /usr/bin/restic"), "{doctor}");

    // What it is told, in words and variables, holds no secret.
    let failing = impostor(
        "[ \"$1\" = version ] && exec /usr/bin/restic version\n\
         echo \"out of luck: $* $(env | tr '\\n' ' ')\" >&2; exit 1",
    );
    let failed = drill(failing.path()).exits(5).json();
    let reason = of(&failed, "independent", "orders")["reason"].as_str().unwrap();
    assert!(reason.contains("restic restore ended with exit status 1: out of luck"), "{reason}");
    assert!(reason.contains("--password-file /proc/self/fd/") && !reason.contains(PASSWORD));

    let idle = impostor("[ \"$1\" = version ] && exec /usr/bin/restic version\nexit 0");
    let idle = drill(idle.path()).exits(4).json();
    for source in ["orders", "uploads"] {
        assert_eq!(of(&idle, "independent", source)["outcome"], "broke", "{idle:#}");
    }

    let new = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(bench::new_restic(), new.path().join("restic")).unwrap();
    let newer = drill(new.path()).exits(0).json();
    assert_eq!(newer["independent"]["by"], "restic 0.19.1");
    assert_eq!(newer["controls"].as_array().unwrap().len(), 4);
    let nobody = bench.as_nobody_except("data/files/large.bin");
    let ordinary = nobody(&["drill", "shop", "--json"]).exits(0).json();
    assert_eq!(of(&ordinary, "independent", "uploads")["outcome"], "held", "{ordinary:#}");
}
