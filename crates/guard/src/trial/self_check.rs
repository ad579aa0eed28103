//! `try --self-check`: the steps of the guide over HTTP, each with its time.

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use caracal_revocation::gateway::BoxError;
use http::header::AUTHORIZATION;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::activity::milliseconds;

/// The longest time for all steps together.
const DEADLINE: Duration = Duration::from_secs(30);
/// The longest time from a revocation to the cut.
const CUT_WITHIN: Duration = Duration::from_secs(10);

/// Runs the steps against a trial at this address. Returns `true` if each one had its result.
pub(super) async fn run(address: SocketAddr, out: &mut impl Write) -> Result<bool, BoxError> {
    let steps = steps(address, out);
    let passed = tokio::time::timeout(DEADLINE, steps).await.unwrap_or(Ok(false))?;
    let outcome = if passed { "Every step passed." } else { "A step FAILED, or took too long." };
    writeln!(out, "\n{outcome}")?;
    Ok(passed)
}

async fn steps(address: SocketAddr, out: &mut impl Write) -> Result<bool, BoxError> {
    let http = Http { address, client: Client::builder(TokioExecutor::new()).build_http() };
    let token = read(http.send(Method::GET, "/token", None).await?).await?;
    let token = Some(token.as_str());

    let begun = Instant::now();
    let response = http.send(Method::GET, "/", token).await?;
    if !step(out, response.status() == 200, "200", "a valid mandate is admitted", begun)? {
        return Ok(false);
    }

    let begun = Instant::now();
    let mut events = http.send(Method::GET, "/events", token).await?;
    let is_open = events.status() == 200 && matches!(events.frame().await, Some(Ok(_)));
    if !step(out, is_open, "200", "an event stream is open", begun)? {
        return Ok(false);
    }

    let begun = Instant::now();
    let revoke = async {
        let response = http.send(Method::POST, "/revoke", None).await;
        (response, begun.elapsed())
    };
    let cut = async {
        let is_cut = tokio::time::timeout(CUT_WITHIN, is_cut(events)).await;
        (is_cut.unwrap_or(false), begun.elapsed())
    };
    let ((revoked, revoke_time), (is_cut, cut_time)) = tokio::join!(revoke, cut);
    if !row(out, revoked?.status() == 200, "200", "the mandate is revoked", revoke_time)?
        || !row(out, is_cut, "cut", "the open event stream has ended", cut_time)?
    {
        return Ok(false);
    }

    let begun = Instant::now();
    let response = http.send(Method::GET, "/", token).await?;
    let is_denied = response.status() == 401 && read(response).await?.contains("session_revoked");
    step(out, is_denied, "401", "the mandate is denied: session_revoked", begun)
}

struct Http {
    address: SocketAddr,
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Http {
    async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
    ) -> Result<Response<Incoming>, BoxError> {
        let uri = format!("http://{}{path}", self.address);
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        Ok(self.client.request(request.body(Empty::new())?).await?)
    }
}

async fn read(response: Response<Incoming>) -> Result<String, BoxError> {
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.into())?)
}

/// Reads an event stream to its end. Returns `true` if its last event says `revoked` and the stream
/// then broke off.
async fn is_cut(events: Response<Incoming>) -> bool {
    let (mut body, mut last) = (events.into_body(), Bytes::new());
    loop {
        match body.frame().await {
            Some(Ok(frame)) => last = frame.into_data().unwrap_or_default(),
            Some(Err(_)) => return last.starts_with(b"event: revoked"),
            None => return false,
        }
    }
}

fn step(
    out: &mut impl Write,
    passed: bool,
    result: &str,
    name: &str,
    begun: Instant,
) -> Result<bool, BoxError> {
    row(out, passed, result, name, begun.elapsed())
}

/// Writes a line: the result, the step, and its time. Returns `passed`.
fn row(
    out: &mut impl Write,
    passed: bool,
    result: &str,
    name: &str,
    time: Duration,
) -> Result<bool, BoxError> {
    let result = if passed { result } else { "FAIL" };
    writeln!(out, "{result:<5}{name:<42}{:>9}", milliseconds(time))?;
    Ok(passed)
}
