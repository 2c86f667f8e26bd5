//! What people and the service manager ask of a daemon: signals.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// SIGTERM or SIGINT: the first drains, the second interrupts what runs, the third ends the
    /// process as it stands.
    End,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// Signals as wishes, from now on; on the runtime that is entered.
///
/// Fails where the operating system refuses to report them.
pub fn of_signals() -> std::io::Result<mpsc::UnboundedReceiver<Wish>> {
    let (send, wishes) = mpsc::unbounded_channel();
    let kinds = [
        (SignalKind::terminate(), Wish::End),
        (SignalKind::interrupt(), Wish::End),
        (SignalKind::hangup(), Wish::Reload),
    ];
    for (kind, wish) in kinds {
        let mut signals = signal(kind)?;
        let send = send.clone();
        tokio::spawn(
            async move { while signals.recv().await.is_some() && send.send(wish).is_ok() {} },
        );
    }
    Ok(wishes)
}
