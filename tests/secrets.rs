//! Canary secrets appear in no argument list, log, error, ledger line, state or report.

mod bench;

use std::fs;
use std::process::Command;

use bench::{Bench, PASSWORD, Ran};

#[test]
fn canary_secrets_appear_nowhere_but_in_their_own_files() {
    let bench = Bench::new();
    let private = fs::read_to_string(bench.path("keys/ledger_ed25519")).unwrap();
    let canaries = [PASSWORD.to_owned(), private.lines().nth(2).unwrap().to_owned()];
    let trace = bench.path("trace");
    let mut said = String::new();
    let acts: [&[&str]; 9] = [
        &["validate"],
        &["doctor"],
        &["backup", "shop", "-vv"],
        &["drill", "shop", "-vv"],
        &["verify", "shop", "-vv"],
        &["restore", "shop", "--to", "restored", "-vv"],
        &["ledger", "log", "shop"],
        &["report", "drill", "shop", "--out", "report.html"],
        &["snapshots", "--json"],
    ];
    for arguments in acts {
        said += &traced(&bench, arguments, &trace).exits(0).everything();
    }
    bench.write("keys/repository-password", format!("{PASSWORD}-wrong\n"));
    said += &traced(&bench, &["backup", "shop", "-vv"], &trace).exits(12).everything();

    let arguments = fs::read_to_string(&trace).unwrap();
    assert!(arguments.contains("__confined"), "strace saw no child: {arguments}");
    let report = fs::read_to_string(bench.path("report.html")).unwrap();
    for canary in &canaries {
        for (place, text) in [("argv", &arguments), ("output", &said), ("report", &report)] {
            assert!(!text.contains(canary), "a secret stands in {place}");
        }
        for folder in ["state", "store", "restored"] {
            for file in bench.files(folder) {
                let bytes = fs::read(&file).unwrap_or_default();
                let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
                assert!(!found, "a secret stands in {}", file.display());
            }
        }
    }
}

impl Ran {
    fn everything(self) -> String {
        self.stdout + &self.stderr
    }
}

fn traced(bench: &Bench, arguments: &[&str], trace: &std::path::Path) -> Ran {
    let inner = bench.command(arguments);
    Command::new("strace")
        .args(["-f", "-s", "4096", "-v", "-e", "trace=execve", "-A", "-o"])
        .arg(trace)
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(bench.path("."))
        .output()
        .unwrap()
        .into()
}
