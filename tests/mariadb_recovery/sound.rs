//! What a recovered server answers, and how it ends.

use std::time::{Duration, Instant};

use lifeboat::source::{Cell, Trouble};

use crate::bench::{Captured, held, nothing_of, start};
use crate::engine::SHOP;

const PATIENT: Duration = Duration::from_secs(60);

fn recovered_shop() -> Captured {
    let server = start();
    server.sql(SHOP);
    Captured::of(&server)
}

#[test]
fn a_recovered_server_answers_reads_alone_and_in_time() {
    let captured = recovered_shop();
    let scratch = captured.scratch();
    let mut recovered = captured.recover(&scratch).unwrap();
    let mut ask = |sql: &str, limit| captured.within(|| recovered.query(None, sql, limit));

    let rows = ask("SELECT COUNT(*), MAX(total), MIN(note) FROM orders", PATIENT).unwrap();
    assert_eq!(rows.rows[0][0], Cell::Integer(2000));
    assert_eq!(rows.rows[0][1], Cell::Real(2000.0));
    let joined =
        ask("SELECT a.id, b.id FROM orders a JOIN paid b ON a.id = b.id", PATIENT).unwrap();
    assert_eq!((joined.rows.len(), joined.columns.len()), (50, 2));
    for writing in ["DELETE FROM orders", "DROP TABLE orders", "CREATE TABLE x (a INT)"] {
        assert!(matches!(ask(writing, PATIENT), Err(Trouble::Environment(_))), "{writing}");
    }
    assert!(matches!(ask("SELECT * FROM gone", PATIENT), Err(Trouble::Data(_))));
    assert!(matches!(ask("SELEC 1", PATIENT), Err(Trouble::Environment(_))));
    let begun = Instant::now();
    let late = ask("SELECT SLEEP(50)", Duration::from_secs(1)).unwrap_err();
    assert!(matches!(late, Trouble::Environment(_)), "{late:?}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let large = ask("SELECT REPEAT('x', 100000) FROM orders", PATIENT).unwrap_err();
    assert!(matches!(large, Trouble::Environment(_)), "{large:?}");

    let checked = captured.self_check(&mut *recovered);
    assert_eq!(held(&checked), 4, "tables");
    assert!(held(&captured.equality(&mut *recovered)) > 2000);
    captured.within(|| recovered.stop().unwrap());
}

#[test]
fn a_server_that_is_left_alone_dies_with_the_scratch() {
    let captured = recovered_shop();
    let scratch = captured.scratch();
    let recovered = captured.recover(&scratch).unwrap();
    let token = scratch.token().to_owned();
    assert!(!nothing_of(&token));

    drop(recovered);
    scratch.remove().unwrap();

    assert!(nothing_of(&token));
}
