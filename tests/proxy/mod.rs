//! A proxy between lifeboat and an S3 service that fails, cuts, loses and lies as it is told to.
//!
//! Requests pass byte for byte (their signature covers the Host header, which names the proxy);
//! answers are read whole, harmed, and sent on. How often each fault fired is counted, so that a
//! test can prove that it tested something.
#![allow(dead_code, reason = "each test program uses the part of the proxy that it needs")]

mod http;
mod listing;

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Answer, Request};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// It is not passed on, and refused with this status and code.
    Refuse(u16, &'static str),
    Slow(Duration),
    /// The connection ends without an answer, and the service never hears of the request.
    Reset,
    /// The service carries it out, and the connection ends without an answer.
    LoseReply,
    /// Half of the answer's body arrives.
    Truncate,
    /// The middle byte of the answer's body is another.
    WrongByte,
    /// Status 200 with an error where the answer should be.
    ErrorInside,
    /// A listing of nothing.
    Empty,
    /// A listing without its second half.
    Partial,
    /// The listing as it was when the proxy saw it first.
    Stale,
    /// A listing that goes on, always at the same place.
    Endless,
    /// A listing that goes on and does not say where.
    Lost,
    /// A creation replaces what is there.
    Unconditional,
    /// What is missing is forbidden: as AWS answers keys that may not list the whole bucket.
    Secretive,
}

/// One fault: which requests it meets, and what it does to them.
#[derive(Debug, Clone)]
pub struct Fault {
    /// `GET`, `PUT`, `DELETE`, `LIST`, or empty for all.
    pub act: &'static str,
    /// Requests whose target has this text in it.
    pub name: &'static str,
    /// Which of those, counted from 0.
    pub calls: Range<u64>,
    pub harm: Harm,
}

/// Every call.
pub const ALL: Range<u64> = 0..u64::MAX;

struct Armed {
    fault: Fault,
    met: u64,
    fired: u64,
}

struct Shared {
    upstream: u16,
    armed: Mutex<Vec<Armed>>,
    /// How many requests came.
    requests: AtomicU64,
    /// The first listing seen of each target.
    listings: Mutex<HashMap<String, Vec<u8>>>,
    /// Deletes an object by its path, as the service's administrator.
    delete: Box<dyn Fn(&str) + Send + Sync>,
}

/// A proxy that runs until the test program ends.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// A proxy for the service at a port of this machine.
    pub fn start(upstream: u16, delete: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            upstream,
            armed: Mutex::default(),
            requests: AtomicU64::new(0),
            listings: Mutex::default(),
            delete: Box::new(delete),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                // Clients hang up as they please: that ends their thread, and nothing else.
                std::thread::spawn(move || shared.serve(client));
            }
        });
        Self { port, shared }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Requests since the last time this was asked.
    pub fn requests(&self) -> u64 {
        self.shared.requests.swap(0, Ordering::Relaxed)
    }

    /// Replaces all faults; of several that meet one request the first fires.
    pub fn arm(&self, faults: &[Fault]) {
        let arm = |fault: &Fault| Armed { fault: fault.clone(), met: 0, fired: 0 };
        *self.shared.armed.lock().unwrap() = faults.iter().map(arm).collect();
    }

    /// Removes all faults; answers how often they fired together.
    pub fn disarm(&self) -> u64 {
        self.shared.armed.lock().unwrap().drain(..).map(|armed| armed.fired).sum()
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        while let Some(request) = Request::read(&mut client)? {
            if !self.pass(&mut client, &request)? {
                return client.shutdown(std::net::Shutdown::Both);
            }
        }
        Ok(())
    }

    /// Whether the connection goes on.
    fn pass(&self, client: &mut TcpStream, request: &Request) -> io::Result<bool> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let harm = self.harm(request);
        match harm {
            Some(Harm::Refuse(status, code)) => {
                client.write_all(&Answer::refusal(status, code).bytes())?;
                return Ok(true);
            }
            Some(Harm::Reset) => return Ok(false),
            Some(Harm::Slow(time)) => std::thread::sleep(time),
            Some(Harm::Unconditional) => (self.delete)(request.path()),
            _ => {}
        }
        let mut answer = request.forward(self.upstream)?;
        if request.is_list() && answer.status == 200 {
            let mut seen = self.listings.lock().unwrap();
            let first = seen.entry(request.target.clone()).or_insert_with(|| answer.body.clone());
            if harm == Some(Harm::Stale) {
                answer.body = first.clone();
            }
        }
        match harm {
            Some(Harm::LoseReply) => return Ok(false),
            Some(Harm::Truncate) => {
                client.write_all(&answer.cut_in_half())?;
                return Ok(false);
            }
            Some(Harm::WrongByte) => {
                let middle = answer.body.len() / 2;
                if let Some(byte) = answer.body.get_mut(middle) {
                    *byte ^= 1;
                }
            }
            Some(Harm::ErrorInside) => answer = Answer::error_inside(),
            Some(Harm::Secretive) if answer.status == 404 => {
                answer = Answer::refusal(403, "AccessDenied");
            }
            Some(Harm::Endless) => answer.body = listing::going_on(&answer.body, Some("again")),
            Some(Harm::Lost) => answer.body = listing::going_on(&answer.body, None),
            Some(Harm::Empty) => answer.body = listing::thinned(&answer.body, |_| 0),
            Some(Harm::Partial) => answer.body = listing::thinned(&answer.body, |all| all / 2),
            _ => {}
        }
        client.write_all(&answer.bytes())?;
        Ok(true)
    }

    fn harm(&self, request: &Request) -> Option<Harm> {
        let mut all = self.armed.lock().unwrap();
        all.iter_mut().find_map(|armed| {
            let Fault { act, name, calls, harm } = &armed.fault;
            if !(act.is_empty() || *act == request.act()) || !request.target.contains(name) {
                return None;
            }
            let call = armed.met;
            armed.met += 1;
            let fires = calls.contains(&call);
            armed.fired += u64::from(fires);
            fires.then_some(*harm)
        })
    }
}
