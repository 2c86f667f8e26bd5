//! Dumps that differ from their capture, and scratch copies that were damaged: never a pass, and
//! the place is named.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use lifeboat::sandbox::Scratch;

use crate::bench::{Bench, SHOP, places};
use crate::servers::postgres::{SUPERUSER, bin};

#[test]
fn whatever_is_missing_from_the_dump_or_differs_is_named() {
    // Lies that do not hide one another share a dump; each must be named.
    let dumps: [&[(&str, &str)]; 3] = [
        &[
            ("DROP TABLE sales.notes", "shop: table sales.notes"),
            ("DROP INDEX sales.orders_by_total", "shop: index sales.orders_by_total"),
            ("DROP VIEW sales.large", "shop: view sales.large"),
            ("DROP TRIGGER stamped ON sales.orders", "stamped"),
            ("REVOKE SELECT ON sales.orders FROM clerk", "sales.orders"),
            ("UPDATE sales.prices SET price = 1.00", "shop: table sales.prices"),
            ("CREATE TABLE sales.more (a int)", "shop: table sales.more"),
            ("CREATE ROLE intruder SUPERUSER", "role intruder"),
            ("ALTER DATABASE shop SET work_mem = '1MB'", "shop: database"),
        ],
        &[
            ("DROP TRIGGER stamped ON sales.orders; DROP FUNCTION sales.stamp()", "sales.stamp"),
            ("REVOKE SELECT ON sales.orders FROM clerk; DROP ROLE clerk", "role clerk"),
            (
                "ALTER TABLE sales.orders ALTER id DROP DEFAULT; DROP SEQUENCE sales.orders_id_seq",
                "sequence sales.orders_id_seq",
            ),
            ("DELETE FROM sales.orders WHERE id = 77", "shop: table sales.orders"),
            ("ALTER TABLE sales.orders DROP CONSTRAINT orders_total_check", "orders_total_check"),
        ],
        &[
            ("UPDATE sales.orders SET note = 'x' WHERE id = 77", "shop: table sales.orders"),
            ("ALTER TABLE sales.notes ALTER words TYPE text COLLATE \"C\"", "sales.notes"),
            ("INSERT INTO sales.prices SELECT price FROM sales.prices", "shop: table sales.prices"),
        ],
    ];
    for lies in dumps {
        let bench = Bench::capture_changed(15, &[("shop", SHOP)], |server| {
            for (lie, _) in lies {
                server.psql("shop", lie);
            }
        });

        let found = places(&bench.judged());

        for (lie, place) in lies {
            assert!(found.iter().any(|found| found.contains(place)), "{lie}: {found:?}");
        }
    }
}

#[test]
fn a_dump_that_is_gone_cut_or_of_another_database_never_passes() {
    let bench = Bench::capture(15, &[("shop", SHOP), ("other", "CREATE TABLE t (a int)")]);
    let dump = bench.dump("shop");
    let whole = fs::read(&dump).unwrap();
    for length in [0, 3, whole.len() / 2, whole.len() - 1] {
        fs::write(&dump, &whole[..length]).unwrap();
        let outcome = bench.judged();
        let found = places(&outcome);
        assert!(!found.is_empty(), "cut at {length}");
    }
    fs::copy(bench.dump("other"), &dump).unwrap();
    places(&bench.judged());
    fs::remove_file(&dump).unwrap();
    let outcome = bench.judged();
    let told = format!("{outcome:?}");
    assert!(told.contains("databases/shop.dump is missing"), "{told}");
}

#[test]
fn a_bit_flipped_in_heap_and_in_index_of_the_scratch_copy_is_found_there() {
    for (relation, place) in [
        ("sales.orders", "shop: table sales.orders"),
        ("sales.orders_by_total", "shop: index sales.orders_by_total"),
    ] {
        // 17 is the first that can be made to forget a page.
        let bench = Bench::capture(17, &[("shop", SHOP)]);
        let scratch = bench.scratch();
        let mut recovered = bench.recover(&scratch).unwrap();
        let server = folder_of_server(&scratch);
        let file = psql(&server, &format!("SELECT pg_relation_filepath('{relation}')"));
        psql(&server, "CHECKPOINT");
        flip(&server.join("cluster").join(file.trim()));
        let forgotten = psql(
            &server,
            &format!(
                "CREATE EXTENSION pg_buffercache;
                 SELECT count(pg_buffercache_evict(bufferid)) FROM pg_buffercache
                   WHERE relfilenode = pg_relation_filenode('{relation}');
                 DROP EXTENSION pg_buffercache"
            ),
        );
        assert_ne!(forgotten.trim(), "0");

        let checked = bench.self_check(&mut *recovered);

        let found = places(&checked);
        assert!(found.iter().any(|found| found == place), "{found:?}");
    }
}

/// The folder of the only server in a scratch.
fn folder_of_server(scratch: &Scratch) -> PathBuf {
    let mut folders = fs::read_dir(scratch.dir()).unwrap().flatten();
    let is_servers =
        |folder: &fs::DirEntry| folder.file_name().to_str().unwrap().starts_with("postgres-");
    folders.find(is_servers).unwrap().path()
}

/// Asks the scratch server behind lifeboat's back.
fn psql(server: &Path, script: &str) -> String {
    let output = Command::new(bin(17).join("psql"))
        .current_dir(server.join("run"))
        .args(["-h", "/proc/self/cwd", "-U", SUPERUSER, "-d", "shop", "-qAtX"])
        .args(["-v", "ON_ERROR_STOP=1", "-c", script])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Flips one bit near the end of the first page, where its oldest row or key is.
fn flip(file: &Path) {
    let file = fs::File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 8170).unwrap();
    byte[0] ^= 1;
    file.write_all_at(&byte, 8170).unwrap();
}
