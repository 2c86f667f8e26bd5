//! Waiting until other drills give the scratch folder's room back.

use std::time::{Duration, Instant};

use super::{Rehearsal, Request};
use crate::account::Rooms;
use crate::ground::size::ByteSize;
use crate::sandbox::{Reserved, Scratch};

/// How often it is asked for.
const EVERY: Duration = Duration::from_millis(500);

/// Waits until room for `bytes` is had, an end is asked for or it cannot be told, which the next fetch
/// finds, too; answers the rehearsal as it begins, with how long it waited.
pub(super) async fn wait(
    request: Request<'_>,
    scratch: &Scratch,
    bytes: u64,
    rehearsal: Rehearsal,
    rooms: &Rooms,
) -> Rehearsal {
    let (begun, mut is_told) = (Instant::now(), false);
    rooms.progress.phase("queue", None);
    while rooms.check_interrupted().is_ok()
        && let Ok(Reserved::Crowded { others, bytes: held }) =
            scratch.reserve(bytes, request.most_bytes())
    {
        if !std::mem::replace(&mut is_told, true) {
            rooms.progress.note(&format!(
                "waiting for room in scratch: {} are needed, {} are held by other drills ({others})",
                ByteSize(bytes),
                ByteSize(held)
            ));
        }
        tokio::time::sleep(EVERY).await;
    }
    let mut anew = Rehearsal::new(rehearsal.plan, rooms.clock.now());
    anew.queued = rehearsal.queued + begun.elapsed();
    anew
}
