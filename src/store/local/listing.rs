//! Listing a folder store: a walk on a thread of its own, handed over object by object.

use std::io;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;
use rustix::fs::{AtFlags, Dir, FileType, Stat};
use rustix::io::Errno;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::folder::Root;
use super::{Error, Object, ObjectName, Result, TEMPORARY};

/// How far the walk may run ahead of its reader, in objects.
const AHEAD: usize = 256;

struct Walk {
    objects: mpsc::Receiver<Result<Object>>,
    thread: Option<JoinHandle<()>>,
}

/// Every object below `prefix`. A walk that died ends the listing with an error: it must not look
/// like one that was complete.
pub(super) fn stream(
    root: Arc<Root>,
    prefix: Option<ObjectName>,
) -> BoxStream<'static, Result<Object>> {
    let begin = async move {
        let (sender, objects) = mpsc::channel(AHEAD);
        let thread = tokio::task::spawn_blocking(move || {
            let prefix = prefix.as_ref().map_or("", ObjectName::as_str);
            if let Err(source) = walk(&root, prefix, &sender) {
                let name = if prefix.is_empty() { "everything" } else { prefix };
                // A reader that has gone away has no use for the error either.
                let _ = sender.blocking_send(Err(Error::io("list", name, source)));
            }
        });
        stream::unfold(Walk { objects, thread: Some(thread) }, next)
    };
    stream::once(begin).flatten().boxed()
}

async fn next(mut walk: Walk) -> Option<(Result<Object>, Walk)> {
    if let Some(object) = walk.objects.recv().await {
        return Some((object, walk));
    }
    let died = walk.thread.take()?.await.err()?;
    Some((Err(Error::io("list", "everything", died)), walk))
}

fn walk(root: &Root, prefix: &str, out: &mpsc::Sender<Result<Object>>) -> io::Result<()> {
    let mut waiting = vec![prefix.to_owned()];
    while let Some(name) = waiting.pop() {
        let Some(folder) = root.folder((!name.is_empty()).then_some(&name))? else { continue };
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let Some(object) = child(&name, entry.file_name().to_bytes()) else { continue };
            let stat =
                match rustix::fs::statat(&folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => stat,
                    // Deleted since its folder was read.
                    Err(Errno::NOENT) => continue,
                    Err(errno) => return Err(errno.into()),
                };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => waiting.push(object.to_string()),
                FileType::RegularFile => {
                    let listed = Object {
                        name: object,
                        size: u64::try_from(stat.st_size).unwrap_or(0),
                        modified: modified(&stat),
                    };
                    if out.blocking_send(Ok(listed)).is_err() {
                        return Ok(());
                    }
                }
                // Leaving it out would make the listing look complete.
                _ => {
                    return Err(io::Error::other(format!(
                        "{object} is neither a file nor a folder (symbolic links are not followed)"
                    )));
                }
            }
        }
    }
    Ok(())
}

/// The name of what is called `leaf` in `folder`, unless it cannot be ours.
fn child(folder: &str, leaf: &[u8]) -> Option<ObjectName> {
    if matches!(leaf, b"." | b"..") || folder.is_empty() && leaf == TEMPORARY.as_bytes() {
        return None;
    }
    let name = std::str::from_utf8(leaf).ok().and_then(|leaf| {
        if folder.is_empty() { leaf.parse() } else { format!("{folder}/{leaf}").parse() }.ok()
    });
    if name.is_none() {
        tracing::warn!(folder, leaf = %leaf.escape_ascii(), "no object can have this file's name");
    }
    name
}

fn modified(stat: &Stat) -> Timestamp {
    let nanoseconds = i32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    Timestamp::new(stat.st_mtime, nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}
