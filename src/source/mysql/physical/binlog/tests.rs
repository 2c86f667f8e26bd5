use super::*;

/// An event of `kind` with `body` bytes.
fn event(kind: u8, body: usize) -> Vec<u8> {
    let length = u32::try_from(HEAD as usize + body).unwrap().to_le_bytes();
    let head = [&[0, 0, 0, 0, kind, 1, 0, 0, 0], &length[..], &[0; 6]].concat();
    [head, vec![kind; body]].concat()
}

/// A folder with two logs, their names, and where the events of the first one end.
fn logs() -> (tempfile::TempDir, Vec<String>, Vec<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let mut ends = vec![4];
    let mut log = MAGIC.to_vec();
    for (kind, body) in [(FORMAT, 60), (GTID_LIST, 8), (2, 30), (16, 8), (2, 40)] {
        log.extend(event(kind, body));
        ends.push(log.len() as u64);
    }
    std::fs::write(folder.path().join("bin.000001"), &log).unwrap();
    std::fs::write(folder.path().join("bin.000002"), &log).unwrap();
    (folder, ["bin.000001", "bin.000002"].map(str::to_owned).to_vec(), ends)
}

fn at(file: &str, offset: u64) -> Position {
    Position { file: file.to_owned(), offset }
}

fn content(piece: Piece) -> Vec<u8> {
    let (bytes, mut content) = (piece.bytes(), Vec::new());
    let mut stream = Box::new(piece).open().unwrap();
    stream.read_to_end(&mut content).unwrap();
    stream.finish().unwrap();
    assert_eq!(content.len() as u64, bytes);
    content
}

#[test]
fn a_piece_is_the_logs_head_and_the_events_between_the_positions() {
    let (folder, names, ends) = logs();

    let found =
        pieces(folder.path(), &names, &at("bin.000001", ends[3]), &at("bin.000002", ends[4]));

    let [first, second] = <[Piece; 2]>::try_from(found.unwrap()).unwrap();
    let whole = std::fs::read(folder.path().join("bin.000001")).unwrap();
    let (head, third) = (ends[2] as usize, ends[3] as usize);
    assert_eq!(content(first), [&whole[..head], &whole[third..]].concat());
    assert_eq!(content(second), whole[..ends[4] as usize]);
}

#[test]
fn nothing_between_is_a_piece_without_events() {
    let (folder, names, ends) = logs();
    let here = at("bin.000001", ends[4]);

    let found = pieces(folder.path(), &names, &here, &here).unwrap();

    assert_eq!(found[0].bytes(), ends[2]);
}

#[test]
fn logs_that_are_gone_torn_encrypted_or_none_are_refused_by_name() {
    let (folder, names, ends) = logs();
    let between = |from: Position, to: Position| {
        pieces(folder.path(), &names, &from, &to).map(|_| ()).unwrap_err()
    };
    let path = folder.path().join("bin.000001");
    let within = ends[4] + 3;

    let torn = between(at("bin.000001", ends[3]), at("bin.000001", within));
    assert!(matches!(torn, Error::Torn { wanted, .. } if wanted == within), "{torn}");
    let torn = between(at("bin.000001", within), at("bin.000002", ends[4]));
    assert!(matches!(torn, Error::Torn { .. }), "{torn}");
    let back = between(at("bin.000002", ends[3]), at("bin.000001", ends[3]));
    assert!(matches!(back, Error::Torn { .. }), "{back}");
    let gone = between(at("bin.000000", ends[3]), at("bin.000001", ends[3]));
    assert!(matches!(gone, Error::Gone { wanted } if wanted == "bin.000000"));
    let all = |bytes: Vec<u8>| {
        std::fs::write(&path, bytes).unwrap();
        between(at("bin.000001", ends[3]), at("bin.000001", ends[4]))
    };
    let encrypted = all([&MAGIC[..], &event(FORMAT, 60), &event(ENCRYPTED, 30)].concat());
    assert!(matches!(encrypted, Error::Encrypted { .. }), "{encrypted}");
    assert!(matches!(all(b"text".to_vec()), Error::NoLog { .. }));
}

#[test]
fn positions_are_read_as_servers_and_copies_tell_them() {
    assert_eq!(Position::read("bin.000001:4711"), Some(at("bin.000001", 4711)));
    let info = "bin.000001\t7632533\t0-1-9\n";
    assert_eq!(Position::read_info(info), Some(at("bin.000001", 7_632_533)));
    for none in ["", "bin.000001", "../x:4", ":4", "a:b"] {
        assert_eq!(Position::read(none), None, "{none}");
    }
}
