//! The daemon samples on schedule: one slot, one campaign.

use std::collections::BTreeSet;

use crate::site::{Daemon, of_kind, scheduled, until};

pub const CASES: &[(&str, fn())] =
    &[("a_scheduled_campaign_answers_one_slot_with_all_its_draws", one_slot_one_campaign)];

fn one_slot_one_campaign() {
    let bench = scheduled("0 0 1 1 *", false);
    let drill = "policy = \"acme/shop\"\nname = \"sample\"\nschedule = \"*/5 * * * * *\"\n\
                 pick = { random = 2 }\n";
    bench.write("drills/weekly.toml", drill.into());
    for _ in 0..3 {
        bench.backup();
    }
    let daemon = Daemon::real(&bench);

    until("two campaigns", || of_kind(&bench, "campaign-finished").len() >= 2);
    daemon.drain();

    let campaigns = of_kind(&bench, "campaign-finished");
    let slots = |kind| -> Vec<String> {
        let records = of_kind(&bench, kind).into_iter();
        records.map(|record| record["slot"].as_str().unwrap().to_owned()).collect()
    };
    let answered: BTreeSet<_> = slots("campaign-started").into_iter().collect();
    assert_eq!(answered.len(), campaigns.len(), "each slot has one campaign");
    let due = slots("drill-due");
    assert!(answered.iter().all(|slot| due.contains(slot)), "{answered:?} of {due:?}");
    assert!(slots("drill-missed").iter().all(|slot| !answered.contains(slot)));
    let drills = of_kind(&bench, "drill-finished");
    assert_eq!(drills.len(), 2 * campaigns.len());
    assert!(drills.iter().all(|drill| drill["slot"].is_null()), "the campaign answers the slot");
    for campaign in &campaigns {
        assert_eq!((&campaign["verdict"], &campaign["passed"]), (&"pass".into(), &2.into()));
    }
    let verified = bench.run(&["ledger", "verify", "shop"]).exits(0).stdout;
    assert!(verified.contains("operator-chosen"), "{verified}");
}
