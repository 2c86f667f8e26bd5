//! `lifeboat report campaign`: the page of one sampling campaign.

use anyhow::Context as _;

use super::super::hint::Hinting;
use super::super::ledger::populations;
use super::proof;
use crate::account::Account;
use crate::evidence::campaigns;
use crate::ledger::Verify;
use crate::ledger::record::{Body, CampaignStarted, Record};
use crate::policy::{Locale, Policy, Setup};
use crate::report::{self, campaign::Sampled};

/// The page of one campaign of `policy`, the newest where no record is named, and its record's number.
pub(super) async fn page(
    account: &Account,
    setup: &Setup,
    policy: &Policy,
    wanted: Option<u64>,
    lang: report::Lang,
) -> anyhow::Result<(u64, String)> {
    let customer = setup.customer_of(policy);
    let ledger = account.journal.ledger().context("the ledger is out of reach")?;
    let signers: Vec<_> = account.signer().iter().map(|one| one.public_key().clone()).collect();
    let (verified, records) =
        ledger.verify(Verify { signers: &signers, ..Verify::default() }).await?;
    let (record, sampled) = records
        .iter()
        .rev()
        .find_map(|record| of(record, policy, wanted))
        .with_context(|| match wanted {
            Some(seq) => format!("record {seq} is no campaign of {}", policy.full_name()),
            None => format!("no campaign of {} is on the ledger yet", policy.full_name()),
        })
        .hint(
            "a drill with pick = { random = … } makes one; its number is that of its `campaign-started` in \
             `lifeboat ledger log`",
        )?;
    let populations = populations(ledger, &records).await?;
    let audited = campaigns::audit(&records, &populations);
    let mut problems = verified.problems.clone();
    let audited = audited.campaigns.into_iter().filter(|one| one.record == record.seq);
    problems.extend(audited.flat_map(|one| one.problems));
    let proof = proof(account, customer, &verified)?;
    let named = |locale: Locale| (locale.language().to_owned(), customer.name(locale).to_owned());
    let page = Sampled {
        record,
        campaign: sampled,
        records: &records,
        problems: &problems,
        customer_names: &[Locale::Chinese, Locale::English].map(named).into(),
        timezone: &customer.zone.to_string(),
        store: &setup.store_of(customer).url(),
        proof: &proof,
    };
    Ok((record.seq, report::campaign::campaign(page, lang)))
}

fn of<'a>(
    record: &'a Record,
    policy: &Policy,
    wanted: Option<u64>,
) -> Option<(&'a Record, &'a CampaignStarted)> {
    match &record.event.body {
        Body::CampaignStarted(campaign)
            if campaign.policy == policy.name && wanted.is_none_or(|seq| seq == record.seq) =>
        {
            Some((record, campaign))
        }
        _ => None,
    }
}
