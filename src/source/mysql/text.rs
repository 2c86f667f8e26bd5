//! The text of a dump, looked at as it passes: where databases begin, how many rows each table has,
//! what counters give next, where the binary log stood, and whether it ends as a whole dump does.
//!
//! In: bytes, in pieces. Only what a line begins with is looked at, and rows of `INSERT` statements
//! are counted with their quotes in mind, for a row may hold any text. Knows the programs of MariaDB
//! and MySQL as they write by default and with `--hex-blob`.

use std::collections::BTreeMap;

use memchr::{memchr, memchr2, memchr3};

use super::names::unquoted;
use super::schema::{auto_increment_name, sequence_name, without_counter};
use super::tables::part_name;

/// What was seen of a dump.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// Of all entries together.
    pub bytes: u64,
    /// By part's name, the rows of each table that has a definition.
    pub rows: BTreeMap<String, u64>,
    /// By part's name, what AUTO_INCREMENT or a sequence gives next.
    pub counters: BTreeMap<String, String>,
    /// Where the binary log stood: `file:position`.
    pub binlog: Option<String>,
    /// Whether the last line says that the dump is complete.
    pub is_complete: bool,
}

/// How much of the bytes is understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// So many bytes belong to what was before.
    pub taken: usize,
    /// The database that begins with the next byte.
    pub begins: Option<String>,
}

/// What a line says before a database's name.
const DATABASE: &str = "-- Current Database: ";

/// What the dumping program writes last: a status of 0 does not prove that all of it arrived.
const END: &str = "-- Dump completed";

/// What rows begin with, up to the table's name.
const INSERT: &[u8] = b"INSERT INTO `";

/// What a table's definition begins with, up to its name.
const CREATE: &[u8] = b"CREATE TABLE `";

/// A line that is longer is passed on as it comes. All that is looked at is shorter.
const LONG_LINE: usize = 64 << 10;

/// Reads a dump.
#[derive(Default)]
pub(super) struct Text {
    pub contents: Contents,
    state: State,
    database: String,
    /// The table whose definition came last.
    table: String,
    /// The part whose rows come now.
    part: String,
    /// Between `DELIMITER ;;` and its end: triggers, routines and events, which may hold anything.
    in_code: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// At the beginning of a line.
    #[default]
    Begin,
    /// In a line of which nothing more is wanted.
    Rest,
    /// Between a table's name and `VALUES`, within quotes or not.
    Columns { quoted: bool },
    /// Among rows.
    Rows,
    /// In a text of a row, after a backslash or not.
    Quoted { escaped: bool },
}

