//! Archives written here byte by byte as pg_dump writes them, then damaged.

use super::super::sequences::SequenceValue;
use super::*;

/// An integer of four bytes with its sign.
fn int(number: i64) -> Vec<u8> {
    let mut bytes = vec![u8::from(number < 0)];
    bytes.extend(u32::try_from(number.unsigned_abs()).unwrap().to_le_bytes());
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [int(text.len() as i64), text.as_bytes().to_vec()].concat()
}

fn entry(minor: u8, id: i64, has_data: bool, kind: &str, name: &str, definition: &str) -> Vec<u8> {
    let mut bytes = [int(id), int(has_data.into()), text("1259"), text("1")].concat();
    bytes.extend([text(name), text(kind), int(3), text(definition), text(""), text("")].concat());
    bytes.extend([text("public"), text(""), text("")].concat());
    if minor >= 16 {
        bytes.extend(int(114));
    }
    bytes.extend([text("owner"), text("false"), text("7"), int(-1)].concat());
    bytes.extend([1; 9]);
    bytes
}

/// A header, one table with data, a sequence, large objects.
fn head(minor: u8) -> Vec<u8> {
    let mut bytes = [b"PGDMP".as_slice(), &[1, minor, 0, 4, 8, 1]].concat();
    bytes.extend(if minor >= 15 { vec![0] } else { int(0) });
    bytes.extend((0..7).flat_map(int));
    bytes.extend([text("shop"), text("15.20"), text("15.20"), int(3)].concat());
    bytes.extend(entry(minor, 11, true, "TABLE DATA", "orders", ""));
    let set = "SELECT pg_catalog.setval('public.numbers, 1', 42, true);\n";
    bytes.extend(entry(minor, 12, false, "SEQUENCE SET", "numbers", set));
    bytes.extend(entry(minor, 13, true, "BLOBS", "BLOBS", ""));
    bytes
}

fn rows(pieces: &[&str]) -> Vec<u8> {
    [vec![1], int(11), pieces.iter().flat_map(|piece| text(piece)).collect(), int(0)].concat()
}

fn large_objects() -> Vec<u8> {
    [vec![3], int(13), int(70_001), text("abc"), int(0), int(70_002), int(0), int(0)].concat()
}

/// Reads an archive that comes in pieces of `piece` bytes.
fn read(bytes: &[u8], piece: usize) -> Result<Contents, Damaged> {
    let mut archive = Archive::default();
    for bytes in bytes.chunks(piece) {
        archive.feed(bytes)?;
    }
    archive.finish()
}

fn whole(minor: u8) -> Vec<u8> {
    let rows = rows(&["1\ta\n", "2\tb\\n\n", "\\", ".\n\n", "\n"]);
    [head(minor), rows, large_objects()].concat()
}

#[test]
fn what_an_archive_holds_is_counted_however_it_is_cut() {
    for minor in [14, 15, 16] {
        for piece in [1, 2, 7, 100_000] {
            let contents = read(&whole(minor), piece).unwrap();

            let (orders, numbers) = (hex::encode("orders"), hex::encode("numbers"));
            let public = hex::encode("public");
            assert_eq!(contents.tables[&format!("{public}.{orders}")], 2);
            let value = SequenceValue { last: 42, is_called: true };
            assert_eq!(contents.sequences[&format!("{public}.{numbers}")], value);
            assert_eq!(contents.large_objects, 2);
            assert_eq!(contents.bytes, whole(minor).len() as u64);
        }
    }
}

#[test]
fn an_archive_that_is_cut_short_anywhere_is_not_whole() {
    let whole = whole(14);
    for end in 0..whole.len() {
        assert!(read(&whole[..end], 1000).is_err(), "cut at {end} of {}", whole.len());
    }
}

#[test]
fn data_that_are_missing_foreign_or_come_twice_are_told() {
    let (head, rows, blobs) = (head(14), rows(&["1\n\\.\n\n\n"]), large_objects());

    let error = read(&[head.clone(), blobs.clone()].concat(), 1000).unwrap_err();
    assert!(matches!(&error, Damaged::Missing { entry } if entry.contains("orders")), "{error}");
    let error = read(&[head.clone(), rows.clone(), rows].concat(), 1000).unwrap_err();
    assert!(matches!(error, Damaged::Twice { .. }), "{error}");
    let foreign = [vec![1], int(12), int(0)].concat();
    let error = read(&[head.clone(), foreign].concat(), 1000).unwrap_err();
    assert!(matches!(error, Damaged::Unannounced { id: 12 }), "{error}");
    let unended = self::rows(&["1\n2\n"]);
    let error = read(&[head.clone(), unended, blobs].concat(), 1000).unwrap_err();
    assert!(matches!(error, Damaged::BadEnd { .. }), "{error}");
    let error = read(&[head, vec![9]].concat(), 1000).unwrap_err();
    assert!(matches!(error, Damaged::BadBlock), "{error}");
}

#[test]
fn other_formats_versions_and_compression_are_refused() {
    for (at, byte) in [(0, b'X'), (5, 2), (6, 13), (6, 17), (10, 3), (8, 9), (12, 6)] {
        let mut bytes = whole(14);
        bytes[at] = byte;
        assert!(read(&bytes, 1000).is_err(), "byte {at} is {byte}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_reading_panic(
        at in 0usize..400,
        byte in proptest::prelude::any::<u8>(),
        noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40),
    ) {
        let mut bytes = whole(16);
        let at = at.min(bytes.len() - 1);
        bytes[at] = byte;
        bytes.extend(noise);
        let _ = read(&bytes, 13);
    }
}
