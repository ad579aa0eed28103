//! The signal that the program stops.

use tokio::sync::watch;

/// Signals the end of the program to its servers.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// Returns the signal, and the sender that gives it.
    pub(crate) fn channel() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Waits for the signal. A sender that is gone counts as one.
    pub(crate) async fn wait(&mut self) {
        let _ = self.0.wait_for(|is_over| *is_over).await;
    }
}
