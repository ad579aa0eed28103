//! Publishes signed messages, as Caracal's own producers do.

use std::sync::Arc;
use std::time::SystemTime;

use caracal_revocation_event::{Key, MessageBuilder, Stream, StreamId};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, Pipeline, Value};
use tokio::sync::Mutex;

use crate::connection::{from_redis, install_crypto, with_client_options};
use crate::in_process::InProcess;
use crate::limits::{ANSWER_DEADLINE, MAX_LEN};
use crate::log_error::LogError;
use crate::redis_reply as reply;
use crate::settings::Settings;
use crate::topology::{Links, Topology};

/// Writes messages to the streams, signed with the current key. Clones share a connection.
///
/// ```no_run
/// use caracal_revocation_event::MessageBuilder;
/// use caracal_revocation_stream::{Publisher, Settings};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let publisher = Publisher::connect(&Settings::from_env()?).await?;
/// let id = publisher.publish(MessageBuilder::revoke("z-1", "operator").session("ar-1")).await?;
/// println!("in Redis as {id}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Publisher {
    target: Target,
    key: Option<Key>,
}

#[derive(Clone)]
enum Target {
    Redis(ConnectionManager),
    /// A server that sentinels or cluster nodes name.
    Found(Arc<Mutex<Links>>),
    InProcess(InProcess),
}

/// The error of a message whose publication Redis did not confirm.
#[derive(Debug, thiserror::Error)]
#[error("the message could not be published: {0}")]
pub struct PublishError(String);

impl Publisher {
    /// Connects to the servers of these settings.
    ///
    /// # Errors
    ///
    /// [`PublishError`] if Redis cannot be reached, or the login fails.
    pub async fn connect(settings: &Settings) -> Result<Self, PublishError> {
        let key = settings.keys.signing_key().cloned();
        let server = match &settings.topology {
            Topology::One(server) => server,
            topology => {
                let mut links = Links::new(topology.clone());
                links.to(Stream::SessionsRevoke.name()).await.map_err(PublishError::from_log)?;
                return Ok(Self { target: Target::Found(Arc::new(Mutex::new(links))), key });
            }
        };
        install_crypto();
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(ANSWER_DEADLINE))
            .set_response_timeout(Some(ANSWER_DEADLINE))
            .set_number_of_retries(3);
        let manager = async {
            let client = Client::open(with_client_options(*server.clone()))?;
            client.get_connection_manager_with_config(config).await
        };
        let manager = manager.await.map_err(|error| PublishError(error.to_string()))?;
        Ok(Self { target: Target::Redis(manager), key })
    }

    /// Creates a publisher to streams inside this process.
    #[must_use]
    pub fn in_process(streams: &InProcess, key: Option<Key>) -> Self {
        Self { target: Target::InProcess(streams.clone()), key }
    }

    /// Signs the message, adds it to its stream, and returns its id there.
    ///
    /// Retries once if the connection was closed, for example by an idle limit, or if another
    /// server may be the primary by now. So a message may be in the stream twice. That is harmless,
    /// because every effect is monotonic or idempotent.
    ///
    /// # Errors
    ///
    /// [`PublishError`] if Redis did not confirm the message. It may still have been added, and
    /// publishing it again is harmless.
    pub async fn publish(&self, message: MessageBuilder) -> Result<StreamId, PublishError> {
        let stream = message.stream();
        let fields = message.into_fields(self.key.as_ref(), SystemTime::now());
        match &self.target {
            Target::InProcess(streams) => {
                let bytes =
                    fields.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes()));
                Ok(streams.add(stream, bytes.collect()))
            }
            Target::Found(links) => {
                let mut commands = Pipeline::new();
                commands.add_command(add(stream, &fields));
                let answers = links.lock().await.run(stream.name(), &commands).await;
                let answer = answers.map(|answers| answers.into_iter().next());
                id(answer.and_then(reply::checked))
            }
            Target::Redis(manager) => {
                let command = add(stream, &fields);
                let mut answer = command.query_async(&mut manager.clone()).await;
                if answer.as_ref().is_err_and(|error| from_redis(error).is_closed()) {
                    // The manager reconnects by itself, but only after a command has failed.
                    answer = command.query_async(&mut manager.clone()).await;
                }
                id(answer.map_err(|error| from_redis(&error)))
            }
        }
    }
}

fn id(answer: Result<Value, LogError>) -> Result<StreamId, PublishError> {
    answer.and_then(|answer| reply::id(&answer)).map_err(PublishError::from_log)
}

fn add(stream: Stream, fields: &[(String, String)]) -> Cmd {
    let mut command = Cmd::new();
    command.arg("XADD").arg(stream.name());
    command.arg("MAXLEN").arg("~").arg(MAX_LEN).arg("*");
    for (name, value) in fields {
        command.arg(name).arg(value);
    }
    command
}

impl PublishError {
    fn from_log(error: LogError) -> Self {
        Self(error.to_string())
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}
