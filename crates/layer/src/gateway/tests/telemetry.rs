//! Metrics and log events of the gateway layer.

use std::collections::BTreeMap;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use super::log::logged;
use super::*;

/// Returns the counts that are not zero, by name and reason.
fn counted(run: impl FnOnce()) -> BTreeMap<String, u64> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, run);
    let counters = snapshotter.snapshot().into_vec().into_iter().filter_map(|entry| {
        let (key, _, description, value) = entry;
        assert!(description.is_some(), "{key:?} is not described");
        let labels: Vec<_> = key.key().labels().map(|label| label.value().to_owned()).collect();
        let name = [vec![key.key().name().to_owned()], labels].concat().join(" ");
        match value {
            DebugValue::Counter(count) if count > 0 => Some((name, count)),
            _ => None,
        }
    });
    counters.collect()
}

fn mixed_requests(layer: &GatewayLayer) {
    for id in ["ar-revoked", "ar-revoked", "ar-good"] {
        send(layer, with_claims(claims(id)));
    }
    send(layer, request());
}

#[test]
fn counts_each_denial_by_its_reason() {
    let counts = counted(|| {
        let (revocations, clock) = fresh();
        revoke(&revocations, "sid", "ar-revoked");
        let layer = GatewayLayer::new(revocations.reader());
        mixed_requests(&layer);
        clock.advance(std::time::Duration::from_secs(61));
        send(&layer, with_claims(claims("ar-good")));
        revocations.confirm(revocations.now());
        revocations.raise_horizon(NOW);
        let mut old = claims("ar-good");
        old.iat = NOW;
        send(&layer, with_claims(old));
    });
    let expected = [
        ("caracal_gateway_denials_revocation_stale_total", 1),
        ("caracal_gateway_denials_revoked_total", 2),
        ("caracal_gateway_denials_total history_incomplete", 1),
        ("caracal_gateway_denials_total missing_token", 1),
        ("caracal_gateway_denials_total revoked", 2),
        ("caracal_gateway_denials_total unknown", 1),
    ];
    assert_eq!(counts, expected.map(|(name, count)| (name.to_owned(), count)).into());
}

#[test]
fn counts_revoked_suspended_and_stale_authority_as_revoked() {
    use RequestDenialKind::{DelegationStale, Revoked, Suspended, Unknown};
    let counts = counted(|| {
        let counters = crate::metrics::Counters::register(
            crate::answer::Profile::Gateway,
            crate::metrics::Front::default(),
        );
        RequestDenialKind::ALL.into_iter().for_each(|kind| counters.denied(kind));
    });
    assert_eq!(counts["caracal_gateway_denials_revoked_total"], 3);
    assert_eq!(counts["caracal_gateway_denials_revocation_stale_total"], 1);
    for kind in RequestDenialKind::ALL {
        let alert = crate::answer::Profile::Gateway.answer(kind).alert;
        assert_eq!(
            alert.is_some(),
            matches!(kind, Revoked | Suspended | DelegationStale | Unknown),
            "{kind:?}"
        );
        assert_eq!(counts[&format!("caracal_gateway_denials_total {}", kind.label())], 1);
    }
}

#[test]
fn counts_observed_denials_separately() {
    let counts = counted(|| {
        let (revocations, _) = fresh();
        revoke(&revocations, "sid", "ar-revoked");
        mixed_requests(&GatewayLayer::new(revocations.reader()).insecure_observe_only());
    });
    let expected = [
        ("caracal_gateway_observed_denials_total missing_token", 1),
        ("caracal_gateway_observed_denials_total revoked", 2),
    ];
    assert_eq!(counts, expected.map(|(name, count)| (name.to_owned(), count)).into());
}

#[test]
fn logs_each_denial_once_and_no_admission() {
    let log = logged(|| {
        let (revocations, _) = fresh();
        revoke(&revocations, "sid", "ar-revoked");
        let mut revoked = claims("ar-revoked");
        revoked.zone_id = Some("z-1\nforged \u{1b}[2J".into());
        let layer = GatewayLayer::new(revocations.reader());
        for mut request in [with_claims(revoked), with_claims(claims("ar-good")), request()] {
            request.headers_mut().insert("x-request-id", "req-1".parse().unwrap());
            send(&layer, request);
        }
    });
    let lines: Vec<_> = log.lines().collect();
    let revoked = r#"INFO caracal_revocation::denial message=request denied reason=revoked zone="z-1\nforged \u{1b}[2J" anchor=sid request_id=req-1 status=401 enforced=true"#;
    let missing = "INFO caracal_revocation::denial message=request denied reason=missing_token request_id=req-1 status=401 enforced=true";
    assert_eq!(lines, [revoked, missing]);
}

