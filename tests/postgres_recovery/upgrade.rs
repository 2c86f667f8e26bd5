//! Upgrade rehearsals: dumps of one major version on a newer one.

use lifeboat::check::{NotRun, Outcome, Why};

use crate::bench::{Bench, SHOP, places, unknown};

const EVERYTHING: &str =
    concat!(include_str!("../postgres/everything.sql"), include_str!("../postgres/rare.sql"));

/// The definitions that the newer version tells in other words, everything else being equal.
#[track_caller]
fn retold(outcome: &Outcome) -> String {
    match outcome {
        Outcome::NotRun(NotRun { why: Why::Retold, what }) => what.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rows_and_definitions_are_equal_on_newer_versions_but_what_these_tell_in_other_words() {
    let mut bench = Bench::capture(15, &[("shop", EVERYTHING)]);
    for major in [17, 18] {
        bench.onto = Some(major);

        let told = retold(&bench.judged());

        // Views are told with less words since 16.
        for object in ["view sales.dear", "extension pg_stat_statements"] {
            assert!(told.contains(object), "{major}: {told}");
        }
        let others =
            ["table", "constraint", "index", "function", "membership", "database", "domain"];
        for other in others {
            assert!(!told.contains(&format!(": {other} ")), "{major}: {told}");
        }
    }
}

#[test]
fn every_lie_is_found_on_a_newer_version_too() {
    let lies = "UPDATE sales.orders SET note = 'x' WHERE id = 7;
        DELETE FROM sales.notes WHERE words = 'first';
        DROP VIEW sales.large; DROP TRIGGER stamped ON sales.orders;
        ALTER TABLE sales.prices ALTER price SET NOT NULL;
        REVOKE SELECT ON sales.orders FROM clerk; DROP INDEX sales.orders_by_total";
    let mut bench =
        Bench::capture_changed(15, &[("shop", SHOP)], |server| drop(server.psql("shop", lies)));
    for major in [17, 18] {
        bench.onto = Some(major);

        let found = places(&bench.judged());

        for place in [
            "shop: table sales.orders",
            "shop: table sales.notes",
            "shop: table sales.prices",
            "shop: view sales.large",
            "shop: trigger stamped on sales.orders",
            "shop: index sales.orders_by_total",
        ] {
            assert!(found.iter().any(|one| one == place), "{major}: {place}: {found:?}");
        }
    }
}

#[test]
fn a_version_that_is_not_newer_and_one_that_is_not_there_leave_a_rehearsal_open() {
    let mut bench = Bench::capture(17, &[("shop", SHOP)]);
    for (major, why) in [(17, "is of PostgreSQL 17 already"), (15, "is of PostgreSQL 17 already")] {
        bench.onto = Some(major);
        assert!(unknown(&bench.judged()).contains(why), "{major}");
    }
    bench.engines = lifeboat::source::postgres::Engines::default();
    bench.onto = Some(18);
    assert!(unknown(&bench.judged()).contains("install postgresql-18"));
}
