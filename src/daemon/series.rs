//! Series: what has slots of its own.

use std::fmt;

use crate::ground::ids::Name;
use crate::policy::{Drill, Policy};

/// The backups of one policy, or one of its drills; written `customer/policy[/drill]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    pub customer: Name,
    pub policy: Name,
    /// None: the policy's backups.
    pub drill: Option<Name>,
}

impl Series {
    /// The series of a policy's backups.
    pub fn of_backups(policy: &Policy) -> Self {
        Self { customer: policy.customer.clone(), policy: policy.name.clone(), drill: None }
    }

    /// The series of one drill.
    pub fn of_drill(drill: &Drill) -> Self {
        Self {
            customer: drill.customer.clone(),
            policy: drill.policy.clone(),
            drill: Some(drill.name.clone()),
        }
    }

    /// `customer/policy`.
    pub fn policy_name(&self) -> String {
        format!("{}/{}", self.customer, self.policy)
    }

    /// Whether runs of both need the same lease: then only one of them runs at a time.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        self.customer == other.customer
            && self.policy == other.policy
            && self.drill.is_some() == other.drill.is_some()
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.customer, self.policy)?;
        match &self.drill {
            Some(drill) => write!(f, "/{drill}"),
            None => Ok(()),
        }
    }
}
