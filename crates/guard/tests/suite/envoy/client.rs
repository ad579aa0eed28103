//! A client of gRPC in place of Envoy.

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_client::ExternalProcessorClient;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Message;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response as Answer;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    HttpHeaders, ProcessingRequest, ProcessingResponse,
};
use futures_util::stream;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::program::Guard;
use crate::world::{World, free_address};

/// A guard, and a connection to it.
pub(super) struct Direct {
    pub(super) world: World,
    pub(super) guard: Guard,
    pub(super) channel: Channel,
    folder: TempDir,
}

/// Starts a guard with this configuration file.
pub(super) async fn start(config: &str) -> Direct {
    let (world, address) = (World::start().await, free_address());
    let folder = TempDir::with_prefix("guard-config-").unwrap();
    let file = folder.path().join("guard.toml");
    std::fs::write(&file, config).unwrap();
    let (file, listener) = (file.to_str().unwrap(), address.to_string());
    let guard = world.guard(&["--config", file, "--ext-authz", &listener]).await;
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    Direct { world, guard, channel: channel.connect().await.unwrap(), folder }
}

impl Direct {
    /// Changes the configuration file, and lets the guard read it again.
    pub(super) fn reload(&self, config: &str) {
        std::fs::write(self.folder.path().join("guard.toml"), config).unwrap();
        self.guard.signal("HUP");
    }
}

/// The stream of one request, as Envoy opens it.
pub(super) struct Process {
    pub(super) messages: Option<UnboundedSender<ProcessingRequest>>,
    answers: Streaming<ProcessingResponse>,
}

impl Process {
    pub(super) async fn open(setup: &Direct) -> Self {
        let (messages, received) = unbounded_channel();
        let received = stream::unfold(received, async |mut received| {
            received.recv().await.map(|message| (message, received))
        });
        let mut client = ExternalProcessorClient::new(setup.channel.clone());
        let answers = client.process(Box::pin(received));
        let answers = tokio::time::timeout(Duration::from_secs(60), answers).await;
        let answers = answers.expect("no stream").unwrap().into_inner();
        Self { messages: Some(messages), answers }
    }

    /// Opens a stream whose request was approved.
    pub(super) async fn approved(setup: &Direct, sid: &str) -> Self {
        let mut process = Self::open(setup).await;
        process.send(headers(&setup.world.mint(sid)));
        let answer = process.answer().await.unwrap();
        assert!(matches!(answer, Some(Answer::RequestHeaders(_))), "{answer:?}");
        process
    }

    pub(super) fn send(&self, message: Message) {
        let request = Some(message);
        let message = ProcessingRequest { request, ..ProcessingRequest::default() };
        self.messages.as_ref().unwrap().send(message).unwrap();
    }

    /// Ends the client's side of the stream.
    pub(super) fn half_close(&mut self) {
        self.messages = None;
    }

    /// Returns the next answer, `None` after an OK, or the error.
    pub(super) async fn answer(&mut self) -> Result<Option<Answer>, Status> {
        let answer = tokio::time::timeout(Duration::from_secs(60), self.answers.message()).await;
        let answer = answer.expect("no answer and no end")?;
        Ok(answer.map(|answer| answer.response.expect("an empty answer")))
    }

    /// Returns the code that the stream ends with.
    pub(super) async fn end(&mut self) -> Code {
        match self.answer().await {
            Ok(None) => Code::Ok,
            Ok(Some(answer)) => panic!("not the end: {answer:?}"),
            Err(status) => status.code(),
        }
    }
}

/// Returns the first message: a `GET` with this token, and forged headers.
pub(super) fn headers(token: &str) -> Message {
    let all = [
        (":method", "GET".to_owned()),
        (":path", "/a".to_owned()),
        ("authorization", format!("Bearer {token}")),
        ("x-caracal-subject", "forged".to_owned()),
        ("x_caracal_subject", "forged".to_owned()),
    ];
    let header = |(key, value): (&str, String)| HeaderValue {
        key: key.to_owned(),
        raw_value: value.into_bytes(),
        ..HeaderValue::default()
    };
    let headers = Some(HeaderMap { headers: all.into_iter().map(header).collect() });
    Message::RequestHeaders(HttpHeaders { headers, ..HttpHeaders::default() })
}
