//! Many threads at one content, and many threads at one fetch.

use std::collections::VecDeque;

use super::*;

/// Takes whatever is lent; who helps is told by the test.
#[derive(Default)]
struct Lent(Mutex<VecDeque<Piece>>, AtomicUsize);

impl Hands for Lent {
    fn are_free(&self) -> bool {
        true
    }

    fn lend(&self, piece: Piece) {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.lock().unwrap().push_back(piece);
    }

    fn take_back(&self) -> Option<Piece> {
        self.0.lock().unwrap().pop_front()
    }
}

#[test]
fn a_content_whose_pieces_others_store_is_the_same_content() {
    let bytes = noise(20 << 20);
    let bench = Bench::new();
    let writer = bench.writer();
    let alone = writer.store_content(&mut &bytes[..]).unwrap();
    bench.finish(writer).unwrap();

    let other = Bench::new();
    let (writer, lent, done) = (other.writer(), Lent::default(), AtomicBool::new(false));
    let shared = std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    lent.take_back().into_iter().for_each(|piece| writer.store_piece(piece));
                }
            });
        }
        let shared = writer.store_content_with(&mut &bytes[..], Shape::Unknown, &lent);
        done.store(true, Ordering::SeqCst);
        shared.unwrap()
    });
    other.finish(writer).unwrap();

    assert_eq!(shared, alone);
    assert_eq!(lent.1.into_inner(), alone.ids.len() - 1, "the last piece is nobody else's");
    let got = other.fetch(&other.reader(), &shared.ids).unwrap();
    let joined: Vec<u8> =
        shared.ids.iter().flat_map(|id| got[id].as_ref().unwrap()).copied().collect();
    assert!(joined == bytes, "the pieces are not the content");
}

#[test]
fn who_cuts_stores_what_nobody_came_for() {
    let bench = Bench::new();
    let writer = bench.writer();

    let stored = writer
        .store_content_with(&mut &noise(20 << 20)[..], Shape::Unknown, &Lent::default())
        .unwrap();

    assert_eq!((stored.size, stored.added), (20 << 20, 20 << 20));
    bench.finish(writer).unwrap();
}

#[test]
fn a_piece_that_is_dropped_fails_its_content_and_keeps_nobody_waiting() {
    struct Loses;
    impl Hands for Loses {
        fn are_free(&self) -> bool {
            true
        }
        fn lend(&self, piece: Piece) {
            drop(piece);
        }
        fn take_back(&self) -> Option<Piece> {
            None
        }
    }
    let bench = Bench::new();

    let error = bench
        .writer()
        .store_content_with(&mut &noise(20 << 20)[..], Shape::Unknown, &Loses)
        .unwrap_err();

    assert!(matches!(error, StoreError::Repository(WriteError::PieceAbandoned)), "{error:?}");
}

/// Everything that pouring `wanted` handed over, by its position.
fn poured(
    bench: &Bench,
    reader: &Reader,
    wanted: &[BlobId],
) -> Result<Vec<Option<Result<Vec<u8>, ReadError>>>, ReadError> {
    let got = Mutex::new((0..wanted.len()).map(|_| None).collect::<Vec<_>>());
    let _inside = bench.runtime.enter();
    reader.pour(BlobKind::Data, wanted, Unreadable::Ends, &|| {
        Box::new(|positions, outcome| {
            let mut outcome = Some(outcome.map(<[u8]>::to_vec));
            for (turn, at) in positions.iter().enumerate() {
                let this = match &outcome {
                    Some(Ok(bytes)) => Ok(bytes.clone()),
                    _ if turn == 0 => outcome.take().unwrap(),
                    _ => Err(ReadError::NotIndexed { blob: wanted[*at as usize] }),
                };
                let before = got.lock().unwrap()[*at as usize].replace(this);
                assert!(before.is_none(), "position {at} came twice");
            }
            ControlFlow::Continue(())
        })
    })?;
    Ok(got.into_inner().unwrap())
}

#[test]
fn every_position_is_poured_once_however_often_a_blob_is_wanted() {
    let bench = Bench::new();
    let text = b"a line of text\n".repeat(300_000);
    let (_, contents) = bench.back_up(&[("/a", &noise(9 << 20)), ("/b", &text), ("/c", b"1")]);
    let unknown = BlobId(crate::ground::digest::Digest::ZERO);
    let all: Vec<BlobId> = contents.into_iter().flatten().collect();
    let wanted: Vec<_> = all.iter().chain(&[unknown]).chain(&all).copied().collect();

    let got = poured(&bench, &bench.reader(), &wanted).unwrap();

    for (id, outcome) in wanted.iter().zip(got) {
        match outcome.unwrap() {
            Ok(bytes) => assert_eq!(BlobId(crate::ground::digest::Digest::of(&bytes)), *id),
            Err(error) => {
                assert_eq!(*id, unknown);
                assert!(matches!(error, ReadError::NotIndexed { .. }), "{error:?}");
            }
        }
    }
}

#[test]
fn a_store_out_of_reach_ends_a_pouring_with_an_error() {
    let bench = Bench::new();
    let (_, contents) = bench.back_up(&[("/a", &noise(9 << 20))]);
    let reader = bench.reader();
    bench.store.gets_fail.store(true, Ordering::SeqCst);

    let error = poured(&bench, &reader, &contents[0]).unwrap_err();

    assert!(error.is_environment(), "{error:?}");
}
