//! What a daemon does first: after a crash, production comes before everything else.

use std::sync::Arc;

use crate::account::{self, Rooms};
use crate::backup;
use crate::ground::causes::chain;
use crate::policy::Setup;

/// Runs the hooks that dead runs still owe, which may hold what they should resume, and clears
/// scratch of what nobody holds. Trouble is logged: the policies' own runs try again.
pub(super) async fn tidy(setup: Setup, rooms: Arc<Rooms>) {
    for policy in &setup.policies {
        if let Err(error) = backup::settle_hooks(policy, &rooms).await {
            tracing::error!(policy = policy.full_name(), "{}", chain(&error));
        }
    }
    if let Err(error) = account::sweep(&setup, &rooms).await {
        tracing::error!("{}", chain(&error));
    }
}
