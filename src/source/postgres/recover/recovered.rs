//! Restored databases that answer questions, each asked of the scratch server in its cage.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::super::session::{self, Column};
use super::super::{Cluster, Session, fingerprint, schema};
use super::injure::{self, Injured};
use super::server::Server;
use super::{Error, amcheck, complaint, data, environment, of_session};
use crate::sandbox;
use crate::source::{Cell, Checked, Fault, Fingerprint, Place, Recovered, Rows, Trouble};

/// An answer with more is refused, never cut.
const MOST_ROWS: usize = 1_000_000;
const MOST_BYTES: usize = 64 << 20;

/// Rows that are fetched at once.
const PIECE: usize = 10_000;

/// What the server may take beyond a query's limit before it is taken for dead.
const GRACE: Duration = Duration::from_secs(30);

/// How long reading one table may take.
const PATIENCE: Duration = Duration::from_secs(12 * 3600);

/// A captured cluster on its scratch server.
pub(super) struct Restored {
    server: Server,
    cluster: Cluster,
    /// By database, as last read.
    read: BTreeMap<String, Fingerprint>,
    injured: Option<Injured>,
}

impl Restored {
    pub(super) fn new(server: Server, cluster: Cluster) -> Self {
        Self { server, cluster, read: BTreeMap::new(), injured: None }
    }

    fn databases(&self) -> Vec<String> {
        self.cluster.databases.iter().map(|database| database.name.clone()).collect()
    }

    /// The database that a query is for: the only one where none is named.
    fn database(&self, named: Option<&str>) -> Result<String, Trouble> {
        match (named, &self.cluster.databases[..]) {
            (None, [only]) => Ok(only.name.clone()),
            (None, _) => {
                let what = "the source has several databases: the check must name one (database)";
                Err(environment(Error::Query(what)))
            }
            (Some(name), databases) if databases.iter().any(|one| one.name == name) => {
                Ok(name.to_owned())
            }
            (Some(_), _) => Err(data(Error::Query("the database is not in the recovery point"))),
        }
    }

    /// What is read in the session in which a fault was put, which is then undone.
    fn injured_fingerprint(&mut self, mut injured: Injured) -> Result<Fingerprint, Trouble> {
        let found = fingerprint(&mut injured.session).map_err(of_session)?;
        injured.session.run("ROLLBACK").map_err(of_session)?;
        Ok(found)
    }

    /// Databases that were not captured, as objects of the schema.
    fn strangers(&self, session: &mut Session) -> Result<Vec<String>, Trouble> {
        let found = session.rows(
            "SELECT datname FROM pg_database
             WHERE datname NOT IN ('template0', 'template1', 'postgres')",
        );
        let found = found.map_err(of_session)?.into_iter().flatten().flatten();
        let captured = self.databases();
        Ok(found.filter(|name| !captured.contains(name)).collect())
    }
}

impl Recovered for Restored {
    fn self_check(&mut self) -> Result<Checked, Trouble> {
        amcheck::check(&self.server, &self.cluster)
    }

    fn fingerprint(&mut self) -> Result<Fingerprint, Trouble> {
        let mut session = self.server.session("template1")?;
        let mut whole = Fingerprint {
            schema: schema::of_cluster(&mut session).map_err(of_session)?,
            ..Fingerprint::default()
        };
        for stranger in self.strangers(&mut session)? {
            let name = format!("{stranger}: database");
            whole.schema.insert(name, crate::ground::digest::Digest::of(stranger.as_bytes()));
        }
        let mut injured = self.injured.take();
        for database in self.databases() {
            let found = match injured.take_if(|injured| injured.session.database() == database) {
                Some(injured) => self.injured_fingerprint(injured)?,
                // Nothing changes but what is injured, which was undone.
                None if injured.is_some() && self.read.contains_key(&database) => {
                    self.read[&database].clone()
                }
                None => {
                    let mut session = self.server.session(&database)?;
                    session.set_limit(PATIENCE).map_err(of_session)?;
                    let found = fingerprint(&mut session).map_err(of_session)?;
                    self.read.insert(database, found.clone());
                    found
                }
            };
            whole.parts.extend(found.parts);
            whole.schema.extend(found.schema);
        }
        Ok(whole)
    }

    fn first_answer(&mut self) -> Result<(), Trouble> {
        for database in self.databases() {
            let mut session = self.server.session(&database)?;
            session.value("SELECT count(*) FROM pg_class").map_err(of_session)?;
        }
        Ok(())
    }

    fn query(
        &mut self,
        database: Option<&str>,
        sql: &str,
        limit: Duration,
    ) -> Result<Rows, Trouble> {
        let mut session = self.server.session(&self.database(database)?)?;
        session.set_limit(limit.saturating_add(GRACE)).map_err(of_session)?;
        ask(&mut session, sql, limit).map_err(|error| of_query(error, limit))?
    }

    fn files(&self) -> Option<&Path> {
        None
    }

