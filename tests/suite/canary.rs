//! A canary on a real Redis: seen, missed, and seen again.

use std::time::Duration;

use caracal_revocation::internal::CANARY_STREAM;
use caracal_revocation::stream::Canary;

use crate::live::{eventually, ring};
use crate::redis_server::RedisServer;

const OFTEN: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
async fn canary_follows_redis_and_writes_only_its_stream() {
    let server = RedisServer::start();
    server.freeze();
    let canary = Canary::new(&server.settings(&ring())).every(OFTEN).spawn();
    assert!(!canary.is_alive(), "no canary can have come back yet");
    server.thaw();
    eventually("the canary is seen", || canary.is_alive()).await;
    let mut connection = server.connection().await;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    assert_eq!(keys, [CANARY_STREAM]);

    server.freeze();
    eventually("the canary is missed", || !canary.is_alive()).await;
    server.thaw();
    eventually("the canary is seen again", || canary.is_alive()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn canary_user_needs_three_commands_on_one_stream() {
    let server = RedisServer::start();
    let rights =
        ["SETUSER", "canary", "on", ">pw", "resetkeys", "-@all", "+xadd", "+xread", "+time"];
    let mut connection = server.connection().await;
    let () = redis::cmd("ACL")
        .arg(&rights)
        .arg(format!("~{CANARY_STREAM}"))
        .query_async(&mut connection)
        .await
        .unwrap();
    let url = format!("redis://canary:pw@127.0.0.1:{}", server.port());
    let canary = Canary::new(&crate::redis_server::settings(&url, &ring())).every(OFTEN).spawn();
    eventually("the canary is seen", || canary.is_alive()).await;
}
