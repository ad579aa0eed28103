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
        let ids = self.add(stream, [message].into()).await?;
        ids.into_iter().next().ok_or_else(|| PublishError("Redis returned no id".to_owned()))
    }

    /// Signs the messages, adds each to its stream in this order, and returns their ids. Messages
    /// of one stream that follow each other are sent in one write, and must all be answered within
    /// two seconds.
    ///
    /// Retries as [`publish`](Self::publish) does, with all messages of the write.
    ///
    /// ```
    /// use caracal_revocation_event::{Key, MessageBuilder};
    /// use caracal_revocation_stream::{InProcess, Publisher};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let publisher = Publisher::in_process(&InProcess::new(), Some(Key::generate()?));
    /// let revoke = |id| MessageBuilder::revoke("z-1", "operator").session(id);
    /// let ids = publisher.publish_all(["ar-1", "ar-2"].map(revoke).into()).await?;
    /// assert!(ids[0] < ids[1]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PublishError`] if Redis did not confirm all messages. Any of them may have been added, and
    /// publishing them again is harmless.
    pub async fn publish_all(
        &self,
        messages: Vec<MessageBuilder>,
    ) -> Result<Vec<StreamId>, PublishError> {
        let mut ids = Vec::with_capacity(messages.len());
        let mut messages = messages.into_iter().peekable();
        while let Some(message) = messages.next() {
            let stream = message.stream();
            let mut run = vec![message];
            while let Some(next) = messages.next_if(|next| next.stream() == stream) {
                run.push(next);
            }
            ids.append(&mut self.add(stream, run).await?);
        }
        Ok(ids)
    }

    /// Signs messages and adds them to their stream in one write.
    async fn add(
        &self,
        stream: Stream,
        messages: Vec<MessageBuilder>,
    ) -> Result<Vec<StreamId>, PublishError> {
        let (now, count) = (SystemTime::now(), messages.len());
        let signed =
            messages.into_iter().map(|message| message.into_fields(self.key.as_ref(), now));
        let answers = match &self.target {
            Target::InProcess(streams) => {
                let bytes = |fields: Vec<(String, String)>| {
                    let fields = fields.into_iter();
                    fields.map(|(name, value)| (name.into_bytes(), value.into_bytes())).collect()
                };
                return Ok(signed.map(|fields| streams.add(stream, bytes(fields))).collect());
            }
            Target::Found(links) => {
                let commands = pipeline(stream, signed);
                links.lock().await.run(stream.name(), &commands).await
            }
            Target::Redis(manager) => {
                let (commands, mut manager) = (pipeline(stream, signed), manager.clone());
                let mut answers = manager.send_packed_commands(&commands, 0, count).await;
                if answers.as_ref().is_err_and(|error| from_redis(error).is_closed()) {
                    // The manager reconnects by itself, but only after a command has failed.
                    answers = manager.send_packed_commands(&commands, 0, count).await;
                }
                answers.map_err(|error| from_redis(&error))
            }
        };
        let answers = answers.map_err(PublishError::from_log)?;
        if answers.len() != count {
            return Err(PublishError("Redis returned fewer answers than commands".to_owned()));
        }
        answers.into_iter().map(id).collect()
    }
}

fn id(answer: Value) -> Result<StreamId, PublishError> {
    let answer = reply::checked(Some(answer)).and_then(|answer| reply::id(&answer));
    answer.map_err(PublishError::from_log)
}

fn pipeline(stream: Stream, signed: impl Iterator<Item = Vec<(String, String)>>) -> Pipeline {
    let mut commands = Pipeline::new();
    for fields in signed {
        commands.add_command(add(stream, &fields));
    }
    commands
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