    fn injure(&mut self, fault: Fault) -> Result<Option<Place>, Trouble> {
        for database in self.databases() {
            let mut session = self.server.session(&database)?;
            session.set_limit(PATIENCE).map_err(of_session)?;
            if let Some((place, session)) = injure::injure(session, fault)? {
                self.injured = Some(Injured { session });
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    fn undoes_faults(&self) -> bool {
        true
    }

    fn confinement(&self) -> Option<String> {
        Some(self.server.confinement())
    }

    fn stop(self: Box<Self>) -> Result<(), Trouble> {
        self.server.stop()
    }
}

/// Answers one statement that only reads. The inner error is of an answer that is too large.
fn ask(
    session: &mut Session,
    sql: &str,
    limit: Duration,
) -> Result<Result<Rows, Trouble>, session::Error> {
    // The owner writes names as the application does; a subquery can be nothing but one query.
    let sql = sql.trim_end_matches(|c: char| c.is_whitespace() || c == ';');
    let milliseconds = limit.as_millis().min(i32::MAX as u128);
    session.run("RESET search_path")?;
    session.run("BEGIN READ ONLY")?;
    session.run(&format!("SET LOCAL statement_timeout = {milliseconds}"))?;
    session.run(&format!("DECLARE answer CURSOR FOR SELECT * FROM ({sql}\n) AS answer"))?;
    let (mut answer, mut bytes) = (Rows::default(), 0);
    loop {
        let (columns, rows) = session.table(&format!("FETCH {PIECE} FROM answer"))?;
        let is_last = rows.len() < PIECE;
        for row in rows {
            let cells: Vec<Cell> =
                row.into_iter().zip(&columns).map(|(value, column)| cell(value, column)).collect();
            bytes += cells.iter().map(weight).sum::<usize>();
            answer.rows.push(cells);
        }
        if answer.columns.is_empty() {
            answer.columns = columns.into_iter().map(|column| column.name).collect();
        }
        if answer.rows.len() > MOST_ROWS || bytes > MOST_BYTES {
            let what = "the answer is larger than 1,000,000 rows or 64 MiB";
            return Ok(Err(environment(Error::Query(what))));
        }
        if is_last {
            return Ok(Ok(answer));
        }
    }
}

/// Something that is gone is the data's fault; a slip in the query is not.
fn of_query(error: session::Error, limit: Duration) -> Trouble {
    let session::Error::Refused { code, message, .. } = error else {
        return match error {
            session::Error::TimedOut { .. } => environment(sandbox::Error::TimedOut { limit }),
            error => environment(error),
        };
    };
    if code == "57014" {
        return environment(sandbox::Error::TimedOut { limit });
    }
    // Undefined tables, columns, functions and schemas; pages and indexes that are not sound.
    let is_gone = ["42P01", "42703", "42883", "3F000"].contains(&code.as_str());
    let error = Error::Refused { what: complaint::without_values(&message), code };
    match &error {
        Error::Refused { code, .. } if is_gone || code.starts_with("XX") => data(error),
        _ => environment(error),
    }
}

/// A value by its type. `numeric` comes as a number where that loses nothing worth a check.
fn cell(value: Option<String>, column: &Column) -> Cell {
    let Some(text) = value else { return Cell::Null };
    let whole = || text.parse().map(Cell::Integer).ok();
    let real = || text.parse().map(Cell::Real).ok();
    let number = match column.kind.as_str() {
        "INT2" | "INT4" | "INT8" | "OID" => whole(),
        "NUMERIC" => whole().or_else(real),
        "FLOAT4" | "FLOAT8" => real(),
        "BOOL" => return Cell::Text(if text == "t" { "true" } else { "false" }.to_owned()),
        "BYTEA" => {
            text.strip_prefix("\\x").and_then(|digits| hex::decode(digits).ok()).map(Cell::Blob)
        }
        _ => None,
    };
    number.unwrap_or(Cell::Text(text))
}

fn weight(cell: &Cell) -> usize {
    16 + match cell {
        Cell::Text(text) => text.len(),
        Cell::Blob(bytes) => bytes.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_types() {
        let of = |kind: &str, text: &str| {
            cell(Some(text.to_owned()), &Column { name: String::new(), kind: kind.to_owned() })
        };

        assert_eq!(of("INT8", "-5"), Cell::Integer(-5));
        assert_eq!(of("NUMERIC", "12"), Cell::Integer(12));
        assert_eq!(of("NUMERIC", "12.50"), Cell::Real(12.5));
        assert!(matches!(of("FLOAT8", "NaN"), Cell::Real(number) if number.is_nan()));
        assert_eq!(of("BOOL", "t"), Cell::Text("true".into()));
        assert_eq!(of("BYTEA", "\\x00ff"), Cell::Blob(vec![0, 255]));
        assert_eq!(of("TEXT", "5"), Cell::Text("5".into()));
    }
}
