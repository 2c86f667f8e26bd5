//! What of a customer is looked at: keys, the store, the repository in it.

use super::super::advice;
use super::Examination;
use crate::account::journal::Rival;
use crate::account::{self, Account, Place, Rooms, Testimony};
use crate::ground::causes::chain;
use crate::ledger::record::Record;
use crate::policy::{Customer, Policy, Setup};
use crate::store::Creation;

impl Examination {
    /// Can the password and the signing key be read?
    pub(super) fn keys(&mut self, setup: &Setup, policy: &Policy) {
        let customer = setup.customer_of(policy);
        match customer.repository_password.reveal() {
            Ok(_) => self.good("repository password", "readable"),
            Err(error) => self.bad(
                "repository password",
                chain(&error),
                "the customer's repository_password in the site file says where it is kept",
            ),
        }
        match account::signer(setup) {
            Ok(Some(signer)) => self.good("signing key", signer.fingerprint()),
            Ok(None) => self.bad(
                "signing key",
                "none is declared: the ledger is not signed",
                "add [signing] to the site file, with a key made by `ssh-keygen -t ed25519`",
            ),
            Err(error) => {
                self.bad("signing key", chain(&error), "[signing] in the site file names it");
            }
        }
    }

    /// Can an object be created once, read back and deleted?
    pub(super) async fn store(&mut self, setup: &Setup, policy: &Policy) {
        let customer = setup.customer_of(policy);
        let place = match Place::open(setup, customer).await {
            Ok(place) => place,
            Err(error) => {
                let hint = advice::of(&error).unwrap_or("the site file says where the store is");
                return self.bad("store", chain(&error), hint);
            }
        };
        // The one folder in which keys that may not delete a backup can delete at all; readers
        // pass over what is no lock.
        match crate::store::probe(&*place.repository, "locks").await {
            Ok(Creation::Refused) => {
                let found = format!("{}: create once, read, delete", place.repository.place());
                self.good("store", found);
            }
            Ok(Creation::Replaced) => self.bad(
                "store",
                format!("{}: what was created can be created again", place.repository.place()),
                "it may hold a repository, but no ledger: take a service that honours \
                 `If-None-Match: *`",
            ),
            Err(error) => {
                let hint = advice::of(&error).unwrap_or("the store must be ours to write");
                self.bad("store", chain(&error), hint);
            }
        }
    }

    /// Does the password open the repository, is the ledger as it was written, and does it tell of
    /// another host that serves the policy?
    pub(super) fn repository(&mut self, found: &Found, policy: &Policy, rooms: &Rooms) {
        for (what, looked) in &found.findings {
            match looked {
                Ok(good) => self.good(what, good.clone()),
                Err((bad, hint)) => self.bad(what, bad.clone(), hint),
            }
        }
        let now = rooms.clock.now();
        if let Some(rival) = Rival::of(&found.records, &policy.name, &rooms.actor.host, now) {
            self.good(LEDGER, format!("note: {rival}"));
        }
    }
}

const REPOSITORY: &str = "repository";
const LEDGER: &str = "ledger";

/// What a customer's repository and ledger are found to be, once for all policies; reads only.
#[derive(Default)]
pub(super) struct Found {
    /// What was looked at, and what is good about it, or bad and what to do.
    findings: Vec<(&'static str, Result<String, (String, &'static str)>)>,
    /// Of a ledger that is as it was written.
    records: Vec<Record>,
}

impl Found {
    pub(super) async fn at(customer: &Customer, setup: &Setup, rooms: &Rooms) -> Self {
        const OPENS: &str = "opens with the password";
        let mut found = Self::default();
        let opened = match Account::open_if_begun(setup, customer, rooms).await {
            Ok(Some(account)) => {
                found.findings.push((REPOSITORY, Ok(OPENS.to_owned())));
                found.ledger(&account, rooms).await;
                return found;
            }
            // The signing key is read once the repository is open, and told of beside it.
            Err(account::Error::SigningKey(_) | account::Error::Signer(_)) => Ok(OPENS.to_owned()),
            Ok(None) => Ok("none yet: the first backup creates it".to_owned()),
            Err(error) => {
                let hint = advice::of(&error).unwrap_or("`lifeboat verify` says what is damaged");
                Err((chain(&error), hint))
            }
        };
        found.findings.push((REPOSITORY, opened));
        found
    }

    async fn ledger(&mut self, account: &Account, rooms: &Rooms) {
        const VERIFY: &str = "`lifeboat ledger verify` tells more";
        let read = match account.testimony(rooms).await {
            Err(error) => Err((chain(&error), advice::of(&error).unwrap_or(VERIFY))),
            Ok(Testimony { doubt: Some(doubt), .. }) => Err((doubt, VERIFY)),
            Ok(Testimony { records, doubt: None }) => {
                self.records = records;
                Ok(format!("{} records, as they were written", self.records.len()))
            }
        };
        self.findings.push((LEDGER, read));
    }
}
