//! Updates the freshness and the capacity of the state, and logs their changes.

use std::time::Duration;

use caracal_revocation_event::Stream;
use caracal_revocation_state::{Degraded, Moment, NotReady};

use super::state::Fold;
use super::track::NEVER;

/// The shortest interval between two sweeps of a slice of the index.
const SWEEP_EVERY: Duration = Duration::from_millis(10);

impl Fold {
    /// Removes a slice of the expired entries. Answers may arrive every few microseconds, and
    /// entries live for minutes, so sweeps are spaced. While the state is full, it sweeps with each
    /// answer.
    pub(super) fn sweep(&mut self, now: Moment) {
        let elapsed = self.swept.map(|swept| now.monotonic.saturating_sub(swept.monotonic));
        if self.writer.is_full() || elapsed.is_none_or(|elapsed| elapsed >= SWEEP_EVERY) {
            self.swept = Some(now);
            self.writer.sweep_slice(now);
        }
    }

    /// Logs when the state becomes full, and when it has space again.
    pub(super) fn track_capacity(&mut self, server_time: Duration) {
        let options = self.writer.options();
        let max_entries = options.max_entries;
        let second = server_time.saturating_add(options.horizon_margin).as_secs();
        if self.writer.reopen(i64::try_from(second).unwrap_or(i64::MAX)) {
            tracing::warn!(
                horizon = self.writer.horizon(),
                max_entries,
                "the state has room again: tokens issued until now are denied, since revocations \
                 may be missing; refreshed tokens pass"
            );
        }
        let is_full = self.writer.is_full();
        if is_full && !self.was_full {
            self.metrics.full.increment(1);
            tracing::error!(
                max_entries,
                "the state is full: known revocations are enforced, and every other verdict is \
                 unknown until entries expire; raise Options::max_entries"
            );
        }
        self.was_full = is_full;
    }

    /// Confirms the state as of the oldest proof among the streams.
    pub(super) fn confirm(&mut self) {
        let Some(as_of) = self.oldest_proof() else { return };
        if let Some(why) = self.not_ready_reason() {
            self.set_not_ready(why);
        } else if as_of != NEVER {
            self.writer.confirm(self.believed(as_of));
            for (source, track) in self.sources.iter_mut().zip(self.tracks.iter().flatten()) {
                let own = track.as_of.filter(|_| self.is_split);
                source.prove(own.unwrap_or(as_of));
            }
            if !std::mem::replace(&mut self.is_ready, true) {
                self.announce();
            }
        }
    }

    /// Returns the reason that a completely read history is not accepted, if there is one.
    fn not_ready_reason(&self) -> Option<NotReady> {
        if self.required_on.is_some() && !self.has_seen_streams {
            // rule: missing-streams-prove-nothing
            return Some(NotReady::NotProvisioned);
        }
        // After an empty history, one message that fails is more likely forged than a sign of a
        // wrong key.
        let is_wrong_key = !self.is_ready && self.signatures.none_verified();
        is_wrong_key.then_some(NotReady::NoSignatureVerifies)
    }

    fn set_not_ready(&self, why: NotReady) {
        if !self.writer.set_not_ready(why) {
            return;
        }
        match why {
            NotReady::NoSignatureVerifies => tracing::error!(
                setting = "STREAMS_HMAC_KEY",
                "messages arrive and none is signed with an accepted key: not ready, every \
                 verdict is unknown; set STREAMS_HMAC_KEY (or STREAMS_HMAC_KEY_PREVIOUS) to the \
                 producers' key"
            ),
            NotReady::NotProvisioned => tracing::error!(
                setting = "REDIS_URL",
                server = self.required_on.as_deref(),
                "none of Caracal's streams exists here: not ready, every verdict is unknown; set \
                 REDIS_URL (host and database number) to Caracal's Redis, or run caracal-streams \
                 provision"
            ),
            _ => {}
        }
    }

    /// Logs when messages begin to fail verification, and when that ends.
    pub(super) fn alarm(&self) {
        let fail = self.is_ready && self.signatures.failing_since().is_some();
        if !self.writer.set_signatures_fail(fail) {
            return;
        }
        if fail {
            tracing::error!(
                setting = "STREAMS_HMAC_KEY",
                strict = self.writer.options().strict,
                "messages arrive that no accepted key has signed: they are rejected, and tokens \
                 that they revoke stay admitted; {}",
                Degraded::SignaturesFail.advice()
            );
        } else {
            tracing::info!("every message verifies again");
        }
    }

    pub(super) fn announce(&self) {
        let unseen: Vec<_> = Stream::ALL
            .into_iter()
            .zip(self.tracks.iter().flatten())
            .filter(|(_, track)| track.proof.is_unseen())
            .map(|(stream, _)| stream.name())
            .collect();
        if self.required_on.is_some() && !unseen.is_empty() {
            tracing::warn!(
                streams = unseen.join(" "),
                "these streams do not exist yet and count as empty: provision them, and check \
                 that this is the right Redis"
            );
        }
        let young: Vec<_> = Stream::ALL
            .into_iter()
            .zip(self.tracks.iter().flatten())
            .filter(|(_, track)| track.is_young && !track.proof.is_unseen())
            .map(|(stream, _)| stream.name())
            .collect();
        tracing::info!(
            young = young.join(" "),
            entries = self.writer.entries(),
            horizon = self.writer.horizon(),
            "ready: the history was replayed and is complete as far as the server can prove; a \
             young stream may have been created again before this start"
        );
        if self.writer.options().strict {
            tracing::warn!(
                "strict mode: messages that Redis lost before this start cannot be detected, so \
                 tokens issued until three minutes after it are denied; a baseline admits them \
                 sooner"
            );
        }
    }
}
