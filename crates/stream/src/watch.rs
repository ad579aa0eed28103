//! Shows the messages of the streams one by one, as a follower reads them.

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_event::{Event, KeyRing, Message, MessageRejection, Stream, StreamId};
use caracal_revocation_state::{Moment, Revocations, RevocationsWriter};
use futures_util::future::try_join_all;

use crate::dead_letters;
use crate::entry::{Entry, PerStream};
use crate::fold::Fold;
use crate::inspect_error::InspectError;
use crate::log::{Log, Reading};
use crate::log_error::LogError;
use crate::redis_log::RedisLog;
use crate::settings::Settings;
use crate::topology::Upstream;

/// The longest wait of a read, if several logs are read.
const SHORT_WAIT: Duration = Duration::from_millis(100);

/// The largest number of cut answers in a row. After each one, the next read is smaller.
const MAX_CUTS: u32 = 10;

/// Reads Caracal's streams as a [`Follower`] does, into its own state, and shows each message. It
/// writes nothing.
///
/// [`Follower`]: crate::Follower
///
/// ```no_run
/// use std::time::Duration;
/// use caracal_revocation_event::StreamId;
/// use caracal_revocation_stream::{Settings, StreamTail};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut watch = StreamTail::open(&Settings::from_env()?, Some(StreamId::ZERO)).await?;
/// loop {
///     let round = watch.round(Duration::from_secs(1), |message| {
///         println!("{} {}", message.stream, message.id);
///     });
///     if round.await?.is_idle {
///         break;
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StreamTail {
    /// One log, or in a cluster one for each stream.
    logs: Vec<RedisLog>,
    fold: Fold,
    keys: KeyRing,
    /// `None` after a failure. The logs are then opened again.
    server_time: Option<Duration>,
    /// The last id that was shown of each stream, so that a stream that is read again is not shown
    /// again.
    shown: PerStream<StreamId>,
    /// The number of cut answers since the last entry arrived.
    cuts: u32,
}

/// One message, and its verification result.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TailedMessage<'s> {
    /// The stream.
    pub stream: Stream,
    /// The id of the entry.
    pub id: StreamId,
    /// Its fields as they are in the stream. They may be unsigned.
    pub fields: &'s [(&'s [u8], &'s [u8])],
    /// The outcome for a follower with the same keys.
    pub outcome: Result<&'s Event<'s>, MessageRejection>,
    /// The time since the message was added to the stream, by the server's clock.
    pub age: Duration,
}

/// The result of one read, apart from its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TailBatch {
    /// The latest time that the server's clock may show at the answer, since the Unix epoch.
    pub server_time: Duration,
    /// The largest possible lead of that clock over this machine's, in nanoseconds.
    pub server_lead: i128,
    /// `true` if every stream had been read to its end before, so that the messages are new.
    pub is_live: bool,
    /// `true` if every stream was read to its end, and no message arrived.
    pub is_idle: bool,
}

impl StreamTail {
    /// Connects to the servers of these settings. Shows messages from the id `from` on, or without
    /// it those that are added from now on.
    ///
    /// The state always contains all messages of the streams, as a follower's state does.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis cannot be reached, rejects the login, or is too old.
    pub async fn open(settings: &Settings, from: Option<StreamId>) -> Result<Self, InspectError> {
        let writer = Arc::new(RevocationsWriter::new(settings.options));
        let primary = || settings.primary.clone();
        let log = |upstream| RedisLog::new(upstream, primary(), settings.insecure_unproven);
        let upstreams = Upstream::all(&settings.topology, &settings.certificates, &writer);
        let mut logs: Vec<_> = upstreams.into_iter().map(log).collect();
        let server_time = open(&mut logs).await?;
        let now = u64::try_from(server_time.as_millis()).unwrap_or(u64::MAX);
        let keys = settings.keys.clone();
        // The letters are dropped, because a tail writes nothing.
        let (dead_letters, _) = dead_letters::queue();
        let first = from.unwrap_or(StreamId::new(now, 0));
        Ok(Self {
            fold: Fold::new(writer, keys.clone(), dead_letters)
                .split(logs.len() > 1)
                .requiring_streams(
                    settings.mode.requires_streams().then(|| settings.topology.place()),
                ),
            logs,
            keys,
            server_time: Some(server_time),
            shown: [first.before(); Stream::ALL.len()],
            cuts: 0,
        })
    }

