//! What `pg_amcheck` prints, read.
//!
//! In: its output, with names that whoever wrote the restored data chose. Out: places, without values.

use super::values::without_values;
use super::{Place, readable};

/// What `pg_amcheck` printed: a line that names a relation of `database`, then indented ones that
/// say what is wrong with it.
pub(super) fn places(printed: &str, database: &str) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for line in printed.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some(place) = places.last_mut()
                && place.what.is_empty()
            {
                place.what = without_values(line.trim());
            }
        } else if let Some(object) = object(line, database) {
            places.push(Place { object, what: String::new() });
        }
    }
    places
}

/// `heap table "shop.public.orders", block 1, offset 2:` is `shop: table public.orders`.
fn object(line: &str, database: &str) -> Option<String> {
    let (kind, rest) = line.split_once(" \"")?;
    let kind = match kind {
        "heap table" => "table",
        "btree index" => "index",
        _ => return None,
    };
    let end = rest.rfind('"')?;
    let name = rest[..end].strip_prefix(database)?.strip_prefix('.')?;
    Some(format!("{}: {kind} {name}", readable(database)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_name_their_relation() {
        let printed = "heap table \"shop.public.orders\", block 1, offset 2:\n    xmin 5 precedes \
                       x\nbtree index \"shop.public.orders_pkey\":\n    ERROR:  item \"4111\" order\n    \
                       DETAIL:  more\n";

        let found = places(printed, "shop");

        let found: Vec<_> =
            found.iter().map(|place| (place.object.as_str(), place.what.as_str())).collect();
        let expected = [
            ("shop: table public.orders", "xmin 5 precedes x"),
            ("shop: index public.orders_pkey", "ERROR:  item \"…\" order"),
        ];
        assert_eq!(found, expected);
    }
}
