//! `publish revoke` with criteria on Caracal's Postgres, and the rights that it needs.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::postgres_server::PostgresServer;
use crate::program::{Program, client};
use crate::redis_server::RedisServer;
use crate::revoking_files::{STREAM, denies, denies_all, files, replicas, within};

/// Application app-1 with its record, two sessions and a child of app-2, a delegation of each
/// session, and one that derives from it. Another application stays.
const ROWS: &str = "
    INSERT INTO authority_records (id, zone_id, session_type, subject_id)
    VALUES ('ar-app', 'z1', 'application', 'app-1'), ('ar-user', 'z1', 'user', 'u-1'),
           ('ar-other', 'z1', 'application', 'app-3');
    INSERT INTO sessions (id, zone_id, application_id, status, parent_id, subject_authority_record_id)
    VALUES ('s-1', 'z1', 'app-1', 'active', NULL, 'ar-app'),
           ('s-2', 'z1', 'app-1', 'suspended', NULL, 'ar-app'),
           ('s-child', 'z1', 'app-2', 'active', 's-1', 'ar-user'),
           ('s-other', 'z1', 'app-3', 'active', NULL, 'ar-other');
    INSERT INTO delegation_edges
        (id, zone_id, source_session_id, target_session_id, issuer_application_id,
         receiver_application_id, parent_edge_id)
    VALUES ('e-1', 'z1', 's-1', 's-other', 'app-1', 'app-3', NULL),
           ('e-2', 'z1', 's-1', 's-child', 'app-1', 'app-2', NULL),
           ('e-next', 'z1', 's-other', 's-x', 'app-3', 'app-4', 'e-1')";

const ENDED: [&str; 7] = ["ar-app", "s-1", "s-2", "s-child", "e-1", "e-2", "e-next"];
const STAYS: [&str; 3] = ["ar-user", "ar-other", "s-other"];

fn database(runtime: &tokio::runtime::Runtime) -> PostgresServer {
    runtime.block_on(async {
        let database = PostgresServer::start().await;
        database.run(ROWS).await;
        database
    })
}

/// Returns the program with both servers.
fn both(server: &RedisServer, database: &PostgresServer, folder: &TempDir) -> Program {
    within(server, folder).env("DATABASE_URL", &database.operator_url())
}

#[test]
fn revokes_everything_of_an_application_and_below() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    let (runtime, replicas) = replicas(&server, &["gw-1", "gw-2"]);
    let database = database(&runtime);
    let args = "publish revoke --application app-1";
    let shown = both(&server, &database, &folder).run(&format!("{args} --dry-run")).with_code(0);
    shown.prints(&[
        "revoke application app-1, in Postgres:\n  1 authority record, 3 sessions, 3 delegations\n",
        "in 1 zone: z1",
        "3 sessions: 2 active, 1 suspended, 1 of them below (app-2: 1)",
        "3 delegations, 1 of them below",
        "6 messages to publish; nothing was published",
    ]);
    assert_eq!(client(&server).number(&format!("EXISTS {STREAM}")), 0);
    let run = both(&server, &database, &folder).run(&format!("{args} --yes --json"));
    let run = run.with_code(0).object();
    assert_eq!((&run["published"], &run["fleet"]["complete"]), (&json!(6), &json!(true)));
    for replica in &replicas {
        denies_all(replica, ENDED.into_iter().map(str::to_owned));
        assert!(STAYS.iter().all(|id| !denies(replica, id)));
    }
    // Caracal's STS keeps a message pending that names neither a record nor a session.
    let redis::Value::Array(entries) = client(&server).run(&format!("XRANGE {STREAM} - +")) else {
        panic!("entries")
    };
    let alone = |entry: &&redis::Value| {
        let text = format!("{entry:?}");
        !text.contains("session_id")
    };
    assert_eq!(entries.iter().filter(alone).count(), 1, "only e-next: {entries:?}");
    // Postgres is unchanged, so that the same is found again.
    both(&server, &database, &folder).run(&format!("{args} --dry-run")).with_code(0);
    let text = both(&server, &database, &folder).run(&format!("{args} --yes")).with_code(0);
    text.prints(&["all 2 replicas applied the last message", "revoke the same in Caracal too"]);
}

