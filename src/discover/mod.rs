//! What there is to protect on this host: servers by their processes and sockets, applications by
//! files that only they have.
//!
//! In: `/proc`, the usual folders, and those that a person names. Out: a [`Discovery`]: what was found,
//! and what was left out and why. Nothing that is found is run, no link is followed, nobody logs in
//! with a password, nothing is written. Names come from whoever made the processes and files: they
//! are shown by `ground::visible` alone, and what cannot be shown as it is is left out.

mod applications;
mod knock;
mod known;
mod login;
mod place;
mod processes;
mod servers;
mod size;
mod sockets;

pub use applications::Application;
pub use login::Admission;
pub use place::Place;
pub use servers::Server;
pub use size::Size;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use crate::ground::visible::{is_hostile, visible};

/// All that was found on this host.
#[derive(Debug, Default)]
pub struct Discovery {
    pub servers: Vec<Server>,
    pub applications: Vec<Application>,
    pub left_out: Vec<LeftOut>,
}

/// What is there and cannot be protected as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// On one line, as it may be shown.
    pub what: String,
    /// With what to do about it, where that is known.
    pub why: String,
}

impl LeftOut {
    fn new(what: &str, why: impl Into<String>) -> Self {
        Self { what: visible(what).into_owned(), why: visible(&why.into()).into_owned() }
    }
}

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Folders of applications besides the usual ones.
    pub also: Vec<PathBuf>,
    /// Nothing in this folder is anybody's but lifeboat's.
    pub except: PathBuf,
}

/// Looks at the whole host.
pub async fn look(places: Places, interrupted: &Arc<AtomicBool>) -> Discovery {
    let mut found = Discovery::default();
    servers::look(&mut found, interrupted).await;
    let searched = tokio::task::spawn_blocking(move || applications::look(&places)).await;
    let (applications, left_out) = searched.expect("the search does not panic");
    found.applications = applications;
    found.left_out.extend(left_out);
    found
}

/// The text of a path that policies can name and terminals can show.
fn plain(path: &std::path::Path) -> Option<&str> {
    path.to_str().filter(|text| !text.contains(is_hostile))
}
