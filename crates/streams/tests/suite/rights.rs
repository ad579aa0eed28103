//! The documented rights are the same in every place, and removing any one of them is detected.

use std::path::{Path, PathBuf};

use caracal_revocation_stream::acl;
use serde_json::Value;

use crate::program::{Ended, Hand, at, hand};
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
fn allow(hand: &mut Hand, user: &str, rights: &str) {
    hand.run(&format!("ACL SETUSER {user} reset on >pw {rights}"));
}

/// Runs the program as this user.
fn run_as(server: &RedisServer, user: &str, words: &str) -> Ended {
    let url = server.url().replace("redis://", &format!("redis://{user}:pw@"));
    at(server).env("REDIS_URL", &url).run(words)
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
        acl::FLEET,
        acl::PRIMARY,
        acl::SENTINEL,
        acl::CLUSTER,
        acl::SELECT,
    ];
    // Mentioned in the text as rights that a follower must not have.
    let others = ["+xadd", "+del", "+xtrim"];
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
    for line in known.iter().filter(|line| **line != acl::FLEET) {
        has("docs/settings.md", line);
    }
    for line in [acl::FOLLOWER, acl::CANARY, acl::RECEIPTS] {
        has("ops/redis.conf", line);
    }
    for line in [acl::FOLLOWER, acl::RECEIPTS, acl::FLEET] {
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
    let mut hand = hand(&server);
    for user in &users {
        hand.run(&format!("ACL SETUSER {user}"));
    }
    let told = doctor(&server, "follower");
    assert_eq!(told["level"], "fine", "{told}");
    for (subject, may) in
        [("follow", "may follow"), ("dead_letter", "may write"), ("warn", "may read")]
    {
        let finding = rights(&told, subject);
        assert!(finding["seen"].as_str().unwrap().starts_with(may), "{finding}");
    }
    let refused = run_as(&server, "follower", "publish --yes keys --zone z-1").with_code(2);
    refused.says(&["no permissions"]);
}

#[test]
fn doctor_names_each_right_that_is_missing() {
    let server = provisioned();
    let mut hand = hand(&server);
    for right in acl::FOLLOWER.split(' ') {
        let rest: Vec<_> = acl::FOLLOWER.split(' ').filter(|word| *word != right).collect();
        allow(&mut hand, "less", &rest.join(" "));
        let told = doctor(&server, "less");
        let is_optional = acl::SETTINGS.contains(right);
        assert_eq!(told["level"] == "fine", is_optional, "{right}: {told}");
        // Without +info no check can run, and that error names the command.
        let named = match right {
            "%R~caracal.*" => "+xread on caracal.sessions.revoke".to_owned(),
            "%W~caracal.*.dead" => "+xadd on caracal.sessions.revoke.dead".to_owned(),
            "%RW~{caracal.*.dead}:mark" => "on {caracal.sessions.revoke.dead}:mark".to_owned(),
            "+info" | "+time" => format!("'{}' command", &right[1..]),
            command => command.to_owned(),
        };
        let all = told["findings"].to_string();
        assert!(all.contains(&named), "{right} is not named: {told}");
        let line = match right {
            _ if is_optional => acl::SETTINGS,
            _ if acl::DEAD_LETTERS.contains(right) => acl::DEAD_LETTERS,
            _ => acl::FOLLOW,
        };
        if !is_optional {
            assert!(all.contains(line), "{right}: the advice differs: {told}");
        }
    }
}

#[test]
fn doctors_advice_gives_no_right_to_publish() {
    let server = provisioned();
    let mut hand = hand(&server);
    allow(&mut hand, "less", "+info +time %R~caracal.*");
    for subject in ["follow", "dead_letter"] {
        let advice = rights(&doctor(&server, "less"), subject)["next"].as_str().unwrap().to_owned();
        hand.run(&advice.replace("<user>", "less"));
    }
    let told = doctor(&server, "less");
    assert_eq!(told["level"], "fine", "{told}");
    assert!(rights(&told, "publish")["seen"].as_str().unwrap().starts_with("may not"), "{told}");
}

#[test]
fn doctor_warns_when_a_follower_may_write_to_the_streams() {
    let server = provisioned();
    let mut hand = hand(&server);
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
        allow(&mut hand, "careless", rights_of);
        let before = hand.run("XINFO STREAM caracal.keys.invalidate");
        let told = doctor(&server, "careless");
        let finding = rights(&told, "publish");
        assert_eq!(finding["level"], "warning", "{rights_of}: {told}");
        assert!(finding["seen"].as_str().unwrap().contains(named), "{rights_of}: {finding}");
        assert!(finding["next"].as_str().unwrap().contains(acl::FOLLOWER), "{finding}");
        // The check changes nothing.
        assert_eq!(hand.run("XINFO STREAM caracal.keys.invalidate"), before, "{rights_of}");
        // A producer's user may publish.
        let words = "doctor --json --may-publish";
        let told = run_as(&server, "careless", words).object();
        assert_eq!(rights(&told, "publish")["level"], "fine", "{told}");
    }
}

