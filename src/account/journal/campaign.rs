//! How a sampling campaign is written down: what is drawn is on the ledger before it is restored.

use serde_json::Value;

use super::settle::Declared;
use super::{Act, Error, Held, Journal, Reach, Recorded, append};
use crate::ground::digest::Digest;
use crate::ledger::record::{Body, CampaignFinished, CampaignStarted, Event, Record};
use crate::ledger::{self, details};

impl Journal {
    /// Writes that a campaign starts, after what [`Journal::begin`] writes first. `draw` makes its record,
    /// and the population that goes into its details, from the records that are on the ledger.
    ///
    /// Fails, and keeps nothing for later, where the ledger does not take it now: a draw that nobody could
    /// see before its drills proves nothing.
    pub async fn begin_campaign(
        &self,
        act: &Act,
        effective: &Value,
        digest: Digest,
        draw: impl FnOnce(&[Record]) -> (CampaignStarted, details::Population),
    ) -> Result<(CampaignStarted, Recorded), Error> {
        let declared = Declared { policy: &act.policy, effective, digest };
        let _pen = self.pen().await?;
        let mut recorded = Recorded::default();
        let known = self.catch_up(&mut recorded).await;
        let (Reach::Ledger(ledger), Some(known)) = (&self.reach, &known) else {
            let held = recorded.held.take().expect("a ledger that was not read says why");
            return Err(Error::NotOnLedger(held));
        };
        let opening = self.opening(act, declared, Some(known), &mut recorded).await?;
        let (time, mut bodies) = opening;
        let (mut started, population) = draw(known);
        let details = details::to_text(&population).map_err(Error::NotARecord)?;
        started.details = Digest::of(details.as_bytes());
        bodies.push(Body::CampaignStarted(started.clone()));
        let event = |body| Event { time, actor: self.actor.clone(), body };
        let events: Vec<_> = bodies.into_iter().map(event).collect();
        let appended = append(ledger, &events, &[details], &mut recorded.records).await;
        appended.map_err(|error: ledger::Error| Error::NotOnLedger(Held::from(error)))?;
        Ok((started, recorded))
    }

    /// Writes what a campaign came to. `finished.signed` is set to what this host signed last. To be signed
    /// next.
    pub async fn campaign_finished(
        &self,
        mut finished: CampaignFinished,
    ) -> Result<Recorded, Error> {
        finished.signed = self.signed_last().await?;
        let policy = finished.policy.clone();
        self.finish(&policy, Body::CampaignFinished(finished), Vec::new()).await
    }
}
