//! Cutting content into blobs at places that the content itself decides (FastCDC).
//!
//! In: a stream of bytes. Out: pieces, the same for the same bytes however they were read, so that
//! what was stored once is recognised wherever it comes up again. Knows nothing of packs or keys.
//! Source: Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based
//! Storage Systems" (2020); averages by measurement, docs/performance.md.

use std::io::{self, Read};

use fastcdc::v2020::{Normalization, cut, select_masks};

/// The bounds of a piece, in bytes; all even.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sizes {
    min: usize,
    average: usize,
    max: usize,
}

/// Files written from front to back, dumps among them.
const STREAMS: Sizes = Sizes { min: 256 << 10, average: 1 << 20, max: 4 << 20 };

/// The length of a piece of files that are changed page by page in place: a changed page should not
/// cost a megabyte. Pages do not move, so cutting at fixed places costs one piece for each, where
/// places chosen by content cost nearly two. Made of whole pages of 4 to 32 KiB; 64 KiB compressed by
/// 1.5 % less, 128 KiB made a changed page cost a third more: docs/performance.md.
const PAGES: usize = 96 << 10;

/// Room for two of the largest pieces: the rest is moved to the front once a piece, not once a read.
const BUFFER: usize = 2 * STREAMS.max;

/// What is known of a content before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// Its first bytes tell how it is cut.
    #[default]
    Unknown,
    /// It is changed page by page in place, though its first bytes do not tell: InnoDB's files.
    Pages,
}

/// Cuts one stream after another with one buffer of 8 MiB, whatever the streams' length.
#[derive(Debug)]
pub(super) struct Chunker {
    buffer: Box<[u8]>,
}

impl Chunker {
    /// A chunker for one thread.
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; BUFFER].into_boxed_slice() }
    }

    /// Begins to cut `content`.
    pub(super) fn pieces<'a>(&'a mut self, content: &'a mut dyn Read, shape: Shape) -> Pieces<'a> {
        let cutter = match shape {
            Shape::Unknown => None,
            Shape::Pages => Some(Cutter::Pages),
        };
        Pieces { buffer: &mut self.buffer, content, start: 0, end: 0, at_end: false, cutter }
    }
}

/// A piece that was cut.
pub(super) struct Cut<'a> {
    pub bytes: &'a [u8],
    /// Whether the stream ends with it; always known of a stream that fits into one.
    pub is_last: bool,
}

/// The pieces of one stream.
pub(super) struct Pieces<'a> {
    buffer: &'a mut [u8],
    content: &'a mut dyn Read,
    /// The bytes read and not yet given out.
    start: usize,
    end: usize,
    at_end: bool,
    /// Chosen once the first bytes are known.
    cutter: Option<Cutter>,
}

