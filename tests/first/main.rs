//! The first minutes: what `init` writes, where it refuses to, and from nothing to the first pass.

#[path = "../bench/mod.rs"]
mod bench;
mod discovered;
mod hostile;
mod named;
#[path = "../servers/mod.rs"]
mod servers;

use std::process::{Command, Stdio};

use bench::Ran;

fn lifeboat(arguments: &[&str]) -> Ran {
    let mut lifeboat = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    lifeboat.args(arguments).env("NO_COLOR", "1").stdin(Stdio::null()).output().unwrap().into()
}

/// Whether nothing but this test and what it starts runs here: it is begun anew in namespaces of its
/// own, for `--discover` finds whatever else a machine has. `name` is the test's, with its modules.
fn is_alone(name: &str) -> bool {
    const INSIDE: &str = "LIFEBOAT_TEST_IS_ALONE";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let again = Command::new("unshare")
        .args(["--mount", "--pid", "--net", "--mount-proc", "--fork", "--kill-child", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success(), "{said}{}", String::from_utf8_lossy(&again.stderr));
    assert!(said.contains("1 passed"), "no test is called {name}: {said}");
    print!("{said}");
    false
}
