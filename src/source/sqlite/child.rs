//! The confined child's side: answers one request a line until its input ends.
//!
//! In: requests. Out: replies. Holds no keys and knows no policy; whatever the database does to
//! this process, the parent only sees it fall silent.

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::time::Duration;

use super::injure::injure;
use super::protocol::{Failure, Reply, Request};
use super::restored::Restored;
use super::self_check::self_check;
use super::table;

pub use super::protocol::ROLE;

/// The longest reply that is sent: what the parent takes in is bounded too.
const MOST_REPLY_BYTES: usize = 60 << 20;

/// Serves until `input` ends; blocking. Fails only where the parent cannot be heard or reached.
pub fn serve(input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()> {
    let mut database = None;
    for line in input.lines() {
        let reply = match serde_json::from_str(&line?) {
            Ok(request) => answer(&mut database, request).unwrap_or_else(Reply::Failed),
            Err(error) => Reply::Failed(environment(format!("no request: {error}"))),
        };
        let mut line = serde_json::to_vec(&reply)?;
        if line.len() > MOST_REPLY_BYTES {
            let what = format!("the answer is longer than {} MiB", MOST_REPLY_BYTES >> 20);
            line = serde_json::to_vec(&Reply::Failed(environment(what)))?;
        }
        line.push(b'\n');
        output.write_all(&line)?;
        output.flush()?;
    }
    Ok(())
}

fn answer(database: &mut Option<Restored>, request: Request) -> Result<Reply, Failure> {
    if let Request::Open { path } = &request {
        *database = Some(Restored::open(Path::new(path))?);
        return Ok(Reply::Opened);
    }
    let open = database.as_ref().ok_or_else(|| environment("no database is open".to_owned()))?;
    match request {
        Request::Open { .. } => Ok(Reply::Opened),
        Request::SelfCheck => {
            let (compared, problems) = self_check(&open.connection)?;
            Ok(Reply::Checked { compared, problems })
        }
        Request::Fingerprint => Ok(Reply::Fingerprint(open.fingerprint()?)),
        Request::Query { sql, limit_ms } => open.query(&sql, Duration::from_millis(limit_ms)),
        Request::Table { name, path } => {
            let rows = table::write(&open.connection, &name, Path::new(&path))?;
            Ok(Reply::Written { rows })
        }
        Request::Injure { fault } => {
            let path = open.path().to_owned();
            // What reads without looking for changes must not read on over one.
            *database = None;
            let place = injure(&path, fault)?;
            *database = Some(Restored::open(&path)?);
            Ok(Reply::Injured(place))
        }
    }
}

fn environment(what: String) -> Failure {
    Failure { data: false, what }
}
