//! Which recovery point a drill rehearses.

use std::num::NonZeroU32;

use jiff::Timestamp;

use crate::ground::ids::RunId;
use crate::ledger::record::Draw;
use crate::policy::{Drill, Pick};
use crate::repo::SnapshotId;

/// Which recovery point is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    Latest,
    Oldest,
    /// The newest taken before this moment.
    Before(Timestamp),
    /// By (the beginning of) its id: a person, and not the drill, says which.
    Named(&'a str),
    /// An older one, after this drill failed.
    Searched {
        snapshot: SnapshotId,
        failed: RunId,
    },
    /// One of so many, by a sampling campaign.
    Drawn {
        draw: Draw,
        population: u64,
    },
}

/// What a drill asks for by itself.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    One(Wanted<'a>),
    /// A sampling campaign of so many draws.
    Sample {
        drill: &'a Drill,
        size: NonZeroU32,
    },
}

impl<'a> Asked<'a> {
    /// None: all rungs on the latest.
    pub fn by(drill: Option<&'a Drill>) -> Self {
        let Some(drill) = drill else { return Self::One(Wanted::Latest) };
        match drill.pick {
            Pick::Latest => Self::One(Wanted::Latest),
            Pick::Oldest => Self::One(Wanted::Oldest),
            Pick::Before(moment) => Self::One(Wanted::Before(moment)),
            Pick::Random(size) => Self::Sample { drill, size },
        }
    }
}

impl Wanted<'_> {
    pub(super) fn searched_for(self) -> Option<RunId> {
        match self {
            Self::Searched { failed, .. } => Some(failed),
            _ => None,
        }
    }

    pub(super) fn draw(self) -> Option<Draw> {
        match self {
            Self::Drawn { draw, .. } => Some(draw),
            _ => None,
        }
    }
}
