//! Dumps that differ from their capture: never a pass, and the place is named.

use std::fs;

use lifeboat::source::Fault;

use crate::bench::{Captured, places, settings, start};
use crate::engine::{LIES, SHOP};

#[test]
fn whatever_is_missing_from_the_dump_or_differs_is_named() {
    for lies in LIES {
        let server = start();
        server.sql(SHOP);
        let captured = Captured::of(&server);
        for (lie, _) in lies {
            server.sql(lie);
        }
        captured.replace_files(&settings(&server));
        drop(server);

        let found = places(&captured.judged());

        for (lie, place) in lies {
            assert!(found.iter().any(|found| found.contains(place)), "{lie}: {found:?}");
        }
    }
}

#[test]
fn rows_that_swap_their_values_or_whose_bytes_move_between_columns_are_found() {
    let server = start();
    server.sql(SHOP);
    server.sql(
        "CREATE TABLE shop.pairs (id INT PRIMARY KEY, a VARCHAR(20), b VARCHAR(20));
         INSERT INTO shop.pairs VALUES (1, 'ab', 'c'), (2, 'x', 'y'), (3, NULL, '')",
    );
    for lie in [
        "UPDATE shop.pairs SET a = 'a', b = 'bc' WHERE id = 1",
        "UPDATE shop.pairs SET a = IF(id = 1, 'x', 'ab') WHERE id IN (1, 2)",
        "UPDATE shop.pairs SET a = '', b = NULL WHERE id = 3",
    ] {
        let captured = Captured::of(&server);
        server.sql(lie);
        captured.replace_files(&settings(&server));

        assert_eq!(places(&captured.judged()), ["shop: table pairs"], "{lie}");
    }
}

#[test]
fn a_dump_that_is_gone_cut_or_of_another_database_never_passes() {
    let server = start();
    server.sql(SHOP);
    server.sql("CREATE DATABASE other; CREATE TABLE other.t (a INT)");
    let wanted = lifeboat::policy::sources::ServerSettings {
        databases: vec!["other".to_owned(), "shop".to_owned()],
        ..settings(&server)
    };
    let captured = Captured::with(&server, &wanted);
    drop(server);
    let dump = captured.dump("shop");
    let whole = fs::read(&dump).unwrap();
    for length in [0, 3, whole.len() / 2, whole.len() - 400] {
        fs::write(&dump, &whole[..length]).unwrap();
        let found = places(&captured.judged());
        assert!(!found.is_empty(), "cut at {length}");
    }
    fs::copy(captured.dump("other"), &dump).unwrap();
    places(&captured.judged());
    fs::remove_file(&dump).unwrap();
    let told = format!("{:?}", captured.judged());
    assert!(told.contains("databases/shop.sql is missing"), "{told}");
    fs::write(&dump, &whole).unwrap();
    for file in ["grants.sql", "views.sql"] {
        let path = captured.data.join(file);
        let kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let told = format!("{:?}", captured.judged());
        assert!(told.contains(&format!("{file} is missing")), "{told}");
        fs::write(&path, kept).unwrap();
    }
}

#[test]
fn injuries_on_purpose_are_found_at_their_place_and_leave_no_trace() {
    let server = start();
    server.sql(SHOP);
    let captured = Captured::of(&server);
    drop(server);
    let scratch = captured.scratch();
    let mut recovered = captured.recover(&scratch).unwrap();

    for fault in [Fault::RowChanged, Fault::RowRemoved] {
        let place = captured.within(|| recovered.injure(fault).unwrap()).unwrap();
        let found = places(&captured.equality(&mut *recovered));
        assert_eq!(found, std::slice::from_ref(&place.object), "{fault:?}");
    }
    crate::bench::held(&captured.equality(&mut *recovered));
    captured.within(|| recovered.stop().unwrap());
}