impl Text {
    /// Looks at the next bytes, those that were not taken before among them; `is_last` where no
    /// more will come. Takes at least one where a line is whole or long.
    pub(super) fn step(&mut self, bytes: &[u8], is_last: bool) -> Step {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match self.state {
                State::Begin => match self.begin(rest, is_last) {
                    Begun::Taken(count) => at += count,
                    Begun::More => break,
                    Begun::Database(name) => return Step { taken: at, begins: Some(name) },
                },
                State::Rest => match memchr(b'\n', rest) {
                    Some(end) => {
                        self.state = State::Begin;
                        at += end + 1;
                    }
                    None => at = bytes.len(),
                },
                _ => at += self.among_rows(rest),
            }
        }
        Step { taken: at, begins: None }
    }

    /// Looks at the beginning of a line.
    fn begin(&mut self, rest: &[u8], is_last: bool) -> Begun {
        let known = [INSERT, CREATE].into_iter().find(|known| rest.starts_with(known));
        if let Some(known) = known.filter(|_| !self.in_code) {
            return self.statement(known, rest, is_last);
        }
        match memchr(b'\n', rest) {
            Some(end) => self.line(&rest[..end], end + 1),
            None if is_last => self.line(rest, rest.len()),
            None if rest.len() < LONG_LINE => Begun::More,
            None => self.pass_on(rest),
        }
    }

    /// Looks at a statement that begins with `known`, up to its table's name.
    fn statement(&mut self, known: &[u8], rest: &[u8], is_last: bool) -> Begun {
        let before = known.len() - 1;
        let Some((table, length)) = name_at(&rest[before..]) else {
            let is_endless = is_last || rest.len() >= LONG_LINE;
            return if is_endless { self.pass_on(rest) } else { Begun::More };
        };
        self.contents.is_complete = false;
        let part = part_name(&self.database, &table);
        if known == INSERT {
            self.part = part;
            self.state = State::Columns { quoted: false };
        } else {
            self.contents.rows.entry(part).or_default();
            self.table = table;
            self.state = State::Rest;
        }
        Begun::Taken(before + length)
    }

    /// Lets a line go of which nothing is known.
    fn pass_on(&mut self, rest: &[u8]) -> Begun {
        self.contents.is_complete = false;
        self.state = State::Rest;
        Begun::Taken(rest.len())
    }

    /// Looks at a whole line that takes `length` bytes.
    fn line(&mut self, line: &[u8], length: usize) -> Begun {
        let Ok(line) = std::str::from_utf8(line) else { return Begun::Taken(length) };
        if self.in_code {
            self.in_code = line != "DELIMITER ;";
            return Begun::Taken(length);
        }
        if let Some(name) = line.strip_prefix(DATABASE).and_then(unquoted).map(|(name, _)| name)
            && name != self.database
        {
            self.database.clone_from(&name);
            return Begun::Database(name);
        }
        if line == "DELIMITER ;;" {
            self.in_code = true;
        } else if let Some(rest) = line.strip_prefix("DO SETVAL(") {
            self.sequence(rest);
        } else if let (_, Some(next)) = without_counter(line) {
            let name = auto_increment_name(&self.database, &self.table);
            self.contents.counters.insert(name, next.to_owned());
        } else if let Some(binlog) = binlog(line) {
            self.contents.binlog.get_or_insert(binlog);
        }
        self.contents.is_complete =
            line.starts_with(END) || self.contents.is_complete && line.is_empty();
        Begun::Taken(length)
    }

    /// ``DO SETVAL(`name`, 1005, 0);``
    fn sequence(&mut self, rest: &str) {
        let Some((name, rest)) = unquoted(rest) else { return };
        let Some(next) = rest.strip_prefix(", ").and_then(|rest| rest.split(',').next()) else {
            return;
        };
        self.contents.counters.insert(sequence_name(&self.database, &name), next.to_owned());
    }

    /// Looks at bytes after a table's name; returns how many.
    fn among_rows(&mut self, rest: &[u8]) -> usize {
        let (found, state) = match self.state {
            State::Columns { quoted: true } => {
                (memchr(b'`', rest), State::Columns { quoted: false })
            }
            State::Columns { quoted: false } => {
                let found = memchr2(b'`', b'V', rest);
                let is_quote = found.is_some_and(|at| rest[at] == b'`');
                (found, if is_quote { State::Columns { quoted: true } } else { State::Rows })
            }
            State::Quoted { escaped: true } => (Some(0), State::Quoted { escaped: false }),
            State::Quoted { escaped: false } => {
                let found = memchr2(b'\'', b'\\', rest);
                let is_end = found.is_some_and(|at| rest[at] == b'\'');
                (found, if is_end { State::Rows } else { State::Quoted { escaped: true } })
            }
            State::Begin | State::Rest | State::Rows => {
                let found = memchr3(b'\'', b')', b';', rest);
                let state = match found.map(|at| rest[at]) {
                    Some(b'\'') => State::Quoted { escaped: false },
                    Some(b';') => State::Rest,
                    Some(_) => {
                        *self.contents.rows.entry(self.part.clone()).or_default() += 1;
                        State::Rows
                    }
                    None => State::Rows,
                };
                (found, state)
            }
        };
        match found {
            Some(at) => {
                self.state = state;
                at + 1
            }
            None => rest.len(),
        }
    }
}

/// What the beginning of a line turned out to be.
enum Begun {
    Taken(usize),
    /// It is not known before more of it is there.
    More,
    Database(String),
}

/// The quoted name at the beginning of `bytes`, and its length with the quotes; none where its end
/// is not there yet.
fn name_at(bytes: &[u8]) -> Option<(String, usize)> {
    let mut end = 1;
    loop {
        end += memchr(b'`', bytes.get(end..)?)? + 1;
        match bytes.get(end) {
            Some(b'`') => end += 1,
            Some(_) => break,
            None => return None,
        }
    }
    let quoted = String::from_utf8_lossy(&bytes[..end]);
    unquoted(&quoted).map(|(name, _)| (name, end))
}

/// What the position of the binary log is written with: by MariaDB, by MySQL.
const POSITIONS: [(&str, &str); 2] = [
    ("-- CHANGE MASTER TO MASTER_LOG_FILE='", "', MASTER_LOG_POS="),
    ("-- CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='", "', SOURCE_LOG_POS="),
];

