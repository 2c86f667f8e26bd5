//! Checks of a query's answer: what they compare, and lies they must find.

use crate::bench::{Bench, files_below};
use crate::check;

/// A bench whose drill has these checks of the orders, each a name, a query and what is expected.
fn asking(checks: &[(&str, &str, &str)]) -> Bench {
    let bench = Bench::new();
    bench.sql(
        "CREATE TABLE visits (at TEXT); INSERT INTO visits VALUES (datetime('now', '-1 hours'))",
    );
    declare(&bench, checks);
    bench
}

fn declare(bench: &Bench, checks: &[(&str, &str, &str)]) {
    let declared = checks.iter().map(|(name, query, expect)| {
        format!(
            "\n[[check]]\nname = \"{name}\"\nsource = \"orders\"\nquery = \"{query}\"\n{expect}\n"
        )
    });
    let head = "policy = \"acme/shop\"\nname = \"weekly\"\n".to_owned();
    bench.write("drills/weekly.toml", head + &declared.collect::<String>());
}

const COUNT: &str = "SELECT count(*) FROM orders";
const NEWEST: &str = "SELECT max(at) FROM visits";

#[test]
fn every_comparison_holds_on_an_honest_copy_and_the_report_tells_what_was_compared() {
    let bench = asking(&[
        ("between", COUNT, "expect = \"between 300 and 400\""),
        ("near", COUNT, "expect = \"within 5 % of capture\""),
        ("exact", "SELECT sum(cents) / 7.0 FROM orders", "expect = \"within 0 % of capture\""),
        ("fresh", NEWEST, "expect = \"within 2h of capture\""),
        ("many", "SELECT id FROM orders", "expect = \">= 300 rows\""),
        ("named", "SELECT note FROM orders", "expect = \"matches '^order [0-9]+$'\""),
    ]);
    bench.backup();
    // What production does after the capture changes nothing.
    bench.sql("DELETE FROM orders WHERE id > 5; DELETE FROM visits");

    let (code, drill) = bench.drill();

    assert_eq!((code, &drill["verdict"]), (0, &"pass".into()), "{drill:#}");
    let told = |name: &str, key: &str| check(&drill, name)[key].clone();
    assert_eq!(told("between", "found"), "300");
    assert_eq!((told("near", "found"), told("near", "at_capture")), ("300".into(), "300".into()));
    assert_eq!(told("exact", "found"), "45150.0");
    assert_eq!((told("many", "compared"), told("many", "found")), (300.into(), "300 rows".into()));
    assert_eq!((told("named", "compared"), told("named", "unit")), (300.into(), "rows".into()));
    assert!(told("fresh", "at_capture").as_str().unwrap().ends_with('Z'), "{drill:#}");
    for (lang, words) in
        [("zh", ["预期", "实际", "采集时"]), ("en", ["expected", "found", "at capture"])]
    {
        let page = bench.run(&["report", "drill", "shop", "--lang", lang]).exits(0).stdout;
        for word in words.iter().chain(&["within 5 % of capture", "300", "45150.0"]) {
            assert!(page.contains(word), "{word} is not in the report");
        }
        assert!(!page.contains("order 17"), "a text of the data stands in the report");
    }
}

#[test]
fn orders_that_stopped_long_before_the_capture_fail_though_everything_equals_it() {
    let bench = asking(&[("fresh", NEWEST, "expect = \"within 2h of capture\"")]);
    for (stale, side) in [("-3 hours", "before the capture"), ("+9000 days", "after the capture")] {
        bench.sql(&format!("UPDATE visits SET at = datetime('now', '{stale}')"));
        bench.backup();

        let (code, drill) = bench.drill();

        assert_eq!((code, &drill["verdict"]), (4, &"fail".into()), "{drill:#}");
        assert_eq!(check(&drill, "equality of orders")["outcome"], "held", "{drill:#}");
        assert!(check(&drill, "fresh").to_string().contains(side), "{drill:#}");
    }
}

#[test]
fn a_moment_is_read_by_the_clock_that_the_check_names() {
    let shanghai = "expect = \"within 2h of capture\"\ntimezone = \"Asia/Shanghai\"";
    let utc = "expect = \"within 2h of capture\"";
    let bench = asking(&[("shanghai", NEWEST, shanghai), ("utc", NEWEST, utc)]);
    bench.sql("UPDATE visits SET at = datetime('now', '+7 hours', '+30 minutes')");
    bench.backup();

    let (code, drill) = bench.drill();

    assert_eq!(code, 4, "{drill:#}");
    assert_eq!(check(&drill, "shanghai")["outcome"], "held", "{drill:#}");
    assert_eq!(check(&drill, "utc")["outcome"], "broke", "{drill:#}");
}

#[test]
fn a_check_that_the_capture_was_not_asked_is_inconclusive_until_the_next_backup() {
    let bench = asking(&[("many", COUNT, "expect = \"> 0\"")]);
    bench.backup();
    declare(&bench, &[("near", COUNT, "expect = \"within 5 % of capture\"")]);

    let (code, drill) = bench.drill();

    assert_eq!((code, &drill["verdict"]), (5, &"inconclusive".into()), "{drill:#}");
    let reason = check(&drill, "near")["reason"].as_str().unwrap();
    assert!(reason.contains("back up anew"), "{reason}");
    bench.backup();
    let (code, drill) = bench.drill();
    assert_eq!((code, &drill["verdict"]), (0, &"pass".into()), "{drill:#}");
}

#[test]
fn a_question_that_the_capture_cannot_answer_costs_no_backup_and_never_passes() {
    let bench = asking(&[
        ("gone", "SELECT count(*) FROM gone", "expect = \"within 5 % of capture\""),
        (
            "nothing",
            "SELECT count(*) FROM orders WHERE id < 0",
            "expect = \"within 5 % of capture\"",
        ),
        ("none", "SELECT note FROM orders WHERE id < 0", "expect = \"<= 5 rows\""),
    ]);

    let backup = bench.run(&["backup", "shop"]).exits(0);

    assert!(backup.stderr.contains("no such table: gone"), "{}", backup.stderr);
    let (code, drill) = bench.drill();
    assert_eq!((code, &drill["verdict"]), (4, &"fail".into()), "{drill:#}");
    assert_eq!(check(&drill, "gone")["outcome"], "broke", "{drill:#}");
    for unknown in ["nothing", "none"] {
        assert_eq!(check(&drill, unknown)["outcome"], "not-run", "{drill:#}");
    }
    assert_eq!(files_below(&bench.path("scratch")), Vec::<std::path::PathBuf>::new());
}
