//! What is sound comes up equal, answers, and lets its controls be found.

use std::time::Duration;

use lifeboat::check::{self, Outcome};
use lifeboat::source::{Cell, Fault, Kind, Trouble};

use crate::bench::{Bench, SHOP, differences, held, nothing_of, places, unknown};

const EVERYTHING: &str =
    concat!(include_str!("../postgres/everything.sql"), include_str!("../postgres/rare.sql"));
const LONG: Duration = Duration::from_secs(60);

#[test]
fn one_of_everything_comes_back_equal_on_every_major() {
    for major in [15, 17, 18] {
        let bench = Bench::capture(major, &[("shop", EVERYTHING), ("second", SHOP_OF_ITS_OWN)]);
        let scratch = bench.scratch();
        let mut recovered = bench.recover(&scratch).unwrap_or_else(|trouble| {
            panic!("{major}: {:?}", Outcome::of_trouble(&check::Id::Restore, &trouble))
        });
        {
            let _entered = bench.runtime.enter();
            recovered.first_answer().unwrap();
        }

        let relations = held(&bench.self_check(&mut *recovered));
        assert!(relations > 200, "{relations}");
        let equality = bench.equality(&mut *recovered);
        if !matches!(equality, Outcome::Held { .. }) {
            let _entered = bench.runtime.enter();
            let found = recovered.fingerprint().unwrap();
            panic!("{major}: {equality:?} {:?}", differences(&bench.capture.fingerprint, &found));
        }
        assert!(held(&equality) > 1000);
        let told = recovered.confinement().unwrap();
        assert!(told.contains("bubblewrap") && told.contains("fsync"), "{told}");
        recovered.stop().unwrap();
        let token = scratch.token().to_owned();
        scratch.remove().unwrap();
        assert!(nothing_of(&token));
    }
}

#[test]
fn what_every_database_begins_with_and_this_one_dropped_is_no_difference() {
    let script = "DROP SCHEMA public; DROP EXTENSION plpgsql; CREATE SCHEMA own;
                  CREATE TABLE own.t AS SELECT 1 AS a";
    for major in [15, 17, 18] {
        let bench = Bench::capture(major, &[("shop", script)]);
        held(&bench.judged());
    }
    let bench = Bench::capture_changed(15, &[("shop", script)], |server| {
        server.psql("shop", "CREATE SCHEMA public; CREATE TABLE public.more (a int)");
    });
    let found = places(&bench.judged());
    for place in ["shop: schema public", "shop: table public.more"] {
        assert!(found.iter().any(|found| found == place), "{place}: {found:?}");
    }
    let bench = Bench::capture_changed(15, &[("shop", SHOP)], |server| {
        server.psql(
            "shop",
            "DROP SCHEMA public; CREATE SCHEMA public; COMMENT ON SCHEMA public IS NULL",
        );
    });
    assert_eq!(places(&bench.judged()), ["shop: comment on schema public", "shop: schema public"]);
}

const SHOP_OF_ITS_OWN: &str = "CREATE TABLE t (a int); INSERT INTO t VALUES (1)";

#[test]
fn checks_are_asked_read_only_of_the_database_they_name() {
    let bench = Bench::capture(15, &[("shop", SHOP), ("other", SHOP_OF_ITS_OWN)]);
    let scratch = bench.scratch();
    let mut recovered = bench.recover(&scratch).unwrap();
    let _entered = bench.runtime.enter();
    let mut ask = |database, sql: &str| recovered.query(database, sql, LONG);

    let sums = "SELECT count(*), sum(total), max(note) FROM sales.orders;";
    let answer = ask(Some("shop"), sums).unwrap();
    let cells = vec![Cell::Integer(2000), Cell::Real(2_001_000.0), Cell::Text("order 999".into())];
    assert_eq!(answer.rows, [cells]);
    assert_eq!(answer.columns, ["count", "sum", "max"]);
    assert_eq!(
        ask(Some("other"), "SELECT a FROM t ORDER BY a").unwrap().rows,
        [[Cell::Integer(1)]]
    );
    assert!(matches!(ask(None, "SELECT 1"), Err(Trouble::Environment(_))));
    assert!(matches!(ask(Some("gone"), "SELECT 1"), Err(Trouble::Data(_))));
    assert!(matches!(ask(Some("shop"), "SELECT 1 FROM gone"), Err(Trouble::Data(_))));
    for not_a_question in [
        "DELETE FROM sales.orders",
        "SELECT 1; DELETE FROM sales.orders",
        "SELECT nextval('sales.orders_id_seq')",
        "SELECT 1 FROM",
    ] {
        let refused = ask(Some("shop"), not_a_question);
        assert!(matches!(refused, Err(Trouble::Environment(_))), "{not_a_question}: {refused:?}");
    }
    let late = recovered.query(Some("shop"), "SELECT pg_sleep(60)", Duration::from_millis(200));
    let late = Outcome::of_trouble(&check::Id::Restore, &late.unwrap_err());
    assert!(unknown(&late).contains("200 ms"), "{late:?}");
}

#[test]
fn controls_are_found_where_they_were_put_and_leave_nothing_behind() {
    let bench = Bench::capture(15, &[("shop", SHOP), ("other", SHOP_OF_ITS_OWN)]);
    let scratch = bench.scratch();
    let mut recovered = bench.recover(&scratch).unwrap();
    held(&bench.equality(&mut *recovered));

    for fault in [Fault::RowChanged, Fault::RowRemoved, Fault::RowChanged] {
        let injured = {
            let _entered = bench.runtime.enter();
            recovered.injure(fault).unwrap().unwrap()
        };
        assert_eq!(injured.object, "shop: table sales.orders");
        let outcome = bench.equality(&mut *recovered);
        assert!(outcome.found(&injured), "{fault:?}: {outcome:?}");
        assert_eq!(crate::bench::places(&outcome), ["shop: table sales.orders"]);
        held(&bench.equality(&mut *recovered));
    }
    assert_eq!(bench.capture.kind, Kind::Postgres);
}

#[test]
fn a_fault_is_put_where_it_changes_something() {
    let script = "CREATE TABLE odd (at timestamptz, number numeric, note text);
                  INSERT INTO odd VALUES ('infinity', 'NaN', 'seen')";
    let bench = Bench::capture(15, &[("shop", script)]);
    let scratch = bench.scratch();
    let mut recovered = bench.recover(&scratch).unwrap();

    let place = {
        let _entered = bench.runtime.enter();
        recovered.injure(Fault::RowChanged).unwrap().unwrap()
    };

    assert!(place.what.contains("column note"), "{}", place.what);
    assert_eq!(places(&bench.equality(&mut *recovered)), ["shop: table public.odd"]);
    recovered.stop().unwrap();
    scratch.remove().unwrap();
}
