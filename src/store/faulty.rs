//! A store that fails, cuts short, delays and lies where it is told to: for tests.
//!
//! In: a store and a list of faults. Out: the same store with those faults, and a count of how
//! often each of them fired, so that a test can prove that it tested something.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::{Error, Object, ObjectName, Put, Result, Shared, Store};

/// What a call asks of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Put,
    Get,
    List,
    Delete,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// It fails and does nothing. A listing fails after its first object.
    Fail,
    /// It is carried out, and the answer is lost: the caller sees an error.
    LoseReply,
    /// Only this many bytes (of a listing: objects) arrive, and nothing says so.
    Truncate(usize),
    /// The middle byte arrives changed. Means nothing to listings and deletions.
    Lie,
    /// It takes longer.
    Delay(Duration),
    /// The object seems not to be there: `get` and `delete` say missing, listings leave it out.
    Hide,
}

/// One fault: which calls it meets, and what it does to them.
#[derive(Debug, Clone)]
pub struct Fault {
    pub act: Act,
    /// Calls whose object (of a listing: whose folder or, for [`Harm::Hide`], whose objects) has
    /// this text in its name; empty for all.
    pub name: String,
    /// Which of those calls, counted from 0; `0..u64::MAX` for every one.
    pub calls: Range<u64>,
    pub harm: Harm,
}

/// A store with faults.
#[derive(Debug)]
pub struct Faulty {
    inner: Shared,
    faults: Vec<Armed>,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    met: AtomicU64,
    fired: AtomicU64,
}

impl Faulty {
    /// `inner` with `faults`; of several that meet one call the first fires.
    pub fn new(inner: Shared, faults: Vec<Fault>) -> Self {
        let arm = |fault| Armed { fault, met: AtomicU64::new(0), fired: AtomicU64::new(0) };
        Self { inner, faults: faults.into_iter().map(arm).collect() }
    }

    /// How often each fault fired so far, in the order they were given.
    pub fn fired(&self) -> Vec<u64> {
        self.faults.iter().map(|armed| armed.fired.load(Ordering::SeqCst)).collect()
    }

    fn harm(&self, act: Act, name: &str) -> Option<&Fault> {
        self.faults.iter().find_map(|armed| {
            let fault = &armed.fault;
            let hides_from_listing = act == Act::List && fault.harm == Harm::Hide;
            if fault.act != act || !(hides_from_listing || name.contains(&fault.name)) {
                return None;
            }
            let call = armed.met.fetch_add(1, Ordering::SeqCst);
            if !fault.calls.contains(&call) {
                return None;
            }
            armed.fired.fetch_add(1, Ordering::SeqCst);
            Some(fault)
        })
    }
}

fn injected(action: &'static str, name: impl std::fmt::Display) -> Error {
    Error::io(action, name, "an injected fault")
}

fn spoil(body: &Bytes) -> Bytes {
    let mut body = body.to_vec();
    let middle = body.len() / 2;
    if let Some(byte) = body.get_mut(middle) {
        *byte ^= 1;
    }
    body.into()
}

fn cut(body: &Bytes, length: usize) -> Bytes {
    body.slice(..length.min(body.len()))
}

