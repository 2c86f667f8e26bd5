//! What a capture of files holds: everything, as of one moment, whatever happens meanwhile.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lifeboat::policy::sources::ServerSettings;
use lifeboat::source::GapKind;

use crate::bench::{Bench, Captured, Kept, held, settings, start_with};
use crate::engine::{EVERYTHING, SERVER, SHOP};
use crate::servers::mariadb::{Server, Writers, programs_with};

/// A server whose files can be captured.
pub fn start() -> Server {
    start_with(&["--log-bin=bin", "--binlog-format=ROW"])
}

/// All of it.
pub fn all(server: &Server) -> ServerSettings {
    ServerSettings { databases: Vec::new(), ..settings(server) }
}

/// Puts a program in the place of the one that copies, which does `what` with the real one's output
/// and with its status in `$code`.
pub fn copier_is(folder: &Path, what: &str) {
    let script = format!(
        "#!/bin/bash\nset -o pipefail\nreal() {{ /usr/bin/mariadb-backup \"$@\"; }}\n{what}\n"
    );
    let real = folder.join("bin/mariadb-backup");
    programs_with(SERVER, folder, "mariadb", "");
    fs::remove_file(folder.join("bin/mariadb")).unwrap();
    for program in ["mariadb", "mariadb-binlog"] {
        std::os::unix::fs::symlink(
            Path::new("/usr/bin").join(program),
            folder.join("bin").join(program),
        )
        .unwrap();
    }
    fs::write(&real, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&real, mode).unwrap();
}

/// A capture of a server on which `sql` runs between the end of the copy and the fingerprint's moment.
pub fn captured_after(server: &Server, sql: &str) -> Captured {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("between.sql");
    fs::write(&script, sql).unwrap();
    let client = format!(
        "mariadb --no-defaults --user=root --socket={} < {} >&2",
        server.socket().display(),
        script.display()
    );
    copier_is(
        folder.path(),
        &format!("real \"$@\" || exit $?\n{client} || exit 9\necho 'completed OK!' >&2"),
    );
    Captured::of_files_by(Bench::by_files_with(folder.path()), server)
}

#[test]
fn files_and_fingerprint_are_of_one_moment_while_writers_write() {
    let server = start();
    server.sql(SHOP);
    server.sql(EVERYTHING);
    let writers = Writers::start(&server, 3);
    let before = server.count("shop.paid");

    let captured = Captured::of_files(&server);

    let after = server.count("shop.paid");
    drop(writers);
    drop(server);
    let parts = &captured.capture.fingerprint.parts;
    let rows = parts["shop: table paid"].rows;
    assert!(before < rows && rows < after, "nobody wrote: {before} {rows} {after}");
    let source = captured.capture.server.as_ref().unwrap();
    let copy = source.copy.as_ref().unwrap();
    assert_ne!(source.moment.binlog.as_ref(), Some(&copy.end), "nothing is to be replayed");
    assert!(source.moment.held_ms < 5000, "commits waited {} ms", source.moment.held_ms);
    let kinds: Vec<GapKind> = captured.capture.gaps().iter().map(|gap| gap.kind).collect();
    assert!(kinds.contains(&GapKind::Counters), "{kinds:?}");
    assert!(!kinds.contains(&GapKind::RoundedFloats), "a copy rounds nothing: {kinds:?}");
    assert!(held(&captured.judged()) > 2000);
}

