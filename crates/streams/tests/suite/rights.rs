//! The documented rights are the same in every place, and removing any one of them is detected.

use std::path::{Path, PathBuf};

use caracal_revocation_stream::acl;
use serde_json::Value;

use crate::program::{Ended, RedisClient, at, client};
use crate::redis_server::RedisServer;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Starts a server with every stream and one published message.
fn provisioned() -> RedisServer {
    let server = RedisServer::start();
    at(&server).run("provision").with_code(0);
    at(&server).run("publish --yes keys --zone z-1").with_code(0);
    server
}

/// Creates a user with exactly these rights.
fn allow(client: &mut RedisClient, user: &str, rights: &str) {
    client.run(&format!("ACL SETUSER {user} reset on >pw {rights}"));
}

/// Runs the program as this user.
fn run_as(server: &RedisServer, user: &str, args: &str) -> Ended {
    let url = server.url().replace("redis://", &format!("redis://{user}:pw@"));
    at(server).env("REDIS_URL", &url).run(args)
}

fn doctor(server: &RedisServer, user: &str) -> Value {
    run_as(server, user, "doctor --json").object()
}

/// Returns the findings of this check.
fn findings(diagnosis: &Value, check: &str) -> Vec<Value> {
    let findings = diagnosis["findings"].as_array().unwrap();
    findings.iter().filter(|finding| finding["check"] == check).cloned().collect()
}

#[track_caller]
fn rights(diagnosis: &Value, subject: &str) -> Value {
    let rights = findings(diagnosis, "rights");
    let about = rights.iter().find(|finding| finding["subject"] == subject);
    about.unwrap_or_else(|| panic!("nothing about {subject}: {diagnosis}")).clone()
}

/// Returns every sequence of ACL rights in a text.
fn lines_of_rights(text: &str) -> Vec<String> {
    // Table cells escape the `|`.
    let text = text.replace("\\|", "|");
    let mut lines: Vec<Vec<&str>> = vec![Vec::new()];
    for word in text.split_whitespace() {
        let bare =
            word.trim_start_matches(['`', '(', '#']).trim_end_matches(['`', ';', ',', '.', ')']);
        let is_command = bare.strip_prefix('+').is_some_and(|name| {
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.chars().all(|c| c.is_ascii_lowercase() || "|-_".contains(c))
        });
        let is_key = ["~", "%R~", "%W~", "%RW~"].iter().any(|start| bare.starts_with(start));
        let is_right = is_command || is_key;
        if !is_right || word.starts_with('`') {
            lines.push(Vec::new());
        }
        if is_right {
            lines.last_mut().unwrap().push(bare);
        }
        if word.ends_with(['`', ';', ',']) {
            lines.push(Vec::new());
        }
    }
    let lines = lines.into_iter().filter(|line| line.iter().any(|word| word.starts_with('+')));
    lines.map(|line| line.join(" ")).collect()
}

#[test]
fn shows_the_same_rights_in_every_place() {
    let known = [
        acl::FOLLOWER,
        acl::FOLLOW,
        acl::SETTINGS,
        acl::DEAD_LETTERS,
        acl::CANARY,
        acl::RECEIPTS,
        acl::SINGLE_USE,
        acl::FLEET,
        acl::DRILL,
        acl::PRIMARY,
        acl::SENTINEL,
        acl::CLUSTER,
        acl::SELECT,
    ];
    // Mentioned in the text as rights that a follower must not have, and in an exercise.
    let others = ["+xadd", "+del", "+xtrim", "+psync"];
    let mut places = vec!["README.md".to_owned()];
    for folder in ["docs", "ops"] {
        for entry in std::fs::read_dir(repository(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") || name.ends_with(".conf") {
                places.push(format!("{folder}/{name}"));
            }
        }
    }
    for place in places {
        for line in lines_of_rights(&read(&place)) {
            let is_known = known.iter().chain(&others).any(|known| *known == line);
            assert!(is_known, "{place} shows other rights: {line}");
        }
    }
    let has = |place: &str, line: &str| {
        assert!(lines_of_rights(&read(place)).iter().any(|found| found == line), "{place}: {line}");
    };
    for line in known.iter().filter(|line| ![acl::FLEET, acl::DRILL].contains(line)) {
        has("docs/settings.md", line);
    }
    for line in [acl::FOLLOWER, acl::CANARY, acl::RECEIPTS] {
        has("ops/redis.conf", line);
    }
    for line in [acl::FOLLOWER, acl::RECEIPTS, acl::FLEET, acl::DRILL] {
        has("docs/caracal-streams.md", line);
    }
    let parts = format!("{} {} {}", acl::FOLLOW, acl::SETTINGS, acl::DEAD_LETTERS);
    assert_eq!(acl::FOLLOWER, parts);
}

