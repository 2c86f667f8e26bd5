//! Values by their type: what a key holds becomes one digest.

use std::fmt;

use super::Damaged;
use super::element::Element;
use super::input::{Input, Pieces as _};
use super::listpack::{self, Listpack};
use super::record::{Record, pair};
use super::text::Text;
use super::{module, stream};
use crate::ground::digest::Digest;
use crate::source::sum::Sum;

/// What kind of value a key holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Stream,
    /// Of this module.
    Module(String),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "sorted set",
            Self::Hash => "hash",
            Self::Stream => "stream",
            Self::Module(name) => return write!(f, "module {name}"),
        })
    }
}

/// How a list's node holds its elements.
const ONE: u64 = 1;
const SEVERAL: u64 = 2;

/// Reads the value that the byte `code` announces. A server of Redis 7 writes no others: it has
/// turned older encodings into these when it loaded them.
pub(super) fn read(code: u8, input: &mut Input<'_>) -> Result<(Type, Digest), Damaged> {
    Ok(match code {
        0 => (Type::String, Text::open(input)?.element()?.digest),
        2 => (Type::Set, set(input)?),
        4 => (Type::Hash, hash(input)?),
        5 => (Type::SortedSet, sorted_set(input)?),
        7 => (Type::Module(module::name(input.length()?)), module::value(input)?),
        11 => (Type::Set, set_of_integers(input)?),
        16 => (Type::Hash, small_hash(input)?),
        17 => (Type::SortedSet, small_sorted_set(input)?),
        18 => (Type::List, list(input)?),
        19 => (Type::Stream, stream::read(input, stream::Version::V2)?),
        20 => (Type::Set, small_set(input)?),
        21 => (Type::Stream, stream::read(input, stream::Version::V3)?),
        24 => (Type::Hash, hash_that_expires(input)?),
        25 => (Type::Hash, small_hash_that_expires(input)?),
        code => return Err(Damaged::UnknownType { code, at: input.at() }),
    })
}

fn list(input: &mut Input<'_>) -> Result<Digest, Damaged> {
    let mut record = Record::default();
    for _ in 0..input.length()? {
        match input.length()? {
            ONE => record.digest(&Text::open(input)?.element()?.digest),
            SEVERAL => {
                let mut elements = Listpack::open(Text::open(input)?)?;
                while let Some(element) = elements.next()? {
                    record.digest(&element.digest);
                }
                elements.end()?;
            }
            _ => return Err(input.malformed("a list's node is of an unknown kind")),
        }
    }
    Ok(record.finish())
}

/// A multitude's digest: its members' sum, and how many they are.
fn of_multitude(sum: &Sum) -> Digest {
    let part = sum.part();
    let mut record = Record::default();
    record.number(part.rows);
    record.digest(&part.hash);
    record.finish()
}

fn set(input: &mut Input<'_>) -> Result<Digest, Damaged> {
    let mut sum = Sum::default();
    for _ in 0..input.length()? {
        sum.add(&Text::open(input)?.element()?.digest);
    }
    Ok(of_multitude(&sum))
}

fn set_of_integers(input: &mut Input<'_>) -> Result<Digest, Damaged> {
    let mut sum = Sum::default();
    listpack::integers(Text::open(input)?, &mut |member| sum.add(&member.digest))?;
    Ok(of_multitude(&sum))
}

fn small_set(input: &mut Input<'_>) -> Result<Digest, Damaged> {
    let (mut sum, mut members) = (Sum::default(), Listpack::open(Text::open(input)?)?);
    while let Some(member) = members.next()? {
        sum.add(&member.digest);
    }
    members.end()?;
    Ok(of_multitude(&sum))
}

fn hash(input: &mut Input<'_>) -> Result<Digest, Damaged> {
    let mut sum = Sum::default();
    for _ in 0..input.length()? {
        let field = Text::open(input)?.element()?;
        sum.add(&pair(&field.digest, &Text::open(input)?.element()?.digest));
    }
    Ok(of_multitude(&sum))
}

fn small_hash(input: &mut Input<'_>) -> Result<Digest, Damaged> {
    let (mut sum, mut fields) = (Sum::default(), Listpack::open(Text::open(input)?)?);
    while let Some(field) = fields.next()? {
        sum.add(&pair(&field.digest, &fields.must()?.digest));
    }
    fields.end()?;
    Ok(of_multitude(&sum))
}

/// A hash some of whose fields expire (Redis 7.4): times count from the earliest.
fn hash_that_expires(input: &mut Input<'_>) -> Result<Digest, Damaged> {
    let earliest = u64::from_le_bytes(input.array()?);
    let mut sum = Sum::default();
    for _ in 0..input.length()? {
        let expiry = match input.length()? {
            0 => 0,
            after => after.wrapping_add(earliest).wrapping_sub(1),
        };
        let field = Text::open(input)?.element()?;
        sum.add(&expiring(&field, &Text::open(input)?.element()?, expiry));
    }
    Ok(of_multitude(&sum))
}

fn small_hash_that_expires(input: &mut Input<'_>) -> Result<Digest, Damaged> {
    let _earliest: [u8; 8] = input.array()?;
    let (mut sum, mut fields) = (Sum::default(), Listpack::open(Text::open(input)?)?);
    while let Some(field) = fields.next()? {
        let value = fields.must()?;
        sum.add(&expiring(&field, &value, fields.integer()? as u64));
    }
    fields.end()?;
    Ok(of_multitude(&sum))
}

/// A field with its value and when it expires; 0 where it does not.
fn expiring(field: &Element, value: &Element, expiry: u64) -> Digest {
    let paired = pair(&field.digest, &value.digest);
    if expiry == 0 {
        return paired;
    }
    let mut record = Record::default();
    record.digest(&paired);
    record.number(expiry);
    record.finish()
}

fn sorted_set(input: &mut Input<'_>) -> Result<Digest, Damaged> {
    let mut sum = Sum::default();
    for _ in 0..input.length()? {
        let member = Text::open(input)?.element()?;
        sum.add(&scored(&member, f64::from_le_bytes(input.array()?)));
    }
    Ok(of_multitude(&sum))
}

fn small_sorted_set(input: &mut Input<'_>) -> Result<Digest, Damaged> {
    let (mut sum, mut members) = (Sum::default(), Listpack::open(Text::open(input)?)?);
    while let Some(member) = members.next()? {
        let score = members.must()?.score();
        let score = score.ok_or_else(|| members.malformed("a score is no number"))?;
        sum.add(&scored(&member, score));
    }
    members.end()?;
    Ok(of_multitude(&sum))
}

/// Small sorted sets write -0 as 0.
fn scored(member: &Element, score: f64) -> Digest {
    let mut record = Record::default();
    record.digest(&member.digest);
    record.number(if score == 0.0 { 0 } else { score.to_bits() });
    record.finish()
}
