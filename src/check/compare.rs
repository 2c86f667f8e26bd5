//! Equality: the fingerprint of what came back against the one taken at capture.

use std::cmp::Ordering;

use crate::source::{Fingerprint, Kind, Place};

use super::{Outcome, Why};

/// Compares two fingerprints of a source of `kind`; every part and object that differs is a place.
///
/// What was compared are the rows or entries captured: without one there is nothing to compare.
/// Nothing is known where another version of lifeboat took the captured one in another way.
pub fn compare(kind: Kind, captured: &Fingerprint, restored: &Fingerprint) -> Outcome {
    if let Some(doubt) = of_other_version(kind, captured) {
        return doubt;
    }
    let (prefix, items) = match kind {
        Kind::Files => ("path ", "entries"),
        Kind::Sqlite => ("table ", "rows"),
        // Its parts say themselves what they are.
        Kind::Postgres | Kind::Mariadb | Kind::Mysql => ("", "rows"),
        Kind::Redis => ("", "keys"),
        Kind::Command => ("part ", "entries"),
    };
    let mut places = Vec::new();
    let mut compared = 0u64;
    for (name, was) in &captured.parts {
        compared = compared.saturating_add(was.rows);
        let what = match restored.parts.get(name) {
            None => "is missing".to_owned(),
            Some(is) if is.rows != was.rows => {
                format!("has {} {items} instead of {}", is.rows, was.rows)
            }
            Some(is) if is.hash != was.hash => {
                format!("has other content in as many {items} ({})", was.rows)
            }
            Some(_) => continue,
        };
        places.push(Place { object: format!("{prefix}{name}"), what });
    }
    let added = restored.parts.keys().filter(|name| !captured.parts.contains_key(*name));
    places.extend(added.map(|name| Place {
        object: format!("{prefix}{name}"),
        what: "was not there at capture".to_owned(),
    }));
    for (object, was) in &captured.schema {
        let what = match restored.schema.get(object) {
            None => "is missing from the schema",
            Some(is) if is != was => "is defined in another way",
            Some(_) => continue,
        };
        places.push(Place { object: object.clone(), what: what.to_owned() });
    }
    let added = restored.schema.keys().filter(|object| !captured.schema.contains_key(*object));
    places.extend(added.map(|object| Place {
        object: object.clone(),
        what: "was not in the schema at capture".to_owned(),
    }));
    Outcome::of(compared, places)
}

/// Compares as [`compare`] does where the restored side is of a newer major version: definitions that
/// this one tells in other words (`is_retold`) are left out where both sides have the object, and named.
pub fn compare_upgraded(
    kind: Kind,
    captured: &Fingerprint,
    restored: &Fingerprint,
    is_retold: impl Fn(&str) -> bool,
) -> (Outcome, Vec<String>) {
    let differs = |object: &&String| {
        let is = restored.schema.get(*object);
        is.is_some_and(|is| captured.schema.get(*object) != Some(is)) && is_retold(object)
    };
    let retold: Vec<String> = captured.schema.keys().filter(differs).cloned().collect();
    let (mut was, mut is) = (captured.clone(), restored.clone());
    for object in &retold {
        was.schema.remove(object);
        is.schema.remove(object);
    }
    let outcome = match compare(kind, &was, &is) {
        Outcome::Held { .. } if !retold.is_empty() => {
            Outcome::not_run(Why::Retold, told_otherwise(&retold))
        }
        outcome => outcome,
    };
    (outcome, retold)
}

/// Names of definitions that are listed.
const MOST_RETOLD: usize = 10;

fn told_otherwise(retold: &[String]) -> String {
    let listed = retold.iter().take(MOST_RETOLD).cloned().collect::<Vec<_>>().join(", ");
    let more = retold.len().saturating_sub(MOST_RETOLD);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!(
        "rows and all else are equal, and {} definitions are told in other words by the newer version, \
         so that they cannot be compared: {listed}{more}",
        retold.len()
    )
}

fn of_other_version(kind: Kind, captured: &Fingerprint) -> Option<Outcome> {
    let (was, is) = (captured.version, kind.fingerprint_version());
    let what_to_do = match was.cmp(&is) {
        Ordering::Equal => return None,
        Ordering::Less => "back up anew, then drill",
        Ordering::Greater => "drill with the lifeboat that took it, or a newer one",
    };
    let what = format!(
        "its fingerprint was taken in version {was} of {kind}'s, this lifeboat computes version \
         {is}, and the two cannot be compared: {what_to_do}"
    );
    Some(Outcome::not_run(Why::NotApplicable, what))
}

#[cfg(test)]
mod tests {
    use super::super::NotRun;
    use super::*;
    use crate::ground::digest::Digest;
    use crate::source::Part;

    fn print(kind: Kind, parts: &[(&str, u64, &str)], schema: &[(&str, &str)]) -> Fingerprint {
        let part = |rows, content: &str| Part { rows, hash: Digest::of(content.as_bytes()) };
        Fingerprint {
            parts: parts
                .iter()
                .map(|(name, rows, content)| ((*name).into(), part(*rows, content)))
                .collect(),
            schema: schema
                .iter()
                .map(|(name, sql)| ((*name).into(), Digest::of(sql.as_bytes())))
                .collect(),
            ..Fingerprint::empty(kind)
        }
    }