#[test]
fn redis_conf_users_can_follow_but_not_publish() {
    // The users are comments in the file: an operator must choose a password first.
    let conf = read("ops/redis.conf");
    let users =
        conf.lines().filter_map(|line| line.trim_start_matches('#').trim().strip_prefix("user "));
    let users: Vec<_> = users.map(|user| user.replace(">PASSWORD", ">pw")).collect();
    let names: Vec<_> = users.iter().filter_map(|user| user.split(' ').next()).collect();
    assert_eq!(names, ["follower"], "a follower logs in as one user");
    let server = provisioned();
    let mut client = client(&server);
    for user in &users {
        client.run(&format!("ACL SETUSER {user}"));
    }
    let output = doctor(&server, "follower");
    assert_eq!(output["level"], "fine", "{output}");
    for (subject, may) in
        [("follow", "may follow"), ("dead_letter", "may write"), ("warn", "may read")]
    {
        let finding = rights(&output, subject);
        assert!(finding["seen"].as_str().unwrap().starts_with(may), "{finding}");
    }
    let denied = run_as(&server, "follower", "publish --yes keys --zone z-1").with_code(2);
    denied.prints(&["no permissions"]);
}

#[test]
fn doctor_names_each_right_that_is_missing() {
    let server = provisioned();
    let mut client = client(&server);
    for right in acl::FOLLOWER.split(' ') {
        let rest: Vec<_> = acl::FOLLOWER.split(' ').filter(|word| *word != right).collect();
        allow(&mut client, "less", &rest.join(" "));
        let output = doctor(&server, "less");
        let is_optional = acl::SETTINGS.contains(right);
        assert_eq!(output["level"] == "fine", is_optional, "{right}: {output}");
        // Without +info no check can run, and that error names the command.
        let named = match right {
            "%R~caracal.*" => "+xread on caracal.sessions.revoke".to_owned(),
            "%W~caracal.*.dead" => "+xadd on caracal.sessions.revoke.dead".to_owned(),
            "%RW~{caracal.*.dead}:mark" => "on {caracal.sessions.revoke.dead}:mark".to_owned(),
            "+info" | "+time" => format!("'{}' command", &right[1..]),
            command => command.to_owned(),
        };
        let all = output["findings"].to_string();
        assert!(all.contains(&named), "{right} is not named: {output}");
        let line = match right {
            _ if is_optional => acl::SETTINGS,
            _ if acl::DEAD_LETTERS.contains(right) => acl::DEAD_LETTERS,
            _ => acl::FOLLOW,
        };
        if !is_optional {
            assert!(all.contains(line), "{right}: the advice differs: {output}");
        }
    }
}

#[test]
fn doctors_advice_gives_no_right_to_publish() {
    let server = provisioned();
    let mut client = client(&server);
    allow(&mut client, "less", "+info +time %R~caracal.*");
    for subject in ["follow", "dead_letter"] {
        let advice = rights(&doctor(&server, "less"), subject)["next"].as_str().unwrap().to_owned();
        client.run(&advice.replace("<user>", "less"));
    }
    let output = doctor(&server, "less");
    assert_eq!(output["level"], "fine", "{output}");
    assert!(
        rights(&output, "publish")["seen"].as_str().unwrap().starts_with("may not"),
        "{output}"
    );
}

