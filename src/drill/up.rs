//! A source that was brought up, and what is compared of it: its own check, then equality with what was
//! captured.

use std::path::PathBuf;
use std::time::Instant;

use super::Rehearsal;
use super::examine::whole;
use crate::check::{self, Id, NotRun, Outcome, Why};
use crate::ground::ids::Name;
use crate::ledger::details::{self, Finding, PartCompared, SourceRecovered, Upgraded, Waived};
use crate::restore::Compared;
use crate::source::{self, Capture, Fingerprint, Place, Recovered, Source};

/// A source that was brought up.
pub(super) struct Up {
    pub(super) name: Name,
    pub(super) source: Box<dyn Source>,
    pub(super) capture: Capture,
    /// The newer major version that it came up on, in an upgrade rehearsal.
    pub(super) onto: Option<u32>,
    pub(super) data: PathBuf,
    pub(super) recovered: Box<dyn Recovered>,
}

impl Up {
    /// The engine's own check, then equality with what was captured.
    pub(super) fn judge(&mut self, content: Option<&Compared>, rehearsal: &mut Rehearsal) {
        let begun = Instant::now();
        let id = Id::SelfCheck(self.name.clone());
        let outcome = match self.recovered.self_check() {
            Ok(checked) => Outcome::of_self_check(checked),
            Err(trouble) => Outcome::of_trouble(&id, &trouble),
        };
        rehearsal.settle(id, outcome, self.checked_unit(), begun.elapsed());

        let begun = Instant::now();
        let id = Id::Equality(self.name.clone());
        let restored = self.recovered.fingerprint();
        let mut retold = Vec::new();
        let outcome = match &restored {
            Ok(restored) if self.onto.is_some() => {
                let Capture { kind, fingerprint, .. } = &self.capture;
                let is_retold = |object: &str| self.capture.is_retold(object);
                let compared = check::compare_upgraded(*kind, fingerprint, restored, is_retold);
                retold = compared.1;
                compared.0
            }
            Ok(restored) => self.equality(restored, content, rehearsal.plan.waiver(&self.name)),
            Err(trouble) => Outcome::of_trouble(&id, trouble),
        };
        let waived = self.waived(&outcome, rehearsal.plan.waiver(&self.name));
        let compared = self.compared(restored.ok().as_ref(), content);
        let upgraded = self.onto.map(|major| Upgraded { major, retold });
        rehearsal.sources.push(SourceRecovered { waived, upgraded, ..compared });
        rehearsal.settle(id, outcome, self.unit(), begun.elapsed());
    }

    /// A fingerprint of files speaks of names and metadata; their content is equal only if reading
    /// all of it back found no difference either. `waiver` is why the policy does without, where no
    /// exact point could be had.
    fn equality(
        &self,
        restored: &Fingerprint,
        content: Option<&Compared>,
        waiver: Option<&str>,
    ) -> Outcome {
        let Capture { kind, fingerprint, .. } = &self.capture;
        let named = check::compare(*kind, fingerprint, restored);
        if let Some(why) = self.capture.unheld() {
            return without_rows(named, fingerprint, why, waiver);
        }
        match (named, content) {
            (named, _) if *kind != source::Kind::Files => named,
            // A folder that lost its content, as where its disk is not mounted, is there itself.
            (Outcome::Held { .. }, _) if self.capture.holds_nothing() => {
                let what = "each of its paths was an empty folder, or an empty file";
                Outcome::not_run(Why::NothingToCompare, what)
            }
            (Outcome::Held { compared }, Some(content)) => {
                let below = format!("{}/", self.name);
                let here = |place: &&Place| {
                    place.object.split_once(' ').is_some_and(|(_, path)| path.starts_with(&below))
                };
                let told = content.differences.len() as u64;
                if content.total_differences > told {
                    return whole(content);
                }
                Outcome::of(compared.get(), content.differences.iter().filter(here).cloned())
            }
            (Outcome::Held { .. }, None) => {
                Outcome::not_run(Why::Skipped, "the files' content was not read back")
            }
            (named, _) => named,
        }
    }

