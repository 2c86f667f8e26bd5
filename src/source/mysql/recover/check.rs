//! The engine's own check: `CHECK TABLE` of every table of every captured database.

use std::num::NonZeroU64;

use super::super::names::literal;
use super::super::{Server, tables};
use super::of_session;
use super::scratch::ScratchServer;
use crate::source::{Checked, Place, Trouble};

/// Checks all tables; they are what was compared.
pub(super) fn check(server: &ScratchServer, source: &Server) -> Result<Checked, Trouble> {
    let mut session = server.session()?;
    session.set_limit(super::recovered::PATIENCE).map_err(of_session)?;
    let (mut looked_at, mut problems) = (0, Vec::new());
    for database in &source.databases {
        let names = session
            .column(&format!(
                "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {}",
                literal(&database.name)
            ))
            .map_err(of_session)?;
        if names.is_empty() {
            // The comparison names it.
            continue;
        }
        for table in tables::of_database(&mut session, &database.name).map_err(of_session)? {
            let said = session.rows(&format!("CHECK TABLE {} EXTENDED", table.sql()));
            let said = said.map_err(of_session)?;
            looked_at += 1;
            problems.extend(problem(&said).map(|what| Place { object: table.part_name(), what }));
        }
    }
    Ok(Checked { compared: NonZeroU64::new(looked_at), problems })
}

/// What is wrong with a table, by the answer's columns `Table`, `Op`, `Msg_type`, `Msg_text`.
fn problem(said: &[Vec<Option<String>>]) -> Option<String> {
    let words = |row: &Vec<Option<String>>| {
        let word = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
        (word(2).to_lowercase(), word(3))
    };
    let wrong = said.iter().map(words).find(|(kind, text)| match kind.as_str() {
        "status" => text != "OK" && !text.starts_with("Table is already"),
        // An engine that has no check says so; its rows are compared all the same.
        "note" => false,
        _ => true,
    });
    wrong.map(|(kind, text)| format!("{kind}: {}", super::complaint::without_values(0, &text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_ok_is_a_problem() {
        let said = |kind: &str, text: &str| {
            let row = ["shop.orders", "check", kind, text].map(|word| Some(word.to_owned()));
            problem(&[row.to_vec()])
        };

        assert_eq!(said("status", "OK"), None);
        assert_eq!(said("note", "The storage engine for the table doesn't support check"), None);
        assert_eq!(said("error", "Corrupt"), Some("error: Corrupt".to_owned()));
        assert!(said("warning", "InnoDB: Index by_day is marked as corrupted").is_some());
        assert!(said("status", "Operation failed").is_some());
    }
}