impl Pieces<'_> {
    /// The next piece, `None` at the end; blocking as the stream is. After an error of the stream
    /// there is nothing more to be had.
    pub(super) fn next(&mut self) -> io::Result<Option<Cut<'_>>> {
        self.fill()?;
        let window = &self.buffer[self.start..self.end];
        if window.is_empty() {
            return Ok(None);
        }
        let cutter = self.cutter.get_or_insert_with(|| Cutter::for_content(window));
        let begin = self.start;
        self.start += cutter.cut(window);
        let is_last = self.at_end && self.start == self.end;
        Ok(Some(Cut { bytes: &self.buffer[begin..self.start], is_last }))
    }

    /// Reads until the largest piece fits in the window or the stream is at its end: only then is
    /// the cut independent of how the reads were split.
    fn fill(&mut self) -> io::Result<()> {
        let want = self.cutter.as_ref().map_or(STREAMS.max, Cutter::longest);
        if self.at_end || self.end - self.start >= want {
            return Ok(());
        }
        if self.start + want > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end - self.start < want {
            match self.content.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.at_end = true;
                    break;
                }
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

enum Cutter {
    Stream { strict: u64, relaxed: u64 },
    Pages,
}

impl Cutter {
    fn for_content(beginning: &[u8]) -> Self {
        if is_paged(beginning) {
            return Self::Pages;
        }
        let (strict, relaxed) = select_masks(STREAMS.average, Normalization::Level1);
        Self::Stream { strict, relaxed }
    }

    /// The most that a piece may hold.
    fn longest(&self) -> usize {
        match self {
            Self::Stream { .. } => STREAMS.max,
            Self::Pages => PAGES,
        }
    }

    /// The length of the first piece of `window`; never 0 unless the window is empty.
    fn cut(&self, window: &[u8]) -> usize {
        match *self {
            Self::Pages => window.len().min(PAGES),
            Self::Stream { strict, relaxed } => {
                let Sizes { min, average, max } = STREAMS;
                cut(window, min, average, max, strict, relaxed, strict << 1, relaxed << 1).1
            }
        }
    }
}

/// Whether a file that begins so is changed page by page: only formats whose first bytes leave no
/// doubt (PostgreSQL's and InnoDB's files have no such mark: [`Shape::Pages`]).
fn is_paged(beginning: &[u8]) -> bool {
    let holds = |offset: usize, magic: &[u8]| {
        beginning.get(offset..).is_some_and(|rest| rest.starts_with(magic))
    };
    // SQLite: sqlite.org/fileformat2.html, 1.3.
    holds(0, b"SQLite format 3\0")
        // LMDB: MDB_MAGIC and version 1, little-endian, after the first page's header.
        || holds(16, &[0xde, 0xc0, 0xef, 0xbe, 1, 0, 0, 0])
        // Disk images that grow by clusters: QEMU's qcow2.
        || holds(0, b"QFI\xfb")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that no cut can guess, the same in every run.
    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        (0..length)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect()
    }

    fn lengths(content: &mut dyn Read) -> Vec<usize> {
        let mut chunker = Chunker::new();
        let mut pieces = chunker.pieces(content, Shape::Unknown);
        let mut lengths = Vec::new();
        while let Some(piece) = pieces.next().unwrap() {
            lengths.push(piece.bytes.len());
        }
        lengths
    }

    /// Gives its bytes in reads of odd lengths and is interrupted in between.
    struct Stuttering<'a> {
        rest: &'a [u8],
        turn: usize,
    }

    impl Read for Stuttering<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.turn += 1;
            if self.turn.is_multiple_of(5) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let count = out.len().min(self.rest.len()).min(1 + self.turn * 7919 % 60_000);
            out[..count].copy_from_slice(&self.rest[..count]);
            self.rest = &self.rest[count..];
            Ok(count)
        }
    }

    #[test]
    fn cuts_do_not_depend_on_how_the_reads_were_split() {
        let bytes = noise(13 << 20, 7);

        let whole = lengths(&mut &bytes[..]);

        assert_eq!(whole, lengths(&mut Stuttering { rest: &bytes, turn: 0 }));
        assert_eq!(whole.iter().sum::<usize>(), bytes.len());
        assert!(whole.len() > 6, "{whole:?}");
        let (last, others) = whole.split_last().unwrap();
        assert!(others.iter().all(|n| (STREAMS.min..=STREAMS.max).contains(n)), "{whole:?}");
        assert!(*last <= STREAMS.max);
    }

    #[test]
    fn pieces_put_together_are_the_content() {
        let bytes = noise(9 << 20, 3);
        let mut chunker = Chunker::new();
        let mut joined = Vec::new();
        let mut content = &bytes[..];
        let mut pieces = chunker.pieces(&mut content, Shape::Unknown);
        while let Some(piece) = pieces.next().unwrap() {
            joined.extend_from_slice(piece.bytes);
        }

        assert!(joined == bytes, "the pieces are not the content");
    }

    #[test]
    fn an_insertion_at_the_front_moves_few_cuts() {
        let before = noise(24 << 20, 11);
        let after = [&b"seven b"[..], &before].concat();
        let (old, new) = (lengths(&mut &before[..]), lengths(&mut &after[..]));

        let kept = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();

        assert!(kept + 4 >= old.len(), "kept {kept} of {old:?} in {new:?}");
    }

    #[test]
    fn a_changed_page_costs_one_piece_and_empty_files_none() {
        let before = [&b"SQLite format 3\0"[..], &noise(4 << 20, 5)].concat();
        let pieces = |content: &[u8]| {
            let mut chunker = Chunker::new();
            let (mut content, mut all) = (content, Vec::new());
            let mut pieces = chunker.pieces(&mut content, Shape::Unknown);
            while let Some(piece) = pieces.next().unwrap() {
                all.push(piece.bytes.to_vec());
            }
            all
        };
        let mut after = before.clone();
        after[1_000_000..1_008_192].fill(7);

        let (old, new) = (pieces(&before), pieces(&after));

        assert_eq!(old.len(), (4 << 20) / PAGES + 1);
        assert_eq!(old.iter().zip(&new).filter(|(old, new)| old != new).count(), 1);
        assert_eq!(new.concat(), after);
        assert_eq!(lengths(&mut &b""[..]), Vec::<usize>::new());
        assert_eq!(lengths(&mut &b"x"[..]), [1]);
    }

    #[test]
    fn what_is_known_to_be_pages_is_cut_as_such_whatever_it_begins_with() {
        let bytes = noise(1 << 20, 9);
        let mut chunker = Chunker::new();
        let mut content = &bytes[..];
        let mut pieces = chunker.pieces(&mut content, Shape::Pages);
        let mut lengths = Vec::new();
        while let Some(piece) = pieces.next().unwrap() {
            lengths.push(piece.bytes.len());
        }

        assert_eq!(lengths[..10], [PAGES; 10]);
        assert_eq!(lengths.iter().sum::<usize>(), bytes.len());
    }

    #[test]
    fn zeros_are_cut_at_the_largest_size() {
        assert_eq!(lengths(&mut io::repeat(0).take(9 << 20)), [4 << 20, 4 << 20, 1 << 20]);
    }

    #[test]
    fn an_error_of_the_stream_is_handed_on() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let mut chunker = Chunker::new();

        let error = chunker.pieces(&mut Broken, Shape::Unknown).next().map(|_| ()).unwrap_err();

        assert!(error.to_string().contains("the disk is gone"), "{error}");
    }
}
