//! Runs every example as a program on a real Redis. The test types the commands that the example
//! prints; they work on each run.

use caracal_revocation::wire::Stream;
use caracal_test_support::terminal::{Running, Shell, built, ended, eventually};

use crate::redis_server::RedisServer;

const KEY: &str = "7f14aa0fe5569517d3bae57a4b2dcbed15a635f8382f64330c39e35ad25650ae";

/// Returns the environment of an example on this server.
fn on(url: &str) -> [(&str, &str); 2] {
    [("REDIS_URL", url), ("STREAMS_HMAC_KEY", KEY)]
}

/// Runs twice on one Redis, which keeps the first run's revocations, and once without Redis.
fn on_each_run(follow: impl Fn(&[(&str, &str)])) {
    let server = RedisServer::start();
    let url = server.url();
    follow(&on(&url));
    follow(&on(&url));
    follow(&[]);
}

fn keys(server: &RedisServer) -> Vec<String> {
    let client = redis::Client::open(server.url()).unwrap();
    redis::cmd("KEYS").arg("*").query(&mut client.get_connection().unwrap()).unwrap()
}

#[test]
fn example_without_a_key_writes_nothing() {
    let server = RedisServer::start();
    let (succeeded, text) = ended(&built("caracal-example-axum"), &[("REDIS_URL", &server.url())]);
    assert!(!succeeded && text.contains("export STREAMS_HMAC_KEY="), "{text}");
    assert_eq!(keys(&server), Vec::<String>::new());
}

#[test]
fn example_prints_its_streams_and_provisions_empty_redis() {
    let server = RedisServer::start();
    let url = server.url();
    let first = Running::start(&built("caracal-example-axum"), &on(&url));
    first.blocks(1);
    let text = first.output.text();
    let at =
        format!("127.0.0.1:{}. This example writes to caracal.sessions.revoke.", server.port());
    assert!(text.contains(&at) && text.contains("Created Caracal's streams"), "{text}");
    let all = keys(&server);
    assert!(Stream::ALL.iter().all(|stream| all.contains(&stream.to_string())), "{all:?}");
    let second = Running::start(&built("caracal-example-axum"), &on(&url));
    second.blocks(1);
    assert!(
        !second.output.text().contains("Created Caracal's streams"),
        "{}",
        second.output.text()
    );
}

#[test]
fn example_with_another_key_does_not_start() {
    let server = RedisServer::start();
    let url = server.url();
    let first = Running::start(&built("caracal-example-axum"), &on(&url));
    Shell::open().follow(&first.blocks(1)[0]);
    let other = KEY.replace('7', "8");
    let environment = [("REDIS_URL", url.as_str()), ("STREAMS_HMAC_KEY", &other)];
    let (succeeded, text) = ended(&built("caracal-example-axum"), &environment);
    assert!(!succeeded && text.contains("signed with STREAMS_HMAC_KEY"), "{text}");
}

#[test]
fn axum_example_works_as_printed() {
    on_each_run(|environment| {
        let example = Running::start(&built("caracal-example-axum"), environment);
        Shell::open().follow(&example.blocks(1)[0]);
    });
}

#[test]
fn hyper_example_works_as_printed() {
    // In parallel, since each run takes ten seconds; still on one Redis.
    let server = RedisServer::start();
    let url = server.url();
    let environments = [Vec::from(on(&url)), Vec::from(on(&url)), Vec::new()];
    std::thread::scope(|scope| {
        for environment in &environments {
            scope.spawn(|| {
                let example = Running::start(&built("caracal-example-hyper"), environment);
                Shell::open().follow(&example.blocks(1)[0]);
            });
        }
    });
}

#[test]
fn streaming_example_works_as_printed() {
    on_each_run(|environment| {
        let example = Running::start(&built("caracal-example-streaming"), environment);
        let [watch, revoke] = example.blocks(2).try_into().unwrap();
        let mut terminal = Shell::open();
        let fourth = terminal.output.clone();
        let watching = std::thread::spawn(move || terminal.follow(&watch));
        fourth.wait_for("data: ");
        example.output.wait_for("echo: message");
        Shell::open().follow(&revoke);
        watching.join().unwrap();
        fourth.wait_for("event: revoked");
        for end in ["clock: ended", "slow: 401", "echo: closed with"] {
            example.output.wait_for(end);
        }
    });
}

#[test]
fn mcp_example_works_as_printed() {
    on_each_run(|environment| {
        let example = Running::start(&built("caracal-example-mcp"), environment);
        let [call, revoke] = example.blocks(2).try_into().unwrap();
        let mut terminal = Shell::open();
        let caller = terminal.output.clone();
        let calling = std::thread::spawn(move || terminal.follow(&call));
        example.output.wait_for("research started");
        Shell::open().follow(&revoke);
        calling.join().unwrap();
        caller.wait_for("event: revoked");
        example.output.wait_for("research stopped: revoked");
    });
}

#[test]
fn opa_embedded_runs_each_time() {
    on_each_run(|environment| {
        let (succeeded, text) = ended(&built("opa_embedded"), environment);
        assert!(succeeded, "{text}");
    });
}

#[test]
fn resource_server_example_works_as_printed() {
    on_each_run(|environment| {
        let example = Running::start(&built("caracal-example-resource-server"), environment);
        Shell::open().follow(&example.blocks(1)[0]);
    });
}

#[test]
fn resource_server_learns_revocations_only_through_redis() {
    let program = built("caracal-example-resource-server");
    on_each_run(|environment| {
        let sts = Running::start(&built("caracal-example-sts"), environment);
        let blocks = sts.blocks(1 + usize::from(!environment.is_empty()));
        let mut terminal = Shell::open();
        let before = keys_of(&mut terminal, &blocks[0]);
        terminal.follow(&blocks[0]);
        eventually("the keys have changed", || keys_of(&mut terminal, &blocks[0]) != before);
        eventually("the record is revoked once", || {
            let is_records_request = |line: &&String| line.ends_with("/operator/records");
            let output = terminal.run(blocks[0].iter().find(is_records_request).unwrap());
            output.contains("/session-") && output.contains(":1")
        });
        let Some(next) = blocks.get(1) else {
            // Without Redis the STS prints how to set it, and a resource server does not start.
            assert!(sts.output.text().contains("set REDIS_URL and STREAMS_HMAC_KEY"));
            let (succeeded, text) = ended(&program, &[("ISSUER", "http://127.0.0.1:1")]);
            assert!(!succeeded && text.contains("through Redis only"), "{text}");
            return;
        };
        // Run the built program in place of cargo.
        let [line] = next.as_slice() else { panic!("{next:?}") };
        let parts: Vec<_> = line.split(' ').collect();
        assert_eq!(
            parts[2..],
            ["cargo", "run", "--release", "-p", "caracal-example-resource-server"]
        );
        let named = parts[..2].iter().filter_map(|word| word.split_once('='));
        let environment: Vec<_> = environment.iter().copied().chain(named).collect();
        let resource_server = Running::start(&program, &environment);
        Shell::open().follow(&resource_server.blocks(1)[0]);
    });
}

/// Prints the public keys with the command that the example prints.
fn keys_of(terminal: &mut Shell, block: &[String]) -> String {
    let line = block.iter().find(|line| line.contains("jwks.json")).unwrap();
    terminal.run(line)
}
