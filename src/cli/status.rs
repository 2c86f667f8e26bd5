//! `lifeboat status`: how things stand, read from the bucket; and what this host is about to do.

mod aborted;
mod last;
mod present;
mod sampled;
mod stored;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::hint::Trouble;
use super::output::visible;
use super::{App, Exit, advice};
use crate::account::{Account, Rooms};
use crate::policy::{Policy, PolicyName, Setup};
use present::{Here, Present};
use stored::{Bucket, Stored, UNKNOWN};

/// Show per policy: last success, data age, last drill, next runs
///
/// Ends with 1, 10 or 12 where a policy's store could not be read: then what it holds is unknown,
/// and said to be. Ends with 1 also where the ledger is not as it was written, or a snapshot that it
/// names cannot be read or is gone.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policies to show [default: all]
    #[arg(value_name = "POLICY")]
    policies: Vec<PolicyName>,
}

/// How one policy stands.
#[derive(Debug, Serialize)]
struct Standing {
    policy: String,
    #[serde(flatten)]
    learnt: Learnt,
    next_backup: Option<Timestamp>,
    next_drill: Option<Timestamp>,
    #[serde(flatten)]
    present: Present,
}

/// What the bucket says of a policy.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Learnt {
    Stored(Box<Stored>),
    Unknown(Unknown),
}

/// The bucket could not be read: every answer is a word that is no answer.
#[derive(Debug, Serialize)]
struct Unknown {
    last_backup: &'static str,
    incomplete: &'static str,
    unrecorded: &'static str,
    data_age_seconds: &'static str,
    within_rpo: &'static str,
    last_drill: &'static str,
    trouble: Trouble,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let setup = app.setup().await?;
    let policies = setup.policies_or_all(&args.policies)?;
    let rooms = app.rooms(&setup).await?;
    let here = Here::read(&rooms.state).await?;
    let (mut standings, mut trouble) = (Vec::new(), None);
    let mut buckets = BTreeMap::new();
    for policy in policies {
        let mut present = here.of(&setup, policy, rooms.clock.now());
        present.in_outbox = rooms.waiting(&policy.customer).await?;
        // What runs and waits is told all the same: it may be what is wrong.
        let bucket = match buckets.remove(&policy.customer) {
            Some(bucket) => Ok(bucket),
            None => read(&setup, policy, &rooms).await,
        };
        let learnt = match bucket {
            Ok(bucket) => {
                let stored = Stored::of(&bucket, policy, &rooms);
                buckets.insert(&policy.customer, bucket);
                Learnt::Stored(Box::new(stored))
            }
            Err(error) => {
                let error = advice::advised(error);
                let unknown = Unknown::because(&error);
                trouble = trouble.or(Some(error));
                Learnt::Unknown(unknown)
            }
        };
        standings.push(Standing {
            policy: policy.full_name(),
            learnt,
            next_backup: present.next_slot(false),
            next_drill: present.next_slot(true),
            present,
        });
    }
    app.out.answer(&standings, &text(&standings))?;
    let is_alarmed = standings.iter().any(|standing| standing.learnt.is_alarming());
    let exit = if is_alarmed { Exit::Failed } else { Exit::Done };
    trouble.map_or(Ok(exit), Err)
}

/// What the bucket of the policy's customer holds.
async fn read(setup: &Setup, policy: &Policy, rooms: &Rooms) -> anyhow::Result<Bucket> {
    match Account::open_if_begun(setup, setup.customer_of(policy), rooms).await? {
        Some(account) => Bucket::read(&account, rooms).await,
        None => Ok(Bucket::default()),
    }
}

impl Learnt {
    /// Whether what the bucket holds and what it says of it do not agree.
    fn is_alarming(&self) -> bool {
        matches!(self, Self::Stored(stored) if stored.is_alarming())
    }
}

impl Unknown {
    fn because(error: &anyhow::Error) -> Self {
        Self {
            last_backup: UNKNOWN,
            incomplete: UNKNOWN,
            unrecorded: UNKNOWN,
            data_age_seconds: UNKNOWN,
            within_rpo: UNKNOWN,
            last_drill: UNKNOWN,
            trouble: Trouble::of(error),
        }
    }

    /// Lines for people, each with its line end.
    fn text(&self) -> String {
        let Trouble { error, hint } = &self.trouble;
        let hint = hint.as_ref().map_or(String::new(), |hint| format!("  hint    {hint}\n"));
        format!(
            "  backup  UNKNOWN: {}\n{hint}  drill   UNKNOWN: the ledger was not read\n",
            visible(error)
        )
    }
}

fn text(standings: &[Standing]) -> String {
    let mut text = String::new();
    for Standing { policy, learnt, present, .. } in standings {
        text.push_str(policy);
        text.push('\n');
        text.push_str(&match learnt {
            Learnt::Stored(stored) => stored.text(),
            Learnt::Unknown(unknown) => unknown.text(),
        });
        text.push_str(&present.text());
    }
    if standings.is_empty() {
        text.push_str("no policies yet");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(learnt: Learnt) -> Standing {
        let (next_backup, next_drill) = (None, None);
        let present = Present::default();
        Standing { policy: "acme/shop".into(), learnt, next_backup, next_drill, present }
    }

    #[test]
    fn a_policy_that_was_never_drilled_is_not_shown_as_fine() {
        let text = text(&[standing(Learnt::Stored(Box::default()))]);

        assert!(text.contains("none yet that is complete"), "{text}");
        assert!(text.contains("nothing shows that it would come back"), "{text}");
    }

    #[test]
    fn what_could_not_be_read_is_unknown_and_never_none() {
        let error = anyhow::anyhow!("no route\nto the store").context("cannot open");
        let unknown = [standing(Learnt::Unknown(Unknown::because(&error)))];

        let text = text(&unknown);
        let document = serde_json::to_value(&unknown).unwrap();

        assert!(!text.contains("none"), "{text}");
        assert!(text.contains("UNKNOWN: cannot open: no route\\nto the store"), "{text}");
        for key in ["last_backup", "last_drill", "data_age_seconds", "within_rpo", "incomplete"] {
            assert_eq!(document[0][key], "unknown", "{document:#}");
        }
        assert_eq!(document[0]["trouble"]["error"], "cannot open: no route\nto the store");
    }
}