    /// What equality was done without, where that is what happened.
    fn waived(&self, outcome: &Outcome, reason: Option<&str>) -> Option<Waived> {
        let is_so = matches!(outcome, Outcome::NotRun(NotRun { why: Why::NoExactPoint, .. }));
        let reason = reason.filter(|_| is_so)?;
        let why = self.capture.unheld()?;
        Some(Waived { reason: reason.to_owned(), why: why.to_owned() })
    }

    /// Whether nothing that was read back below `path`, a part of the fingerprint, differs; a
    /// database's fingerprint is of its content already.
    fn content_is_equal(&self, path: &str, content: Option<&Compared>) -> bool {
        if self.capture.kind != source::Kind::Files {
            return true;
        }
        let top = format!("{}{}", self.name, path.trim_end_matches('/'));
        let is_below = |place: &Place| {
            let path = place.object.split_once(' ').map_or("", |(_, path)| path);
            path.strip_prefix(&top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        content.is_some_and(|content| {
            content.total_differences == content.differences.len() as u64
                && !content.differences.iter().any(is_below)
        })
    }

    fn checked_unit(&self) -> &'static str {
        match self.capture.kind {
            source::Kind::Files | source::Kind::Command => "entries",
            source::Kind::Sqlite => "pages",
            source::Kind::Postgres => "relations",
            source::Kind::Redis => "keys",
            source::Kind::Mariadb | source::Kind::Mysql => "tables",
        }
    }

    fn unit(&self) -> &'static str {
        match self.capture.kind {
            source::Kind::Files | source::Kind::Command => "entries",
            source::Kind::Sqlite
            | source::Kind::Postgres
            | source::Kind::Mariadb
            | source::Kind::Mysql => "rows",
            source::Kind::Redis => "keys",
        }
    }

    /// What the report shows of this source.
    fn compared(
        &self,
        restored: Option<&Fingerprint>,
        content: Option<&Compared>,
    ) -> SourceRecovered {
        let Capture { kind, fingerprint, .. } = &self.capture;
        let captured = &fingerprint.parts;
        let none = std::collections::BTreeMap::new();
        let restored = restored.map_or(&none, |restored| &restored.parts);
        let mut names: Vec<_> = captured.keys().chain(restored.keys()).collect();
        names.sort();
        names.dedup();
        if fingerprint.version != kind.fingerprint_version() {
            // No part is known to be equal, and none to differ.
            names.clear();
        }
        let part = |name: &String| PartCompared {
            name: name.clone(),
            rows_captured: captured.get(name).map(|part| part.rows),
            rows_restored: restored.get(name).map(|part| part.rows),
            equal: captured.get(name) == restored.get(name) && self.content_is_equal(name, content),
        };
        SourceRecovered {
            source: self.name.clone(),
            kind: kind.to_string(),
            engine: self.capture.engine.clone(),
            captured_on: self.capture.host.clone(),
            served: self.capture.served.as_ref().map(served),
            waived: None,
            upgraded: None,
            consistent_time: Some(self.capture.state_time()),
            entries: self.capture.entries,
            bytes: self.capture.bytes,
            parts: names.into_iter().map(part).collect(),
        }
    }
}

/// What is left of equality where dump and fingerprint are not of one moment: definitions, which must be
/// there and agree. That they do is no equality.
fn without_rows(
    named: Outcome,
    captured: &Fingerprint,
    why: &str,
    waiver: Option<&str>,
) -> Outcome {
    match named {
        Outcome::Held { .. } | Outcome::NotRun(NotRun { why: Why::NothingToCompare, .. })
            if !captured.schema.is_empty() =>
        {
            let waiver = waiver.map(|reason| format!("; the policy does not require it: {reason}"));
            Outcome::not_run(Why::NoExactPoint, format!("{why}{}", waiver.unwrap_or_default()))
        }
        named => named,
    }
}

fn served(taken: &source::Served) -> details::Served {
    let source::Served { host, role, lag_ms, passed_over } = taken;
    let finding =
        |one: &source::PassedOver| Finding { object: one.host.clone(), what: one.why.clone() };
    details::Served {
        host: host.clone(),
        is_replica: *role == source::Role::Replica,
        lag_ms: *lag_ms,
        passed_over: passed_over.iter().map(finding).collect(),
    }
}
