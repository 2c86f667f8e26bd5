//! Redis' own format of a data set (RDB), read as it passes.
//!
//! In: bytes of somebody else's. Out: [`Contents`], a fingerprint of every key, or how the file is
//! [`Damaged`]. The fingerprint is of values, not of how they are laid out: a set is the same in
//! whatever order and encoding it stands. Memory does not grow with what is read, but for one number
//! a part. Sources: `rdb.c`, `listpack.c` and `t_stream.c` of Redis 7.0 to 8.0.

mod checksum;
mod element;
mod input;
mod listpack;
mod lzf;
mod module;
mod record;
mod stream;
mod text;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use crate::ground::digest::{Digest, Hasher};
use crate::source::Part;
use crate::source::sum::Sum;
use input::{Input, Pieces as _};
use text::Text;
pub use value::Type;

/// The versions of the format that are read: of Redis 7.0 to 8.0, and Valkey 7.2 to 8.1.
pub const VERSIONS: std::ops::RangeInclusive<u32> = 10..=12;

/// No server has more databases.
const MOST_DATABASES: u64 = 1 << 16;

/// Why bytes are no sound data set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Damaged {
    #[error("cannot be read")]
    Read(#[from] io::Error),
    #[error("it ends early, after {at} bytes")]
    Cut { at: u64 },
    #[error("it is none: it does not begin as one")]
    NotRdb,
    #[error(
        "it is of version {found} of the format, and those that are read are {} to {}",
        VERSIONS.start(), VERSIONS.end()
    )]
    Version { found: u32 },
    #[error("it holds something of an unknown type ({code}) before byte {at}")]
    UnknownType { code: u8, at: u64 },
    #[error("it is malformed before byte {at}: {what}")]
    Malformed { what: &'static str, at: u64 },
    #[error("its checksum is not that of its content")]
    Checksum,
    #[error("something follows its end")]
    Trailing,
}

/// What a data set holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The version of the format.
    pub version: u32,
    /// Keys by database, type, and whether they expire, e.g. `db0: hash with expiry`.
    pub parts: BTreeMap<String, Part>,
    /// Libraries of functions.
    pub schema: BTreeMap<String, Digest>,
    /// Modules whose data it holds, which only they can read.
    pub modules: BTreeSet<String>,
    /// One more than the highest number of a database that holds keys.
    pub databases: u32,
    pub bytes: u64,
    /// Whether its own checksum proves it whole; a server may be told to write none.
    pub is_summed: bool,
}

/// A key whose name is short enough to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub database: u32,
    pub name: Vec<u8>,
    pub kind: Type,
    /// In milliseconds since 1970.
    pub expiry: Option<i64>,
}

impl Key {
    /// The part of the fingerprint that it is in.
    pub fn part(&self) -> String {
        let Self { database, kind, expiry, .. } = self;
        Group { database: *database, kind: kind.clone(), expires: expiry.is_some() }.to_string()
    }
}

/// The first key of a data set that a client could make anew; blocking.
pub fn first(source: &mut dyn Read) -> Result<Option<Key>, Damaged> {
    let mut input = Input::new(source);
    version(&mut input)?;
    let mut gathered = Gathered::default();
    loop {
        match gathered.one(&mut input)? {
            More::Key(key) if !matches!(key.kind, Type::Module(_)) => return Ok(Some(key)),
            More::Key(_) | More::Yes => {}
            More::No => return Ok(None),
        }
    }
}

/// Reads a data set to its end; blocking. What follows it is [`Damaged::Trailing`].
pub fn read(source: &mut dyn Read) -> Result<Contents, Damaged> {
    let mut input = Input::new(source);
    let version = version(&mut input)?;
    let mut gathered = Gathered::default();
    while gathered.one(&mut input)? != More::No {}
    let is_summed = input.end()?;
    let databases = gathered.sums.keys().map(|group| group.database + 1).max().unwrap_or(0);
    let parts = gathered.sums.into_iter().map(|(group, sum)| (group.to_string(), sum.part()));
    Ok(Contents {
        version,
        parts: parts.collect(),
        schema: gathered.libraries,
        modules: gathered.modules,
        databases,
        bytes: input.at(),
        is_summed,
    })
}

