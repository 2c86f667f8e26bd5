//! The plan: every assertion and every control of a drill, declared before anything runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::ground::ids::Name;
use crate::source::{Fault, Kind};

/// One assertion of a drill. The order is the one in which they run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    /// The snapshot is the recovery point that it is taken for: the ledger says so.
    Point,
    /// Every blob of the snapshot is there and sound.
    Integrity,
    /// Everything came out as the trees record it.
    Restore,
    /// The source's engine starts on what came out.
    Start(Name),
    /// The engine's own consistency check is clean.
    SelfCheck(Name),
    /// Content and schema equal what was captured.
    Equality(Name),
    /// An assertion of the policy's owner; its place in the drill's file, from 0, and its name.
    Check(usize, String),
    /// Totals of the source equal those of what other programs restored from the same snapshot.
    Independent(Name),
}

impl Id {
    /// The rung it belongs to, as records name it.
    pub fn rung(&self) -> &'static str {
        match self {
            Self::Point => "point",
            Self::Integrity => "integrity",
            Self::Restore => "restore",
            Self::Start(_) | Self::SelfCheck(_) => "start",
            Self::Equality(_) => "equality",
            Self::Check(..) => "check",
            Self::Independent(_) => "independent",
        }
    }

    /// The source it is about, where it is about one.
    pub fn source(&self) -> Option<&Name> {
        match self {
            Self::Start(source)
            | Self::SelfCheck(source)
            | Self::Equality(source)
            | Self::Independent(source) => Some(source),
            Self::Point | Self::Integrity | Self::Restore | Self::Check(..) => None,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Point => f.write_str("recovery point"),
            Self::Integrity => f.write_str("integrity"),
            Self::Restore => f.write_str("restore"),
            Self::Start(source) => write!(f, "start of {source}"),
            Self::SelfCheck(source) => write!(f, "self-check of {source}"),
            Self::Equality(source) => write!(f, "equality of {source}"),
            Self::Check(_, name) => write!(f, "check {name:?}"),
            Self::Independent(source) => write!(f, "independent restore of {source}"),
        }
    }
}

/// A deliberate fault and the one assertion that must find it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Control {
    pub fault: Fault,
    /// None: in the repository, not in one source.
    pub source: Option<Name>,
    pub must_fail: Id,
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = match self.fault {
            Fault::RowChanged => "a changed row",
            Fault::RowRemoved => "a removed row",
            Fault::ByteFlipped => "a flipped byte",
            Fault::BlobHidden => "a hidden blob",
        };
        match &self.source {
            Some(source) => write!(f, "{fault} in {source}"),
            None => f.write_str(fault),
        }
    }
}

/// What the policy promises, and whether this drill can judge it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Objectives {
    /// The longest recovery time.
    pub rto: Option<Duration>,
    /// The greatest data age.
    pub rpo: Option<Duration>,
    /// Whether the drill takes the latest recovery point: only that one has the data age that
    /// a disaster now would have.
    pub picks_latest: bool,
}

/// Everything that a drill declares. A verdict is measured against all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    ids: BTreeSet<Id>,
    sources: usize,
    controls: Vec<Control>,
    objectives: Objectives,
    /// Sources whose equality the policy does not require where it cannot be had, and why not.
    waived: BTreeMap<Name, String>,
    /// Sources that are brought up on a newer major version than their own.
    upgraded: BTreeSet<Name>,
}

impl Plan {
    /// The plan for a policy's `sources`, the names of a drill's own `checks` in their order, the
    /// `objectives`, and the usual controls for the sources' kinds if they are wanted.
    pub fn new<'a>(
        sources: impl IntoIterator<Item = (&'a Name, Kind)>,
        checks: impl IntoIterator<Item = &'a str>,
        objectives: Objectives,
        with_controls: bool,
    ) -> Self {
        let mut plan = Self {
            ids: BTreeSet::from([Id::Point, Id::Integrity, Id::Restore]),
            sources: 0,
            controls: Vec::new(),
            objectives,
            waived: BTreeMap::new(),
            upgraded: BTreeSet::new(),
        };
        for (source, kind) in sources {
            plan.sources += 1;
            plan.ids.extend([
                Id::Start(source.clone()),
                Id::SelfCheck(source.clone()),
                Id::Equality(source.clone()),
            ]);
            let faults: &[Fault] = match kind {
                _ if !with_controls => &[],
                // Only its own programs know how to change what it holds.
                Kind::Command => &[],
                Kind::Files => &[Fault::ByteFlipped],
                Kind::Sqlite | Kind::Postgres | Kind::Mariadb | Kind::Mysql | Kind::Redis => {
                    &[Fault::RowChanged, Fault::RowRemoved]
                }
            };
            plan.controls.extend(faults.iter().map(|fault| Control {
                fault: *fault,
                source: Some(source.clone()),
                must_fail: Id::Equality(source.clone()),
            }));
        }
        let checks = checks.into_iter().enumerate();
        plan.ids.extend(checks.map(|(number, name)| Id::Check(number, name.to_owned())));
        if with_controls {
            plan.controls.push(Control {
                fault: Fault::BlobHidden,
                source: None,
                must_fail: Id::Integrity,
            });
        }
        plan
    }

    /// The same, and every source is restored once more by other programs.
    pub fn independently(mut self) -> Self {
        let sources = self.ids.iter().filter_map(|id| match id {
            Id::Start(source) => Some(Id::Independent(source.clone())),
            _ => None,
        });
        let sources: Vec<Id> = sources.collect();
        self.ids.extend(sources);
        self
    }

    /// The same, with equality not required of these sources where no exact point could be had.
    pub fn waiving<'a>(mut self, sources: impl IntoIterator<Item = (&'a Name, &'a str)>) -> Self {
        let waived = sources.into_iter().map(|(source, why)| (source.clone(), why.to_owned()));
        self.waived.extend(waived);
        self
    }

    /// Why equality of `source` is not required where no exact point could be had; none where it is.
    pub fn waiver(&self, source: &Name) -> Option<&str> {
        self.waived.get(source).map(String::as_str)
    }

    /// The same, with these sources brought up on a newer major version.
    pub fn upgrading<'a>(mut self, sources: impl IntoIterator<Item = &'a Name>) -> Self {
        self.upgraded.extend(sources.into_iter().cloned());
        self
    }

    /// Whether `source` is brought up on a newer major version.
    pub fn upgrades(&self, source: &Name) -> bool {
        self.upgraded.contains(source)
    }

    /// Every declared assertion, in the order in which they run.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = &Id> {
        self.ids.iter()
    }

    /// Whether `id` is declared.
    pub fn declares(&self, id: &Id) -> bool {
        self.ids.contains(id)
    }

    /// Every declared control.
    pub fn controls(&self) -> &[Control] {
        &self.controls
    }

    /// The objectives.
    pub fn objectives(&self) -> Objectives {
        self.objectives
    }

    /// Whether there is nothing that could be recovered.
    pub(super) fn is_empty(&self) -> bool {
        self.sources == 0
    }
}
