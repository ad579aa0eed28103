//! The handshake, errors, and the end of a connection.

use std::collections::BTreeSet;

use super::client::{
    ACK, AGENT_DISCONNECT, AGENT_HELLO, Client, FIN, HAPROXY_DISCONNECT, HAPROXY_HELLO, NOTIFY,
    arguments, frame, hello, list, message, start,
};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn answers_frames_of_a_connection_in_any_order() {
    let world = World::start().await;
    let (_guard, address) = start(&world, &[]).await;
    let mut client = Client::hello(address, 16_380).await;
    let (good, bad) = (world.mint("ar-1"), "x.y.z".to_owned());
    let mut sent = Vec::new();
    for n in 0..300 {
        let token = if n % 2 == 0 { &good } else { &bad };
        sent.extend(frame(
            NOTIFY,
            FIN,
            n,
            n * 1000,
            &message("check-token", &arguments(Some(token))),
        ));
    }
    client.send(&sent).await;
    let mut answered = BTreeSet::new();
    for _ in 0..300 {
        let ack = client.read().await.unwrap();
        assert_eq!((ack.kind, ack.frame_id), (ACK, ack.stream_id * 1000));
        let status = if ack.stream_id % 2 == 0 { 200 } else { 401 };
        assert_eq!(ack.number("status"), status, "{ack:?}");
        answered.insert(ack.stream_id);
    }
    assert_eq!(answered.len(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_handshake_with_the_status_of_the_error() {
    let world = World::start().await;
    let (guard, address) = start(&world, &[]).await;
    let question = message("check-token", &arguments(None));
    let too_long = [&20_000_u32.to_be_bytes()[..], &[1]].concat();
    let incomplete = list(&[("supported-versions", "2.0".into())]);
    let cases = [
        (
            "a version that does not exist",
            frame(HAPROXY_HELLO, FIN, 0, 0, &hello("1.0", 16_380)),
            8,
        ),
        ("a frame that is too small", frame(HAPROXY_HELLO, FIN, 0, 0, &hello("2.0", 255)), 9),
        ("a frame that is too big", too_long, 3),
        ("an item that is missing", frame(HAPROXY_HELLO, FIN, 0, 0, &incomplete), 4),
        ("a fragment", frame(HAPROXY_HELLO, 0, 0, 0, &hello("2.0", 16_380)), 4),
        ("an aborted frame", frame(HAPROXY_HELLO, FIN | 2, 0, 0, &hello("2.0", 16_380)), 4),
        ("a question first", frame(NOTIFY, FIN, 1, 1, &question), 4),
        ("a frame of an agent", frame(AGENT_HELLO, FIN, 0, 0, &hello("2.0", 16_380)), 4),
        ("another protocol", b"GET / HTTP/1.1\r\n\r\n".to_vec(), 3),
        ("no frame at all", b"\0\0\0\x08\x01\xff\xff\xff\xff\xff\xff\xff".to_vec(), 4),
        ("an empty frame", vec![0; 4], 4),
    ];
    let number = cases.len();
    for (name, bytes, status) in cases {
        let mut client = Client::connect(address).await;
        client.send(&bytes).await;
        assert_eq!(client.disconnected().await, status, "{name}");
    }
    let rejected = guard.metric(r#"caracal_guard_spoe_rejected_total{kind="frame"}"#).await;
    assert_eq!(rejected, Some(f64::from(u32::try_from(number).unwrap())));
    assert_eq!(guard.log().matches("SPOE connection closed").count(), 1, "{}", guard.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn closes_connection_on_an_invalid_frame() {
    let world = World::start().await;
    let (_guard, address) = start(&world, &[]).await;
    let long = message("check-token", &arguments(Some(&"x".repeat(2000))));
    let cut = frame(NOTIFY, FIN, 1, 1, &long[..long.len() - 1]);
    for (name, bytes, status) in [
        ("a second handshake", frame(HAPROXY_HELLO, FIN, 0, 0, &hello("2.0", 1000)), 4),
        ("more than agreed", frame(NOTIFY, FIN, 1, 1, &long), 3),
        ("more than agreed, announced", vec![0, 0, 4, 1], 3),
        ("an ACK", frame(ACK, FIN, 1, 1, &[]), 4),
        ("an AGENT-DISCONNECT", frame(AGENT_DISCONNECT, FIN, 0, 0, &[]), 4),
        ("an unknown type", frame(77, FIN, 1, 1, &[]), 4),
        ("a message that is cut", [&frame(NOTIFY, FIN, 1, 1, &long[..500])[..], &cut].concat(), 4),
    ] {
        let mut client = Client::hello(address, 1024).await;
        client.send(&bytes).await;
        assert_eq!(client.disconnected().await, status, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_connection_that_haproxy_ends() {
    let world = World::start().await;
    let (guard, address) = start(&world, &[]).await;
    let mut client = Client::hello(address, 16_380).await;
    let normal = list(&[("status-code", 0_u32.into()), ("message", "normal".into())]);
    client.send(&frame(HAPROXY_DISCONNECT, FIN, 0, 0, &normal)).await;
    assert_eq!(client.disconnected().await, 0);

    let mut client = Client::connect(address).await;
    let check = [hello("2.0", 16_380), list(&[("healthcheck", true.into())])].concat();
    client.send(&frame(HAPROXY_HELLO, FIN, 0, 0, &check)).await;
    assert_eq!(client.read().await.unwrap().kind, AGENT_HELLO);
    assert_eq!(client.read().await, None);
    let rejected = guard.metric(r#"caracal_guard_spoe_rejected_total{kind="frame"}"#).await;
    assert_eq!(rejected, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_what_arrived_before_it_stops() {
    let world = World::start().await;
    let (mut guard, address) = start(&world, &[]).await;
    let mut idle = Client::hello(address, 16_380).await;
    let mut busy = Client::hello(address, 16_380).await;
    let token = world.mint("ar-1");
    assert_eq!(busy.ask(&arguments(Some(&token))).await.number("status"), 200);

    guard.signal("STOP");
    let question = message("check-token", &arguments(Some(&token)));
    let questions: Vec<_> = (0..50).flat_map(|n| frame(NOTIFY, FIN, n, 1, &question)).collect();
    busy.send(&questions).await;
    guard.signal("TERM");
    guard.signal("CONT");
    for _ in 0..50 {
        let ack = busy.read().await.unwrap();
        assert_eq!((ack.kind, ack.number("status")), (ACK, 200), "{ack:?}");
    }
    assert_eq!(busy.disconnected().await, 0);
    assert_eq!(idle.disconnected().await, 0);
    while !guard.has_ended() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(!guard.log().contains("broken off"), "{}", guard.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_no_more_connections_than_configured() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guard.toml");
    std::fs::write(&file, "[limits]\nconnections = 2\nheader_timeout_ms = 60000\n").unwrap();
    let (_guard, address) = start(&world, &["--config", file.to_str().unwrap()]).await;
    let first = Client::hello(address, 16_380).await;
    let _second = Client::hello(address, 16_380).await;
    let third = tokio::spawn(Client::hello(address, 16_380));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(!third.is_finished());
    drop(first);
    third.await.unwrap();
}
