//! All that users declared, checked, and how they name parts of it.

use std::fmt;
use std::str::FromStr;

use super::diagnostic::Diagnostics;
use super::leaf::Wrong;
use super::plan::{Drill, Policy};
use super::site::{Customer, Site, Store, Target};
use crate::ground::ids::Name;

/// The site with its policies and drills; every name in it leads somewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    pub site: Site,
    pub policies: Vec<Policy>,
    pub drills: Vec<Drill>,
    /// What is declared and right, but not carried out (yet).
    pub warnings: Diagnostics,
}

/// A policy as users type it: `shop`, or `acme/shop`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyName {
    pub customer: Option<Name>,
    pub policy: Name,
}

/// A drill as users type it: `acme/shop/weekly`, or a policy that has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillName {
    pub policy: PolicyName,
    pub drill: Option<Name>,
}

/// Why a name that was typed leads to nothing, or to several things.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoSuch {
    #[error("there is no customer {name}; there are: {known}")]
    Customer { name: Name, known: String },
    #[error("name the customer; there are: {known}")]
    NotOneCustomer { known: String },
    #[error("there is no policy {name}; there are: {known}")]
    Policy { name: PolicyName, known: String },
    #[error("several customers have a policy {name}: {known}")]
    Ambiguous { name: Name, known: String },
    #[error("the site declares no server {name} for this customer; it declares: {known}")]
    Target { name: Name, known: String },
    #[error("the policy {policy} has no drill {name}; it has: {known}")]
    Drill { policy: String, name: Name, known: String },
    #[error("the policy {policy} has several drills: {known}")]
    SeveralDrills { policy: String, known: String },
}

impl Setup {
    /// The policy a user means.
    pub fn policy(&self, name: &PolicyName) -> Result<&Policy, NoSuch> {
        let fits = |policy: &&Policy| {
            policy.name == name.policy
                && name.customer.as_ref().is_none_or(|customer| *customer == policy.customer)
        };
        let found: Vec<&Policy> = self.policies.iter().filter(fits).collect();
        match found[..] {
            [one] => Ok(one),
            [] => Err(NoSuch::Policy {
                name: name.clone(),
                known: listed(self.policies.iter().map(Policy::full_name)),
            }),
            _ => Err(NoSuch::Ambiguous {
                name: name.policy.clone(),
                known: listed(found.iter().map(|policy| policy.full_name())),
            }),
        }
    }

    /// The policies a user means: all where none is named.
    pub fn policies_or_all(&self, names: &[PolicyName]) -> Result<Vec<&Policy>, NoSuch> {
        if names.is_empty() {
            return Ok(self.policies.iter().collect());
        }
        names.iter().map(|name| self.policy(name)).collect()
    }

    /// The policy and the drill a user means; no drill where the policy has none and none is named:
    /// then all rungs run on the latest snapshot.
    pub fn drill(&self, name: &DrillName) -> Result<(&Policy, Option<&Drill>), NoSuch> {
        let policy = self.policy(&name.policy)?;
        let drills: Vec<&Drill> = self.drills_of(policy).collect();
        let known = || listed(drills.iter().map(|drill| drill.full_name()));
        match (&name.drill, &drills[..]) {
            (Some(wanted), _) => match drills.iter().find(|drill| drill.name == *wanted) {
                Some(drill) => Ok((policy, Some(*drill))),
                None => Err(NoSuch::Drill {
                    policy: policy.full_name(),
                    name: wanted.clone(),
                    known: known(),
                }),
            },
            (None, []) => Ok((policy, None)),
            (None, [only]) => Ok((policy, Some(*only))),
            (None, _) => Err(NoSuch::SeveralDrills { policy: policy.full_name(), known: known() }),
        }
    }

    /// The customer named `id`.
    pub fn customer(&self, id: &Name) -> Result<&Customer, NoSuch> {
        let found = self.site.customers.iter().find(|customer| customer.id == *id);
        found.ok_or_else(|| NoSuch::Customer { name: id.clone(), known: self.customers() })
    }

    /// The customer of a site that has only one: there nobody need name it.
    pub fn only_customer(&self) -> Result<&Customer, NoSuch> {
        match &self.site.customers[..] {
            [one] => Ok(one),
            _ => Err(NoSuch::NotOneCustomer { known: self.customers() }),
        }
    }

    fn customers(&self) -> String {
        listed(self.site.customers.iter().map(|customer| customer.id.to_string()))
    }

    /// The server named `name` that takes databases of `policy`'s customer.
    pub fn target(&self, name: &Name, policy: &Policy) -> Result<&Target, NoSuch> {
        let own = || self.site.targets.iter().filter(|one| one.customer == policy.customer);
        own().find(|one| one.name == *name).ok_or_else(|| NoSuch::Target {
            name: name.clone(),
            known: listed(own().map(|one| one.name.to_string())),
        })
    }

    /// The drills of one policy, in the order of their files.
    pub fn drills_of<'a>(&'a self, policy: &Policy) -> impl Iterator<Item = &'a Drill> {
        let (customer, name) = (policy.customer.clone(), policy.name.clone());
        self.drills.iter().filter(move |drill| drill.customer == customer && drill.policy == name)
    }

    /// The customer a policy belongs to.
    pub fn customer_of(&self, policy: &Policy) -> &Customer {
        self.customer(&policy.customer).expect("loading refused policies of unknown customers")
    }

    /// The store that holds a customer's repository and ledger.
    pub fn store_of(&self, customer: &Customer) -> &Store {
        self.site
            .stores
            .iter()
            .find(|store| store.name == customer.store)
            .expect("loading refused customers with unknown stores")
    }
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

impl PolicyName {
    /// Whether both names can be one policy's.
    pub(super) fn may_be(&self, other: &Self) -> bool {
        let customers = self.customer.as_ref().zip(other.customer.as_ref());
        self.policy == other.policy && customers.is_none_or(|(one, two)| one == two)
    }
}

impl Policy {
    /// `customer/policy`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.customer, self.name)
    }
}

impl Drill {
    /// `customer/policy/drill`.
    pub fn full_name(&self) -> String {
        format!("{}/{}/{}", self.customer, self.policy, self.name)
    }
}

impl FromStr for PolicyName {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match names(text)?[..] {
            [ref policy] => Ok(Self { customer: None, policy: policy.clone() }),
            [ref customer, ref policy] => {
                Ok(Self { customer: Some(customer.clone()), policy: policy.clone() })
            }
            _ => Err(Wrong::new("not the name of a policy", "write policy or customer/policy")),
        }
    }
}

impl FromStr for DrillName {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match names(text)?[..] {
            [ref customer, ref policy, ref drill] => Ok(Self {
                policy: PolicyName { customer: Some(customer.clone()), policy: policy.clone() },
                drill: Some(drill.clone()),
            }),
            [_] | [_, _] => Ok(Self { policy: text.parse()?, drill: None }),
            _ => Err(Wrong::new(
                "not the name of a drill",
                "write policy, customer/policy or customer/policy/drill",
            )),
        }
    }
}

fn names(text: &str) -> Result<Vec<Name>, Wrong> {
    let wrong = |error: crate::ground::ids::NotAName| Wrong { what: error.to_string(), hint: None };
    text.split('/').map(|part| part.parse().map_err(wrong)).collect()
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.customer {
            Some(customer) => write!(f, "{customer}/{}", self.policy),
            None => write!(f, "{}", self.policy),
        }
    }
}

impl fmt::Display for DrillName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.drill {
            Some(drill) => write!(f, "{}/{drill}", self.policy),
            None => self.policy.fmt(f),
        }
    }
}
