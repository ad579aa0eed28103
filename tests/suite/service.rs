//! Services as users build them, on axum and on hyper, and a client that sends requests.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::{Extension, Router, routing::get};
use caracal_revocation::gateway::GuardedRequestBody;
use caracal_revocation::{Admission, GatewayLayer};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tower::ServiceBuilder;
use tower::util::MapRequestLayer;

use crate::mandates::Issuer;

/// Starts an axum service behind the layer, with an authentication layer outside it.
pub(crate) async fn on_axum(layer: GatewayLayer, issuer: &Issuer) -> SocketAddr {
    let issuer = issuer.clone();
    let app = Router::new()
        .route("/", get(hello))
        .layer(layer)
        .layer(MapRequestLayer::new(move |request| issuer.authenticate(request)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn hello(admitted: Option<Extension<Admission>>) -> String {
    format!("hello, {}", if admitted.is_some() { "admitted" } else { "anonymous" })
}

/// Starts the same service on plain hyper, with HTTP/1.1 and HTTP/2.
pub(crate) async fn on_hyper(layer: GatewayLayer, issuer: &Issuer) -> SocketAddr {
    let issuer = issuer.clone();
    let service = ServiceBuilder::new()
        .map_request(move |request| issuer.authenticate(request))
        .layer(layer)
        .service_fn(async |_: Request<GuardedRequestBody<Incoming>>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello, admitted")))
        });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// A response as a client sees it.
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A client that reuses its connections.
#[derive(Clone)]
pub(crate) struct TestClient(Client<HttpConnector, Empty<Bytes>>);

impl TestClient {
    pub(crate) fn http1() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    pub(crate) fn http2() -> Self {
        Self(Client::builder(TokioExecutor::new()).http2_only(true).build_http())
    }

    pub(crate) async fn request(&self, address: SocketAddr, headers: &[(&str, &str)]) -> Seen {
        self.get(&format!("http://{address}/"), headers).await
    }

    pub(crate) async fn get(&self, uri: &str, headers: &[(&str, &str)]) -> Seen {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.0.request(request.body(Empty::new()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Seen { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn request_with_token(&self, address: SocketAddr, token: &str) -> Seen {
        self.request(address, &[("authorization", &format!("Bearer {token}"))]).await
    }
}
