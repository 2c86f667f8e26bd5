//! Questions and answers in Redis' protocol (RESP, version 2), bounded whatever is answered.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::Login;
use super::link::Link;
use crate::ground::secret::ExposeSecret;

/// The longest answer that is taken in.
const MOST_BYTES: usize = 64 << 20;

/// The most values of an answer.
const MOST_VALUES: usize = 1_000_000;

/// How deep answers may be nested.
const DEEPEST: usize = 8;

/// The longest line that is no string.
const LONGEST_LINE: usize = 16 << 10;

/// Why a server gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot reach the server {server}")]
    Connect { server: String, source: io::Error },
    /// What it said is not repeated: some servers quote what they were told, passwords too.
    #[error("the server {server} does not admit us ({code})")]
    NotAdmitted { server: String, code: String },
    #[error("the server refused: {said}")]
    Refused { said: String },
    #[error("the connection to the server was lost")]
    Lost(#[source] io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("the server said nothing for {} s", limit.as_secs_f64())]
    Silent { limit: Duration },
    #[error("interrupted")]
    Interrupted,
    #[error("what the server answered is no answer: {what}")]
    Protocol { what: &'static str },
    #[error("the answer is larger than 64 MiB or 1,000,000 values")]
    TooLarge,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Status(String),
    /// It did not do what was asked.
    Error(String),
    Integer(i64),
    Nil,
    Text(Vec<u8>),
    List(Vec<Reply>),
}

/// A connection on which one question follows the other.
pub struct Session {
    link: Link,
    /// Bytes that came and were not yet taken.
    came: Vec<u8>,
    taken: usize,
}

impl Session {
    /// Connects and logs in; blocking. `silence` is the longest that the server may say nothing.
    pub fn open(
        login: &Login,
        silence: Duration,
        interrupted: Arc<AtomicBool>,
    ) -> Result<Self, Error> {
        let link = Link::open(login, silence, interrupted)?;
        let mut session = Self { link, came: Vec::new(), taken: 0 };
        let mut words: Vec<&[u8]> = Vec::new();
        if let Some(password) = &login.password {
            words.push(b"AUTH");
            words.extend(login.user.as_ref().map(|user| user.as_bytes()));
            words.push(password.expose_secret().as_bytes());
        }
        if !words.is_empty()
            && let Reply::Error(said) = session.ask(&words)?
        {
            let code = said.split(' ').next().unwrap_or_default().to_owned();
            return Err(Error::NotAdmitted { server: login.server(), code });
        }
        Ok(session)
    }

    /// Asks one question.
    pub fn ask(&mut self, words: &[&[u8]]) -> Result<Reply, Error> {
        self.tell(words)?;
        let mut left = Left { bytes: MOST_BYTES, values: MOST_VALUES };
        self.reply(&mut left, 0)
    }

    /// Asks one question that is answered with what is no error.
    pub fn must(&mut self, words: &[&[u8]]) -> Result<Reply, Error> {
        match self.ask(words)? {
            Reply::Error(said) => Err(Error::Refused { said }),
            reply => Ok(reply),
        }
    }

    /// The longest that the server may say nothing from now on.
    pub fn set_silence(&mut self, silence: Duration) {
        self.link.set_silence(silence);
    }

    /// The longest that the server may say nothing.
    pub fn silence(&self) -> Duration {
        self.link.silence()
    }

    pub(super) fn tell(&mut self, words: &[&[u8]]) -> Result<(), Error> {
        let mut asked = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            asked.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            asked.extend_from_slice(word);
            asked.extend_from_slice(b"\r\n");
        }
        self.link.send(&asked)
    }

    /// The next line, without its end. A server that prepares a transfer sends empty ones.
    pub(super) fn line(&mut self) -> Result<String, Error> {
        loop {
            let waiting = &self.came[self.taken..];
            if let Some(length) = waiting.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&waiting[..length]);
                let line = line.trim_end_matches('\r').to_owned();
                self.taken += length + 1;
                return Ok(line);
            }
            if waiting.len() > LONGEST_LINE {
                return Err(Error::Protocol { what: "a line without an end" });
            }
            self.more()?;
        }
    }

    /// Takes some of the bytes that come; none once the server has closed the connection.
    pub(super) fn some(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let waiting = &self.came[self.taken..];
        if waiting.is_empty() {
            return self.link.read(buffer);
        }
        let count = waiting.len().min(buffer.len());
        buffer[..count].copy_from_slice(&waiting[..count]);
        self.taken += count;
        Ok(count)
    }

    fn more(&mut self) -> Result<(), Error> {
        self.came.drain(..self.taken);
        self.taken = 0;
        let mut piece = [0; 16 << 10];
        match self.link.read(&mut piece)? {
            0 => Err(Error::Closed),
            count => {
                self.came.extend_from_slice(&piece[..count]);
                Ok(())
            }
        }
    }

    fn reply(&mut self, left: &mut Left, depth: usize) -> Result<Reply, Error> {
        let line = self.line()?;
        left.count(line.len())?;
        let Some((kind, rest)) = line.split_at_checked(1) else {
            return Err(Error::Protocol { what: "an empty line" });
        };
        let number = || rest.parse::<i64>().map_err(|_| Error::Protocol { what: "no number" });
        Ok(match kind {
            "+" => Reply::Status(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Integer(number()?),
            "$" | "*" if number()? < 0 => Reply::Nil,
            "$" => Reply::Text(self.text(number()? as usize, left)?),
            "*" if depth == DEEPEST => return Err(Error::Protocol { what: "too deep a list" }),
            "*" => {
                let mut list = Vec::new();
                for _ in 0..number()? {
                    list.push(self.reply(left, depth + 1)?);
                }
                Reply::List(list)
            }
            _ => return Err(Error::Protocol { what: "an unknown kind of answer" }),
        })
    }

    fn text(&mut self, length: usize, left: &mut Left) -> Result<Vec<u8>, Error> {
        left.count(length)?;
        while self.came.len() - self.taken < length + 2 {
            self.more()?;
        }
        let text = self.came[self.taken..self.taken + length].to_vec();
        self.taken += length + 2;
        Ok(text)
    }
}

/// What an answer may still hold.
struct Left {
    bytes: usize,
    values: usize,
}

impl Left {
    fn count(&mut self, bytes: usize) -> Result<(), Error> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(Error::TooLarge)?;
        self.values = self.values.checked_sub(1).ok_or(Error::TooLarge)?;
        Ok(())
    }
}
