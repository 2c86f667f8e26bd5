//! Masking policies: what one hides from the login would be lost unseen.

use lifeboat::source::GapKind;

use crate::bench::{Bench, Kept, settings, start};
use crate::engine::SHOP;

#[test]
fn a_column_under_a_masking_policy_is_foreseen_and_never_captured() {
    let server = start();
    server.sql(SHOP);
    server.sql("CREATE TABLE shop.people (id INT, ssn VARCHAR(20) MASKING POLICY hide_ssn)");

    let refused = Bench::default().refusal(&settings(&server), &Kept::default());

    assert!(refused.contains("under a masking policy"), "{refused}");
    assert!(refused.contains("shop.people.ssn"), "{refused}");
    let foreseen = Bench::default().probe(&settings(&server)).unwrap_err();
    assert_eq!(lifeboat::ground::causes::chain(&foreseen), refused);
    server.sql("DROP TABLE shop.people");
    Bench::default().capture(&settings(&server), &Kept::default()).unwrap();
}

#[test]
fn policies_that_the_server_keeps_are_a_gap_of_what_was_captured() {
    let server = start();
    server.sql(SHOP);
    let has_gap = || {
        let capture = Bench::default().capture(&settings(&server), &Kept::default()).unwrap();
        capture.gaps().iter().any(|gap| gap.kind == GapKind::MaskingPolicies)
    };
    assert!(!has_gap(), "this server has no component that masks");
    // As that component keeps them.
    server.sql("CREATE TABLE mysql.column_masking_policies (policy_name VARCHAR(64) PRIMARY KEY)");
    assert!(!has_gap());
    server.sql("INSERT INTO mysql.column_masking_policies VALUES ('hide_ssn')");
    assert!(has_gap());
}
