//! The stream of `mariadb-backup --stream=mbstream`: files in chunks, those of several mixed.
//!
//! In: bytes. Out: what each chunk is, and the bytes of files as they come; no more than a path is
//! kept in memory. Source: xbstream.h and xbstream_read.cc of MariaDB's extra/mariabackup. A chunk
//! begins with a word, a byte of flags and its type; then comes the length of a path (4 bytes; all
//! numbers are little-endian) and the path. `P` goes on with how many bytes of the file follow and
//! where they belong (8 bytes each), the CRC-32 of them, and they. `E` ends a file. `R` and `D` say
//! that a file which came already was renamed or removed.

use std::io::{self, Read};

const WORD: &[u8; 8] = b"XBSTCK01";

/// The longest path that MariaDB's programs make or take (`FN_REFLEN`).
const LONGEST_PATH: u32 = 512;

/// Bytes of a chunk that nobody wants are read in portions.
const PORTION: usize = 8 << 10;

/// Why a stream is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot read the stream")]
    Read(#[source] io::Error),
    #[error("the stream ends within a chunk")]
    Cut,
    #[error("no chunk begins where one must, after {bytes} bytes of the stream")]
    NoChunk { bytes: u64 },
    #[error("a chunk is of the unknown type {kind:#04x}")]
    Kind { kind: u8 },
    #[error("a chunk names a file that no data folder has: {path}")]
    Path { path: String },
    #[error("bytes of {path} do not fit their checksum")]
    Checksum { path: String },
}

/// What a chunk is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// Bytes of a file, to be had by [`Chunks::read`].
    Bytes { path: String, offset: u64, length: u64 },
    /// A file is whole.
    End { path: String },
    /// A file that came has another name now, or is gone. What else the chunk says is not read.
    Moved { path: String },
}

/// The chunks of a stream.
pub struct Chunks<R> {
    input: R,
    /// Bytes of the stream that were read.
    read: u64,
    /// Of the chunk whose bytes are being read.
    path: String,
    left: u64,
    checksum: u32,
    so_far: crc32fast::Hasher,
}

impl<R: Read> Chunks<R> {
    pub fn of(input: R) -> Self {
        let so_far = crc32fast::Hasher::new();
        Self { input, read: 0, path: String::new(), left: 0, checksum: 0, so_far }
    }

    /// The next chunk, none at the end of the stream. Bytes of the one before are passed over.
    pub fn chunk(&mut self) -> Result<Option<Chunk>, Error> {
        let mut unwanted = [0; PORTION];
        while self.read(&mut unwanted)? > 0 {}
        let begun = self.read;
        let mut word = [0; WORD.len()];
        if self.fill(&mut word[..1]).is_err_and(|error| matches!(error, Error::Cut)) {
            return Ok(None);
        }
        self.fill(&mut word[1..])?;
        if word != *WORD {
            return Err(Error::NoChunk { bytes: begun });
        }
        let [_flags, kind] = self.array()?;
        let path = self.path()?;
        match kind {
            b'P' => {
                let (length, offset) =
                    (u64::from_le_bytes(self.array()?), u64::from_le_bytes(self.array()?));
                self.checksum = u32::from_le_bytes(self.array()?);
                self.so_far = crc32fast::Hasher::new();
                (self.path, self.left) = (path.clone(), length);
                if length == 0 {
                    self.verify()?;
                }
                Ok(Some(Chunk::Bytes { path, offset, length }))
            }
            b'E' => Ok(Some(Chunk::End { path })),
            b'R' | b'D' => Ok(Some(Chunk::Moved { path })),
            kind => Err(Error::Kind { kind }),
        }
    }

