//! What this host lacks leaves a recovery open; it is named and never held against the data.

use std::process::Command;

use lifeboat::check::Outcome;
use lifeboat::sandbox::Scratch;
use lifeboat::source::postgres::{Engines, Extension};

use crate::bench::{Bench, SHOP, unknown};

#[test]
fn a_missing_engine_extension_or_locale_is_inconclusive_and_named() {
    let mut bench = Bench::capture(18, &[("shop", SHOP)]);
    bench.engines = Engines::of(&[]);
    assert!(unknown(&bench.judged()).contains("install postgresql-18"));

    let mut bench = Bench::capture(15, &[("shop", SHOP)]);
    let honest = bench.capture.clone();
    let shop = &mut bench.capture.cluster.as_mut().unwrap().databases[0];
    shop.extensions.push(Extension { name: "postgis".into(), version: "3.3.2".into() });
    let told = unknown(&bench.judged());
    assert!(told.contains("postgis 3.3.2") && told.contains("install"), "{told}");

    bench.capture = honest.clone();
    let shop = &mut bench.capture.cluster.as_mut().unwrap().databases[0];
    shop.extensions.iter_mut().for_each(|one| one.version = "0.9".into());
    assert!(unknown(&bench.judged()).contains("it has 1.0"));

    bench.capture = honest.clone();
    let shop = &mut bench.capture.cluster.as_mut().unwrap().databases[0];
    shop.collate = "xx_XX.UTF-8".into();
    let told = unknown(&bench.judged());
    assert!(told.contains("xx_XX.UTF-8") && told.contains("locale"), "{told}");

    bench.capture = honest;
    bench.capture.cluster.as_mut().unwrap().major = 16;
    assert!(unknown(&bench.judged()).contains("15, 17 and 18"));
    bench.capture.cluster = None;
    assert!(unknown(&bench.judged()).contains("what its server was like"));
}

#[test]
fn a_collation_that_only_the_dump_names_is_not_held_against_the_data() {
    let bench = Bench::capture(15, &[("shop", SHOP)]);
    let globals = bench.folder.path().join("globals.sql");
    let mut script = std::fs::read_to_string(&globals).unwrap();
    script.push_str("\nCREATE COLLATION strange (locale = 'xx_XX.UTF-8', provider = libc);\n");
    std::fs::write(&globals, script).unwrap();

    let told = unknown(&bench.judged());

    assert!(told.contains("could not create locale"), "{told}");
}

#[test]
fn a_security_label_whose_provider_is_not_there_is_not_held_against_the_data() {
    // As a provider of theirs would have written it.
    let labelled = "INSERT INTO pg_seclabel
      VALUES ('sales.orders'::regclass, 'pg_class'::regclass, 0, 'guard', 'secret')";
    let bench = Bench::capture(15, &[("shop", &format!("{SHOP} {labelled}"))]);

    let told = unknown(&bench.judged());

    assert!(told.contains("security label provider \"guard\" is not loaded"), "{told}");
}

#[test]
fn scratch_that_is_too_small_is_told_before_and_a_full_one_after() {
    let bench = Bench::capture(15, &[("shop", SHOP)]);
    let small = mount("64M");
    let scratch = Scratch::create(&small.path, None).unwrap();
    let trouble = bench.recover(&scratch).map(drop).unwrap_err();
    let told = Outcome::of_trouble(&lifeboat::check::Id::Restore, &trouble);
    assert!(unknown(&told).contains("are needed"), "{told:?}");
    drop(scratch);

    // Small as text, large with its indexes.
    let script = "CREATE TABLE big AS SELECT n FROM generate_series(1, 2000000) n;
                  CREATE INDEX a ON big (n); CREATE INDEX b ON big (n); CREATE INDEX c ON big (n)";
    let mut bench = Bench::capture(15, &[("shop", script)]);
    // As if it had been small at capture.
    bench.capture.cluster.as_mut().unwrap().databases[0].bytes = 1;
    let full = mount("256M");
    let scratch = Scratch::create(&full.path, None).unwrap();
    let trouble = bench.recover(&scratch).map(drop).unwrap_err();
    let told = Outcome::of_trouble(&lifeboat::check::Id::Restore, &trouble);
    let told = unknown(&told);
    assert!(told.contains("No space left") || told.contains("could not extend file"), "{told}");
}

#[test]
fn a_server_that_is_killed_leaves_the_answer_open() {
    let bench = Bench::capture(15, &[("shop", SHOP)]);
    let scratch = bench.scratch();
    let mut recovered = bench.recover(&scratch).unwrap();
    let mine = format!("{}", scratch.dir().display());
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let cwd = std::fs::read_link(process.path().join("cwd")).unwrap_or_default();
        if cwd.starts_with(&mine) {
            let pid = process.file_name().to_string_lossy().into_owned();
            Command::new("kill").args(["-9", &pid]).status().unwrap();
        }
    }

    for outcome in [bench.self_check(&mut *recovered), bench.equality(&mut *recovered)] {
        unknown(&outcome);
    }
}

/// A small file system, unmounted in the end.
struct Mount {
    path: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

fn mount(size: &str) -> Mount {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let options = format!("size={size},mode=0700");
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path).status();
    assert!(mounted.unwrap().success(), "this test mounts a file system and needs root");
    Mount { path, _folder: folder }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}
