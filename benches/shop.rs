//! A whole shop under constant writes, captured and drilled in depth: MariaDB, uploads and Redis in one
//! snapshot; then lies at the same size, none of which may pass.
//!
//! `cargo bench --bench shop [-- ORDERS PICTURES KEYS]`. It panics where a drill does not say what it must.

mod engine;
#[path = "../tests/servers/mod.rs"]
mod servers;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::Site;
use serde_json::Value;
use servers::mariadb::{ADMINISTRATOR, Product};
use servers::{mariadb, redis};

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse().ok());
    let mut number = |usual: u32| numbers.next().unwrap_or(usual);
    let shop = Shop::open(number(3_000_000), number(50_000), number(200_000));
    let site = shop.site();

    let writers = shop.writers();
    for round in ["first", "second"] {
        let answer = run(&site, &["backup", "bench"], 0);
        println!("backup, {round}: {}", told(&answer, &["seconds", "bytes", "stored_bytes"]));
    }
    let written = writers.end();
    println!("written meanwhile: {written} orders, products with pictures and keys");
    let answer = run(&site, &["drill", "bench"], 0);
    println!("drill: {}", told(&answer, &["verdict", "recovery_seconds", "data_age_seconds"]));
    for phase in answer["phases"].as_array().expect("phases") {
        println!("  {}: {} ms", phase["name"], phase["duration_ms"]);
    }
    for check in answer["checks"].as_array().expect("checks") {
        let what = told(check, &["outcome", "compared", "unit", "duration_ms"]);
        println!("  {}: {what}", check["name"]);
    }
    let found = answer["controls"].as_array().expect("controls");
    println!(
        "  controls: {} of {} found",
        found.iter().filter(|one| one["found"] == true).count(),
        found.len()
    );

    for lie in [Shop::lose_a_picture, Shop::cut_a_picture, Shop::lose_orders, Shop::lose_keys] {
        let named = lie(&shop);
        run(&site, &["backup", "bench"], 0);
        caught(&site, &named);
        shop.mend();
    }
    run(&site, &["backup", "bench"], 0);
    let newest = latest(&site.folder.path().join("store/acme/repo/snapshots"));
    fs::remove_file(&newest).expect("a snapshot");
    caught(&site, &newest.file_name().expect("a name").to_string_lossy()[..8]);
}

/// Servers and a tree, filled.
struct Shop {
    database: mariadb::Server,
    cache: redis::Server,
    folder: tempfile::TempDir,
    orders: u32,
    keys: u32,
}

impl Shop {
    fn open(orders: u32, pictures: u32, keys: u32) -> Self {
        let begun = Instant::now();
        let settings = ["--log-bin=bin", "--innodb-buffer-pool-size=512M"];
        let database = mariadb::Server::start_with(Product::Mariadb, &settings);
        database.sql(&format!(
            "CREATE DATABASE shop; USE shop;
             CREATE TABLE products (id INT PRIMARY KEY AUTO_INCREMENT, picture VARCHAR(80) NOT NULL);
             INSERT INTO products SELECT seq, CONCAT(seq MOD 100, '/p', seq, '.png')
               FROM seq_1_to_{pictures};
             CREATE TABLE orders (id INT PRIMARY KEY AUTO_INCREMENT, product INT, cents BIGINT, placed DATETIME(3),
               note VARCHAR(80), KEY by_product (product));
             INSERT INTO orders SELECT seq, seq MOD {pictures} + 1, FLOOR(RAND(1) * 100000),
               NOW(3) - INTERVAL seq SECOND, MD5(seq) FROM seq_1_to_{orders}"
        ));
        let cache = redis::Server::start();
        let fill = format!(
            "for i = 1, {keys} do redis.call('SET', 'session:' .. i, string.rep('x', 100) .. i) end \
             for i = 1, 1000 do redis.call('HSET', 'cart:' .. i, 'product', i, 'pieces', 2) end"
        );
        cache.command(&[b"EVAL", fill.as_bytes(), b"0"]);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let uploads = folder.path().join("uploads");
        for part in 0..100 {
            fs::create_dir_all(uploads.join(part.to_string())).expect("a folder");
        }
        for number in 1..=pictures {
            fs::write(uploads.join(picture_of(number)), picture(number)).expect("a picture");
        }
        println!(
            "{orders} orders, {pictures} pictures, {keys} keys, made in {:.0?}",
            begun.elapsed()
        );
        Self { database, cache, folder, orders, keys }
    }

    fn uploads(&self) -> PathBuf {
        self.folder.path().join("uploads")
    }

    /// The database comes first: a picture is there before its product names it.
    fn site(&self) -> Site {
        let (database, uploads, cache) =
            (self.database.socket(), self.uploads(), self.cache.socket());
        let sources = format!(
            "[[source]]\nname = \"orders\"\nkind = \"mariadb\"\nhost = {database:?}\n\
             user = {ADMINISTRATOR:?}\ndatabases = [\"shop\"]\n\
             [[source]]\nname = \"uploads\"\nkind = \"files\"\npaths = [{uploads:?}]\n\
             [[source]]\nname = \"cache\"\nkind = \"redis\"\nhost = {cache:?}\n"
        );
        let of_shop = "source = \"orders\"\ndatabase = \"shop\"\n";
        let checks = format!(
            "[[check]]\nname = \"orders\"\n{of_shop}query = \"SELECT COUNT(*) FROM orders\"\n\
             expect = \">= {}\"\n\
             [[check]]\nname = \"every picture exists\"\n{of_shop}\
             query = \"SELECT picture FROM products\"\nfiles_in = \"uploads\"\n\
             [[check]]\nname = \"every order has its product\"\n{of_shop}expect = \"empty\"\n\
             query = \"SELECT o.id FROM orders o LEFT JOIN products p ON p.id = o.product WHERE p.id IS NULL LIMIT 1\"\n\
             [[check]]\nname = \"every picture decodes\"\nsource = \"uploads\"\n\
             files = [\"*.png\"]\nexpect = \"pictures\"\n\
             [[check]]\nname = \"sessions\"\nsource = \"cache\"\nquery = \"DBSIZE\"\n\
             expect = \">= {}\"\n",
            self.orders, self.keys
        );
        Site::with(&sources, &checks)
    }

