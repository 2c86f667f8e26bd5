//! What root may do proves little: a file of tests run once more as an ordinary user.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

/// Set for the run as an ordinary user, so that it starts no other.
const SECOND_RUN: &str = "LIFEBOAT_TEST_SECOND_RUN";

/// The user and group that are nobody of importance.
const ORDINARY: u32 = 1000;

/// Runs this test program as an ordinary user; where it does already, there is nothing to add.
pub fn all_of_it_holds_for_an_ordinary_user() {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root || std::env::var_os(SECOND_RUN).is_some() {
        return;
    }
    // The program itself may lie where that user cannot go.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("tests");
    fs::copy("/proc/self/exe", &program).unwrap();
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(ORDINARY), Some(ORDINARY)).unwrap();

    let status = Command::new("setpriv")
        .arg(format!("--reuid={ORDINARY}"))
        .arg(format!("--regid={ORDINARY}"))
        .arg("--clear-groups")
        .arg(&program)
        .env(SECOND_RUN, "1")
        .env("TMPDIR", &home)
        .current_dir(&home)
        .status()
        .unwrap();

    assert!(status.success(), "{status}");
}
