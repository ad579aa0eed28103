//! Clients that hold responses without an end open, and record when each ended.

use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use fastrand::Rng;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

use crate::history::Held;
use crate::reader::HELD_PATH;
use crate::readers::Reader;
use crate::time::At;
use crate::world::World;

const PAUSE: Duration = Duration::from_millis(300);
/// The longest time for which a response is held open.
const HOLD: Duration = Duration::from_secs(15);

type HeldClient = Client<HttpConnector, Empty<Bytes>>;

/// Holds one response of the reader open after the other, until dropped.
pub async fn keep_holding(world: &World, reader: &Reader, mut rng: Rng) -> Infallible {
    let client = Client::builder(TokioExecutor::new()).build_http();
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Some(token) = world.truth.pick_live(&mut rng) {
            hold(world, &client, reader, token).await;
        }
    }
}

async fn hold(world: &World, client: &HeldClient, reader: &Reader, token: usize) -> Option<()> {
    let current = reader.current()?;
    let request = Request::get(format!("http://{}{HELD_PATH}", current.address))
        .header(header::AUTHORIZATION, format!("Bearer {}", world.truth.text(token)))
        .body(Empty::new())
        .ok()?;
    let sent = world.clock.now();
    let response = tokio::time::timeout(HOLD, client.request(request)).await.ok()?.ok()?;
    if response.status() != StatusCode::OK {
        return None;
    }
    let held = Held { life: current.life, token, sent, last: sent, ended: None };
    let mut record = Record { world, held };
    let read = read(world, response, &mut record.held.last);
    let is_over = tokio::time::timeout(HOLD, read).await.is_ok();
    record.held.ended = is_over.then(|| world.clock.now());
    Some(())
}

/// A response that is held open. Records it when it is dropped, so also if the schedule ends first.
struct Record<'w> {
    world: &'w World,
    held: Held,
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        self.world.truth.held(self.held.clone());
    }
}

/// Reads the response until it ends. `last` is then the time of its last part.
async fn read(world: &World, response: Response<Incoming>, last: &mut At) {
    let mut body = response.into_body();
    while let Some(Ok(frame)) = body.frame().await {
        let part = frame.into_data().unwrap_or_default();
        let lines = String::from_utf8_lossy(&part);
        if let Some(micros) = lines.lines().filter_map(|line| line.parse().ok()).max() {
            let written: SystemTime = UNIX_EPOCH + Duration::from_micros(micros);
            *last = (*last).max(world.clock.at(written));
        }
    }
}