#[test]
fn dry_run_list_is_an_input() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = database(&runtime);
    let args = "publish revoke --zone z1 --subject u-1 --dry-run --json";
    let run = both(&server, &database, &folder).run(args).with_code(0).object();
    let radius = &run["postgres"];
    assert_eq!(radius["records"], json!({"total": 1, "below": 0}), "{run}");
    assert_eq!(radius["sessions"], json!({"total": 1, "below": 0}), "{run}");
    assert_eq!(radius["delegations"], json!({"total": 1, "below": 1}), "{run}");
    let list: Vec<String> =
        run["revoke"].as_array().unwrap().iter().map(Value::to_string).collect();
    let args = "publish revoke --from-file - --yes --json";
    let run = within(&server, &folder).input(&list.join("\n")).run(args).with_code(0).object();
    assert_eq!(run["published"], json!(2));
    // For a file, the dry run counts what hangs below its ids and is not in it.
    let args = "publish revoke --zone z1 --from-file - --kind agent-session --dry-run --json";
    let run = both(&server, &database, &folder).input("s-1\ns-gone\n").run(args).with_code(0);
    let run = run.object();
    assert_eq!(run["sessions"], json!(2));
    assert_eq!(run["postgres"]["sessions"], json!({"total": 2, "below": 1}), "{run}");
    assert_eq!(run["postgres"]["sessions_below_by_application"], json!({"app-2": 1}), "{run}");
}

#[test]
fn criteria_that_select_nothing_fail() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = database(&runtime);
    for criteria in ["--application app-9", "--grant g-1", "--zone z9 --all"] {
        let args = format!("publish revoke {criteria} --yes");
        both(&server, &database, &folder).run(&args).with_code(1).prints(&["nothing to revoke"]);
        let run = both(&server, &database, &folder).run(&format!("{args} --json")).with_code(1);
        assert_eq!((&run.object()["messages"], &run.object()["last"]), (&json!(0), &Value::Null));
        let args = format!("publish revoke {criteria} --dry-run");
        both(&server, &database, &folder).run(&args).with_code(1);
    }
    let args = "publish revoke --issued-before yesterday --yes";
    both(&server, &database, &folder).run(args).with_code(2).prints(&["--issued-before"]);
    let args = "publish revoke --issued-before 2020-01-01T00:00:00Z --yes";
    both(&server, &database, &folder).run(args).with_code(1);
    let args = "publish revoke --all --dry-run";
    both(&server, &database, &folder).run(args).with_code(0).prints(&["3 authority records"]);
    assert_eq!(client(&server).number("DBSIZE"), 0);
    assert!(files(folder.path()).is_empty());
}

#[test]
fn unusable_postgres_publishes_nothing() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut database = database(&runtime);
    let args = "publish revoke --application app-1 --yes";
    let with = |url: &str| within(&server, &folder).env("DATABASE_URL", url).run(args).with_code(2);
    within(&server, &folder).run(args).with_code(2).prints(&["DATABASE_URL: not set"]);
    with(&database.url()).prints(&["42501", "grants_revoke.sql"]);
    let wrong = database.operator_url().replace("a-password", "hunter2");
    let failed = with(&wrong);
    assert!(!failed.err.contains("hunter2"), "{}", failed.err);
    failed.prints(&["DATABASE_URL: ", "the user or password is not accepted"]);
    runtime.block_on(database.run("DROP POLICY zone_isolation ON sessions"));
    with(&database.operator_url()).prints(&["may hide rows of sessions"]);
    database.kill();
    with(&database.operator_url()).prints(&["Postgres cannot be reached"]);
    assert_eq!(client(&server).number("DBSIZE"), 0);
    assert!(files(folder.path()).is_empty());
}

#[test]
fn missing_rights_in_redis_are_named() {
    let (server, folder) = (RedisServer::start(), TempDir::new().unwrap());
    let (_runtime, replicas) = replicas(&server, &["gw-1"]);
    let mut client = client(&server);
    let run = |user: &str, args: &str| {
        let url = server.url().replace("redis://", &format!("redis://{user}:pw@"));
        let args = format!("publish revoke --zone z-1 --from-file - --yes {args}");
        within(&server, &folder).env("REDIS_URL", &url).input("ar-1\nar-2\n").run(&args)
    };
    client.run("ACL SETUSER reader reset on >pw +info +scan +mget %R~caracal.*");
    run("reader", "").with_code(2).prints(&["'xadd'", "2 messages not published"]);
    assert_eq!(client.number(&format!("EXISTS {STREAM}")), 0);
    assert_eq!(files(folder.path()).len(), 1, "the journal");
    // Without the right to read receipts, the replicas are not checked.
    client.run(&format!("ACL SETUSER producer reset on >pw +xadd ~{STREAM}"));
    run("producer", "--expect 1").with_code(2).prints(&["NOPERM"]);
    assert_eq!(client.number(&format!("EXISTS {STREAM}")), 0);
    run("producer", "").with_code(0).prints(&["the replicas will not be checked"]);
    denies_all(&replicas[0], ["ar-1", "ar-2"].into_iter().map(str::to_owned));
    assert!(files(folder.path()).is_empty());
}
