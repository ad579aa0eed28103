//! Steps of a reader's wall clock.

use axum::body::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::{Outcome, affected_readers};
use crate::fault::{Ending, Fault};
use crate::history::GapScope;
use crate::reader::CLOCK_PATH;
use crate::readers::Reader;
use crate::time::At;
use crate::world::World;

/// Sets the wall clock of readers forward or back, and later right again.
pub(super) async fn step(world: &World, fault: &Fault, began: At) -> Outcome {
    let amount = i64::try_from(fault.amount).unwrap_or(i64::MAX);
    let ahead = if fault.ending == Ending::Resumes { -amount } else { amount };
    let mut has_stepped = true;
    for reader in affected_readers(world, fault) {
        has_stepped &= set(reader, ahead).await.is_some();
    }
    tokio::time::sleep(fault.lasts).await;
    let ended = world.clock.now();
    for reader in affected_readers(world, fault) {
        set(reader, 0).await;
    }
    Outcome {
        began,
        ended,
        scope: None,
        disturbs: false,
        gap: GapScope::Nobody,
        effect: has_stepped.then(|| format!("{ahead} ms ahead")),
    }
}

/// Steps the wall clock of the reader to this many milliseconds ahead. Returns `None` if the reader
/// is down.
async fn set(reader: &Reader, ahead: i64) -> Option<()> {
    let current = reader.current()?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = Request::post(format!("http://{}{CLOCK_PATH}", current.address));
    let request = request.body(Full::from(ahead.to_string())).ok()?;
    let response = client.request(request).await.ok()?;
    (response.status() == StatusCode::OK).then_some(())
}
