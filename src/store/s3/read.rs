//! Reading objects: whole, in part, and whether they are there.

use std::ops::Range;
use std::time::Instant;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use bytes::Bytes;

use super::client::patience;
use super::{Error, ObjectName, Result, S3, Trouble};

/// The largest object that is read whole: restic's offsets end at 4 GiB, a header follows.
const WHOLE: u64 = 5 << 30;

/// What a request for an object brought.
enum Answer {
    Here(Box<GetObjectOutput>),
    Missing,
    /// It is there and ends before the range that was asked for begins.
    OutOfRange,
}

/// What is known of an object without its bytes.
pub(super) struct Glance {
    pub size: u64,
    /// The mark that its creator put on it.
    pub mark: Option<String>,
}

impl S3 {
    pub(super) async fn read(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes> {
        let failed = |trouble| Error::io("read", name, trouble);
        let missing = || Error::Missing { name: name.clone() };
        let Some(range) = range else {
            let read = self.again(|| self.whole(name)).await.map_err(failed)?;
            return read.ok_or_else(missing);
        };
        // The header cannot say an empty one; services differ in what they make of huge numbers,
        // and no object goes so far.
        if range.start < range.end && i64::try_from(range.end).is_ok() {
            let read = self.again(|| self.part(name, &range)).await.map_err(failed)?;
            if let Part::Here(bytes) = read {
                return Ok(bytes);
            }
        }
        let Glance { size, .. } = self.glance(name).await.map_err(failed)?.ok_or_else(missing)?;
        if range.start == range.end && range.end <= size {
            return Ok(Bytes::new());
        }
        Err(Error::Short { name: name.clone(), size, range })
    }

    /// All bytes; none if the object is missing.
    async fn whole(&self, name: &ObjectName) -> Result<Option<Bytes>, Trouble> {
        match self.ask(name, None).await? {
            Answer::Here(object) => {
                let size = size_of(&object)?;
                if size > WHOLE {
                    let what = "it has more bytes than any object of a repository or ledger";
                    return Err(Trouble::Request { source: what.into() });
                }
                Ok(Some(body(*object, size).await?))
            }
            Answer::Missing => Ok(None),
            Answer::OutOfRange => Err(Trouble::answer("416 where no range was asked for")),
        }
    }

    async fn part(&self, name: &ObjectName, range: &Range<u64>) -> Result<Part, Trouble> {
        let last = range.end - 1;
        match self.ask(name, Some(format!("bytes={}-{last}", range.start))).await? {
            Answer::Here(object) => {
                let (first, end, _) = extent(&object)?;
                if first != range.start || end > range.end {
                    return Err(Trouble::answer("another range than the one asked for"));
                }
                if end < range.end {
                    return Ok(Part::Otherwise);
                }
                Ok(Part::Here(body(*object, end - first).await?))
            }
            Answer::Missing | Answer::OutOfRange => Ok(Part::Otherwise),
        }
    }

    /// Looks at an object by asking for its first byte; none if it is missing. A HEAD would do,
    /// but its refusals say nothing: a missing bucket would look like a missing object.
    pub(super) async fn glance(&self, name: &ObjectName) -> Result<Option<Glance>, Trouble> {
        self.again(|| self.glance_once(name)).await
    }

    async fn glance_once(&self, name: &ObjectName) -> Result<Option<Glance>, Trouble> {
        let object = match self.ask(name, Some("bytes=0-0".into())).await? {
            Answer::Here(object) => object,
            Answer::Missing => return Ok(None),
            // Without a first byte: empty. What it says of itself comes with all of it.
            Answer::OutOfRange => match self.ask(name, None).await? {
                Answer::Here(object) => object,
                Answer::Missing => return Ok(None),
                Answer::OutOfRange => {
                    return Err(Trouble::answer("416 where no range was asked for"));
                }
            },
        };
        let size = match object.content_range() {
            Some(_) => extent(&object)?.2,
            None => size_of(&object)?,
        };
        let mark = object.metadata().and_then(|said| said.get(super::write::MARK)).cloned();
        Ok(Some(Glance { size, mark }))
    }

    async fn ask(&self, name: &ObjectName, range: Option<String>) -> Result<Answer, Trouble> {
        let asked = self.client.get_object().bucket(&self.bucket).key(name.as_str());
        let error = match asked.set_range(range).send().await {
            // An error page with status 200 has neither.
            Ok(object) if object.e_tag().is_none() && object.last_modified().is_none() => {
                return Err(Trouble::answer("200 without an object"));
            }
            Ok(object) => return Ok(Answer::Here(Box::new(object))),
            Err(error) => error,
        };
        let status = error.raw_response().map(|response| response.status().as_u16());
        match (status, error.code()) {
            // Only this word: a 404 of the bucket, or of something in between, is no answer.
            (_, Some("NoSuchKey")) => Ok(Answer::Missing),
            (Some(416), _) => Ok(Answer::OutOfRange),
            // Keys that may list only their own folder are told 403 for what is not there.
            (Some(403), Some("AccessDenied")) if !self.is_listed(name).await? => {
                Ok(Answer::Missing)
            }
            _ => Err(Trouble::of(error)),
        }
    }
}

enum Part {
    Here(Bytes),
    /// Missing or too short.
    Otherwise,
}

fn size_of(object: &GetObjectOutput) -> Result<u64, Trouble> {
    let length = object.content_length().and_then(|length| u64::try_from(length).ok());
    length.ok_or_else(|| Trouble::answer("an object that does not say how long it is"))
}

/// First byte, end and size of the object, out of `bytes 0-9/100`.
fn extent(object: &GetObjectOutput) -> Result<(u64, u64, u64), Trouble> {
    let text = object.content_range().unwrap_or_default();
    let numbers = || {
        let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        let size = size.parse().ok()?;
        (first <= last && last < size).then(|| (first, last + 1, size))
    };
    numbers().ok_or_else(|| Trouble::answer("a part that does not say which one"))
}

/// Exactly `size` bytes, or an error: a body that ends early must not pass for a short object.
async fn body(object: GetObjectOutput, size: u64) -> Result<Bytes, Trouble> {
    if size_of(&object)? != size {
        return Err(Trouble::answer("another number of bytes than the one announced"));
    }
    let no_memory = |error| Trouble::Request { source: Box::new(error) };
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(size).unwrap_or(usize::MAX)).map_err(no_memory)?;
    let begun = Instant::now();
    let mut stream = object.body;
    let cut = |got: usize, source| Trouble::Cut { got: got as u64, of: size, source };
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| cut(bytes.len(), error.into()))?;
        if bytes.len() as u64 + chunk.len() as u64 > size {
            return Err(Trouble::answer("more bytes than announced"));
        }
        if begun.elapsed() > patience(size) {
            return Err(cut(bytes.len(), "it comes too slowly".into()));
        }
        bytes.extend_from_slice(&chunk);
    }
    if (bytes.len() as u64) < size {
        return Err(cut(bytes.len(), "the connection ended".into()));
    }
    Ok(bytes.into())
}