    /// Returns the state after the messages that were read.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        self.fold.revocations()
    }

    /// Reads once, and shows the messages. After history was read, waits up to `wait` for a
    /// message.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if Redis does not answer. The next round connects again, and continues.
    pub async fn round(
        &mut self,
        wait: Duration,
        mut show: impl FnMut(TailedMessage<'_>),
    ) -> Result<TailBatch, InspectError> {
        let server_time = match self.server_time.take() {
            Some(server_time) => server_time,
            None => open(&mut self.logs).await?,
        };
        let cursors = self.fold.cursors(server_time);
        let was_tailing = self.fold.is_tailing();
        let sent = self.revocations().now();
        // With several logs, none may delay the messages of another for long.
        let wait = if self.logs.len() > 1 { wait.min(SHORT_WAIT) } else { wait };
        let read = async |log: &mut RedisLog| {
            log.prepare(sent).await;
            log.read(&cursors, was_tailing.then_some(wait)).await
        };
        let readings = match try_join_all(self.logs.iter_mut().map(read)).await {
            // The next round connects again, and asks for less.
            Err(error) if error.is_cut() && self.cuts < MAX_CUTS => {
                self.cuts += 1;
                let server_lead = nanos(server_time) - nanos(sent.wall);
                return Ok(TailBatch {
                    server_time,
                    server_lead,
                    is_live: was_tailing,
                    is_idle: false,
                });
            }
            readings => readings?,
        };
        // Only entries count: counters of other streams may arrive each time, although an entry
        // does not.
        if readings.iter().any(|reading| !reading.entries.is_empty()) {
            self.cuts = 0;
        }
        let now = self.revocations().now();
        let mut server_time = server_time;
        let mut is_idle = was_tailing;
        for reading in &readings {
            self.fold.absorb(reading, sent, now)?;
            server_time = self.fold.latest_server_time(reading.streams, now);
            let server_lead = nanos(server_time) - nanos(now.wall);
            self.show(reading, now, server_lead, &mut show);
            is_idle &= reading.entries.is_empty();
        }
        let unproven = readings.iter().find_map(|reading| reading.freshness_error.as_ref());
        self.fold.writer().set_outage(unproven.map(LogError::outage));
        self.server_time = Some(server_time);
        let server_lead = nanos(server_time) - nanos(now.wall);
        let is_idle = is_idle && self.fold.is_tailing();
        Ok(TailBatch { server_time, server_lead, is_live: was_tailing, is_idle })
    }

    fn show(
        &mut self,
        reading: &Reading,
        now: Moment,
        server_lead: i128,
        show: &mut impl FnMut(TailedMessage<'_>),
    ) {
        for Entry { stream, id, fields: entry_fields } in &reading.entries {
            let Some(shown) = self.shown.get_mut(stream.index()) else { continue };
            if id <= shown {
                continue;
            }
            *shown = *id;
            let fields = entry_fields.borrowed();
            let verified = self.keys.verify(&Message::new(*stream, &fields));
            let verified = match entry_fields.too_large() {
                Some(_) => Err(MessageRejection::too_large()),
                None => verified,
            };
            let age = nanos(now.wall) + server_lead - i128::from(id.ms) * 1_000_000;
            show(TailedMessage {
                stream: *stream,
                id: *id,
                fields: &fields,
                outcome: verified.as_ref().map_err(|rejection| *rejection),
                age: Duration::from_nanos(u64::try_from(age).unwrap_or(0)),
            });
        }
    }
}

/// Opens all logs, and returns the time of one of their servers.
async fn open(logs: &mut [RedisLog]) -> Result<Duration, LogError> {
    let opened = try_join_all(logs.iter_mut().map(RedisLog::open)).await?;
    opened.into_iter().next().ok_or(LogError::Reply("there is nothing to read"))
}

fn nanos(since: Duration) -> i128 {
    i128::from(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
