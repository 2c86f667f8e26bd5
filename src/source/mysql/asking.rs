//! What drills ask of the captured moment, to compare with what is restored.

use std::time::Duration;

use super::names::identifier;
use super::recover::ask::answer_of;
use super::recover::complaint::without_values;
use super::session::{self, Session, TooLarge};
use crate::source::{Answered, Context, Question, Rows};

/// What the server may take beyond a query's limit before it is taken for dead.
const GRACE: Duration = Duration::from_secs(30);

/// Puts the questions to the moment that the session's transaction sees. It names a database from then
/// on, and is of no use for definitions.
pub(super) fn answers(
    session: &mut Session,
    databases: &[String],
    context: &Context,
) -> Result<Vec<Answered>, session::Error> {
    let mut answers = Vec::new();
    for question in &context.questions {
        let database = match (&question.database, databases) {
            (Some(named), _) => Ok(named),
            (None, [only]) => Ok(only),
            (None, _) => Err("the source has several databases, and none is named".to_owned()),
        };
        let said = match database.map(|database| read(session, database, question)) {
            Ok(Ok(Ok(rows))) => Ok(rows),
            Ok(Ok(Err(TooLarge))) => Err(Rows::TOO_LARGE.to_owned()),
            Ok(Err(session::Error::Refused { number, message, .. })) => {
                Err(format!("{} (error {number})", without_values(number, &message)))
            }
            Ok(Err(error)) => return Err(error),
            Err(why) => Err(why),
        };
        answers.push(question.answered(said, context));
    }
    Ok(answers)
}

/// A subquery can be nothing but one query: here nothing else keeps it from writing where the log-in
/// may.
fn read(
    session: &mut Session,
    database: &str,
    question: &Question,
) -> Result<Result<Rows, TooLarge>, session::Error> {
    let sql = question.query.trim_end_matches(|c: char| c.is_whitespace() || c == ';');
    session.set_limit(question.limit.saturating_add(GRACE))?;
    let limits = session.product().limits(question.limit);
    session.run(&limits)?;
    session.run(&format!("USE {}", identifier(database)))?;
    let sql = format!("SELECT * FROM ({sql}\n) AS answer");
    Ok(session
        .table(&sql, Rows::MOST, Rows::MOST_BYTES)?
        .map(|(columns, rows)| answer_of(columns, rows)))
}