/// One of each kind of thing that a log must repeat.
const BETWEEN: &str = "
USE shop; SET binlog_format = ROW;
INSERT INTO orders (total, note, picture) SELECT 7, REPEAT('x', 200), REPEAT('y', 60000) FROM paid;
UPDATE orders SET weight = weight + 1e-13 WHERE id < 50; DELETE FROM orders WHERE id BETWEEN 60 AND 70;
INSERT INTO items VALUES (1, 5), (2, 6); ALTER TABLE items DROP FOREIGN KEY of_order;
ALTER TABLE items ADD CONSTRAINT of_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE;
DELETE FROM orders WHERE id = 5; TRUNCATE TABLE notes; INSERT INTO notes VALUES ('afterwards');
BEGIN; INSERT INTO paid (total) VALUES (99); INSERT INTO paid (total) VALUES (98); ROLLBACK;
INSERT INTO past VALUES (9); UPDATE past SET a = 4 WHERE a = 3; DELETE FROM past WHERE a = 4;
UPDATE periods SET a = 5;
SELECT NEXTVAL(tickets); INSERT INTO old VALUES (3); UPDATE old SET a = 4 WHERE a = 1;
FLUSH BINARY LOGS;
CREATE TABLE later (id INT PRIMARY KEY, f FLOAT); INSERT INTO later VALUES (1, 4791065.5);
RENAME TABLE later TO latest; ALTER TABLE paid ADD COLUMN how VARCHAR(9) DEFAULT 'card', ADD KEY (how);
DROP PROCEDURE refund; CREATE FUNCTION tripled(a INT) RETURNS INT DETERMINISTIC RETURN a * 3;
CREATE VIEW later_view AS SELECT id FROM latest; CREATE TRIGGER late BEFORE DELETE ON paid FOR EACH ROW
  INSERT INTO notes VALUES ('gone');
DELETE FROM paid WHERE id = 3;
CREATE EVENT weekly ON SCHEDULE EVERY 1 WEEK DO DELETE FROM notes; DROP EVENT nightly;
CREATE USER latecomer@localhost IDENTIFIED BY 'x'; GRANT clerks TO latecomer@localhost;
GRANT SELECT ON shop.latest TO clerk@'%'; DROP DATABASE gone;
CREATE DATABASE newest; CREATE TABLE newest.t (a INT); INSERT INTO newest.t VALUES (1);
FLUSH BINARY LOGS; INSERT INTO newest.t VALUES (2);
";

#[test]
fn whatever_happens_after_the_copy_is_replayed_up_to_the_moment() {
    let server = start();
    server.sql(SHOP);
    server.sql(EVERYTHING);
    server.sql(
        "CREATE TABLE shop.old (a INT) ENGINE=MyISAM; INSERT INTO shop.old VALUES (1), (2);
         CREATE DATABASE gone; CREATE TABLE gone.t (a INT)",
    );

    let captured = captured_after(&server, BETWEEN);

    drop(server);
    let source = captured.capture.server.as_ref().unwrap();
    assert_eq!(source.copy.as_ref().unwrap().binlog.len(), 3, "{source:?}");
    let parts = &captured.capture.fingerprint.parts;
    assert_eq!((parts["shop: table latest"].rows, parts["newest: table t"].rows), (1, 2));
    assert!(held(&captured.judged()) > 2000);
}

#[test]
fn definitions_that_change_while_files_are_copied_are_as_they_were_in_the_moment() {
    let server = Arc::new(start());
    server.sql(SHOP);
    server.sql(
        "USE shop; CREATE TABLE old (a INT) ENGINE=MyISAM; INSERT INTO old VALUES (1), (2);
         CREATE TABLE crash_safe (a INT) ENGINE=Aria; INSERT INTO crash_safe VALUES (1);
         CREATE TABLE doomed (a INT); INSERT INTO doomed VALUES (1)",
    );
    let at = server.clone();
    let sink = Kept::with_fault(move || {
        // Some of it waits for the copy, which waits for us.
        std::thread::spawn(move || {
            at.sql(
                "USE shop; ALTER TABLE notes ADD COLUMN more INT DEFAULT 7, ADD KEY (more);
             CREATE TABLE another AS SELECT 1 AS a; DROP TABLE doomed;
             RENAME TABLE paid TO settled, old TO older, crash_safe TO safe;
             INSERT INTO safe VALUES (2); INSERT INTO older VALUES (3)",
            )
        });
        std::thread::sleep(Duration::from_millis(500));
    });

    let captured = Captured::of_files_into(Bench::by_files(), &server, &sink);

    let parts = &captured.capture.fingerprint.parts;
    assert!(parts.contains_key("shop: table notes"), "{:?}", parts.keys());
    assert!(held(&captured.judged()) > 2000);
}