#[async_trait]
impl Store for Faulty {
    async fn put(&self, name: &ObjectName, body: Bytes, how: Put) -> Result<()> {
        let Some(fault) = self.harm(Act::Put, name.as_str()) else {
            return self.inner.put(name, body, how).await;
        };
        match fault.harm {
            Harm::Fail => Err(injected("write", name)),
            Harm::LoseReply => {
                self.inner.put(name, body, how).await?;
                Err(injected("write", name))
            }
            Harm::Truncate(length) => self.inner.put(name, cut(&body, length), how).await,
            Harm::Lie => self.inner.put(name, spoil(&body), how).await,
            Harm::Delay(time) => {
                tokio::time::sleep(time).await;
                self.inner.put(name, body, how).await
            }
            Harm::Hide => Ok(()),
        }
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes> {
        let Some(fault) = self.harm(Act::Get, name.as_str()) else {
            return self.inner.get(name, range).await;
        };
        match fault.harm {
            Harm::Fail | Harm::LoseReply => Err(injected("read", name)),
            Harm::Truncate(length) => Ok(cut(&self.inner.get(name, range).await?, length)),
            Harm::Lie => Ok(spoil(&self.inner.get(name, range).await?)),
            Harm::Delay(time) => {
                tokio::time::sleep(time).await;
                self.inner.get(name, range).await
            }
            Harm::Hide => Err(Error::Missing { name: name.clone() }),
        }
    }

    fn list(&self, prefix: Option<&ObjectName>) -> BoxStream<'_, Result<Object>> {
        let folder = prefix.map_or("", ObjectName::as_str).to_owned();
        let objects = self.inner.list(prefix);
        let Some(fault) = self.harm(Act::List, &folder) else { return objects };
        match fault.harm {
            Harm::Fail | Harm::LoseReply => {
                objects.take(1).chain(stream::iter([Err(injected("list", folder))])).boxed()
            }
            Harm::Truncate(length) => objects.take(length).boxed(),
            Harm::Lie => objects,
            Harm::Delay(time) => stream::once(tokio::time::sleep(time))
                .flat_map(move |()| stream::empty())
                .chain(objects)
                .boxed(),
            Harm::Hide => {
                let hidden = move |object: &Result<Object>| {
                    object.as_ref().is_ok_and(|object| object.name.as_str().contains(&fault.name))
                };
                objects.filter(move |object| std::future::ready(!hidden(object))).boxed()
            }
        }
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        let Some(fault) = self.harm(Act::Delete, name.as_str()) else {
            return self.inner.delete(name).await;
        };
        match fault.harm {
            Harm::Fail => Err(injected("delete", name)),
            Harm::LoseReply => {
                self.inner.delete(name).await?;
                Err(injected("delete", name))
            }
            Harm::Truncate(_) | Harm::Lie => self.inner.delete(name).await,
            Harm::Delay(time) => {
                tokio::time::sleep(time).await;
                self.inner.delete(name).await
            }
            Harm::Hide => Err(Error::Missing { name: name.clone() }),
        }
    }

    fn place(&self) -> String {
        self.inner.place()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::TryStreamExt;

    use super::super::Memory;
    use super::*;

    #[tokio::test]
    async fn the_second_matching_call_is_harmed_and_counted() {
        let fault = Fault { act: Act::Get, name: "pack".into(), calls: 1..2, harm: Harm::Lie };
        let store = Faulty::new(Arc::new(Memory::new()), vec![fault]);
        let name: ObjectName = "data/pack".parse().unwrap();
        store.put(&name, Bytes::from_static(b"abc"), Put::Create).await.unwrap();

        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(store.get(&name, None).await.unwrap());
        }

        assert_eq!(seen, ["abc", "acc", "abc"]);
        assert_eq!(store.fired(), [1]);
    }

    #[tokio::test]
    async fn a_lost_reply_is_an_error_after_the_deed_and_hidden_objects_leave_listings() {
        let all = 0..u64::MAX;
        let lost =
            Fault { act: Act::Put, name: "a".into(), calls: all.clone(), harm: Harm::LoseReply };
        let hidden = Fault { act: Act::List, name: "b".into(), calls: all, harm: Harm::Hide };
        let store = Faulty::new(Arc::new(Memory::new()), vec![lost, hidden]);
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        store.put(&b, Bytes::new(), Put::Create).await.unwrap();

        assert!(store.put(&a, Bytes::new(), Put::Create).await.is_err());

        assert!(store.get(&a, None).await.is_ok());
        let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
        assert_eq!(listed.into_iter().map(|object| object.name).collect::<Vec<_>>(), [a]);
    }
}
