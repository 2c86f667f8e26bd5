//! What of a customer is looked at: keys, the store, the repository in it.

use super::super::advice;
use super::Examination;
use crate::account::journal::Rival;
use crate::account::{self, Account, Place, Rooms, Testimony};
use crate::ground::causes::chain;
use crate::policy::{Policy, Setup};
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

    /// Does the password open the repository? Reads only.
    pub(super) async fn repository(&mut self, setup: &Setup, policy: &Policy, rooms: &Rooms) {
        const WHAT: &str = "repository";
        match Account::open_if_begun(setup, setup.customer_of(policy), rooms).await {
            // The signing key is read once the repository is open, and told of above.
            Ok(Some(account)) => {
                self.good(WHAT, "opens with the password");
                self.ledger(&account, policy, rooms).await;
            }
            Err(account::Error::SigningKey(_) | account::Error::Signer(_)) => {
                self.good(WHAT, "opens with the password");
            }
            Ok(None) => self.good(WHAT, "none yet: the first backup creates it"),
            Err(error) => {
                let hint = advice::of(&error).unwrap_or("`lifeboat verify` says what is damaged");
                self.bad(WHAT, chain(&error), hint);
            }
        }
    }

    /// Is the ledger as it was written, and does it tell of another host that serves the policy?
    async fn ledger(&mut self, account: &Account, policy: &Policy, rooms: &Rooms) {
        const WHAT: &str = "ledger";
        const VERIFY: &str = "`lifeboat ledger verify` tells more";
        let Testimony { records, doubt } = match account.testimony(rooms).await {
            Ok(testimony) => testimony,
            Err(error) => {
                return self.bad(WHAT, chain(&error), advice::of(&error).unwrap_or(VERIFY));
            }
        };
        if let Some(doubt) = doubt {
            return self.bad(WHAT, doubt, VERIFY);
        }
        self.good(WHAT, format!("{} records, as they were written", records.len()));
        let now = rooms.clock.now();
        if let Some(rival) = Rival::of(&records, &policy.name, &rooms.actor.host, now) {
            self.good(WHAT, format!("note: {rival}"));
        }
    }
}