#[test]
fn doctor_warns_when_a_follower_may_write_to_the_streams() {
    let server = provisioned();
    let mut client = client(&server);
    // Rights that earlier versions of ops/redis.conf and of the doctor's advice gave.
    let careless = acl::FOLLOWER.replace("%R~caracal.*", "~caracal.*");
    for (rights_of, named) in [
        (careless.as_str(), "+xadd on caracal.sessions.revoke"),
        ("+xread +xinfo +time +info ~caracal.* +xtrim", "+xtrim on caracal.sessions.revoke"),
        ("+xread +xinfo +time +info ~caracal.* +xdel", "+xdel on caracal.sessions.revoke"),
        ("+xread +xinfo +time +info ~caracal.* +restore", "+restore on caracal.sessions.revoke"),
        ("+xread +xinfo +time +info ~caracal.* +multi +del", "+del on caracal.sessions.revoke"),
        ("+xread +xinfo +time +info ~caracal.* +@write +multi", "+unlink on caracal.sessions"),
        ("+xread +xinfo +time +info %R~caracal.* +flushall", "+flushall"),
    ] {
        allow(&mut client, "careless", rights_of);
        let before = client.run("XINFO STREAM caracal.keys.invalidate");
        let output = doctor(&server, "careless");
        let finding = rights(&output, "publish");
        assert_eq!(finding["level"], "warning", "{rights_of}: {output}");
        assert!(finding["seen"].as_str().unwrap().contains(named), "{rights_of}: {finding}");
        assert!(finding["next"].as_str().unwrap().contains(acl::FOLLOWER), "{finding}");
        // The check changes nothing.
        assert_eq!(client.run("XINFO STREAM caracal.keys.invalidate"), before, "{rights_of}");
        // A producer's user may publish.
        let args = "doctor --json --may-publish";
        let output = run_as(&server, "careless", args).object();
        assert_eq!(rights(&output, "publish")["level"], "fine", "{output}");
    }
}

#[test]
fn doctor_reports_dead_letters_that_are_off() {
    let server = provisioned();
    let mut client = client(&server);
    allow(&mut client, "reader", acl::FOLLOW);
    let output = doctor(&server, "reader");
    let letters = findings(&output, "dead_letters");
    assert!(letters.iter().all(|finding| finding["level"] == "warning"), "{letters:?}");
    assert!(letters[0]["seen"].as_str().unwrap().starts_with("off"), "{letters:?}");
    // Dead letters of other writers are counted, though this user may not read them.
    client.run("XADD caracal.keys.invalidate.dead * source_id 7-0 reason ambiguous payload {}");
    let output = doctor(&server, "reader");
    let letters = findings(&output, "dead_letters");
    let found = letters.iter().find(|it| it["subject"] == "caracal.keys.invalidate.dead").unwrap();
    assert_eq!(found["level"], "warning", "{found}");
    let seen = found["seen"].as_str().unwrap();
    assert!(seen.starts_with("1 dead letter") && seen.contains("xrange"), "{seen}");
    // A user who may only follow sees the length of a stream.
    let lengths = findings(&output, "length");
    assert!(lengths.iter().any(|it| it["subject"] == "caracal.keys.invalidate"), "{lengths:?}");
}

