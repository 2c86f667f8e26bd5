//! Whatever of a recovered database differs from its capture is seen, and named where it is.

use crate::fingerprint::{differences, of, with_everything};
use crate::servers::postgres::SUPERUSER;

#[test]
fn a_change_of_rows_roles_or_grants_is_seen_and_named() {
    each_is_seen(15, include_str!("changes/access.sql"));
}

#[test]
fn a_change_of_tables_or_what_hangs_on_them_is_seen_and_named() {
    each_is_seen(15, include_str!("changes/tables.sql"));
}

#[test]
fn a_change_of_any_other_object_is_seen_and_named() {
    each_is_seen(15, include_str!("changes/objects.sql"));
}

#[test]
fn a_change_of_what_only_the_newest_version_has_is_seen_and_named() {
    each_is_seen(18, include_str!("changes/newest.sql"));
}

/// Makes one change after the other; each must be seen at the object that stands above it.
fn each_is_seen(major: u32, changes: &str) {
    let server = with_everything(major);
    let mut before = of(&server);
    let mut wrong = Vec::new();
    for change in changes.split("\n-- ").skip(1) {
        let (place, statement) = change.split_once('\n').unwrap();
        if let Err(refused) = server.psql_as(SUPERUSER, "shop", statement) {
            wrong.push(refused);
        }
        let after = of(&server);
        let found = differences(&before, &after);
        if !found.iter().any(|object| object == place) {
            wrong.push(format!("{statement}: {found:?} instead of {place}"));
        }
        before = after;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
