//! Effects that must happen once per fleet, on a real Redis.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use caracal_revocation::effects::{Delivery, EffectFailure, EffectRunner};
use caracal_revocation::wire::{Change, KeyRing, MessageBuilder, Stream};
use caracal_revocation::{InProcess, Publisher};
use tokio::sync::{Semaphore, oneshot};

use crate::delivery::{add, add_signed};
use crate::live::{ZONE, caught_up, eventually, follow, key, publisher, revoke, ring};
use crate::proxy::Proxy;
use crate::redis_server::{RedisServer, settings, settings_in};
use crate::snapshot::Logged;

mod failures;
mod runners;
mod sizes;
mod unusable;

const STREAM: Stream = Stream::SessionsRevoke;
const GROUP: &str = "sts-revocation";

/// The sessions that a handler processed, in order.
#[derive(Clone, Default)]
struct Done(Arc<Mutex<Vec<String>>>);

impl Done {
    fn add(&self, delivery: &Delivery) {
        self.0.lock().unwrap().push(session(delivery));
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn session(delivery: &Delivery) -> String {
    match delivery.changes() {
        [Change::Revoke(anchor)] => anchor.to_string(),
        other => panic!("{other:?}"),
    }
}

fn runner(url: &str) -> EffectRunner {
    EffectRunner::new(&settings(url, &ring()), STREAM, GROUP).join_existing()
}

/// Creates the group as the provisioner does.
async fn provision(server: &RedisServer) {
    let mut command = redis::cmd("XGROUP");
    command.arg("CREATE").arg(STREAM.name()).arg(GROUP).arg("$").arg("MKSTREAM");
    command.exec_async(&mut server.connection().await).await.unwrap();
}

/// Starts a runner. Send to the first value to stop it, then await the second.
fn start<F>(
    runner: EffectRunner,
    handler: impl Fn(Delivery) -> F + Send + Sync + 'static,
) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>)
where
    F: Future<Output = Result<(), EffectFailure>> + Send,
{
    let (end, ended) = oneshot::channel();
    let shutdown = async {
        let _ = ended.await;
    };
    let task = tokio::spawn(async move { runner.run(handler, shutdown).await.unwrap() });
    (end, task)
}

fn recording(
    done: &Done,
) -> impl Fn(Delivery) -> std::future::Ready<Result<(), EffectFailure>> + use<> {
    let done = done.clone();
    move |delivery| {
        done.add(&delivery);
        std::future::ready(Ok(()))
    }
}

/// Counts the pending entries by consumer.
async fn pending(server: &RedisServer) -> HashMap<String, usize> {
    let mut command = redis::cmd("XPENDING");
    command.arg(STREAM.name()).arg(GROUP).arg("-").arg("+").arg(10_000);
    let rows: Vec<(String, String, u64, u64)> =
        command.query_async(&mut server.connection().await).await.unwrap();
    rows.into_iter().fold(HashMap::new(), |mut all, (_, consumer, _, _)| {
        *all.entry(consumer).or_default() += 1;
        all
    })
}

async fn dead_letters(server: &RedisServer) -> Vec<HashMap<String, String>> {
    let mut command = redis::cmd("XRANGE");
    command.arg(format!("{STREAM}.dead")).arg("-").arg("+");
    let rows: Vec<(String, HashMap<String, String>)> =
        command.query_async(&mut server.connection().await).await.unwrap();
    rows.into_iter().map(|(_, fields)| fields).collect()
}
