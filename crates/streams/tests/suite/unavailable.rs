//! Servers that reject commands: each error names the cause and the remedy.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::program::{KEY, at, client, program};
use crate::redis_server::RedisServer;

#[test]
fn names_the_script_that_blocks_the_server() {
    let server = RedisServer::start_with(&["--busy-reply-threshold", "10"]);
    let mut script = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    script.write_all(b"EVAL \"while true do end\" 0\r\n").unwrap();
    let start = Instant::now();
    while at(&server).run("verify").code != 2 {
        assert!(start.elapsed().as_secs() < 30, "the script does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    for args in ["doctor", "verify", "watch --until-idle"] {
        at(&server).run(args).with_code(2).prints(&["BUSY", "a script blocks the server"]);
    }
}

#[test]
fn names_the_limit_on_connections() {
    let server = RedisServer::start();
    let mut held = client(&server);
    held.run("CONFIG SET maxclients 1");
    for args in ["doctor", "verify"] {
        let rejected = at(&server).run(args).with_code(2);
        rejected.prints(&["maxclients"]);
    }
    held.run("CONFIG SET maxclients 1000");
    at(&server).run("verify").with_code(1);
}

#[test]
fn names_the_moving_slot() {
    let node = ["--cluster-enabled", "yes", "--appendonly", "yes"];
    let nodes = [RedisServer::start_with(&node), RedisServer::start_with(&node)];
    let mut clients = nodes.each_ref().map(client);
    clients[0].run("CLUSTER ADDSLOTSRANGE 0 16383");
    clients[0].run(&format!("CLUSTER MEET 127.0.0.1 {}", nodes[1].port()));
    let id = |client: &mut crate::program::RedisClient| {
        let redis::Value::BulkString(id) = client.run("CLUSTER MYID") else { panic!("no id") };
        String::from_utf8(id).unwrap()
    };
    let ids = [id(&mut clients[0]), id(&mut clients[1])];
    let start = Instant::now();
    for (number, client) in clients.iter_mut().enumerate() {
        let other = &ids[1 - number];
        while !(format!("{:?}", client.run("CLUSTER INFO")).contains("cluster_state:ok")
            && format!("{:?}", client.run("CLUSTER NODES")).contains(other))
        {
            assert!(start.elapsed().as_secs() < 30, "the cluster does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let on = || {
        let seed = format!("127.0.0.1:{}", nodes[0].port());
        program().env("REDIS_CLUSTER_NODES", &seed).env("STREAMS_HMAC_KEY", KEY)
    };
    on().run("provision").with_code(0);
    let slot = clients[0].number("CLUSTER KEYSLOT caracal.sessions.revoke");
    clients[1].run(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", ids[0]));
    clients[0].run(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", ids[1]));
    let port = nodes[1].port();
    clients[0].run(&format!("MIGRATE 127.0.0.1 {port} caracal.sessions.revoke 0 5000"));
    for args in ["doctor", "verify"] {
        on().run(args).with_code(2).prints(&["ASK", "slot is moving"]);
    }
}
