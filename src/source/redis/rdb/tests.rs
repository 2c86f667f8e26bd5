use super::*;

/// Of Redis 7.0.15: every type in every encoding, in two databases.
const EVERYTHING: &[u8] = include_bytes!("../../../../fuzz/seeds/rdb/7.0");

fn contents(bytes: &[u8]) -> Contents {
    read(&mut &*bytes).unwrap()
}

#[test]
fn every_type_is_counted_by_database_type_and_expiry() {
    let contents = contents(EVERYTHING);

    let rows: Vec<_> =
        contents.parts.iter().map(|(name, part)| (name.as_str(), part.rows)).collect();
    assert_eq!(
        rows,
        [
            ("db0: hash", 2),
            ("db0: list", 3),
            ("db0: set", 4),
            ("db0: sorted set", 2),
            ("db0: stream", 1),
            ("db0: string", 8),
            ("db0: string with expiry", 1),
            ("db3: hash with expiry", 1),
            ("db3: string", 1),
        ]
    );
    assert_eq!(contents.schema.keys().collect::<Vec<_>>(), ["library mylib"]);
    assert_eq!((contents.version, contents.databases), (10, 4));
    assert!(contents.is_summed && contents.modules.is_empty());
}

#[test]
fn other_servers_that_loaded_it_write_the_same_values() {
    let (redis, valkey) = (
        contents(include_bytes!("../../../../fuzz/seeds/rdb/8.0-same")),
        contents(include_bytes!("../../../../fuzz/seeds/rdb/valkey-8.1-same")),
    );

    let here = contents(EVERYTHING);
    for other in [&redis, &valkey] {
        assert_eq!((&other.parts, &other.schema), (&here.parts, &here.schema));
    }
    assert_eq!((redis.version, valkey.version), (12, 11));
}

#[test]
fn fields_of_a_hash_that_expire_are_read_in_both_encodings() {
    let eight = contents(include_bytes!("../../../../fuzz/seeds/rdb/8.0"));

    assert_eq!(eight.parts["db0: hash"].rows, 4);
    let small = |expiry: u8| {
        // One field, its value, and when it expires.
        let listpack = [16, 0, 0, 0, 3, 0, 0x81, b'f', 2, 1, 1, expiry, 1, 0xff];
        [&[0; 8][..], &text(&listpack)].concat()
    };
    let large = |after: u8| {
        let earliest = 50u64.to_le_bytes();
        [&earliest[..], &[1, after], &text(b"f"), &text(b"1")].concat()
    };
    let plain = [&[1][..], &text(b"f"), &text(b"1")].concat();
    let of = |code, value: Vec<u8>| contents(&holding(code, &value)).parts;
    assert_eq!(of(25, small(59)), of(24, large(10)));
    assert_ne!(of(25, small(59)), of(24, large(11)));
    assert_eq!(of(25, small(0)), of(4, plain.clone()));
    assert_eq!(of(24, large(0)), of(4, plain));
}

#[test]
fn a_data_set_cut_anywhere_is_cut_and_never_another_one() {
    for length in (0..EVERYTHING.len()).step_by(67).chain(EVERYTHING.len() - 20..EVERYTHING.len()) {
        let error = read(&mut &EVERYTHING[..length]).unwrap_err();
        assert!(matches!(error, Damaged::Cut { .. }), "{length}: {error:?}");
    }
    let longer = [EVERYTHING, b"x"].concat();
    assert!(matches!(read(&mut &*longer), Err(Damaged::Trailing)));
}

#[test]
fn a_flipped_bit_is_never_missed() {
    for at in (0..EVERYTHING.len()).step_by(41).chain(EVERYTHING.len() - 20..EVERYTHING.len()) {
        let mut flipped = EVERYTHING.to_vec();
        flipped[at] ^= 1 << (at % 8);
        assert!(read(&mut &*flipped).is_err(), "bit {} of byte {at}", at % 8);
    }
}

#[test]
fn a_checksum_that_the_server_did_not_write_is_told() {
    let mut unsummed = EVERYTHING.to_vec();
    let end = unsummed.len() - 8;
    unsummed[end..].fill(0);

    let read = contents(&unsummed);

    assert!(!read.is_summed);
    assert_eq!(read.parts, contents(EVERYTHING).parts);
}

