//! Files that differ from their capture: never a pass.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lifeboat::check::Outcome;
use lifeboat::source::Fault;

use crate::bench::{Bench, Captured, Kept, held, places};
use crate::capturing::{all, captured_after, start};
use crate::engine::{LIES, SHOP};
use crate::servers::mariadb::Server;

const MEASURES: &str = "CREATE TABLE shop.measures (id INT PRIMARY KEY, weight FLOAT);
  INSERT INTO shop.measures VALUES (1, 4791065.5), (2, 0.1)";

fn shop() -> Server {
    let server = start();
    server.sql(SHOP);
    server.sql(MEASURES);
    server
}

#[test]
fn whatever_is_missing_from_the_files_or_differs_is_named() {
    let of_float =
        ("UPDATE shop.measures SET weight = 4791066 WHERE id = 1", "shop: table measures");
    // Where counters stand no log tells.
    let is_counter = |place: &str| place.contains("auto_increment") || place.contains(": sequence");
    for lies in LIES {
        let server = shop();
        let captured = Captured::of_files(&server);
        let lies: Vec<_> = lies.iter().filter(|(_, place)| !is_counter(place)).collect();
        let lies: Vec<_> = lies.into_iter().chain([&of_float]).collect();
        for (lie, _) in &lies {
            server.sql(lie);
        }
        captured.replace_files(&all(&server));
        drop(server);

        let found = places(&captured.judged());

        for (lie, place) in lies {
            assert!(found.iter().any(|found| found.contains(place)), "{lie}: {found:?}");
        }
    }
}

#[test]
fn a_log_that_is_missing_cut_or_leads_elsewhere_never_passes() {
    let server = shop();
    let captured = captured_after(
        &server,
        "INSERT INTO shop.paid (total) VALUES (1); FLUSH BINARY LOGS; INSERT INTO shop.paid (total) VALUES (2)",
    );
    drop(server);
    let names = &captured.capture.server.as_ref().unwrap().copy.as_ref().unwrap().binlog;
    let pieces: Vec<PathBuf> =
        names.iter().map(|name| captured.data.join("binlog").join(name)).collect();
    let [first, second] = &pieces[..] else { panic!("{pieces:?}") };
    let whole = fs::read(second).unwrap();

    fs::remove_file(second).unwrap();
    let told = format!("{:?}", captured.judged());
    assert!(told.contains("is missing"), "{told}");
    // One that stops before the last transaction; then one that repeats the other's, cut and flipped ones.
    let events = events(&whole);
    fs::write(second, &whole[..events[events.len() - 5]]).unwrap();
    assert_eq!(places(&captured.judged()), ["shop: table paid"]);
    for lie in [
        fs::read(first).unwrap(),
        whole[..whole.len() - 3].to_vec(),
        flipped(&whole, whole.len() - 40),
    ] {
        fs::write(second, lie).unwrap();
        places(&captured.judged());
    }
    fs::write(second, &whole).unwrap();
    held(&captured.judged());
}

