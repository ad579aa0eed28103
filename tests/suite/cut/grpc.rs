//! gRPC: a tonic server behind the layer, and tonic's client. The messages are plain bytes, so that
//! no code has to be generated.

use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::uri::PathAndQuery;
use ::http::{HeaderValue, Response};
use bytes::{Buf, BufMut};
use caracal_revocation::policy::{
    ClaimsInput, PolicyBundle, PolicyLayer, PolicyRequest, PolicySource, RegoEngine, Resource,
    SourceError, ZonePolicies,
};
use futures_util::Stream as FuturesStream;
use futures_util::future::BoxFuture;
use tonic::body::Body as TonicBody;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;
use tower::Service;

use super::*;

#[derive(Clone, Copy, Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

type Answers = Pin<Box<dyn FuturesStream<Item = Result<Bytes, Status>> + Send>>;

/// An echo service. `unary` answers, except for "slow"; `server` sends one message and waits;
/// `client` reads all messages before it answers; `both` echoes each.
#[derive(Clone, Copy)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl tonic::server::UnaryService<Bytes> for Echo {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<tonic::Response<Bytes>, Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        Box::pin(async move {
            let message = request.into_inner();
            if message == "slow" {
                std::future::pending::<()>().await;
            }
            Ok(tonic::Response::new(message))
        })
    }
}

impl tonic::server::ServerStreamingService<Bytes> for Echo {
    type Response = Bytes;
    type ResponseStream = Answers;
    type Future = BoxFuture<'static, Result<tonic::Response<Answers>, Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let first = stream::iter([Ok(request.into_inner())]);
        let answers: Answers = Box::pin(first.chain(stream::pending()));
        Box::pin(async move { Ok(tonic::Response::new(answers)) })
    }
}

impl tonic::server::ClientStreamingService<Bytes> for Echo {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<tonic::Response<Bytes>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<Bytes>>) -> Self::Future {
        Box::pin(async move {
            let mut messages = request.into_inner();
            let mut all = Vec::new();
            while let Some(message) = messages.message().await? {
                all.extend_from_slice(&message);
            }
            Ok(tonic::Response::new(all.into()))
        })
    }
}

impl tonic::server::StreamingService<Bytes> for Echo {
    type Response = Bytes;
    type ResponseStream = Answers;
    type Future = BoxFuture<'static, Result<tonic::Response<Answers>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<Bytes>>) -> Self::Future {
        let answers: Answers = Box::pin(request.into_inner());
        Box::pin(async move { Ok(tonic::Response::new(answers)) })
    }
}

impl Service<Request<TonicBody>> for Echo {
    type Response = Response<TonicBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<TonicBody>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(Plain);
            Ok(match request.uri().path() {
                "/test.Echo/server" => grpc.server_streaming(Self, request).await,
                "/test.Echo/client" => grpc.client_streaming(Self, request).await,
                "/test.Echo/both" => grpc.streaming(Self, request).await,
                _ => grpc.unary(Self, request).await,
            })
        })
    }
}

async fn listen() -> (SocketAddr, impl FuturesStream<Item = std::io::Result<TcpStream>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = stream::unfold(listener, async |listener| {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    (address, incoming)
}

async fn serve(scene: &Scene) -> SocketAddr {
    let (address, incoming) = listen().await;
    let server = Server::builder()
        .layer(MapRequestLayer::new(authenticate(&scene.revocations)))
        .layer(scene.layer())
        .add_service(Echo)
        .serve_with_incoming(incoming);
    tokio::spawn(server);
    address
}

type Client = tonic::client::Grpc<Channel>;

async fn client(address: SocketAddr) -> Client {
    let endpoint = Endpoint::try_from(format!("http://{address}")).unwrap();
    let mut client = tonic::client::Grpc::new(endpoint.connect().await.unwrap());
    client.ready().await.unwrap();
    client
}

fn path(method: &str) -> PathAndQuery {
    format!("/test.Echo/{method}").parse().unwrap()
}

fn with_token<T>(message: T, sid: &str) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let value = HeaderValue::try_from(format!("Bearer {sid}")).unwrap();
    let value = value.to_str().unwrap().parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

/// Asserts the status of revoked authority, with its details.
fn assert_revoked(status: &Status) {
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "session revoked"));
    let info = status.get_details_error_info().expect("an ErrorInfo");
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("REVOKED", "caracal"));
    assert_eq!(info.metadata["error"], "invalid_token");
}

#[tokio::test]
async fn denies_revoked_call_by_status_before_its_handler() {
    let scene = Scene::new();
    let mut client = client(serve(&scene).await).await;
    let answer = client.unary(with_token(Bytes::from("hi"), "ar-1"), path("unary"), Plain).await;
    assert_eq!(answer.unwrap().into_inner(), "hi");
    scene.revoke("ar-1");
    client.ready().await.unwrap();
    let answer = client.unary(with_token(Bytes::from("hi"), "ar-1"), path("unary"), Plain).await;
    let status = answer.unwrap_err();
    assert_revoked(&status);
    let info = status.get_details_error_info().unwrap();
    assert_eq!(Some(info.metadata["requestId"].as_str()), {
        status.metadata().get("x-request-id").map(|id| id.to_str().unwrap())
    });
}