    fn writers(&self) -> Writers {
        Writers::start(self)
    }

    fn lose_a_picture(&self) -> String {
        fs::rename(self.uploads().join(picture_of(7)), self.kept()).expect("a picture");
        picture_of(7)
    }

    fn cut_a_picture(&self) -> String {
        let path = self.uploads().join(picture_of(7));
        fs::copy(&path, self.kept()).expect("a picture");
        let file = fs::OpenOptions::new().write(true).open(&path).expect("a picture");
        file.set_len(fs::metadata(&path).expect("a picture").len() / 2).expect("cut");
        picture_of(7)
    }

    fn lose_orders(&self) -> String {
        self.database.sql(
            "USE shop; CREATE TABLE kept AS SELECT * FROM orders WHERE id > 1000; \
             DELETE FROM orders WHERE id > 1000",
        );
        "orders".to_owned()
    }

    fn lose_keys(&self) -> String {
        self.cache.command(&[b"FLUSHALL"]);
        "sessions".to_owned()
    }

    /// Where what a lie takes away stays meanwhile.
    fn kept(&self) -> PathBuf {
        self.folder.path().join("kept")
    }

    /// Takes a lie back, as far as a later one needs that.
    fn mend(&self) {
        if self.kept().exists() {
            fs::rename(self.kept(), self.uploads().join(picture_of(7))).expect("a picture");
        }
        let there = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME = 'kept'";
        if self.database.sql(there).trim() == "1" {
            self.database.sql("USE shop; INSERT INTO orders SELECT * FROM kept; DROP TABLE kept");
        }
    }
}

/// Where the picture of a product lies below the uploads.
fn picture_of(number: u32) -> String {
    format!("{}/p{number}.png", number % 100)
}

/// A PNG of some kilobytes that no other is like.
fn picture(number: u32) -> Vec<u8> {
    let mut pixels = vec![0; 32 * 32 * 3];
    let mut state = u64::from(number) | 1 << 40;
    for pixel in &mut pixels {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *pixel = (state >> 56) as u8;
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 32, 32);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect("a picture");
    writer.write_image_data(&pixels).expect("a picture");
    writer.finish().expect("a picture");
    bytes
}

/// One that orders and uploads, and one that fills the cache, until they are ended.
struct Writers {
    client: Child,
    is_over: Arc<AtomicBool>,
    written: Arc<AtomicU32>,
    threads: [JoinHandle<()>; 2],
}

impl Writers {
    fn start(shop: &Shop) -> Self {
        let mut client =
            shop.database.client(ADMINISTRATOR).stdout(Stdio::null()).spawn().expect("a client");
        let mut pipe = client.stdin.take().expect("a pipe");
        let (is_over, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (over, count, uploads) = (is_over.clone(), written.clone(), shop.uploads());
        let orders = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let number = 10_000_000 + count.fetch_add(1, Ordering::Relaxed);
                let name = picture_of(number);
                fs::write(uploads.join(&name), picture(number)).expect("a picture");
                let sql = format!(
                    "BEGIN; INSERT INTO shop.products (picture) VALUES ('{name}'); \
                     INSERT INTO shop.orders (product, cents, placed) VALUES (LAST_INSERT_ID(), 1, NOW(3)); \
                     UPDATE shop.orders SET cents = cents + 1 WHERE id = {}; COMMIT;\n",
                    number % 997 + 1
                );
                pipe.write_all(sql.as_bytes()).expect("sent");
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let (over, mut session) = (is_over.clone(), shop.cache.session());
        let keys = std::thread::spawn(move || {
            let mut number = 0u32;
            while !over.load(Ordering::Relaxed) {
                number += 1;
                let key = format!("new:{number}");
                session.ask(&[b"SET", key.as_bytes(), b"1"]).expect("set");
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self { client, is_over, written, threads: [orders, keys] }
    }

    /// Ends them; answers how many orders were placed.
    fn end(mut self) -> u32 {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a writer");
        }
        assert!(self.client.wait().expect("the client").success());
        self.written.load(Ordering::Relaxed)
    }
}

/// Runs lifeboat, which must end with `code`; what it answers.
fn run(site: &Site, arguments: &[&str], code: i32) -> Value {
    let output = site.lifeboat(arguments).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Drills, which must fail and name the place.
fn caught(site: &Site, place: &str) {
    let answer = run(site, &["drill", "bench", "--no-search"], 4);
    let reasons = answer["reasons"].to_string();
    assert!(answer.to_string().contains(place), "{place} is not named: {reasons}");
    println!("lie about {place}: {} {reasons}", answer["verdict"]);
}

fn told(answer: &Value, keys: &[&str]) -> String {
    keys.iter().map(|key| format!("{key} {}", answer[*key])).collect::<Vec<_>>().join(", ")
}

/// The file that was written last.
fn latest(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path());
    let written =
        |path: &PathBuf| fs::metadata(path).and_then(|found| found.modified()).expect("a time");
    files.max_by_key(written).expect("a snapshot")
}