    /// Bytes of the last chunk; none once all were read, which fit their checksum then.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.some(&mut into[..most])?;
        if count == 0 {
            return Err(Error::Cut);
        }
        self.so_far.update(&into[..count]);
        self.left -= count as u64;
        if self.left == 0 {
            self.verify()?;
        }
        Ok(count)
    }

    /// What the stream is read from.
    pub fn into_input(self) -> R {
        self.input
    }

    fn verify(&self) -> Result<(), Error> {
        if self.so_far.clone().finalize() == self.checksum {
            return Ok(());
        }
        Err(Error::Checksum { path: self.path.clone() })
    }

    fn path(&mut self) -> Result<String, Error> {
        let length = u32::from_le_bytes(self.array()?);
        if length > LONGEST_PATH {
            return Err(Error::Path { path: format!("{length} bytes long") });
        }
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        let path = String::from_utf8_lossy(&bytes).into_owned();
        let is_name = |part: &str| !["", ".", ".."].contains(&part);
        // MariaDB writes whatever else a name may hold as @ and digits.
        let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic());
        if is_plain && path.split('/').all(is_name) { Ok(path) } else { Err(Error::Path { path }) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, mut into: &mut [u8]) -> Result<(), Error> {
        while !into.is_empty() {
            match self.some(into)? {
                0 => return Err(Error::Cut),
                count => into = &mut into[count..],
            }
        }
        Ok(())
    }

    fn some(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.input.read(into) {
                Ok(count) => {
                    self.read += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Read(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: u8, path: &str) -> Vec<u8> {
        let length = u32::try_from(path.len()).unwrap().to_le_bytes();
        [&WORD[..], &[0, kind], &length, path.as_bytes()].concat()
    }

    fn bytes(path: &str, offset: u64, bytes: &[u8]) -> Vec<u8> {
        let length = (bytes.len() as u64).to_le_bytes();
        let checksum = crc32fast::hash(bytes).to_le_bytes();
        [&chunk(b'P', path)[..], &length, &offset.to_le_bytes(), &checksum, bytes].concat()
    }

    /// All chunks with their bytes, or why there are not.
    fn all(stream: &[u8]) -> Result<Vec<(Chunk, Vec<u8>)>, Error> {
        let (mut chunks, mut found) = (Chunks::of(stream), Vec::new());
        while let Some(chunk) = chunks.chunk()? {
            let (mut content, mut piece) = (Vec::new(), [0; 3]);
            while let count @ 1.. = chunks.read(&mut piece)? {
                content.extend_from_slice(&piece[..count]);
            }
            found.push((chunk, content));
        }
        Ok(found)
    }

    #[test]
    fn files_come_in_chunks_whose_bytes_fit_their_checksums() {
        let stream =
            [bytes("shop/a.ibd", 0, b"pages"), bytes("b", 7, b""), chunk(b'E', "b")].concat();

        let found = all(&stream).unwrap();

        let chunk = |path: &str, offset, length| Chunk::Bytes { path: path.into(), offset, length };
        assert_eq!(found[0], (chunk("shop/a.ibd", 0, 5), b"pages".to_vec()));
        assert_eq!(found[1].0, chunk("b", 7, 0));
        assert_eq!(found[2].0, Chunk::End { path: "b".into() });
        for cut in 1..stream.len() {
            let is_between = [stream.len() - 15, stream.len() - 15 - 35].contains(&cut);
            assert_eq!(all(&stream[..cut]).is_ok(), is_between, "cut after {cut} bytes");
        }
    }

    #[test]
    fn bytes_that_changed_on_the_way_and_paths_that_lead_elsewhere_are_refused() {
        let mut stream = bytes("a", 0, b"pages");
        *stream.last_mut().unwrap() ^= 1;

        assert!(matches!(all(&stream), Err(Error::Checksum { path }) if path == "a"));
        for path in ["../a", "/a", "a//b", "a/./b", "", "a b", "a\nb", "ä"] {
            assert!(matches!(all(&chunk(b'E', path)), Err(Error::Path { .. })), "{path}");
        }
        assert!(matches!(all(&chunk(b'?', "a")), Err(Error::Kind { kind: b'?' })));
        assert!(matches!(all(b"XBSTCK02more"), Err(Error::NoChunk { bytes: 0 })));
        let moved = all(&chunk(b'R', "a")).unwrap();
        assert_eq!(moved[0].0, Chunk::Moved { path: "a".into() });
    }
}
