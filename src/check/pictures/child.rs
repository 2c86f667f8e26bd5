//! The confined child's side: decodes one picture a line until its input ends.
//!
//! In: names of files in its folder. Out: what became of each. Whatever a picture does to this process,
//! the parent only sees it fall silent.

use std::io::{self, BufRead, Write};

use super::Decoded;
use super::formats::decode;

/// The child's role, as its argument names it.
pub const ROLE: &str = "pictures";

/// Serves until `input` ends; blocking. Fails where the parent cannot be heard or reached, and where a
/// file of the parent's own cannot be read.
pub fn serve(input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()> {
    for line in input.lines() {
        let name: String = serde_json::from_str(&line?)?;
        let decoded: Decoded = decode(&std::fs::read(name)?);
        let mut reply = serde_json::to_vec(&decoded)?;
        reply.push(b'\n');
        output.write_all(&reply)?;
        output.flush()?;
    }
    Ok(())
}
