//! LossVersion that only a baseline can reveal: strict mode requires it, and a failover triggers a read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use caracal_revocation::baseline::{Baseline, BaselineFact, BaselineFuture, Scope};
use caracal_revocation::internal::sign;
use caracal_revocation::state::{DenyReason, Options, RevocationsWriter, Verdict};
use caracal_revocation::wire::Stream;
use caracal_revocation::{Follower, Revocations};

use crate::live::{eventually, issued_at, key, ready, ring, verdict};
use crate::redis_server::RedisServer;

/// A baseline with one revocation, which counts full reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct SecondSource(Arc<AtomicUsize>);

impl SecondSource {
    pub(crate) fn readings(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Baseline for SecondSource {
    fn read<'a>(
        &'a mut self,
        scope: Scope,
        add: &'a mut (dyn FnMut(&BaselineFact<'_>) + Send),
    ) -> BaselineFuture<'a> {
        add(&BaselineFact::Revoked("lost"));
        if matches!(scope, Scope::Full(_)) {
            self.0.fetch_add(1, Ordering::AcqRel);
        }
        Box::pin(async { Ok(()) })
    }
}

/// Starts a server whose streams have been in use for days and are complete.
async fn complete_streams() -> RedisServer {
    let server = RedisServer::start();
    let mut connection = server.connection().await;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let days_ago = since.as_millis() - 3 * 24 * 60 * 60 * 1_000;
    for stream in Stream::ALL {
        let mut fields = vec![
            ("zone_id".to_owned(), "zone-1".to_owned()),
            ("session_id".to_owned(), "long-ago".to_owned()),
        ];
        sign(&key(1), stream, &mut fields);
        let mut add = redis::cmd("XADD");
        add.arg(stream.name()).arg(format!("{days_ago}-0"));
        for (name, value) in &fields {
            add.arg(name).arg(value);
        }
        add.exec_async(&mut connection).await.unwrap();
    }
    server
}

fn strict() -> RevocationsWriter {
    RevocationsWriter::new(Options::strict())
}

/// Returns the denial reason for a resource token issued before the start.
fn reason(revocations: &Revocations, session: &str) -> Option<DenyReason> {
    let mut claims = issued_at(session, 1_000_000_000);
    claims.token_use = Some("resource".into());
    match verdict(revocations, &claims) {
        Verdict::Denied(denial) => Some(denial.reason()),
        Verdict::Admitted(_) => None,
        Verdict::Unknown(why) => panic!("{why:?}"),
    }
}

#[tokio::test]
async fn complete_streams_at_start_are_trusted_unless_strict() {
    let server = complete_streams().await;
    let lenient = Follower::new(server.settings(&ring())).spawn();
    ready(&lenient).await;
    assert_eq!(lenient.horizon(), None);
    let strict = Follower::new(server.settings(&ring())).with_writer(strict()).spawn();
    ready(&strict).await;
    assert_eq!(reason(&strict, "living"), Some(DenyReason::HistoryIncomplete));
}

#[tokio::test]
async fn baseline_admits_older_tokens_in_strict_mode() {
    let server = complete_streams().await;
    let follower = Follower::new(server.settings(&ring())).with_writer(strict());
    let strict = follower.with_baseline(SecondSource::default()).spawn();
    ready(&strict).await;
    eventually("older tokens are admitted", || reason(&strict, "living").is_none()).await;
    assert_eq!(reason(&strict, "lost"), Some(DenyReason::Revoked));
}