    fn places(captured: &Fingerprint, restored: &Fingerprint) -> Vec<(String, String)> {
        match compare(Kind::Sqlite, captured, restored) {
            Outcome::Broke(broken) => broken
                .places()
                .iter()
                .map(|place| (place.object.clone(), place.what.clone()))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn equal_fingerprints_hold_over_all_their_rows() {
        let print = print(Kind::Sqlite, &[("a", 3, "x"), ("b", 4, "y")], &[("table a", "")]);

        let Outcome::Held { compared } = compare(Kind::Sqlite, &print, &print) else { panic!() };
        assert_eq!(compared.get(), 7);
    }

    #[test]
    fn a_newer_version_may_tell_views_otherwise_and_nothing_else() {
        let captured =
            print(Kind::Postgres, &[("a", 3, "x")], &[("view v", "long"), ("table a", "t")]);
        let is_view = |object: &str| object.starts_with("view ");
        let upgraded =
            |restored: &Fingerprint| compare_upgraded(Kind::Postgres, &captured, restored, is_view);

        assert_eq!(upgraded(&captured), (Outcome::of(3, []), vec![]));
        let retold =
            print(Kind::Postgres, &[("a", 3, "x")], &[("view v", "short"), ("table a", "t")]);
        let (outcome, named) = upgraded(&retold);
        assert!(matches!(outcome, Outcome::NotRun(NotRun { why: Why::Retold, .. })), "{outcome:?}");
        assert_eq!(named, ["view v"]);
        for (parts, schema) in [
            (("a", 3, "y"), [("view v", "short"), ("table a", "t")]),
            (("a", 3, "x"), [("view w", "short"), ("table a", "t")]),
            (("a", 3, "x"), [("view v", "short"), ("table a", "u")]),
        ] {
            let (outcome, _) = upgraded(&print(Kind::Postgres, &[parts], &schema));
            assert!(matches!(outcome, Outcome::Broke(_)), "{parts:?} {schema:?}: {outcome:?}");
        }
    }

    #[test]
    fn every_difference_is_named() {
        let captured = print(
            Kind::Sqlite,
            &[("a", 3, "x"), ("b", 4, "y"), ("c", 1, "z")],
            &[("index i", "1"), ("view v", "2")],
        );
        let restored = print(
            Kind::Sqlite,
            &[("a", 2, "x"), ("b", 4, "Y"), ("d", 0, "")],
            &[("index i", "9"), ("trigger t", "3")],
        );

        let found = places(&captured, &restored);
        let found: Vec<_> = found.iter().map(|(o, w)| (o.as_str(), w.as_str())).collect();
        assert_eq!(
            found,
            [
                ("table a", "has 2 rows instead of 3"),
                ("table b", "has other content in as many rows (4)"),
                ("table c", "is missing"),
                ("table d", "was not there at capture"),
                ("index i", "is defined in another way"),
                ("view v", "is missing from the schema"),
                ("trigger t", "was not in the schema at capture"),
            ]
        );
    }

    #[test]
    fn parts_of_a_server_say_themselves_what_they_are() {
        let captured = print(
            Kind::Postgres,
            &[("shop: table public.a", 3, "x"), ("shop: sequence s", 1, "1")],
            &[],
        );
        let restored = print(
            Kind::Postgres,
            &[("shop: table public.a", 3, "X"), ("shop: sequence s", 1, "2")],
            &[],
        );

        let Outcome::Broke(broken) = compare(Kind::Postgres, &captured, &restored) else {
            panic!()
        };
        let objects: Vec<_> = broken.places().iter().map(|place| place.object.as_str()).collect();
        assert_eq!(objects, ["shop: sequence s", "shop: table public.a"]);
    }

    #[test]
    fn fingerprints_of_two_versions_are_neither_equal_nor_different() {
        let now = print(
            Kind::Postgres,
            &[("shop: table public.a", 3, "x")],
            &[("shop: table public.a", "1")],
        );
        let other = print(Kind::Postgres, &[("shop: table public.a", 4, "y")], &[]);
        for (version, what_to_do) in [(0, "back up anew"), (1, "back up anew"), (3, "a newer one")]
        {
            for captured in [&now, &other] {
                let captured = Fingerprint { version, ..captured.clone() };

                let outcome = compare(Kind::Postgres, &captured, &now);

                let Outcome::NotRun(NotRun { why, what }) = outcome else { panic!("{outcome:?}") };
                assert_eq!(why, Why::NotApplicable);
                for told in [&format!("version {version}"), "version 2", what_to_do] {
                    assert!(what.contains(told), "{told}: {what}");
                }
            }
        }
    }

    #[test]
    fn a_fingerprint_that_does_not_say_its_version_is_of_the_first() {
        let read: Fingerprint = serde_json::from_str(r#"{"parts":{},"schema":{}}"#).unwrap();

        assert_eq!(read.version, 1);
        assert_eq!(Fingerprint::empty(Kind::Files), read, "files are summarised as they ever were");
        assert!(serde_json::to_string(&read).unwrap().contains(r#""version":1"#));
    }

    #[test]
    fn empty_fingerprints_are_nothing_to_compare() {
        for nothing in [
            print(Kind::Sqlite, &[], &[]),
            print(Kind::Sqlite, &[("a", 0, "")], &[("table a", "")]),
        ] {
            let outcome = compare(Kind::Sqlite, &nothing, &nothing);
            assert!(matches!(outcome, Outcome::NotRun(NotRun { why: Why::NothingToCompare, .. })));
        }
    }
}
