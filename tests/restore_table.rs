//! One table out of a snapshot, as SQL that the engine's own client loads.

mod bench;
mod servers;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use bench::Bench;
use servers::{mariadb, postgres};

/// Backs up the bench with one more source, whose settings are `source`.
fn backed_up(source: &str) -> Bench {
    let bench = Bench::new();
    let policy = fs::read_to_string(bench.path("policies/shop.toml")).unwrap();
    bench.write("policies/shop.toml", format!("{policy}\n{source}"));
    bench.backup();
    bench
}

/// What lies in the bench's folder for restored tables.
fn files(bench: &Bench) -> Vec<String> {
    let entries = fs::read_dir(bench.path("out")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// A file to restore to, in a folder of its own.
fn file(bench: &Bench) -> String {
    fs::create_dir_all(bench.path("out")).unwrap();
    bench.path("out/table.sql").display().to_string()
}

#[test]
fn a_table_of_a_file_database_comes_out_whole_and_the_ledger_says_who_took_it_and_why() {
    let bench = backed_up("");
    bench.sql("DELETE FROM orders");
    let to = file(&bench);
    let arguments = [
        "restore",
        "shop",
        "--table",
        "orders",
        "--to-sql",
        &to,
        "--reason",
        "ticket 4711",
        "--json",
    ];

    let answer = bench.run(&arguments).exits(0).json();

    assert_eq!((&answer["rows"], &answer["table"]), (&300.into(), &"orders".into()), "{answer:#}");
    let mode = fs::metadata(&to).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others may read the customer's rows");
    let fresh = rusqlite::Connection::open_in_memory().unwrap();
    fresh.execute_batch(&fs::read_to_string(&to).unwrap()).unwrap();
    let sum = |sql: &str| fresh.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(sum("SELECT sum(cents) FROM orders"), 300 * 301 / 2 * 7);
    assert_eq!(sum("SELECT count(*) FROM sqlite_schema"), 2, "the index, and no other table");
    let log = bench.run(&["ledger", "log", "--json"]).exits(0).stdout;
    for told in ["ticket 4711", "orders: orders"] {
        assert!(log.contains(told), "{told}: {log}");
    }
    assert_eq!((files(&bench), bench.leftovers().len()), (vec!["table.sql".to_owned()], 0));
}

#[test]
fn what_cannot_come_out_whole_leaves_no_file_and_replaces_none() {
    let bench = backed_up("");
    let to = file(&bench);
    let table = |name: &str| bench.run(&["restore", "shop", "--table", name, "--to-sql", &to]);

    let unknown = table("order").exits(1).stderr;
    assert!(unknown.contains("holds: orders, products"), "{unknown}");
    // Nobody else's prune waits for what came to nothing.
    assert_eq!(bench.files("store/acme/repo/locks"), Vec::<std::path::PathBuf>::new());
    fs::write(&to, "mine").unwrap();
    let occupied = table("orders").exits(1).stderr;
    assert!(occupied.contains("is there already"), "{occupied}");
    assert_eq!(fs::read_to_string(&to).unwrap(), "mine");
    fs::remove_file(&to).unwrap();
    for pack in bench.files("store/acme/repo/data") {
        fs::remove_file(pack).unwrap();
    }
    table("orders").exits(1);
    assert_eq!(files(&bench), Vec::<String>::new());
    assert_eq!(bench.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn options_that_do_not_belong_together_are_refused() {
    let bench = Bench::new();
    for wrong in [
        &["--table", "orders"][..],
        &["--to-sql", "x"],
        &["--table", "orders", "--to-sql", "x", "--to", "y"],
        &["--table", "orders", "--to-sql", "x", "--include", "y"],
        &[],
    ] {
        bench.run(&[&["restore", "shop"], wrong].concat()).exits(2);
    }
}

/// Tables that are hard to tell apart in a dump, and more rows than one.
const HARD: &str = "
CREATE DATABASE shop; USE shop;
CREATE TABLE customers (id INT PRIMARY KEY); INSERT INTO customers VALUES (1);
CREATE TABLE `or``ders` (id INT PRIMARY KEY AUTO_INCREMENT, note TEXT, picture BLOB,
  customer INT, FOREIGN KEY (customer) REFERENCES customers (id));
SET SESSION cte_max_recursion_depth = 10000;
INSERT INTO `or``ders` (note, picture, customer)
  WITH RECURSIVE numbers (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM numbers WHERE seq < 2000)
  SELECT CONCAT('it''s \\\\ ); INSERT\\n-- Table structure for table `customers` ', seq),
    UNHEX(SHA2(seq, 256)), 1 FROM numbers;
DELIMITER ;;
CREATE TRIGGER grow BEFORE INSERT ON `or``ders` FOR EACH ROW
BEGIN
  -- Table structure for table `customers`
  SET NEW.note = CONCAT(NEW.note, '!');
END;;
DELIMITER ;
CREATE VIEW seen AS SELECT id FROM `or``ders`;
";

/// Brings a table out of a dump of `product`, and loads it where it is missing and where it is not.
fn a_table_comes_out(product: mariadb::Product, settings: &str) -> String {
    let server = mariadb::Server::start(product);
    // MariaDB has no such setting, and no such limit.
    server.sql(&match product {
        mariadb::Product::Mariadb => {
            HARD.replace("cte_max_recursion_depth", "max_recursive_iterations")
        }
        mariadb::Product::Mysql => HARD.to_owned(),
    });
    let bench = Bench::new();
    let policy = fs::read_to_string(bench.path("policies/shop.toml")).unwrap();
    let source = format!(
        "[[source]]\nname = \"sales\"\n{settings}host = \"{}\"\nuser = \"root\"\ndatabases = [\"shop\"]\n",
        server.socket().display()
    );
    bench.write("policies/shop.toml", format!("{policy}\n{source}"));
    let engine = format!(
        "[[engine]]\nkind = \"mysql\"\nversion = \"9.7\"\npath = \"{}\"\n\n[signing]",
        mariadb::Product::Mysql.root().display()
    );
    bench.edit("lifeboat.toml", "[signing]", &engine);
    bench.backup();
    let to = file(&bench);

    let table = "shop.`or``ders`";
    let ran = bench.run(&["restore", "shop", "--table", table, "--to-sql", &to]).exits(0);

    assert!(ran.stdout.contains("2000 rows"), "{}", ran.stdout);
    let sql = fs::read_to_string(&to).unwrap();
    assert!(server.sql_as("root", &format!("USE shop;\n{sql}")).is_err(), "the present one goes");
    let fresh = mariadb::Server::start(product);
    fresh.sql("CREATE DATABASE past; CREATE TABLE past.customers (id INT PRIMARY KEY)");
    fresh.sql("INSERT INTO past.customers VALUES (1)");
    fresh.sql(&format!("USE past;\n{sql}"));
    let checksum = |server: &mariadb::Server, database: &str| {
        let row = "SHA2(CONCAT(id, '|', note, '|', HEX(picture), '|', customer), 256)";
        let sum = format!("SUM(CONV(LEFT({row}, 15), 16, 10))");
        server.sql(&format!("SELECT COUNT(*), {sum} FROM {database}.`or``ders`"))
    };
    assert_eq!(checksum(&fresh, "past"), checksum(&server, "shop"));
    assert_eq!(fresh.sql("SHOW TABLES IN past").trim(), "customers\nor`ders");
    let triggers = "SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'past'";
    assert_eq!(fresh.sql(triggers).trim(), "1");
    ran.stdout
}

#[test]
fn a_table_of_mariadb_comes_out_with_triggers_and_replaces_no_present_one() {
    let told = a_table_comes_out(mariadb::Product::Mariadb, "kind = \"mariadb\"\n");

    assert!(told.contains("mariadb --sandbox"), "{told}");
}

#[test]
fn a_table_of_mysql_comes_out_with_triggers_and_replaces_no_present_one() {
    let told = a_table_comes_out(mariadb::Product::Mysql, "kind = \"mysql\"\n");

    assert!(told.contains("mysql --skip-commands"), "{told}");
}

#[test]
fn a_table_of_postgresql_comes_out_with_all_that_belongs_to_it() {
    let server = postgres::Server::start(15);
    server.psql("postgres", "CREATE DATABASE shop");
    server.psql(
        "shop",
        "CREATE TABLE customers (id int PRIMARY KEY);
         INSERT INTO customers VALUES (1);
         CREATE TABLE orders (id serial PRIMARY KEY, total numeric CHECK (total >= 0), note text,
           customer int REFERENCES customers, seen int GENERATED ALWAYS AS IDENTITY);
         COMMENT ON TABLE orders IS 'it''s';
         CREATE INDEX by_total ON orders (total);
         CREATE TABLE items (of_order int REFERENCES orders);
         CREATE SCHEMA audit; CREATE TYPE audit.mood AS ENUM ('calm', 'cross');
         CREATE FUNCTION audit.stamp() RETURNS trigger LANGUAGE plpgsql
           AS 'BEGIN NEW.a := NEW.a + 1; RETURN NEW; END';
         CREATE TABLE audit.orders (a int, mood audit.mood); CREATE TABLE empty (a int);
         INSERT INTO audit.orders VALUES (1, 'cross');
         CREATE TABLE logs (day date) PARTITION BY RANGE (day);
         CREATE TABLE logs_2026 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
         INSERT INTO logs VALUES ('2026-11-26');
         CREATE TRIGGER stamp BEFORE INSERT ON audit.orders
           FOR EACH ROW EXECUTE FUNCTION audit.stamp();
         INSERT INTO orders (total, note, customer)
           SELECT n, E'tab\\t line\\n \\\\. ' || n, 1 FROM generate_series(1, 2000) n",
    );
    let bench = backed_up(&format!(
        "[[source]]\nname = \"sales\"\nkind = \"postgres\"\nhost = \"{}\"\nuser = \"postgres\"\ndatabases = [\"shop\"]\n",
        server.socket().display()
    ));
    let to = file(&bench);
    let table = |name: &str| {
        let _ = fs::remove_file(&to);
        bench.run(&["restore", "shop", "--source", "sales", "--table", name, "--to-sql", &to])
    };

    let parted = table("shop.logs").exits(1).stderr;
    assert!(parted.contains("take its partitions one by one"), "{parted}");
    assert!(parted.contains("public.logs_2026") && !fs::exists(&to).unwrap(), "{parted}");
    table("logs_2026").exits(0);
    let ran = table("shop.orders").exits(0);
    assert!(ran.stdout.contains("2000 rows"), "{}", ran.stdout);
    server.psql("postgres", "CREATE DATABASE past");
    server.psql("past", &fs::read_to_string(&to).unwrap());
    let all = "SELECT count(*), sum(hashtext(o::text)) FROM orders o";
    assert_eq!(server.psql("past", all), server.psql("shop", all));
    let made = "SELECT count(*) FROM pg_constraint
                  WHERE conrelid = 'orders'::regclass AND contype <> 'f'
                UNION ALL SELECT count(*) FROM pg_index WHERE indrelid = 'orders'::regclass
                UNION ALL SELECT count(*) FROM pg_attrdef WHERE adrelid = 'orders'::regclass";
    assert_eq!(server.psql("past", made), server.psql("shop", made));
    // The sequences go on where they stood.
    let next = "INSERT INTO orders (total) VALUES (1) RETURNING id, seen";
    assert!(server.psql("past", next).contains("2001"), "the sequence begins anew");
    assert!(table("empty").exits(0).stdout.contains("0 rows"));
    assert!(table("audit.orders").exits(0).stdout.contains("1 rows"));
    server.psql("past", &fs::read_to_string(&to).unwrap());
    let stamped = "INSERT INTO audit.orders VALUES (5, 'calm'); SELECT sum(a) FROM audit.orders";
    assert!(server.psql("past", stamped).contains('7'), "the trigger came without its function");
    let unknown = table("shop.nothing").exits(1).stderr;
    assert!(unknown.contains("shop.audit.orders"), "{unknown}");
}
