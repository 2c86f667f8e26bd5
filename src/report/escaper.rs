//! How names are written into a page: as text that neither marks it up nor steers its reader.

use std::fmt;

use askama::filters::{Escaper, Html};

use crate::ground::visible::visible;

/// HTML's own characters as references; controls, line ends and what turns the direction of text
/// made visible as on the command line, so that no two names look alike by them.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl Escaper for Plain {
    fn write_escaped_str<W: fmt::Write>(&self, dest: W, string: &str) -> fmt::Result {
        Html.write_escaped_str(dest, &visible(string))
    }
}
