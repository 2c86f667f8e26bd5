//! Deliberate faults: one key is removed, or gets another value of its type.

use super::super::rdb::{Key, Type};
use super::super::session::Error as Said;
use super::super::{Reply, Session};
use super::{Error, environment};
use crate::source::{Fault, Place, Trouble};

/// Puts `fault` into `key`, whether its time has come or not.
pub(super) fn injure(
    mut session: Session,
    key: &Key,
    fault: Fault,
) -> Result<Option<Place>, Trouble> {
    let what = match fault {
        Fault::RowRemoved => "one key was removed",
        Fault::RowChanged => "the value of one key was changed",
        Fault::ByteFlipped | Fault::BlobHidden => return Ok(None),
    };
    let database = key.database.to_string();
    session.must(&[b"SELECT", database.as_bytes()]).map_err(environment)?;
    if session.must(&[b"DEL", &key.name]).map_err(environment)? != Reply::Integer(1) {
        return Err(environment(Error::Query("the scratch server lacks the key to injure")));
    }
    if fault == Fault::RowChanged {
        replace(&mut session, key).map_err(environment)?;
    }
    Ok(Some(Place { object: key.part(), what: what.to_owned() }))
}

/// Makes the key anew, with what nobody keeps, and the time it had.
fn replace(session: &mut Session, key: &Key) -> Result<(), Said> {
    let (name, value) = (key.name.as_slice(), b"lifeboat injured this".as_slice());
    let made: &[&[u8]] = match &key.kind {
        Type::String => &[b"SET", name, value],
        Type::List => &[b"RPUSH", name, value],
        Type::Set => &[b"SADD", name, value],
        Type::SortedSet => &[b"ZADD", name, b"1", value],
        Type::Hash => &[b"HSET", name, value, value],
        Type::Stream => &[b"XADD", name, b"1-1", value, value],
        // `rdb::first` gives none.
        Type::Module(_) => return Err(Said::Protocol { what: "a module's key" }),
    };
    session.must(made)?;
    if let Some(expiry) = key.expiry {
        session.must(&[b"PEXPIREAT", name, expiry.to_string().as_bytes()])?;
    }
    Ok(())
}
