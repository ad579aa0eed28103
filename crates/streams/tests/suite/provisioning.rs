//! `provision` and `verify`.

use caracal_revocation::Follower;
use caracal_revocation::state::NotReady;
use caracal_revocation::wire::{Key, KeyRing};
use serde_json::json;

use crate::program::{KEY, at, client};
use crate::redis_server::{RedisServer, settings_in};

const STREAMS_AND_GROUPS: [(&str, &[&str]); 9] = [
    ("caracal.audit.events", &["audit-ingestor", "siem-export"]),
    ("caracal.audit.events.dlq", &["audit-dlq-observer"]),
    ("caracal.policy.invalidate", &["opa-engine"]),
    ("caracal.sessions.revoke", &["sts-revocation"]),
    ("caracal.keys.invalidate", &["sts-keys"]),
    ("caracal.agents.lifecycle", &["coordinator-relay"]),
    ("caracal.invocations.lifecycle", &["invocations-observer"]),
    ("caracal.delegations.invalidate", &["delegations-observer"]),
    ("caracal.providers.ratelimit", &[]),
];

/// Returns all that provisioning could change, as Redis reports it.
fn state(server: &RedisServer) -> String {
    let mut client = client(server);
    let of = |(stream, _): &(&str, &[&str])| {
        let info = client.run(&format!("XINFO STREAM {stream} FULL"));
        format!("{stream} {info:?}\n")
    };
    STREAMS_AND_GROUPS.iter().map(of).collect()
}

#[test]
fn creates_everything_once_and_then_changes_nothing() {
    let server = RedisServer::start();
    at(&server).run("verify").with_code(1).prints(&["missing", "provision"]);
    let provisioned = at(&server).run("provision --json").with_code(0).object();
    for (stream, (name, groups)) in
        provisioned["streams"].as_array().unwrap().iter().zip(STREAMS_AND_GROUPS)
    {
        assert_eq!((&stream["stream"], &stream["state"]), (&json!(name), &json!("made")));
        let provisioned: Vec<_> =
            groups.iter().map(|group| json!({"group": group, "state": "made"})).collect();
        assert_eq!(stream["groups"], json!(provisioned), "{name}");
    }
    assert_eq!(client(&server).number("XLEN caracal.providers.ratelimit"), 1);
    at(&server).run("verify").with_code(0).prints(&["provisioning would change nothing"]);
    let before = state(&server);
    let again = at(&server).run("provision --yes").with_code(0);
    assert!(!again.out.contains("made"), "{}", again.out);
    at(&server).run("provision --json").with_code(0);
    assert_eq!(state(&server), before);
}

#[test]
fn fresh_installation_is_ready_after_one_command() {
    let server = RedisServer::start();
    let keys = KeyRing::new(Key::from_hex(KEY).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _running = runtime.enter();
    let revocations = Follower::new(settings_in("stable", &server.url(), &keys)).spawn();
    let start = std::time::Instant::now();
    let why = || revocations.staleness(revocations.now()).err();
    while why() != Some(NotReady::NotProvisioned) {
        assert!(start.elapsed().as_secs() < 30, "{:?}", why());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    at(&server).run("doctor").with_code(2).prints(&["none of the streams", "provision"]);
    at(&server).run("explain --sid a").with_code(2).prints(&["not_provisioned", "REDIS_URL"]);
    at(&server).run("provision").with_code(0);
    runtime.block_on(async {
        let ready = tokio::time::timeout(std::time::Duration::from_secs(30), revocations.ready());
        ready.await.expect("the follower becomes ready");
    });
    at(&server).run("doctor --may-publish").with_code(0);
}

#[test]
fn names_and_adds_only_what_is_missing() {
    let server = RedisServer::start();
    at(&server).run("provision").with_code(0);
    let mut client = client(&server);
    client.run("XGROUP DESTROY caracal.audit.events siem-export");
    client.run("XADD caracal.audit.events 7-7 kind any");
    client.run("DEL caracal.keys.invalidate");
    client.run("XADD caracal.sessions.revoke 5-1 sid ar-1");
    client.run("XGROUP CREATE caracal.sessions.revoke gateway-revocation:host-1 0");
    let verified = at(&server).run("verify --json").with_code(1).object();
    assert_eq!(verified["provisioned"], json!(false));
    let missing: Vec<_> = verified["streams"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|stream| stream.to_string().contains("missing"))
        .map(|stream| stream["stream"].as_str().unwrap())
        .collect();
    assert_eq!(missing, ["caracal.audit.events", "caracal.keys.invalidate"]);
    at(&server).run("provision").with_code(0).prints(&["made         group siem-export"]);
    at(&server).run("verify").with_code(0);
    // A new group begins at the end of the stream.
    let read = "XREADGROUP GROUP siem-export one COUNT 1 STREAMS caracal.audit.events >";
    assert_eq!(client.run(read), redis::Value::Nil);
    assert_eq!(client.number("XLEN caracal.sessions.revoke"), 1);
    let groups = format!("{:?}", client.run("XINFO GROUPS caracal.sessions.revoke"));
    assert!(groups.contains("gateway-revocation:host-1"), "{groups}");
}

#[test]
fn keeps_key_of_another_type_and_creates_the_rest() {
    let server = RedisServer::start();
    let mut client = client(&server);
    client.run("SET caracal.policy.invalidate theirs");
    at(&server).run("provision").with_code(2).prints(&["caracal.policy.invalidate", "no stream"]);
    at(&server).run("verify").with_code(1).prints(&["no stream"]);
    assert_eq!(
        client.run("GET caracal.policy.invalidate"),
        redis::Value::BulkString(b"theirs".into())
    );
    assert_eq!(client.number("EXISTS caracal.agents.lifecycle caracal.sessions.revoke"), 2);
}

#[test]
fn warns_about_a_long_stream_and_keeps_it() {
    let server = RedisServer::start();
    let fill =
        "for i = 1, 10001 do redis.call('XADD', 'caracal.keys.invalidate', '*', 'a', 'b') end";
    client(&server).run_with(&["EVAL", fill, "0"]);
    at(&server)
        .run("provision")
        .with_code(0)
        .prints(&["warning: caracal.keys.invalidate has 10001 entries, over the intended 10000"]);
    assert_eq!(client(&server).number("XLEN caracal.keys.invalidate"), 10_001);
    let verified = at(&server).run("verify --json").with_code(0).object();
    assert_eq!(verified["streams"][4]["is_over"], json!(true));
}

#[test]
fn concurrent_runs_create_everything_once() {
    let server = RedisServer::start();
    std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..4).map(|_| scope.spawn(|| at(&server).run("provision").code)).collect();
        for run in runs {
            assert_eq!(run.join().unwrap(), 0);
        }
    });
    assert_eq!(client(&server).number("XLEN caracal.providers.ratelimit"), 1);
    at(&server).run("verify").with_code(0);
}