#[tokio::test]
async fn maps_unknown_state_and_missing_token_to_status() {
    let scene = Scene::of(RevocationsWriter::new(Options::default()).reader());
    let mut client = client(serve(&scene).await).await;
    let answer = client.unary(with_token(Bytes::from("hi"), "ar-1"), path("unary"), Plain).await;
    assert_eq!(answer.unwrap_err().code(), Code::Unavailable);
    client.ready().await.unwrap();
    let answer = client.unary(tonic::Request::new(Bytes::from("hi")), path("unary"), Plain).await;
    let status = answer.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "missing bearer token"));
}

#[tokio::test]
async fn waiting_call_ends_with_status() {
    let scene = Scene::new();
    let mut client = client(serve(&scene).await).await;
    let call = tokio::spawn(async move {
        client.unary(with_token(Bytes::from("slow"), "ar-1"), path("unary"), Plain).await
    });
    scene.running(1).await;
    scene.revoke("ar-1");
    assert_revoked(&soon(call).await.unwrap().unwrap_err());
    assert_eq!(scene.cuts(), [("revoked", CutPoint::Handler)]);
}

#[tokio::test]
async fn server_stream_ends_with_status() {
    let scene = Scene::new();
    let mut client = client(serve(&scene).await).await;
    let request = with_token(Bytes::from("one"), "ar-1");
    let mut answers =
        client.server_streaming(request, path("server"), Plain).await.unwrap().into_inner();
    assert_eq!(soon(answers.message()).await.unwrap().unwrap(), "one");
    scene.running(1).await;
    scene.revoke("ar-1");
    let status = soon(answers.message()).await.unwrap_err();
    assert_revoked(&status);
    assert_eq!(status.metadata().get("x-caracal-revoked").unwrap(), "true");
    assert_eq!(scene.cuts(), [("revoked", CutPoint::Grpc)]);
}

#[tokio::test]
async fn client_stream_ends_with_status() {
    let scene = Scene::new();
    let mut client = client(serve(&scene).await).await;
    let messages = stream::iter([Bytes::from("one")]).chain(stream::pending());
    let call = tokio::spawn(async move {
        client.client_streaming(with_token(messages, "ar-1"), path("client"), Plain).await
    });
    scene.running(1).await;
    scene.revoke("ar-1");
    assert_revoked(&soon(call).await.unwrap().unwrap_err());
    scene.running(0).await;
}

#[tokio::test]
async fn bidirectional_stream_ends_with_status() {
    let scene = Scene::new();
    let mut client = client(serve(&scene).await).await;
    let messages = stream::iter([Bytes::from("one")]).chain(stream::pending());
    let request = with_token(messages, "ar-1");
    let mut answers = client.streaming(request, path("both"), Plain).await.unwrap().into_inner();
    assert_eq!(soon(answers.message()).await.unwrap().unwrap(), "one");
    scene.running(1).await;
    scene.revoke("ar-1");
    assert_revoked(&soon(answers.message()).await.unwrap_err());
    scene.running(0).await;
}

/// A source without any policy, so that every request is denied.
struct NoPolicy;

impl PolicySource for NoPolicy {
    async fn load(&self, _: PolicyRequest<'_>) -> Result<Option<PolicyBundle>, SourceError> {
        Ok(None)
    }
}

#[tokio::test]
async fn answers_policy_denial_by_status() {
    let scene = Scene::new();
    let policies = ZonePolicies::new(scene.revocations.clone(), NoPolicy, RegoEngine::new());
    let resource = Resource::new("api", "r-1", "https://api.example");
    let authenticate = authenticate(&scene.revocations);
    let in_zone = move |request| {
        let mut request: Request<TonicBody> = authenticate(request);
        if let Some(claims) = request.extensions_mut().get_mut::<Claims>() {
            claims.zone_id = Some("z-1".into());
        }
        request
    };
    let (address, incoming) = listen().await;
    let server = Server::builder()
        .layer(MapRequestLayer::new(in_zone))
        .layer(scene.layer())
        .layer(PolicyLayer::new(policies, ClaimsInput::new(resource)))
        .add_service(Echo)
        .serve_with_incoming(incoming);
    tokio::spawn(server);
    let mut client = client(address).await;
    let answer = client.unary(with_token(Bytes::from("hi"), "ar-1"), path("unary"), Plain).await;
    let status = answer.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "denied by policy"));
    let info = status.get_details_error_info().expect("an ErrorInfo");
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("NO_POLICY", "caracal"));
}
