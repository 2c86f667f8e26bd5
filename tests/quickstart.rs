//! The first thing a new user types.

mod bench;

use std::fs;
use std::path::Path;
use std::process::Command;

use bench::{Ran, must, new_restic, old_restic};

fn quickstart(folder: &Path) -> Ran {
    Command::new(env!("CARGO_BIN_EXE_lifeboat"))
        .arg("quickstart")
        .arg(folder)
        .output()
        .unwrap()
        .into()
}

#[test]
fn quickstart_passes_and_both_restics_agree_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop");

    let told = quickstart(&shop).exits(0).stdout;

    assert!(told.lines().count() <= 40, "one screenful: {told}");
    assert!(told.to_lowercase().contains("pass"), "{told}");
    for file in ["lifeboat.toml", "keys/repository-password"] {
        assert!(shop.join(file).is_file(), "{file}");
    }
    let reports: Vec<_> = fs::read_dir(shop.join("reports")).unwrap().collect();
    assert!(reports.len() >= 2, "a report in each language");
    let customer = fs::read_dir(shop.join("store")).unwrap().next().unwrap().unwrap().path();
    for restic in [old_restic(), new_restic()] {
        must(
            Command::new(restic)
                .arg("-r")
                .arg(customer.join("repo"))
                .arg("--password-file")
                .arg(shop.join("keys/repository-password"))
                .args(["--no-cache", "check", "--read-data"]),
        );
    }
}

#[test]
fn quickstart_refuses_a_folder_that_holds_something() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine"), "precious").unwrap();

    let refused = quickstart(folder.path());

    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("hint:"), "{}", refused.stderr);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
