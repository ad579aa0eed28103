//! The streams as a follower reads them, message by message, for somebody who looks on.

use std::time::Duration;

use caracal_revocation_event::{Event, KeyRing, Message, Rejection, Stream, StreamId};
use caracal_revocation_state::{Moment, Options, Revocations};

use crate::dead_letters;
use crate::fold::Fold;
use crate::inspect::InspectError;
use crate::log::{Entry, Log, PerStream, Reading};
use crate::redis_log::RedisLog;
use crate::settings::Settings;
use crate::topology::Upstream;

/// Reads Caracal's streams as a [`Follower`] does, into a state of its own, and shows each
/// message. Writes nothing.
///
/// [`Follower`]: crate::Follower
///
/// ```no_run
/// use std::time::Duration;
/// use caracal_revocation_event::StreamId;
/// use caracal_revocation_stream::{Settings, Watch};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut watch = Watch::open(&Settings::from_env()?, Some(StreamId::ZERO)).await?;
/// loop {
///     let round = watch.round(Duration::from_secs(1), |sighting| {
///         println!("{} {}", sighting.stream, sighting.id);
///     });
///     if round.await?.is_idle {
///         break;
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Watch {
    log: RedisLog,
    fold: Fold,
    keys: KeyRing,
    /// None after a failure: to be opened again.
    server_time: Option<Duration>,
    /// The last entry shown of each stream: a stream that is read again is not shown again.
    shown: PerStream<StreamId>,
}

/// One message, and what becomes of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Sighting<'s> {
    /// The stream.
    pub stream: Stream,
    /// The id of the entry.
    pub id: StreamId,
    /// Its fields as they stand, which nobody may have signed.
    pub fields: &'s [(&'s [u8], &'s [u8])],
    /// What a follower that holds the same keys makes of it.
    pub outcome: Result<&'s Event<'s>, Rejection>,
    /// Since it was added to the stream, by the server's clock.
    pub age: Duration,
}

/// What one read brought, beside messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Round {
    /// The server's clock when it answered, since the Unix epoch.
    pub server_time: Duration,
    /// How far that clock is ahead of this machine's, in nanoseconds, at most.
    pub server_lead: i128,
    /// Whether every stream had been read to its end before: what came is new.
    pub is_live: bool,
    /// Whether it is, and nothing came.
    pub is_idle: bool,
}

impl Watch {
    /// Connects. Messages from `from` on are shown; without it those that are added from now on.
    ///
    /// Whatever is shown, the state is made of all that the streams hold, as a follower's is.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis is not reached, refuses the login, or is too old.
    pub async fn open(settings: &Settings, from: Option<StreamId>) -> Result<Self, InspectError> {
        let revocations = Revocations::new(Options::default());
        let upstream = Upstream::new(settings.topology.clone(), revocations.clone());
        let mut log = RedisLog::new(upstream, None, settings.insecure_unproven);
        let server_time = log.open().await?;
        let now = u64::try_from(server_time.as_millis()).unwrap_or(u64::MAX);
        let keys = settings.keys.clone();
        // Nobody takes them: who looks on writes nothing.
        let (dead_letters, _) = dead_letters::queue();
        let first = from.unwrap_or(StreamId::new(now, 0));
        Ok(Self {
            log,
            fold: Fold::new(revocations, keys.clone(), dead_letters),
            keys,
            server_time: Some(server_time),
            shown: [first.before(); Stream::ALL.len()],
        })
    }

    /// What the messages so far amount to.
    #[must_use]
    pub const fn revocations(&self) -> &Revocations {
        self.fold.revocations()
    }

    /// Reads once, waiting so long for a message once history has been read, and shows what
    /// came.
    ///
    /// # Errors
    ///
    /// [`InspectError`] when Redis does not answer; the next round connects again, and reads on.
    pub async fn round(
        &mut self,
        wait: Duration,
        mut show: impl FnMut(Sighting<'_>),
    ) -> Result<Round, InspectError> {
        let server_time = match self.server_time.take() {
            Some(server_time) => server_time,
            None => self.log.open().await?,
        };
        let cursors = self.fold.cursors(server_time);
        let was_tailing = self.fold.is_tailing();
        let sent = self.revocations().now();
        let reading = self.log.read(&cursors, was_tailing.then_some(wait)).await?;
        let now = self.revocations().now();
        self.fold.absorb(&reading, sent, now)?;
        self.server_time = Some(reading.server_time);
        let server_lead = nanos(reading.server_time) - nanos(sent.wall);
        self.show(&reading, now, server_lead, &mut show);
        let is_idle = was_tailing && reading.entries.is_empty() && self.fold.is_tailing();
        let server_time = reading.server_time;
        Ok(Round { server_time, server_lead, is_live: was_tailing, is_idle })
    }

    fn show(
        &mut self,
        reading: &Reading,
        now: Moment,
        server_lead: i128,
        show: &mut impl FnMut(Sighting<'_>),
    ) {
        for Entry { stream, id, fields } in &reading.entries {
            let Some(shown) = self.shown.get_mut(stream.index()) else { continue };
            if id <= shown {
                continue;
            }
            *shown = *id;
            let fields: Vec<(&[u8], &[u8])> =
                fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
            let verified = self.keys.verify(&Message::new(*stream, &fields));
            let age = nanos(now.wall) + server_lead - i128::from(id.ms) * 1_000_000;
            show(Sighting {
                stream: *stream,
                id: *id,
                fields: &fields,
                outcome: verified.as_ref().map_err(|rejection| *rejection),
                age: Duration::from_nanos(u64::try_from(age).unwrap_or(0)),
            });
        }
    }
}

fn nanos(since: Duration) -> i128 {
    i128::from(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
