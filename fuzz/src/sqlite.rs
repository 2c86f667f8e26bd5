//! What a confined child answers, compiled here as it is: it is its room's own.

use lifeboat::source::{Cell, Checked, Fault, Fingerprint, Place, Rows};

use super::bounded::bounded;

#[path = "../../src/source/sqlite/protocol.rs"]
#[expect(dead_code, reason = "the role's name is not read here")]
mod protocol;

use protocol::{Reply, Request, Value};

/// A line that the parent reads, or the child.
pub fn reply(input: &[u8]) {
    if let Ok(request) = bounded(input, 64, || serde_json::from_slice::<Request>(input)) {
        let line = serde_json::to_vec(&request).unwrap();
        assert_eq!(serde_json::from_slice::<Request>(&line).unwrap(), request);
    }
    let Ok(reply) = bounded(input, 64, || serde_json::from_slice::<Reply>(input)) else { return };
    let line = serde_json::to_vec(&reply).unwrap();
    assert_eq!(serde_json::from_slice::<Reply>(&line).unwrap(), reply);
    match reply {
        Reply::Rows { columns, rows } => {
            let Ok(read) = bounded(input, 64, || protocol::rows(columns, rows)) else { return };
            let sent = on_the_wire(read.clone());
            let again = protocol::rows(read.columns, sent.clone()).unwrap();
            assert_eq!(on_the_wire(again), sent);
        }
        Reply::Checked { compared, problems } => {
            let checked = protocol::checked(compared, problems);
            assert_eq!(checked.compared.map_or(0, |count| count.get()), compared);
        }
        Reply::Opened
        | Reply::Fingerprint(_)
        | Reply::Injured(_)
        | Reply::Written { .. }
        | Reply::Failed(_) => {}
    }
}

/// The cells as a child sends them, which are equal where numbers are not.
fn on_the_wire(rows: Rows) -> Vec<Vec<Value>> {
    rows.rows.into_iter().map(|row| row.into_iter().map(Value::from_cell).collect()).collect()
}