/// A data set of the value that `code` announces, under the key `k`, without a checksum.
fn holding(code: u8, value: &[u8]) -> Vec<u8> {
    [b"REDIS0010", &[code, 1, b'k'][..], value, &[255], &[0; 8]].concat()
}

/// A short string.
fn text(bytes: &[u8]) -> Vec<u8> {
    [&[bytes.len() as u8], bytes].concat()
}

#[test]
fn values_are_equal_in_whatever_order_and_encoding_they_stand() {
    // `{1, 2}`: a table, the other way around, as integers, as a listpack.
    let listpack = [11, 0, 0, 0, 2, 0, 1, 1, 2, 1, 0xff];
    let integers = [2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 2, 0];
    let sets = [
        holding(2, &[&[2][..], &text(b"1"), &text(b"2")].concat()),
        holding(2, &[2, 0xc0, 2, 0xc0, 1]),
        holding(11, &text(&integers)),
        holding(20, &text(&listpack)),
    ];
    for set in &sets[1..] {
        assert_eq!(contents(set).parts, contents(&sets[0]).parts);
    }
    let other = holding(2, &[&[2][..], &text(b"1"), &text(b"3")].concat());
    assert_ne!(contents(&other).parts, contents(&sets[0]).parts);

    let hashes =
        [holding(4, &[&[1][..], &text(b"1"), &text(b"2")].concat()), holding(16, &text(&listpack))];
    assert_eq!(contents(&hashes[0]).parts, contents(&hashes[1]).parts);
    let sorted = [
        holding(5, &[&[1][..], &text(b"1"), &2f64.to_le_bytes()].concat()),
        holding(17, &text(&listpack)),
    ];
    assert_eq!(contents(&sorted[0]).parts, contents(&sorted[1]).parts);
    // A list has an order.
    let lists = [[1, 1, 0xc0, 1, 1, 0xc0, 2], [1, 1, 0xc0, 2, 1, 0xc0, 1]]
        .map(|list| contents(&holding(18, &[&[2][..], &list[1..]].concat())).parts);
    assert_ne!(lists[0], lists[1]);
}

#[test]
fn a_packed_string_is_the_string_that_it_unpacks_to() {
    // One literal byte, and a reference to it 19 times over.
    let packed = [0xc3, 5, 20, 0, b'a', 0xe0, 10, 0];
    let plain = holding(0, &text(&[b'a'; 20]));

    assert_eq!(contents(&holding(0, &packed)).parts, contents(&plain).parts);
    for damaged in [[0xc3, 5, 19, 0, b'a', 0xe0, 10, 0], [0xc3, 5, 20, 0, b'a', 0xe0, 10, 1]] {
        assert!(matches!(read(&mut &*holding(0, &damaged)), Err(Damaged::Malformed { .. })));
    }
}

#[test]
fn what_is_not_known_is_an_error_and_never_passed_over() {
    for code in [1, 3, 6, 9, 10, 12, 13, 14, 15, 22, 23, 26, 100, 243, 246, 253] {
        let error = read(&mut &*holding(code, &text(b"v"))).unwrap_err();
        assert!(matches!(error, Damaged::UnknownType { .. }), "{code}: {error:?}");
    }
    for (begin, version) in [(&b"REDIS0009"[..], 9), (b"REDIS0013", 13)] {
        let error = read(&mut &*[begin, &[255]].concat()).unwrap_err();
        assert!(matches!(error, Damaged::Version { found } if found == version), "{error:?}");
    }
    for begin in ["VALKEY080", "REDIS 10?", "PGDMP....."] {
        assert!(matches!(read(&mut begin.as_bytes()), Err(Damaged::NotRdb)));
    }
}

#[test]
fn the_data_of_modules_is_told_and_compared_as_it_is() {
    let id = 0x81u8;
    // The number 0 is the name `AAAAAAAAA`, in version 0.
    let number = [id, 0, 0, 0, 0, 0, 0, 0, 0];
    let value = |last: u8| holding(7, &[&number[..], &[2, last, 5, 1, b'x', 0]].concat());

    let read = contents(&value(9));

    assert_eq!(read.modules.iter().collect::<Vec<_>>(), ["AAAAAAAAA"]);
    assert_eq!(read.parts.keys().collect::<Vec<_>>(), ["db0: module AAAAAAAAA"]);
    assert_ne!(read.parts, contents(&value(8)).parts);
}
