//! Reading restored files back, cut at the recorded lengths, each piece hashed. On all cores;
//! blocking.

use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Error;
use super::entry::Kind;
use super::plan::{Plan, Planned, object};
use super::target::Target;
use crate::ground::digest::Hasher;
use crate::ground::progress::Progress;
use crate::repo::BlobId;
use crate::source::Place;
use crate::source::files::disk;

/// Tells a blob's plain length.
pub(super) type Length<'a> = &'a (dyn Fn(&BlobId) -> Option<u64> + Sync);

/// What was read and where it was not what it should be.
pub(super) struct Reread {
    pub(super) bytes: u64,
    /// With the entry's place in the plan.
    pub(super) differences: Vec<(usize, Place)>,
}

/// Reads the files at these places of the plan. The first that this machine does not let be read
/// ends it.
pub(super) fn reread(
    target: &Target,
    plan: &Plan,
    length: Length<'_>,
    readable: &[usize],
    interrupted: &AtomicBool,
    progress: &dyn Progress,
) -> Result<Reread, Error> {
    let sizes = readable.iter().filter_map(|index| match plan.entries.item(*index).kind {
        Kind::File { size, .. } => Some(size),
        _ => None,
    });
    progress.phase("compare", Some(sizes.fold(0, u64::saturating_add)));
    let (next, stop, bytes) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicU64::new(0));
    let found = Mutex::new((Vec::new(), None));
    let work = || {
        let (target, mut buffer) = (target.another(), vec![0; 256 * 1024]);
        while !stop.load(Ordering::Relaxed) {
            let Some(&index) = readable.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            let planned = &plan.at(index);
            let outcome = read_content(&target, planned, length, &mut buffer, interrupted);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok((count, what)) => {
                    bytes.fetch_add(count, Ordering::Relaxed);
                    progress.advance(1, count);
                    let object = object(planned);
                    found.0.extend(what.map(|what| (index, Place { object, what })));
                }
                Err(source) => {
                    stop.store(true, Ordering::Relaxed);
                    let object = object(planned);
                    found.1 = Some(match interrupted.load(Ordering::Relaxed) {
                        true => Error::Interrupted,
                        false => Error::Local { action: "read", object, source },
                    });
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(readable.len()) {
            scope.spawn(work);
        }
    });
    match found.into_inner().unwrap_or_else(PoisonError::into_inner) {
        (_, Some(error)) => Err(error),
        (differences, None) => Ok(Reread { bytes: bytes.into_inner(), differences }),
    }
}

/// Reads one file cut at its blobs' lengths; returns the bytes read and the first difference.
fn read_content(
    target: &Target,
    planned: &Planned<'_>,
    length: Length<'_>,
    buffer: &mut [u8],
    interrupted: &AtomicBool,
) -> io::Result<(u64, Option<String>)> {
    let Kind::File { content, .. } = planned.node.kind else { return Ok((0, None)) };
    let (folder, name) = target.place(&planned.path)?;
    let mut file = File::from(disk::open_file(&folder, &name)?);
    let mut offset = 0;
    for blob in content {
        if interrupted.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        let Some(length) = length(blob) else {
            let what = format!("blob {blob} at byte {offset}: no index file names it");
            return Ok((offset, Some(what)));
        };
        let mut hasher = Hasher::new();
        let mut left = length;
        while left > 0 {
            let limit = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let count = match file.read(&mut buffer[..limit]) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if count == 0 {
                return Ok((
                    offset,
                    Some(format!("its content ends before byte {}", offset + length)),
                ));
            }
            hasher.update(&buffer[..count]);
            left -= count as u64;
        }
        if hasher.finish() != blob.0 {
            let what =
                format!("its content differs between bytes {offset} and {}", offset + length);
            return Ok((offset + length, Some(what)));
        }
        offset += length;
    }
    let beyond = file.read(&mut buffer[..1])?;
    Ok((offset, (beyond > 0).then(|| format!("its content goes on beyond byte {offset}"))))
}
