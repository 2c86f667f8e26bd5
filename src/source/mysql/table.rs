//! One table out of the dump of its database, as SQL of its own.
//!
//! In: a dump's text. Out: what stands before its first database, the table's definition, rows and
//! triggers, and how many rows those are, counted with their quotes in mind. The line that would drop a
//! table of that name is left out: nobody's present table goes because its past is loaded.

use std::io::{self, BufRead, Read, Write};

use super::names::unquoted;
use super::tables::part_name;
use super::text::Text;

/// So much of a line is enough to tell what it is.
const PIECE: u64 = 64 << 10;

/// What begins a table's definition, and its rows.
const TABLE: [&str; 2] = ["-- Table structure for table ", "-- Dumping data for table "];

/// What begins something else.
const OTHERS: [&str; 7] = [
    "-- Current Database: ",
    "-- Temporary table structure for view ",
    "-- Temporary view structure for view ",
    "-- Final view structure for view ",
    "-- Sequence structure for ",
    "-- Dumping events for database ",
    "-- Dumping routines for database ",
];

/// Writes the table that `part` names among the parts of a fingerprint, out of the dump of
/// `database`; answers how many rows it has, none where the dump does not define it.
pub(in super::super) fn write(
    dump: &mut impl BufRead,
    database: &str,
    part: &str,
    out: &mut dyn Write,
) -> io::Result<Option<u64>> {
    let mut picked = Picked { counted: Counted::of(database), out };
    let (mut section, mut in_code, mut begins_line) = (Section::Head, false, true);
    let mut piece = Vec::new();
    while dump.by_ref().take(PIECE).read_until(b'\n', &mut piece)? > 0 {
        let line = if begins_line { std::str::from_utf8(&piece).unwrap_or_default() } else { "" };
        let line = line.trim_end_matches('\n');
        let mut is_dropping = false;
        match line {
            "DELIMITER ;;" => in_code = true,
            "DELIMITER ;" => in_code = false,
            _ if in_code => {}
            _ if OTHERS.iter().any(|other| line.starts_with(other)) => section = Section::Other,
            _ => {
                if let Some(table) = table_of(line) {
                    let is_it = part_name(database, &table) == part;
                    section = if is_it { Section::Wanted } else { Section::Other };
                }
                is_dropping = line.starts_with("DROP TABLE IF EXISTS `");
            }
        }
        begins_line = piece.ends_with(b"\n");
        if section != Section::Other && !is_dropping {
            picked.take(&piece, section == Section::Wanted)?;
        }
        piece.clear();
    }
    Ok(picked.counted.rows(part))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    /// All that stands before the first database: how the dump wants to be read.
    Head,
    Wanted,
    Other,
}

fn table_of(line: &str) -> Option<String> {
    let quoted = TABLE.iter().find_map(|begin| line.strip_prefix(begin))?;
    unquoted(quoted).map(|(name, _)| name)
}

/// What is picked, on its way out and counted.
struct Picked<'a> {
    counted: Counted,
    out: &'a mut dyn Write,
}

impl Picked<'_> {
    fn take(&mut self, piece: &[u8], counts: bool) -> io::Result<()> {
        if counts {
            self.counted.take(piece);
        }
        self.out.write_all(piece)
    }
}

/// Counts rows as they are counted when they are captured.
struct Counted {
    text: Text,
    waiting: Vec<u8>,
}

impl Counted {
    fn of(database: &str) -> Self {
        let mut counted = Self { text: Text::default(), waiting: Vec::new() };
        let name = super::names::identifier(database);
        counted.take(format!("-- Current Database: {name}\n").as_bytes());
        counted
    }

    fn take(&mut self, piece: &[u8]) {
        self.waiting.extend_from_slice(piece);
        self.step(false);
    }

    fn step(&mut self, is_last: bool) {
        loop {
            let step = self.text.step(&self.waiting, is_last);
            self.waiting.drain(..step.taken);
            if step.begins.is_none() {
                break;
            }
        }
    }

    fn rows(mut self, part: &str) -> Option<u64> {
        self.step(true);
        self.text.contents.rows.get(part).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "-- MariaDB dump\n/*!40101 SET NAMES utf8mb4 */;\n\n\
        --\n-- Current Database: `shop`\n--\n\nCREATE DATABASE `shop`;\nUSE `shop`;\n\n\
        --\n-- Table structure for table `customers`\n--\n\n\
        DROP TABLE IF EXISTS `customers`;\nCREATE TABLE `customers` (\n  `id` int\n);\n\n\
        --\n-- Dumping data for table `customers`\n--\n\n\
        INSERT INTO `customers` VALUES\n(1),\n(2);\n\n\
        --\n-- Table structure for table `or``ders`\n--\n\n\
        DROP TABLE IF EXISTS `or``ders`;\nCREATE TABLE `or``ders` (\n  `id` int\n);\n\n\
        --\n-- Dumping data for table `or``ders`\n--\n\n\
        INSERT INTO `or``ders` VALUES\n(1,'a); -- Table structure for table `customers`'),\n(2,NULL);\n\
        DELIMITER ;;\nCREATE TRIGGER t\n-- Table structure for table `customers`\n;;\nDELIMITER ;\n\n\
        --\n-- Dumping routines for database 'shop'\n--\nDELIMITER ;;\nCREATE PROCEDURE p()\n\
        INSERT INTO `or``ders` VALUES (9);;\nDELIMITER ;\n\n-- Dump completed on 2026-11-26\n";

    fn picked(part: &str) -> (Option<u64>, String) {
        let mut out = Vec::new();
        let rows = write(&mut DUMP.as_bytes(), "shop", part, &mut out).unwrap();
        (rows, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_table_comes_out_with_head_rows_and_triggers_and_nothing_else() {
        let (rows, sql) = picked("shop: table `or``ders`");

        assert_eq!(rows, Some(2));
        assert!(sql.starts_with("-- MariaDB dump\n/*!40101 SET NAMES utf8mb4 */;\n"), "{sql}");
        for there in
            ["CREATE TABLE `or``ders`", "(2,NULL);", "CREATE TRIGGER t", ";;\nDELIMITER ;\n"]
        {
            assert!(sql.contains(there), "{there}: {sql}");
        }
        for not in ["USE `shop`", "CREATE DATABASE", "TABLE `customers` (", "PROCEDURE", "DROP"] {
            assert!(!sql.contains(not), "{not}: {sql}");
        }
    }

    #[test]
    fn a_table_that_the_dump_lacks_has_no_rows_and_not_even_none() {
        assert_eq!(picked("shop: table gone").0, None);
        assert_eq!(picked("crm: table customers").0, None);
    }
}