#[test]
fn doctor_asks_for_write_rights_at_the_primary() {
    let primary = provisioned();
    let port = primary.port().to_string();
    let replica = RedisServer::start_with(&["--replicaof", &format!("127.0.0.1 {port}")]);
    let mut on_primary = client(&primary);
    let mut on_replica = client(&replica);
    let start = std::time::Instant::now();
    while on_replica.number("EXISTS caracal.keys.invalidate") == 0 {
        assert!(start.elapsed().as_secs() < 30, "the replica does not catch up");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    allow(&mut on_replica, "reader", &format!("{} {}", acl::FOLLOW, acl::SETTINGS));
    let alone = doctor(&replica, "reader");
    let finding = rights(&alone, "dead_letter");
    assert!(finding["seen"].as_str().unwrap().contains("replica"), "{finding}");
    assert!(finding["next"].as_str().unwrap().contains("REDIS_PRIMARY_URL"), "{finding}");

    let at_primary = |rights: &str, on_primary: &mut RedisClient| {
        allow(on_primary, "asked", rights);
        let url = |server: &RedisServer, user: &str| {
            server.url().replace("redis://", &format!("redis://{user}:pw@"))
        };
        let program = at(&replica).env("REDIS_URL", &url(&replica, "reader"));
        program.env("REDIS_PRIMARY_URL", &url(&primary, "asked")).run("doctor --json").object()
    };
    let both = format!("{} {}", acl::PRIMARY, acl::DEAD_LETTERS);
    let output = at_primary(&both, &mut on_primary);
    assert_eq!(rights(&output, "dead_letter")["level"], "fine", "{output}");
    assert_eq!(rights(&output, "primary")["level"], "fine", "{output}");
    let output = at_primary(acl::DEAD_LETTERS, &mut on_primary);
    assert_eq!(rights(&output, "primary")["level"], "broken", "{output}");
    let output = at_primary(acl::PRIMARY, &mut on_primary);
    assert_eq!(rights(&output, "dead_letter")["level"], "warning", "{output}");
    let seen = rights(&output, "dead_letter")["seen"].as_str().unwrap().to_owned();
    assert!(seen.contains("+watch"), "{seen}");
}

#[test]
fn fleet_needs_exactly_the_documented_rights() {
    let server = provisioned();
    let mut client = client(&server);
    let receipt = r#"{"replica":"gw-1"}"#;
    client.run_with(&["SET", "caracal.revocation.receipt:gw-1", receipt]);
    allow(&mut client, "fleet", acl::FLEET);
    run_as(&server, "fleet", "fleet").with_code(1);
    for right in acl::FLEET.split(' ') {
        let rest: Vec<_> = acl::FLEET.split(' ').filter(|word| *word != right).collect();
        allow(&mut client, "fleet", &rest.join(" "));
        let ended = run_as(&server, "fleet", "fleet").with_code(2);
        assert!(ended.err.contains("NOPERM"), "{right}: {}", ended.err);
    }
}

#[test]
fn drill_needs_exactly_the_documented_rights() {
    let server = provisioned();
    let mut client = client(&server);
    let receipt = r#"{"replica":"gw-1"}"#;
    client.run_with(&["SET", "caracal.revocation.receipt:gw-1", receipt]);
    let drill = "drill --replicas 1 --within 200ms";
    for right in acl::DRILL.split(' ') {
        let rest: Vec<_> = acl::DRILL.split(' ').filter(|word| *word != right).collect();
        allow(&mut client, "drill", &rest.join(" "));
        let ended = run_as(&server, "drill", drill).with_code(2);
        assert!(ended.err.contains("NOPERM"), "{right}: {}", ended.err);
    }
    assert_eq!(client.number("XLEN caracal.sessions.revoke"), 0);
    allow(&mut client, "drill", acl::DRILL);
    run_as(&server, "drill", drill).with_code(1);
    assert_eq!(client.number("XLEN caracal.sessions.revoke"), 1);
}

#[test]
fn doctor_reports_rights_for_canaries_and_receipts() {
    let server = provisioned();
    let mut client = client(&server);
    allow(&mut client, "more", &format!("{} {} {}", acl::FOLLOWER, acl::CANARY, acl::RECEIPTS));
    let output = doctor(&server, "more");
    assert_eq!(output["level"], "fine", "{output}");
    assert_eq!(rights(&output, "canary")["seen"], "may send canaries");
    assert_eq!(rights(&output, "receipts")["seen"], "may write receipts");
    allow(&mut client, "more", acl::FOLLOWER);
    let output = doctor(&server, "more");
    for (subject, named) in [
        ("canary", "+xadd on caracal.revocation.canary"),
        ("receipts", "+set on caracal.revocation.receipt:"),
    ] {
        let finding = rights(&output, subject);
        assert_eq!(finding["level"], "fine", "{finding}");
        assert!(finding["seen"].as_str().unwrap().contains(named), "{finding}");
    }
}
