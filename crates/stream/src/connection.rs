//! A connection to one server that is not shared, with a deadline for every command.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_state::OutageCause;
use futures_util::TryFutureExt;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, Pipeline, ProtocolVersion,
    RedisError, Value,
};

use crate::limits::{ANSWER_DEADLINE, CONNECT_DEADLINE, within};
use crate::log_error::LogError;
use crate::redis_reply as reply;

/// A connection that closes if a command on it is late or cancelled. A late answer would otherwise
/// count as that of the next command.
#[derive(Debug)]
pub struct Connection(Option<MultiplexedConnection>);

impl Connection {
    pub(crate) async fn open(server: &ConnectionInfo) -> Result<Self, LogError> {
        install_crypto();
        let client = Client::open(with_client_options(server.clone()))
            .map_err(|error| from_redis(&error))?;
        // The redis crate's own response timeout would also cut blocking reads short. So the
        // deadlines are set here, around each command.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_DEADLINE))
            .set_response_timeout(None);
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let connecting = connecting.map_err(|error| from_redis(&error));
        within(CONNECT_DEADLINE, connecting).await.map(|connection| Self(Some(connection)))
    }

    /// Sends commands in one write and returns all answers, error answers included. The deadline is
    /// longer by `wait`, for blocking reads.
    pub async fn query(
        &mut self,
        commands: &Pipeline,
        wait: Duration,
    ) -> Result<Vec<Value>, LogError> {
        self.query_within(wait + ANSWER_DEADLINE, commands).await
    }

    /// Sends commands in one write and returns all answers, if they arrive within the deadline.
    pub(crate) async fn query_within(
        &mut self,
        deadline: Duration,
        commands: &Pipeline,
    ) -> Result<Vec<Value>, LogError> {
        let closed =
            || LogError::Connection(OutageCause::Unreachable, "the connection is closed".into());
        let mut connection = self.0.take().ok_or_else(closed)?;
        let answering = connection.send_packed_commands(commands, 0, commands.len());
        let answers = within(deadline, answering.map_err(|error| from_redis(&error))).await?;
        self.0 = Some(connection);
        Ok(answers)
    }

    /// Sends commands in one write and returns all answers. Returns the first error answer as an
    /// error.
    pub async fn run(&mut self, commands: &Pipeline) -> Result<Vec<Value>, LogError> {
        let answers = self.query(commands, Duration::ZERO).await?;
        answers.into_iter().map(|answer| reply::checked(Some(answer))).collect()
    }
}

/// Converts an error of the redis crate. Its text never contains the password.
pub(crate) fn from_redis(error: &RedisError) -> LogError {
    if let Some(code) = error.code() {
        return LogError::Redis(format!("{code} {}", error.detail().unwrap_or_default()));
    }
    let outage = match error.kind() {
        ErrorKind::AuthenticationFailed => OutageCause::Login,
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => OutageCause::Reply,
        ErrorKind::Io if error.is_timeout() => OutageCause::Timeout,
        ErrorKind::Io if is_tls(error) => OutageCause::Tls,
        ErrorKind::Io => OutageCause::Unreachable,
        _ => OutageCause::Other,
    };
    LogError::Connection(outage, error.to_string())
}

/// Returns `true` if the TLS handshake failed: TLS libraries report that as invalid data.
fn is_tls(error: &RedisError) -> bool {
    let cause = error.source();
    let cause = cause.and_then(|cause| cause.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let cause = cause.and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::InvalidData)
}

/// Returns the server with the options of every connection to it:
///
/// - without delays: small writes would wait for the acknowledgement of the last one;
/// - without `CLIENT SETINFO`: it needs a right that no user needs, and its denials fill `ACL LOG`;
/// - with RESP2, even if the address sets another `protocol`: every server supports it, and each
///   answer then has one shape.
pub(crate) fn with_client_options(server: ConnectionInfo) -> ConnectionInfo {
    let tcp = server.tcp_settings().clone().set_nodelay(true);
    let login = server.redis_settings().clone().set_skip_set_lib_name();
    let login = login.set_protocol(ProtocolVersion::RESP2);
    server.set_tcp_settings(tcp).set_redis_settings(login)
}

/// Installs a TLS backend for the process, because the redis crate leaves that choice to the
/// process. A backend that the service installed stays.
pub(crate) fn install_crypto() {
    #[cfg(feature = "tls")]
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may install one first, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}
