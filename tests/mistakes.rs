//! Mistakes in what users write: all shown at once, with places, and nothing runs.

mod bench;

use bench::Bench;

#[test]
fn four_mistakes_in_three_files_are_shown_with_their_places_and_nothing_runs() {
    let bench = Bench::new();
    bench.edit("lifeboat.toml", "timezone = \"Asia/Shanghai\"", "timezone = \"Asia/Shangai\"");
    bench.edit("policies/shop.toml", "kind = \"sqlite\"", "kind = \"sqlight\"");
    bench.edit("policies/shop.toml", "rto = \"45m\"", "rto = \"45 parsecs\"");
    bench.edit("drills/weekly.toml", "controls = true", "contorls = true");

    for act in ["validate", "backup", "drill"] {
        let arguments: &[&str] = if act == "validate" { &[act] } else { &[act, "shop"] };
        let said = bench.run(arguments).exits(2).stderr;
        for (file, word) in [
            ("lifeboat.toml", "Asia/Shangai"),
            ("policies/shop.toml", "sqlight"),
            ("policies/shop.toml", "45 parsecs"),
            ("drills/weekly.toml", "contorls"),
        ] {
            assert!(said.contains(word), "{act}: {word} is not shown:\n{said}");
            assert!(said.contains(&format!("{file}:")), "{act}: no place in {file}:\n{said}");
        }
    }

    assert!(!bench.path("store/acme").exists(), "something ran");
}
