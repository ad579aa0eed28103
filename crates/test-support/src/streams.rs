//! The streams of an example: on the Redis of the environment, or inside this process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use caracal_revocation::admin::{Inspector, Provision};
use caracal_revocation::state::{NotReady, UnknownCause};
use caracal_revocation::wire::{Key, KeyRing, Stream};
use caracal_revocation::{Follower, InProcess, Publisher, Revocations, Settings};

type Error = Box<dyn std::error::Error>;

/// The settings that can name a Redis.
const SERVERS: [&str; 5] =
    ["REDIS_URL", "REDIS_URL_FILE", "REDIS_HOST", "REDIS_SENTINELS", "REDIS_CLUSTER_NODES"];
/// The longest time that reading the history may take.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// The time for which all messages may fail verification before the key counts as wrong.
const VERIFIED_WITHIN: Duration = Duration::from_secs(3);

/// Returns a follower, and a publisher that writes to these streams as Caracal does.
pub async fn from_env(writes: &[Stream]) -> Result<(Follower, Publisher), Error> {
    let origin = Origin::from_env(writes).await?;
    Ok((origin.follower()?, origin.publisher().await?))
}

/// Returns a session id that no earlier run has revoked. Redis keeps the revocations of all runs.
pub fn session() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("session-{:x}", now.as_micros())
}

/// Waits until the history is read. The error names the reason if it cannot be read.
pub async fn ready(revocations: &Revocations) -> Result<(), Error> {
    let begun = std::time::Instant::now();
    loop {
        let readiness = revocations.readiness(revocations.now());
        match readiness.unready {
            None => return Ok(()),
            Some(UnknownCause::NotReady(NotReady::NoSignatureVerifies))
                if begun.elapsed() > VERIFIED_WITHIN =>
            {
                return Err("no message on this Redis is signed with STREAMS_HMAC_KEY: set it to \
                            the key of the services there"
                    .into());
            }
            Some(why) if begun.elapsed() > READY_WITHIN => {
                let outage = readiness.outage.map(|outage| outage.label()).unwrap_or_default();
                let why = why.label();
                return Err(format!("not ready after {READY_WITHIN:?}: {why} {outage}").into());
            }
            Some(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// The place of the streams.
pub enum Origin {
    /// Inside this process, signed with this key.
    InProcess(InProcess, Key),
    /// The streams of a Redis server.
    Redis(Box<Settings>),
}

impl Origin {
    /// Reads the place of the streams from the environment, for an example that writes to `writes`.
    ///
    /// If the environment names a Redis, it must also name the stream key. Services on the same
    /// Redis reject messages of another key, and deny requests while no message verifies. A Redis
    /// without any of Caracal's streams is provisioned.
    pub async fn from_env(writes: &[Stream]) -> Result<Self, Error> {
        let Some(server) = SERVERS.into_iter().find(|name| is_set(name)) else {
            println!("Streams: inside this process. Set REDIS_URL to use a Redis.");
            return Ok(Self::InProcess(InProcess::new(), Key::generate()?));
        };
        let writes: Vec<_> = writes.iter().map(|stream| stream.name()).collect();
        let writes = writes.join(" and ");
        if !["STREAMS_HMAC_KEY", "STREAMS_HMAC_KEY_FILE"].into_iter().any(is_set) {
            return Err(format!(
                "{server} is set and STREAMS_HMAC_KEY is not. This example writes signed messages \
                 to {writes} on that Redis. Set STREAMS_HMAC_KEY to the key that its services use; \
                 for a Redis of your own: export STREAMS_HMAC_KEY=$(openssl rand -hex 32)"
            )
            .into());
        }
        // As text, so that the printed error names the setting.
        let settings = Settings::from_env().map_err(|error| error.to_string())?;
        println!("Streams: on Redis, {}. This example writes to {writes}.", settings.address());
        provision(&settings).await?;
        Ok(Self::Redis(Box::new(settings)))
    }

    /// Creates a follower of these streams.
    pub fn follower(&self) -> Result<Follower, Error> {
        Ok(match self {
            Self::InProcess(streams, key) => {
                Follower::in_process(streams, KeyRing::new(key.clone()))
                    .map_err(|error| error.to_string())?
            }
            Self::Redis(settings) => Follower::new((**settings).clone()),
        })
    }

    /// Creates a publisher to these streams.
    pub async fn publisher(&self) -> Result<Publisher, Error> {
        Ok(match self {
            Self::InProcess(streams, key) => Publisher::in_process(streams, Some(key.clone())),
            Self::Redis(settings) => {
                Publisher::connect(settings).await.map_err(|error| error.to_string())?
            }
        })
    }
}

fn is_set(name: &str) -> bool {
    // A value that is not UTF-8 counts as set; `Settings` reports it.
    std::env::var_os(name).is_some_and(|value| !value.to_string_lossy().trim().is_empty())
}

/// Creates the streams on a Redis that has none of them. A follower would take such a Redis for the
/// wrong one.
async fn provision(settings: &Settings) -> Result<(), Error> {
    let text = |error: caracal_revocation::admin::InspectError| {
        format!("cannot use Redis, {}: {error}", settings.address())
    };
    let mut redis = Inspector::connect(settings).await.map_err(text)?;
    let found = redis.verify().await.map_err(text)?;
    let is_missing = |stream: Stream| {
        let mut found = found.iter().filter(|found| found.stream.name == stream.name());
        found.all(|found| found.state == Provision::Missing)
    };
    if Stream::ALL.into_iter().all(is_missing) {
        redis.provision().await.map_err(text)?;
        println!("Created Caracal's streams, since none existed (as `caracal-streams provision`).");
    }
    Ok(())
}
