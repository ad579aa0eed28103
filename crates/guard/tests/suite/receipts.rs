//! A guard with a name writes receipts, which `caracal-streams fleet` and `drill` read.

use std::time::{Duration, Instant};

use caracal_revocation::admin::Inspector;
use caracal_revocation::wire::{Key, KeyRing};

use crate::world::{World, free_address};

#[tokio::test(flavor = "multi_thread")]
async fn guard_with_a_name_writes_receipts() {
    let world = World::start().await;
    let check = free_address().to_string();
    let _guard = world.guard(&["--check", &check, "--replica", "gw-1"]).await;
    let keys = KeyRing::new(Key::generate().unwrap());
    let mut inspector = Inspector::connect(&world.redis.settings(&keys)).await.unwrap();
    let start = Instant::now();
    while !inspector.receipts().await.unwrap().iter().any(|receipt| receipt.replica == "gw-1") {
        assert!(start.elapsed() < Duration::from_secs(30), "no receipt");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
