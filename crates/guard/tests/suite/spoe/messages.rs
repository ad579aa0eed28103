//! The message `check-token` and its answers.

use serde_json::{Value, json};
use spop::TypedData;

use super::client::{ACK, Arguments, Client, FIN, NOTIFY, arguments, frame, message, start};
use crate::world::{World, ZONE};

/// Returns the arguments of an anonymous question with one of them replaced, or removed by `None`.
fn with(name: &'static str, value: Option<TypedData>) -> Arguments {
    let mut all = arguments(None);
    all.retain(|(key, _)| *key != name);
    all.extend(value.map(|value| (name, value)));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn approval_sets_identity_and_unsets_denial() {
    let world = World::start().await;
    let (_guard, address) = start(&world, &[]).await;
    let mut client = Client::hello(address, 16_380).await;
    let token = world.mint_with("ar-1", &json!({"scope": "a b"}));
    let ack = client.ask(&arguments(Some(&token))).await;
    assert_eq!(ack.number("status"), 200);
    for (name, value) in [
        ("subject", "agent-1"),
        ("zone", ZONE),
        ("client", "client-1"),
        ("scopes", "a b"),
        ("session", "ar-1"),
    ] {
        assert_eq!(ack.text(name), value);
    }
    assert!(ack.text("staleness_ms").parse::<u64>().is_ok());
    assert_eq!(ack.values.len(), 7, "{ack:?}");
    assert_eq!(ack.unset, ["www_authenticate", "retry_after", "request_id", "body"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn denial_sets_answer_and_unsets_identity() {
    let world = World::start().await;
    let (guard, address) = start(&world, &[]).await;
    let mut client = Client::hello(address, 16_380).await;
    let token = world.mint("ar-1");
    let two = |count: i64| {
        let mut all = arguments(Some(&token));
        all[1].1 = count.into();
        all
    };
    let huge = "x".repeat(9000);
    for (arguments, error, description) in [
        (arguments(None), "missing_token", "missing bearer token"),
        (two(2), "invalid_token", "more than one authorization header"),
        (two(i64::MAX), "invalid_token", "more than one authorization header"),
        (arguments(Some("x.y.z")), "invalid_token", ""),
        (arguments(Some(&huge)), "invalid_token", "token exceeds 4096 bytes"),
        (arguments(Some("\u{0}")), "invalid_token", "malformed authorization header"),
        (arguments(Some("\u{fffd}")), "invalid_token", "malformed authorization header"),
        (arguments(Some(&format!("{token},Bearer {token}"))), "invalid_token", ""),
    ] {
        let ack = client.ask(&arguments).await;
        assert_eq!(ack.number("status"), 401, "{ack:?}");
        let body: Value = serde_json::from_str(ack.text("body")).unwrap();
        assert_eq!(body["error"], error, "{ack:?}");
        assert!(body["error_description"].as_str().unwrap().contains(description), "{ack:?}");
        assert_eq!((&body["requestId"], ack.text("request_id")), (&json!("r-1"), "r-1"));
        assert!(ack.text("www_authenticate").starts_with("Bearer"));
        let identity =
            ["retry_after", "subject", "zone", "client", "scopes", "session", "staleness_ms"];
        assert_eq!(ack.unset, identity);
    }
    let denials = r#"caracal_resource_denials_total{reason="ambiguous_token",front="spoe"}"#;
    assert_eq!(guard.metric(denials).await, Some(2.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn denies_uri_with_two_readings() {
    let world = World::start().await;
    let (_guard, address) = start(&world, &[]).await;
    let mut client = Client::hello(address, 16_380).await;
    let token = world.mint("ar-1");
    for (uri, status) in [
        ("/a%20b?c#", 400),
        ("/a#/../b", 400),
        ("/a b", 400),
        ("/a\u{7f}", 400),
        ("/\u{fffd}", 400),
        ("/ä", 400),
        ("", 400),
        ("a", 200),
        ("/a%20b?c=/../d", 200),
        ("*", 200),
        ("app.example:443", 200),
        ("http://app.example/a", 200),
    ] {
        let mut arguments = arguments(Some(&token));
        arguments[3].1 = uri.into();
        let ack = client.ask(&arguments).await;
        assert_eq!(ack.number("status"), status, "{uri} {ack:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_message_without_its_arguments() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guard.toml");
    std::fs::write(&file, "[[routes]]\npath = \"/orders/*\"\nanonymous = true\n").unwrap();
    let (guard, address) = start(&world, &["--config", file.to_str().unwrap()]).await;
    let mut client = Client::hello(address, 16_380).await;
    // The route is open to everyone, so that only a rejection denies.
    assert_eq!(client.ask(&arguments(None)).await.number("status"), 200);
    for optional in ["auth", "request_id"] {
        assert_eq!(client.ask(&with(optional, None)).await.number("status"), 200);
    }
    for count in [TypedData::Int32(0), TypedData::UInt32(0), TypedData::UInt64(0)] {
        assert_eq!(client.ask(&with("acnt", Some(count))).await.number("status"), 200);
    }
    assert_eq!(client.ask(&with("other", Some(TypedData::Null))).await.number("status"), 200);

    let twice = |name: &'static str, value: TypedData| {
        let mut all = arguments(None);
        all.push((name, value));
        all
    };
    let rejected = [
        with("acnt", None),
        with("acnt", Some(TypedData::Null)),
        with("acnt", Some("0".into())),
        with("acnt", Some(false.into())),
        with("acnt", Some((-1_i64).into())),
        with("acnt", Some(1_i64.into())),
        with("auth", Some("Bearer x".into())),
        with("auth", Some(vec![0_u8].into())),
        with("method", None),
        with("method", Some(TypedData::Null)),
        with("method", Some("".into())),
        with("method", Some("G T".into())),
        with("uri", None),
        with("uri", Some(TypedData::Null)),
        with("uri", Some(7_u32.into())),
        with("request_id", Some(vec![0_u8].into())),
        twice("acnt", 0_i64.into()),
        twice("auth", TypedData::Null),
        twice("method", "GET".into()),
        twice("uri", "/orders/1".into()),
        twice("request_id", "r-2".into()),
    ];
    let number = rejected.len();
    for arguments in &rejected {
        let ack = client.ask(arguments).await;
        assert_eq!(ack.number("status"), 503, "{arguments:?}");
        assert_eq!((ack.values.len(), ack.unset.len()), (1, 0), "{ack:?}");
    }
    let question = message("check-token", &arguments(None));
    let frames = [
        Vec::new(),
        message("other", &arguments(None)),
        [&question[..], &question].concat(),
        [&question[..], &message("other", &Vec::new())].concat(),
    ];
    for payload in &frames {
        client.send(&frame(NOTIFY, FIN, 1, 1, payload)).await;
        let ack = client.read().await.unwrap();
        assert_eq!((ack.kind, ack.number("status")), (ACK, 503), "{ack:?}");
    }
    let number = f64::from(u32::try_from(number + frames.len()).unwrap());
    let rejected = guard.metric(r#"caracal_guard_spoe_rejected_total{kind="message"}"#).await;
    assert_eq!(rejected, Some(number));
    assert_eq!(guard.log().matches("SPOE message rejected").count(), 1, "{}", guard.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_does_not_fit_a_frame_becomes_503() {
    let world = World::start().await;
    let (_guard, address) = start(&world, &[]).await;
    for (size, status, values) in [(256, 503, 1), (1000, 401, 4)] {
        let mut client = Client::hello(address, size).await;
        for _ in 0..2 {
            let ack = client.ask(&arguments(None)).await;
            assert_eq!((ack.number("status"), ack.values.len()), (status, values), "{ack:?}");
        }
    }
}