/// Where the events of a log begin.
fn events(log: &[u8]) -> Vec<usize> {
    let mut found = vec![4];
    while let Some(head) = log.get(found[found.len() - 1] + 9..) {
        let Some(length) = head.first_chunk().copied().map(u32::from_le_bytes) else { break };
        found.push(found[found.len() - 1] + length as usize);
    }
    found.pop();
    found
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

#[test]
fn files_that_are_gone_cut_flipped_or_none_never_pass() {
    let server = shop();
    // The log would make the pages anew that were written since its checkpoint.
    server.sql(
        "SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0; SET GLOBAL innodb_max_dirty_pages_pct = 0",
    );
    let age = "SELECT VARIABLE_VALUE < 10000 FROM information_schema.GLOBAL_STATUS
      WHERE VARIABLE_NAME = 'Innodb_checkpoint_age'";
    let begun = Instant::now();
    while server.sql(age).trim() != "1" {
        assert!(begun.elapsed() < Duration::from_secs(60), "pages are not written");
        std::thread::sleep(Duration::from_millis(100));
    }
    let captured = Captured::of_files(&server);
    drop(server);
    let file = |name: &str| captured.data.join("data").join(name);
    let orders = ["orders.ibd", "orders.new"].map(|name| file(&format!("shop/{name}")));
    let orders = orders.into_iter().find(|path| path.exists()).unwrap();
    let is_pass = || matches!(captured.judged(), Outcome::Held { .. });
    let log = file("ib_logfile0");
    for path in
        [&orders, &log, &file("ibdata1"), &file("shop/orders.frm"), &file("mysql/global_priv.MAD")]
    {
        let whole = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        assert!(!is_pass(), "without {}", path.display());
        fs::write(path, &whole[..whole.len() / 3]).unwrap();
        assert!(!is_pass(), "with a third of {}", path.display());
        fs::write(path, &whole).unwrap();
    }
    let (log_whole, whole) = (fs::read(&log).unwrap(), fs::read(&orders).unwrap());
    fs::write(&log, flipped(&log_whole, log_whole.len() / 2)).unwrap();
    let _ = captured.judged();
    fs::write(&log, &log_whole).unwrap();
    fs::remove_file(&orders).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &orders).unwrap();
    let told = format!("{:?}", captured.judged());
    assert!(told.contains("is no regular file"), "{told}");
    fs::remove_file(&orders).unwrap();
    fs::write(&orders, whole).unwrap();
    held(&captured.judged());
    fs::remove_dir_all(captured.data.join("data")).unwrap();
    let told = format!("{:?}", captured.judged());
    assert!(told.contains("the server's files are missing"), "{told}");
}

#[test]
fn injuries_on_purpose_are_found_at_their_place_and_leave_no_trace() {
    let server = shop();
    let captured = Captured::of_files(&server);
    drop(server);
    let scratch = captured.scratch();
    let mut recovered = captured.recover(&scratch).unwrap();

    for fault in [Fault::RowChanged, Fault::RowRemoved] {
        let place = captured.within(|| recovered.injure(fault).unwrap()).unwrap();
        let found = places(&captured.equality(&mut *recovered));
        assert_eq!(found, std::slice::from_ref(&place.object), "{fault:?}");
    }
    held(&captured.equality(&mut *recovered));
    captured.within(|| recovered.stop().unwrap());
}

#[test]
fn what_is_recovered_takes_the_room_that_was_reserved_for_it() {
    let server = shop();
    let captured = Captured::of_files(&server);
    drop(server);
    let needed = captured.capture.engine_bytes();
    let scratch = captured.scratch();

    let recovered = captured.recover(&scratch).unwrap();

    let written = size_of(scratch.dir());
    captured.within(|| recovered.stop().unwrap());
    let bytes = captured.capture.bytes;
    assert!(bytes < written && written < needed, "{bytes} {written} {needed}");
}

fn size_of(folder: &std::path::Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let sizes = entries.map(|entry| match entry.metadata().unwrap() {
        found if found.is_dir() => size_of(&entry.path()),
        found => std::os::unix::fs::MetadataExt::blocks(&found) * 512,
    });
    sizes.sum()
}

#[test]
fn what_was_captured_anew_equals_itself_and_nothing_else() {
    let (server, sink) = (shop(), Kept::default());
    Bench::by_files().capture(&all(&server), &sink).unwrap();
    let names: Vec<String> = sink.files.lock().unwrap().keys().cloned().collect();

    assert!(names.iter().all(|name| name.starts_with("data/") || name.starts_with("binlog/")));
    assert!(names.iter().any(|name| name.starts_with("binlog/bin.0")), "{names:?}");
    let text = |name: &str| sink.file(&format!("data/{name}"));
    assert!(!text("xtrabackup_info").contains("password="), "{}", text("xtrabackup_info"));
}
