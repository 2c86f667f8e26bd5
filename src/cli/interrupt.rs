//! SIGINT and SIGTERM: the first asks the act to end well, the second ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::Exit;

/// Whether somebody asked for an end.
#[derive(Debug, Clone)]
pub(super) struct Interrupt {
    flag: Arc<AtomicBool>,
    news: watch::Sender<bool>,
}

impl Interrupt {
    pub(super) fn new() -> Self {
        Self { flag: Arc::default(), news: watch::Sender::new(false) }
    }

    /// Catches the signals from now on; on the runtime that is entered.
    ///
    /// Fails where the operating system refuses to report them.
    pub(super) fn listen(&self) -> std::io::Result<()> {
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        let this = self.clone();
        tokio::spawn(async move {
            for already_asked in [false, true] {
                tokio::select! {
                    _ = interrupted.recv() => {}
                    _ = terminated.recv() => {}
                }
                if already_asked {
                    // What is left behind is what a crash leaves; the next run cleans up after it.
                    std::process::exit(Exit::Interrupted as i32);
                }
                this.flag.store(true, Ordering::Relaxed);
                this.news.send_replace(true);
            }
        });
        Ok(())
    }

    /// Whether the end was asked for.
    pub(super) fn happened(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// The flag that blocking code looks at.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }

    /// Returns once the end is asked for; for `select!` in async code.
    #[cfg(test)]
    pub(super) async fn asked(&self) {
        // It fails only when the sender is gone, and `self` holds it.
        let _ = self.news.subscribe().wait_for(|asked| *asked).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_sets_the_flag_and_wakes_who_waits() {
        let interrupt = Interrupt::new();
        interrupt.listen().unwrap();
        assert!(!interrupt.happened());

        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)
            .unwrap();
        interrupt.asked().await;

        assert!(interrupt.happened() && interrupt.flag().load(Ordering::Relaxed));
    }
}
