//! Entries that are made while they are read: a server's stream, or text in memory.

use std::io::{self, Read};

use super::{Context, Entry, EntryKind, Error, Meta, Open, Sink, Skipped, Stream};

/// Puts one entry.
pub(super) fn put(
    out: &dyn Sink,
    path: &str,
    content: impl Open + 'static,
    context: &Context,
) -> Result<(), Error> {
    let now = context.clock.now();
    out.put(Entry {
        path: path.as_bytes().to_vec(),
        meta: Meta {
            // The stream's length is known at its end.
            kind: EntryKind::File { size: 0 },
            mode: 0o600,
            mtime: now,
            ctime: now,
            uid: 0,
            gid: 0,
            user: String::new(),
            group: String::new(),
            inode: 0,
            device_id: 0,
            links: 1,
            xattrs: Vec::new(),
            reusable: false,
        },
        content: Some(Box::new(content)),
    })
}

/// Fails where the sink, having settled, left something out: all of it is ours.
pub(super) fn none_left_out(skipped: Vec<Skipped>) -> Result<(), Error> {
    match skipped.into_iter().next() {
        None => Ok(()),
        Some(skipped) => {
            Err(Error::Engine { object: skipped.path, what: skipped.reason, source: None })
        }
    }
}

/// Bytes in memory as an entry's content.
pub(super) struct Text(pub Vec<u8>);

impl Open for Text {
    fn open(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(Spoken(io::Cursor::new(self.0))))
    }
}

struct Spoken(io::Cursor<Vec<u8>>);

impl Read for Spoken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Stream for Spoken {
    fn finish(self: Box<Self>) -> io::Result<Option<String>> {
        Ok(None)
    }
}
