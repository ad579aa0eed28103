//! Changes of the configuration: a second guard, and larger buffers.

use std::time::{Duration, Instant};

use super::{GUARD, both, serve};
use crate::exchange::{send, status};
use crate::page;
use crate::upstream::Upstream;
use crate::world::{World, free_address};

#[tokio::test(flavor = "multi_thread")]
async fn second_guard_answers_while_the_first_is_down() {
    for program in both() {
        let (world, upstream) = (World::start().await, Upstream::start().await);
        let (first, second, proxy) = (free_address(), free_address(), free_address());
        let mut guard = world.guard(&["--spoe", &first.to_string()]).await;
        let other = world.guard(&["--spoe", &second.to_string()]).await;
        let page = page::block("haproxy", "haproxy", 0);
        let (page, _) = page.split_once("backend guard\n").unwrap();
        let configuration = page.to_owned() + &page::block("haproxy", "haproxy", 2);
        let guards = [(GUARD, first), ("127.0.0.1:7004", second)];
        let _haproxy = serve(&program, &configuration, &upstream, proxy, &guards).await;
        let (token, revoked) = (world.mint("ar-1"), world.mint("ar-2"));
        let ask = async |token: &str| {
            let line = format!("Authorization: Bearer {token}");
            status(&send(proxy, "GET", "/", &[&line]).await.unwrap())
        };
        let settle = async |token: &str, wanted: u16| {
            let (start, mut row) = (Instant::now(), 0);
            while row < 40 {
                row = if ask(token).await == wanted { row + 1 } else { 0 };
                assert!(start.elapsed() < Duration::from_secs(60), "never only {wanted}");
            }
        };
        world.revoke("ar-2").await;
        settle(&token, 200).await;
        settle(&revoked, 401).await;
        guard.kill();
        for _ in 0..40 {
            assert_ne!(ask(&revoked).await, 200);
        }
        settle(&token, 200).await;
        settle(&revoked, 401).await;
        guard.restart().await;
        other.signal("STOP");
        settle(&token, 200).await;
        settle(&revoked, 401).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_that_does_not_fit_a_frame_is_denied() {
    for program in both() {
        let (world, upstream) = (World::start().await, Upstream::start().await);
        let (spoe, proxy) = (free_address(), free_address());
        let _guard = world.guard(&["--spoe", &spoe.to_string()]).await;
        let page = page::block("haproxy", "haproxy", 0);
        let configuration = format!("global\n  tune.bufsize 65536\n{page}");
        let _haproxy = serve(&program, &configuration, &upstream, proxy, &[(GUARD, spoe)]).await;
        let line = format!("Authorization: Bearer {}", world.mint("ar-1"));
        for (length, wanted) in [(10, 200), (20_000, 503), (10_000, 200)] {
            let path = format!("/{}", "a".repeat(length));
            let response = send(proxy, "GET", &path, &[&line]).await.unwrap();
            assert_eq!(status(&response), wanted, "{response}");
            assert_eq!(upstream.take().len(), usize::from(wanted == 200));
        }
    }
}
