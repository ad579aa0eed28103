//! `dead-letters`: the program reads both formats, and never replays an unsigned message.

use serde_json::{Value, json};

use crate::program::{OTHER_KEY, RedisClient, at, client};
use crate::redis_server::RedisServer;

const STREAM: &str = "caracal.sessions.revoke";
const DEAD: &str = "caracal.sessions.revoke.dead";

/// Returns a signed message's fields as JSON text.
fn signed(server: &RedisServer, key: &str, message: &Value) -> String {
    let message = json!({"stream": STREAM, "fields": message}).to_string();
    let signed = at(server).env("STREAMS_HMAC_KEY", key).input(&message).run("sign");
    let signed = signed.with_code(0).object();
    let fields = signed["fields"].as_array().unwrap().iter();
    let object: serde_json::Map<String, Value> =
        fields.map(|field| (field[0].as_str().unwrap().to_owned(), field[1].clone())).collect();
    Value::Object(object).to_string()
}

/// Writes a dead letter in the format of the STS and the Gateway.
fn add_dead_letter(client: &mut RedisClient, error: &str, values: &str) -> String {
    let args = ["XADD", DEAD, "*", "original_id", "7-0", "error", error, "values", values];
    text(&client.run_with(&args))
}

/// Writes a dead letter in the format of resource servers.
fn add_dead_letter_of_resource_server(
    client: &mut RedisClient,
    reason: &str,
    payload: &str,
) -> String {
    let args = ["XADD", DEAD, "*", "source_id", "8-0", "reason", reason, "payload", payload];
    text(&client.run_with(&args))
}

fn text(value: &redis::Value) -> String {
    let redis::Value::BulkString(bytes) = value else { panic!("no text: {value:?}") };
    String::from_utf8(bytes.clone()).unwrap()
}