/// `REDIS0010`
fn version(input: &mut Input<'_>) -> Result<u32, Damaged> {
    let magic: [u8; 9] = input.array()?;
    let digits = magic.strip_prefix(b"REDIS").ok_or(Damaged::NotRdb)?;
    let digits = std::str::from_utf8(digits).map_err(|_| Damaged::NotRdb)?;
    let found = digits.parse().map_err(|_| Damaged::NotRdb)?;
    if VERSIONS.contains(&found) { Ok(found) } else { Err(Damaged::Version { found }) }
}

/// Whether there is more to read, and what was read just now.
#[derive(PartialEq, Eq)]
enum More {
    Key(Key),
    Yes,
    No,
}

/// Keys that are counted together.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    database: u32,
    kind: Type,
    expires: bool,
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { database, kind, expires } = self;
        write!(f, "db{database}: {kind}{}", if *expires { " with expiry" } else { "" })
    }
}

/// What was read so far, and what was said of the key that comes next.
#[derive(Default)]
struct Gathered {
    sums: BTreeMap<Group, Sum>,
    libraries: BTreeMap<String, Digest>,
    modules: BTreeSet<String>,
    database: u32,
    /// In milliseconds since 1970.
    expiry: Option<i64>,
}

/// What introduces something else than a key, by its byte.
mod opcode {
    pub const SLOT: u8 = 244;
    pub const FUNCTIONS: u8 = 245;
    pub const MODULE: u8 = 247;
    pub const IDLE: u8 = 248;
    pub const FREQUENCY: u8 = 249;
    pub const ABOUT: u8 = 250;
    pub const SIZES: u8 = 251;
    pub const EXPIRY: u8 = 252;
    pub const DATABASE: u8 = 254;
    pub const END: u8 = 255;
}

impl Gathered {
    fn one(&mut self, input: &mut Input<'_>) -> Result<More, Damaged> {
        match input.byte()? {
            opcode::END => return Ok(More::No),
            opcode::DATABASE => {
                let number = input.length()?;
                if number >= MOST_DATABASES {
                    return Err(input.malformed("a database's number is too high"));
                }
                self.database = number as u32;
            }
            opcode::EXPIRY => self.expiry = Some(i64::from_le_bytes(input.array()?)),
            // How lately and how often a key was used is not its content.
            opcode::FREQUENCY => {
                input.byte()?;
            }
            opcode::IDLE => input.pass_over(1)?,
            opcode::SIZES => input.pass_over(2)?,
            opcode::SLOT => input.pass_over(3)?,
            opcode::ABOUT => {
                Text::open(input)?.element()?;
                Text::open(input)?.element()?;
            }
            opcode::FUNCTIONS => self.library(input)?,
            opcode::MODULE => {
                self.modules.insert(module::name(input.length()?));
                // When it is to be loaded: a number's mark and a number.
                input.pass_over(2)?;
                module::value(input)?;
            }
            code => return self.key(code, input),
        }
        Ok(More::Yes)
    }

    fn key(&mut self, code: u8, input: &mut Input<'_>) -> Result<More, Damaged> {
        let name = Text::open(input)?.element()?;
        let (kind, value) = value::read(code, input)?;
        if let Type::Module(name) = &kind {
            self.modules.insert(name.clone());
        }
        let mut whole = Hasher::default();
        whole.update(&name.digest.0);
        whole.update(&value.0);
        let (database, expiry) = (self.database, self.expiry.take());
        if let Some(expiry) = expiry {
            whole.update(&expiry.to_le_bytes());
        }
        let group = Group { database, kind: kind.clone(), expires: expiry.is_some() };
        self.sums.entry(group).or_default().add(&whole.finish());
        Ok(match name.whole() {
            Some(name) => More::Key(Key { database, name: name.to_owned(), kind, expiry }),
            None => More::Yes,
        })
    }

    /// A library of functions: its code begins with `#!lua name=orders`.
    fn library(&mut self, input: &mut Input<'_>) -> Result<(), Damaged> {
        let code = Text::open(input)?.element()?;
        let name = code.begin().split(|byte| byte.is_ascii_whitespace());
        let name = name.filter_map(|word| word.strip_prefix(b"name=")).next();
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Err(input.malformed("a library of functions has no name"));
        };
        let name = format!("library {}", String::from_utf8_lossy(name));
        match self.libraries.insert(name, code.digest) {
            None => Ok(()),
            Some(_) => Err(input.malformed("a library of functions is there twice")),
        }
    }
}

#[cfg(test)]
mod tests;
