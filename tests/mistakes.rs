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

#[test]
fn a_mistake_in_a_drill_of_another_policy_is_told_and_stands_in_nobodys_way_but_its_own() {
    let bench = Bench::new();
    let copied = |file: &str| std::fs::read_to_string(bench.path(file)).unwrap();
    bench.write("policies/crm.toml", copied("policies/shop.toml").replace("\"shop\"", "\"crm\""));
    let drill = copied("drills/weekly.toml").replace("acme/shop", "acme/crm");
    bench.write("drills/crm.toml", drill.replace("controls = true", "contorls = true"));

    for act in ["backup", "drill", "verify"] {
        let ran = bench.run(&[act, "shop"]).exits(0);
        assert!(ran.stderr.contains("contorls"), "{act}: {}", ran.stderr);
        assert!(ran.stderr.contains("shop goes on without drills of other policies"), "{act}");
        bench.run(&[act, "crm"]).exits(2);
    }
    bench.run(&["validate"]).exits(2);
    bench.run(&["daemon"]).exits(2);
}

#[test]
fn a_drill_with_a_mistake_that_may_be_the_policys_own_is_refused() {
    for (from, to) in [("acme/shop", "acme/shpo"), ("policy = \"acme/shop\"\n", "")] {
        let bench = Bench::new();
        bench.edit("drills/weekly.toml", from, to);

        bench.run(&["backup", "shop"]).exits(2);
    }
}