#[test]
fn lists_and_shows_both_formats_by_cause() {
    let server = RedisServer::start();
    let mut client = client(&server);
    at(&server).run("dead-letters list").with_code(0).prints(&["no dead letters"]);
    let empty = at(&server).run("dead-letters list --json").with_code(0);
    assert_eq!(empty.json(), [] as [Value; 0]);
    let good = signed(&server, crate::program::KEY, &json!({"zone_id": "z", "sid": "ar-1"}));
    let first = add_dead_letter(&mut client, "effect: database away", &good);
    let second = add_dead_letter_of_resource_server(&mut client, "malformed", r#"{"reason":"x"}"#);
    client.run(&format!("XADD {DEAD} * something else"));
    let listed = at(&server).run("dead-letters list --json").with_code(0).json();
    let output: Vec<_> = listed.iter().map(|it| (&it["original_id"], &it["cause"])).collect();
    assert_eq!(
        output,
        [
            (&json!("7-0"), &json!("effect")),
            (&json!("8-0"), &json!("malformed")),
            (&Value::Null, &json!("unreadable"))
        ]
    );
    at(&server).run("dead-letters list --count 1").with_code(0).prints(&["2 more", "--count"]);
    at(&server).run("dead-letters list --cause unheard-of").prints(&["no dead letters"]);
    let one = at(&server).run("dead-letters list --cause malformed --json").object();
    assert_eq!(one["id"], json!(second));
    let show = |id: &str| at(&server).run(&format!("dead-letters show --stream {STREAM} {id}"));
    show(&first).with_code(0).prints(&["sid = ar-1", "replay    possible", "database away"]);
    show(&second).with_code(0).prints(&["reason = x", "no _sig"]);
    show("1-1").with_code(1).prints(&["no such dead letter"]);
}

#[test]
fn commands_work_with_resp3() {
    let server = RedisServer::start();
    let at = || at(&server).env("REDIS_URL", &format!("{}?protocol=resp3", server.url()));
    at().run("provision").with_code(0);
    at().run("verify").with_code(0);
    at().run("retention plan").with_code(0);
    let good = signed(&server, crate::program::KEY, &json!({"zone_id": "z", "sid": "ar-1"}));
    let id = add_dead_letter(&mut client(&server), "effect: database away", &good);
    let listed = at().run("dead-letters list --json").with_code(0).object();
    assert_eq!(listed["id"], json!(id));
    at().run(&format!("dead-letters replay --yes --stream {STREAM} {id}")).with_code(0);
}

#[test]
fn replays_only_validly_signed_messages() {
    let server = RedisServer::start();
    let mut client = client(&server);
    let key = crate::program::KEY;
    let good = signed(&server, key, &json!({"zone_id": "z", "sid": "ar-1"}));
    let other = signed(&server, OTHER_KEY, &json!({"zone_id": "z", "sid": "ar-2"}));
    let recut = signed(&server, key, &json!({"sid": "ar-3", "note": "1\nagent_session_id=x"}));
    let wanted = add_dead_letter(&mut client, "effect: database away", &good);
    let wanted_too = add_dead_letter_of_resource_server(&mut client, "effect", &good);
    add_dead_letter(&mut client, "signature: x", &other);
    add_dead_letter(&mut client, "signature: x", &good.replace("ar-1", "ar-9"));
    add_dead_letter(&mut client, "ambiguous: x", &recut);
    add_dead_letter(&mut client, "malformed: x", "no json");
    client.run(&format!("XADD {DEAD} * neither shape"));
    let replay = format!("dead-letters replay --stream {STREAM}");
    at(&server).run(&format!("{replay} --all")).with_code(2).prints(&["--yes"]);
    assert_eq!(client.number(&format!("EXISTS {STREAM}")), 0);
    let output = at(&server).run(&format!("{replay} --all --yes --json")).with_code(1).json();
    assert_eq!(output.len(), 7);
    let replayed: Vec<_> = output.iter().filter(|it| it["id"].is_string()).collect();
    assert_eq!(replayed.len(), 2, "{output:?}");
    assert!([&wanted, &wanted_too].iter().zip(&replayed).all(|(id, it)| it["dead"] == **id));
    assert!(
        output.iter().all(|it| it["id"].is_string() != it["refused"].is_string()),
        "{output:?}"
    );
    // Both messages are in the stream as they were signed, and their dead letters are deleted. The
    // other letters stay.
    let watched = at(&server).run("watch --from 0 --until-idle --json").json();
    assert_eq!(watched.len(), 2);
    assert!(watched.iter().all(|it| it["effect"] == json!({"revoke": ["ar-1"]})), "{watched:?}");
    assert_eq!(client.number(&format!("XLEN {DEAD}")), 5);
}

#[test]
fn replays_nothing_without_a_key() {
    let server = RedisServer::start();
    let mut client = client(&server);
    add_dead_letter(&mut client, "x", r#"{"sid":"ar-1"}"#);
    let dev = crate::program::program()
        .env("REDIS_URL", &server.url())
        .env("CARACAL_MODE", "dev")
        .run(&format!("dead-letters replay --stream {STREAM} --all --yes"));
    dev.with_code(2).prints(&["STREAMS_HMAC_KEY"]);
    assert_eq!(client.number(&format!("EXISTS {STREAM}")), 0);
}

#[test]
fn keeps_or_drops_letters_on_request() {
    let server = RedisServer::start();
    let mut client = client(&server);
    let good = signed(&server, crate::program::KEY, &json!({"zone_id": "z", "sid": "ar-1"}));
    let first = add_dead_letter(&mut client, "effect: x", &good);
    let second = add_dead_letter(&mut client, "malformed: x", "{}");
    let run = |args: &str| at(&server).run(&format!("dead-letters {args}"));
    run(&format!("replay --stream {STREAM} {first} --keep --yes")).with_code(0);
    assert_eq!(client.number(&format!("XLEN {DEAD}")), 2);
    run(&format!("drop --stream {STREAM}")).with_code(2);
    run(&format!("drop --stream {STREAM} {second}")).with_code(2).prints(&["--yes"]);
    assert_eq!(client.number(&format!("XLEN {DEAD}")), 2);
    run(&format!("drop --stream {STREAM} {second} --yes")).with_code(0).prints(&["1 dropped"]);
    run(&format!("drop --stream {STREAM} --cause malformed --yes")).with_code(1);
    assert_eq!(client.number(&format!("XLEN {DEAD}")), 1);
    run(&format!("drop --stream {STREAM} --all --yes")).with_code(0).prints(&["1 dropped"]);
}