/// `-- CHANGE MASTER TO MASTER_LOG_FILE='bin.000001', MASTER_LOG_POS=328;` is `bin.000001:328`.
fn binlog(line: &str) -> Option<String> {
    POSITIONS.iter().find_map(|(before, between)| {
        let (file, rest) = line.strip_prefix(before)?.split_once(between)?;
        Some(format!("{file}:{}", rest.trim_end_matches(';')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB\n\
        -- CHANGE MASTER TO MASTER_LOG_FILE='bin.000001', MASTER_LOG_POS=328;\n--\n\
        -- Current Database: `shop`\n--\n\nUSE `shop`;\n\
        DO SETVAL(`sq`, 1005, 0);\n\
        CREATE TABLE `or``ders` (\n  `id` int(11) NOT NULL\n) ENGINE=InnoDB AUTO_INCREMENT=9 X;\n\
        INSERT INTO `or``ders` VALUES\n(1,'a); INSERT INTO `x` VALUES (''\\'),('')\\\\'),\n(2,NULL);\n\
        INSERT INTO `or``ders` (`V)`, row_start) VALUES (3,0x29),(4,'');\n\
        CREATE TABLE `em\npty` (\n  `id` int\n) ENGINE=InnoDB X;\n\
        DELIMITER ;;\nCREATE PROCEDURE p()\nINSERT INTO `empty` VALUES (1);\n\
        -- Current Database: `crm`\n;;\nDELIMITER ;\n\
        --\n-- Current Database: `crm`\n--\n\n--\n-- Current Database: `shop`\n--\nUSE `shop`;\n\
        /*!50001 VIEW `v` AS select 1 */;\n\n-- Dump completed on 2026-11-26  7:01:13\n";

    /// Reads a dump in pieces of `size` bytes; returns where databases began, and what was seen.
    fn read(dump: &str, size: usize) -> (Vec<(usize, String)>, Contents) {
        let (mut text, mut waiting, mut passed) = (Text::default(), Vec::new(), 0);
        let mut begun = Vec::new();
        let pieces: Vec<&[u8]> = dump.as_bytes().chunks(size).collect();
        for (number, piece) in pieces.iter().enumerate() {
            waiting.extend_from_slice(piece);
            loop {
                let step = text.step(&waiting, number + 1 == pieces.len());
                waiting.drain(..step.taken);
                passed += step.taken;
                match step.begins {
                    Some(name) => begun.push((passed, name)),
                    None => break,
                }
            }
        }
        assert!(waiting.is_empty(), "{waiting:?}");
        (begun, text.contents)
    }

    #[test]
    fn rows_are_counted_whatever_is_in_them_and_however_the_dump_comes() {
        let whole = read(DUMP, DUMP.len());

        let (begun, contents) = &whole;
        let names: Vec<&str> = begun.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["shop", "crm", "shop"]);
        assert!(begun.iter().all(|(at, _)| DUMP[*at..].starts_with(DATABASE)), "{begun:?}");
        let rows: Vec<_> = contents.rows.iter().map(|(name, rows)| (&**name, *rows)).collect();
        assert_eq!(rows, [("shop: table `em\npty`", 0), ("shop: table `or``ders`", 4)]);
        assert_eq!(contents.binlog.as_deref(), Some("bin.000001:328"));
        assert_eq!(contents.counters["shop: sequence sq"], "1005");
        assert_eq!(contents.counters["shop: auto_increment `or``ders`"], "9");
        assert!(contents.is_complete);
        for size in [1, 2, 3, 7, 50, 1000] {
            assert_eq!(read(DUMP, size), whole, "in pieces of {size}");
        }
    }

    #[test]
    fn the_position_is_read_as_either_product_writes_it() {
        let mysql =
            "-- CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='bin.000001', SOURCE_LOG_POS=8;";
        assert_eq!(binlog(mysql).as_deref(), Some("bin.000001:8"));
        assert_eq!(binlog("-- CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='bin.0000"), None);
    }

    #[test]
    fn a_dump_that_is_cut_anywhere_is_not_complete() {
        for cut in 0..DUMP.len() - "-- Dump completed on 2026-11-26  7:01:13\n".len() {
            let (_, contents) = read(&DUMP[..cut.max(1)], 64);
            assert!(!contents.is_complete, "cut at {cut}");
        }
        let more = format!("{DUMP}INSERT INTO `or``ders` VALUES (5);\n");
        assert!(!read(&more, 64).1.is_complete, "something follows its end");
    }
}
