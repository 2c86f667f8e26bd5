//! What a daemon's own database holds as text.

use jiff::Timestamp;
use lifeboat::state::{Board, Held, Holder};

use super::bounded::bounded;

pub fn state(input: &[u8]) {
    if let Ok(board) = bounded(input, 64, || serde_json::from_slice::<Board>(input)) {
        let text = serde_json::to_string(&board).unwrap();
        assert_eq!(serde_json::from_str::<Board>(&text).unwrap(), board);
    }
    if let Ok(by) = bounded(input, 64, || serde_json::from_slice::<Holder>(input)) {
        let text = serde_json::to_string(&by).unwrap();
        assert_eq!(serde_json::from_str::<Holder>(&text).unwrap(), by);
        by.is_gone();
        let held = Held { run: by.host.clone(), by, until: Timestamp::UNIX_EPOCH };
        let _ = (held.since(), held.to_string());
    }
}
