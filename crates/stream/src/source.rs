//! One server that is read from: what it is known by, and how its clock runs.

use caracal_revocation_state::Moment;

use crate::continuity::{ContinuityTracker, Identity, Continuity};
use crate::server_clock::ServerClock;

/// The server of all streams, or, in a cluster, of one.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) clock: ServerClock,
    tracker: ContinuityTracker,
    /// When the server said how far its history is, and what it said.
    told: Option<(Moment, Identity)>,
}

impl Source {
    /// Takes in who answers what was sent at this moment: whether it is another than before, and
    /// what is to be thought of it.
    pub(crate) fn observe_identity(&mut self, identity: &Identity, sent: Moment) -> (bool, Continuity) {
        let is_another = self.tracker.is_another(identity);
        let continuity = self.tracker.observe(identity);
        match continuity {
            Continuity::Behind => return (is_another, continuity),
            Continuity::LossSuspected(_) | Continuity::TookOver | Continuity::Moved => self.told = None,
            Continuity::Sound => {}
        }
        // What it told before is on its way to being proven: not to be put off for ever.
        self.told.get_or_insert_with(|| (sent, identity.clone()));
        (is_another, continuity)
    }

    /// Everything that was sent up to then is proven.
    pub(crate) fn prove(&mut self, up_to: Moment) {
        let is_proven = |(sent, _): &mut (Moment, Identity)| sent.monotonic <= up_to.monotonic;
        if let Some((_, told)) = self.told.take_if(is_proven) {
            self.tracker.prove(&told.history, told.offset);
        }
    }
}
