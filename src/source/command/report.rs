//! What a program reports of data: its parts, and that it is done.
//!
//! In: lines. Out: a [`Report`], or how it is [`Malformed`]. A report without its end is none: a
//! program that stopped half way and exited well has not written it.

use std::collections::BTreeMap;

use crate::ground::digest::Digest;
use crate::source::Part;

/// The longest report.
pub(super) const MOST_BYTES: u64 = 16 << 20;

/// The longest name of a part, in bytes.
const LONGEST_NAME: usize = 200;

/// What a program said of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub parts: BTreeMap<String, Part>,
    /// How many bytes it has written; only captures say so.
    pub bytes: Option<u64>,
}

/// Why a report is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    #[error("the report has no end: the program did not come to its own")]
    NoEnd,
    #[error("line {line} of the report is no `part ROWS SHA-256 NAME`, and not `end`")]
    Line { line: usize },
    #[error("line {line} of the report names a part that was there before")]
    Twice { line: usize },
    #[error("something follows the end of the report, in line {line}")]
    Trailing { line: usize },
    #[error("the report is no text, or longer than 16 MiB")]
    NoText,
}

impl Report {
    /// Reads `part 120 <64 hexadecimal digits> orders` a line, and `end 48200` (or `end`) as the last.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed::NoText)?;
        let mut parts = BTreeMap::new();
        let mut lines = (1..).zip(text.lines());
        while let Some((line, told)) = lines.next() {
            let wrong = || Malformed::Line { line };
            let (word, rest) = told.split_once(' ').unwrap_or((told, ""));
            match word {
                "part" => {
                    let (name, part) = part(rest).ok_or_else(wrong)?;
                    if parts.insert(name, part).is_some() {
                        return Err(Malformed::Twice { line });
                    }
                }
                "end" => {
                    let bytes = match rest {
                        "" => None,
                        number => Some(number.parse().map_err(|_| wrong())?),
                    };
                    return match lines.next() {
                        None => Ok(Self { parts, bytes }),
                        Some((line, _)) => Err(Malformed::Trailing { line }),
                    };
                }
                _ => return Err(wrong()),
            }
        }
        Err(Malformed::NoEnd)
    }
}

fn part(told: &str) -> Option<(String, Part)> {
    let (rows, rest) = told.split_once(' ')?;
    let (hash, name) = rest.split_once(' ')?;
    let hash: Digest = hash.parse().ok()?;
    let is_name =
        !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains(char::is_control);
    is_name.then_some((name.to_owned(), Part { rows: rows.parse().ok()?, hash }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    #[test]
    fn parts_are_read_and_the_end_tells_the_bytes() {
        let told =
            format!("part 12 {} orders of 2026\npart 0 {} x\nend 48200\n", hash('a'), hash('0'));

        let report = Report::read(told.as_bytes()).unwrap();

        assert_eq!(report.parts["orders of 2026"].rows, 12);
        assert_eq!((report.parts.len(), report.bytes), (2, Some(48200)));
        assert_eq!(Report::read(b"end").unwrap().bytes, None);
    }

    #[test]
    fn a_report_that_stops_anywhere_is_none() {
        let line = format!("part 12 {} a", hash('a'));
        for (told, wrong) in [
            (String::new(), Malformed::NoEnd),
            (format!("{line}\n"), Malformed::NoEnd),
            (format!("{line}\n{line}\nend 1\n"), Malformed::Twice { line: 2 }),
            (format!("{line}\nend 1\n{line}\n"), Malformed::Trailing { line: 3 }),
            ("end x".to_owned(), Malformed::Line { line: 1 }),
            (format!("part -1 {} a\nend 1", hash('a')), Malformed::Line { line: 1 }),
            (format!("part 1 {} a\nend 1", hash('g')), Malformed::Line { line: 1 }),
            (format!("part 1 {}\nend 1", hash('a')), Malformed::Line { line: 1 }),
            ("done".to_owned(), Malformed::Line { line: 1 }),
        ] {
            assert_eq!(Report::read(told.as_bytes()).unwrap_err(), wrong, "{told}");
        }
        assert_eq!(Report::read(b"part \xff").unwrap_err(), Malformed::NoText);
    }
}
