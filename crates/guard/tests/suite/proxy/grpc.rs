//! gRPC: tonic's client, the proxy, and a tonic server. The messages are plain bytes, so that no
//! code has to be generated.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes};
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt, stream};
use http::uri::PathAndQuery;
use http::{Request, Response};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Status, Streaming};
use tower::Service;

use super::{DEADLINE, Proxied};
use crate::world::free_address;

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

type Answers = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// A service that echoes each message, and fails for the message `fail`.
#[derive(Clone, Copy)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl tonic::server::StreamingService<Bytes> for Echo {
    type Response = Bytes;
    type ResponseStream = Answers;
    type Future = BoxFuture<'static, Result<tonic::Response<Answers>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<Bytes>>) -> Self::Future {
        let answers = request.into_inner().map(|message| match message {
            Ok(message) if message == "fail" => Err(Status::data_loss("as requested")),
            other => other,
        });
        let answers: Answers = Box::pin(answers);
        Box::pin(async move { Ok(tonic::Response::new(answers)) })
    }
}

impl Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async move { Ok(Grpc::new(Plain).streaming(Self, request).await) })
    }
}

async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = stream::unfold(listener, async |listener| {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    tokio::spawn(Server::builder().add_service(Echo).serve_with_incoming(incoming));
    address
}

async fn client(address: SocketAddr) -> tonic::client::Grpc<Channel> {
    let endpoint = Endpoint::try_from(format!("http://{address}")).unwrap();
    let mut client = tonic::client::Grpc::new(endpoint.connect().await.unwrap());
    client.ready().await.unwrap();
    client
}

fn call<T>(proxied: &Proxied, sid: &str, messages: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(messages);
    let token = format!("Bearer {}", proxied.world.mint(sid)).parse().unwrap();
    request.metadata_mut().insert("authorization", token);
    request
}

fn path() -> PathAndQuery {
    PathAndQuery::from_static("/test.Echo/both")
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_calls_keep_messages_and_status() {
    let proxied = Proxied::start(&format!("http://{}", serve().await), "").await;
    let mut client = client(proxied.address).await;
    let messages = stream::iter([Bytes::from("one"), Bytes::from("two"), Bytes::from("fail")]);
    let request = call(&proxied, "ar-1", messages);
    let mut answers = soon(client.streaming(request, path(), Plain)).await.unwrap().into_inner();
    assert_eq!(soon(answers.message()).await.unwrap().unwrap(), "one");
    assert_eq!(soon(answers.message()).await.unwrap().unwrap(), "two");
    let status = soon(answers.message()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::DataLoss, "as requested"));

    client.ready().await.unwrap();
    let nothing = tonic::Request::new(stream::iter([Bytes::from("one")]));
    let status = soon(client.streaming(nothing, path(), Plain)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_grpc_call_ends_with_status_unauthenticated() {
    let proxied = Proxied::start(&format!("http://{}", serve().await), "").await;
    let mut client = client(proxied.address).await;
    let messages = stream::iter([Bytes::from("one")]).chain(stream::pending());
    let request = call(&proxied, "ar-1", messages);
    let mut answers = soon(client.streaming(request, path(), Plain)).await.unwrap().into_inner();
    assert_eq!(soon(answers.message()).await.unwrap().unwrap(), "one");
    proxied.world.revoke("ar-1").await;
    let status = soon(answers.message()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "session revoked"));
    assert_eq!(status.metadata().get("x-caracal-revoked").unwrap(), "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_client_sees_unavailable_without_the_service() {
    let proxied = Proxied::start(&format!("http://{}", free_address()), "").await;
    let mut client = client(proxied.address).await;
    let request = call(&proxied, "ar-1", stream::iter([Bytes::from("one")]));
    let status = soon(client.streaming(request, path(), Plain)).await.unwrap_err();
    let (code, message) = (status.code(), status.message());
    assert_eq!((code, message), (Code::Unavailable, "the service cannot be reached"));
}