#[test]
fn log_shows_that_denial_was_not_enforced() {
    let log = logged(|| {
        send(&GatewayLayer::new(fresh().0.reader()).insecure_observe_only(), request());
    });
    assert!(log.trim().ends_with("status=401 enforced=false"), "{log}");
}

#[test]
fn the_log_never_holds_the_token() {
    let payload =
        r#"{"sid":"ar-secret","sub":"somebody","zone_id":"z-1","iat":"late","exp":1795403600}"#;
    let revoked = concat!(
        r#"{"sid":"ar-secret","sub":"somebody","zone_id":"z-1","#,
        r#""iat":1795400000,"exp":1795403600}"#,
    );
    let secrets = ["ar-secret", "somebody", "late", "opaque", "b*d", TOKEN_ENDS[0], TOKEN_ENDS[1]];
    let log = logged(|| {
        let (revocations, _) = fresh();
        revoke(&revocations, "sid", "ar-secret");
        let strict = GatewayLayer::new(revocations.reader());
        let reading = strict.clone().with_insecure_unverified_claims();
        for layer in [&strict, &reading, &reading.clone().insecure_observe_only()] {
            send(layer, with_token(&token(payload)));
            send(layer, with_token(&token(revoked)));
            send(layer, with_token("opaque"));
            send(layer, with_token("bad.b*d.token"));
            send(layer, with_claims(claims("ar-secret")));
        }
    });
    assert_eq!(log.matches("request denied").count(), 15, "{log}");
    for secret in secrets {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    for payload in [payload, revoked] {
        assert!(!log.contains(&URL_SAFE_NO_PAD.encode(payload)));
    }
}

#[test]
fn logs_once_that_no_token_came_with_claims() {
    let log = logged(|| {
        let layer = GatewayLayer::new(fresh().0.reader());
        for clone in [layer.clone(), layer.clone().allow_anonymous(), layer] {
            send(&clone, with_token("a.b.c"));
        }
    });
    let hints: Vec<_> = log.lines().filter(|line| line.contains("if good tokens")).collect();
    assert_eq!(hints.len(), 1, "{log}");
    assert!(hints[0].starts_with("WARN") && !log.contains("ERROR"), "{log}");
    assert_eq!(log.matches("request denied").count(), 3);
}

#[test]
fn bad_token_logs_no_hint_after_claims_came() {
    let log = logged(|| {
        let (revocations, _) = fresh();
        revoke(&revocations, "sid", "ar-revoked");
        for first in ["ar-good", "ar-revoked"] {
            let layer = GatewayLayer::new(revocations.reader());
            send(&layer, with_claims(claims(first)));
            for token in ["a.b.c", "opaque", "b*d", ""] {
                send(&layer, with_token(token));
            }
        }
    });
    assert_eq!(log.matches("request denied").count(), 9, "{log}");
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

#[test]
fn logs_each_mistake_once() {
    let log = logged(|| {
        let layer = GatewayLayer::new(fresh().0.reader());
        send(&layer, with_token("a.b.c"));
        for _ in 0..2 {
            send(&layer, with_authority(fresh().0.authority(&claims("ar-1"))));
        }
    });
    assert_eq!(log.matches("of another `Revocations`").count(), 1, "{log}");
}

#[test]
fn counts_requests_that_failed_open_by_cause() {
    let counts = counted(|| {
        let clock = Arc::new(ManualClock::new());
        let revocations = RevocationsWriter::with_clock(Options::default(), clock.clone());
        let layer = GatewayLayer::new(revocations.reader()).fail_open_unknown();
        send(&layer, with_claims(claims("ar-1")));
        revocations.confirm(revocations.now());
        send(&layer, with_claims(claims("ar-1")));
        clock.advance(std::time::Duration::from_secs(61));
        send(&layer, with_claims(claims("ar-1")));
    });
    let expected = [
        ("caracal_gateway_failed_open_total replaying", 1),
        ("caracal_gateway_failed_open_total stale", 1),
    ];
    assert_eq!(counts, expected.map(|(name, count)| (name.to_owned(), count)).into());
}

#[test]
fn counts_under_the_label_of_its_front() {
    let counts = counted(|| {
        let (revocations, _) = fresh();
        let layer = GatewayLayer::new(revocations.reader()).with_front("nginx");
        send(&layer, request());
        let response = layer.deny(RequestDenialKind::NoRoute, &request());
        assert_eq!(response.status(), 403);
        let rejection = response.extensions().get::<RequestDenial>().map(RequestDenial::kind);
        assert_eq!(rejection, Some(RequestDenialKind::NoRoute));
    });
    let expected = [
        ("caracal_gateway_denials_total missing_token nginx", 1),
        ("caracal_gateway_denials_total no_route nginx", 1),
    ];
    assert_eq!(counts, expected.map(|(name, count)| (name.to_owned(), count)).into());
}