#[test]
fn doctor_reports_dead_letters_that_are_off() {
    let server = provisioned();
    let mut hand = hand(&server);
    allow(&mut hand, "reader", acl::FOLLOW);
    let told = doctor(&server, "reader");
    let letters = findings(&told, "dead_letters");
    assert!(letters.iter().all(|finding| finding["level"] == "warning"), "{letters:?}");
    assert!(letters[0]["seen"].as_str().unwrap().starts_with("off"), "{letters:?}");
    // Dead letters of other writers are counted, though this user may not read them.
    hand.run("XADD caracal.keys.invalidate.dead * source_id 7-0 reason ambiguous payload {}");
    let told = doctor(&server, "reader");
    let letters = findings(&told, "dead_letters");
    let found = letters.iter().find(|it| it["subject"] == "caracal.keys.invalidate.dead").unwrap();
    assert_eq!(found["level"], "warning", "{found}");
    let seen = found["seen"].as_str().unwrap();
    assert!(seen.starts_with("1 dead letter") && seen.contains("xrange"), "{seen}");
    // A user who may only follow sees the length of a stream.
    let lengths = findings(&told, "length");
    assert!(lengths.iter().any(|it| it["subject"] == "caracal.keys.invalidate"), "{lengths:?}");
}

#[test]
fn doctor_asks_for_write_rights_at_the_primary() {
    let primary = provisioned();
    let port = primary.port().to_string();
    let replica = RedisServer::start_with(&["--replicaof", &format!("127.0.0.1 {port}")]);
    let mut on_primary = hand(&primary);
    let mut on_replica = hand(&replica);
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

    let at_primary = |rights: &str, on_primary: &mut Hand| {
        allow(on_primary, "asked", rights);
        let url = |server: &RedisServer, user: &str| {
            server.url().replace("redis://", &format!("redis://{user}:pw@"))
        };
        let program = at(&replica).env("REDIS_URL", &url(&replica, "reader"));
        program.env("REDIS_PRIMARY_URL", &url(&primary, "asked")).run("doctor --json").object()
    };
    let both = format!("{} {}", acl::PRIMARY, acl::DEAD_LETTERS);
    let told = at_primary(&both, &mut on_primary);
    assert_eq!(rights(&told, "dead_letter")["level"], "fine", "{told}");
    assert_eq!(rights(&told, "primary")["level"], "fine", "{told}");
    let told = at_primary(acl::DEAD_LETTERS, &mut on_primary);
    assert_eq!(rights(&told, "primary")["level"], "broken", "{told}");
    let told = at_primary(acl::PRIMARY, &mut on_primary);
    assert_eq!(rights(&told, "dead_letter")["level"], "warning", "{told}");
    let seen = rights(&told, "dead_letter")["seen"].as_str().unwrap().to_owned();
    assert!(seen.contains("+watch"), "{seen}");
}

#[test]
fn fleet_needs_exactly_the_documented_rights() {
    let server = provisioned();
    let mut hand = hand(&server);
    let receipt = r#"{"replica":"gw-1"}"#;
    hand.run_with(&["SET", "caracal.revocation.receipt:gw-1", receipt]);
    allow(&mut hand, "fleet", acl::FLEET);
    run_as(&server, "fleet", "fleet").with_code(1);
    for right in acl::FLEET.split(' ') {
        let rest: Vec<_> = acl::FLEET.split(' ').filter(|word| *word != right).collect();
        allow(&mut hand, "fleet", &rest.join(" "));
        let ended = run_as(&server, "fleet", "fleet").with_code(2);
        assert!(ended.err.contains("NOPERM"), "{right}: {}", ended.err);
    }
}

#[test]
fn doctor_reports_rights_for_canaries_and_receipts() {
    let server = provisioned();
    let mut hand = hand(&server);
    allow(&mut hand, "more", &format!("{} {} {}", acl::FOLLOWER, acl::CANARY, acl::RECEIPTS));
    let told = doctor(&server, "more");
    assert_eq!(told["level"], "fine", "{told}");
    assert_eq!(rights(&told, "canary")["seen"], "may send canaries");
    assert_eq!(rights(&told, "receipts")["seen"], "may write receipts");
    allow(&mut hand, "more", acl::FOLLOWER);
    let told = doctor(&server, "more");
    for (subject, named) in [
        ("canary", "+xadd on caracal.revocation.canary"),
        ("receipts", "+set on caracal.revocation.receipt:"),
    ] {
        let finding = rights(&told, subject);
        assert_eq!(finding["level"], "fine", "{finding}");
        assert!(finding["seen"].as_str().unwrap().contains(named), "{finding}");
    }
}
