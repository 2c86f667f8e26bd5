//! What the service manager hears: sd_notify(3). Says nothing where none listens.

use std::time::Duration;

use sd_notify::NotifyState;

/// How often the manager must hear of us; none where it does not watch.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// The daemon serves.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// A new configuration is being read; [`ready`] follows, whatever comes of it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "cannot tell the service manager of a reload"),
    }
}

/// Nothing new is begun any more.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The scheduler turned, and this is how things stand.
pub(super) fn alive(status: &str) {
    tell(&[NotifyState::Watchdog, NotifyState::Status(status)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager does not listen");
    }
}
