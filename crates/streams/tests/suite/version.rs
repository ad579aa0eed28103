//! A server that is too old: a real one behind a proxy that changes its reported version.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use crate::program::at;
use crate::redis_server::RedisServer;

/// Returns a port on which the server reports version 6.2.14.
fn aged(server: &RedisServer) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = server.port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let server = TcpStream::connect(("127.0.0.1", behind)).unwrap();
            let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || copy(from, to, |_| {}));
            std::thread::spawn(move || copy(server, client, age));
        }
    });
    port
}

fn copy(mut from: TcpStream, mut to: TcpStream, change: fn(&mut [u8])) {
    let mut buffer = [0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        change(&mut buffer[..read]);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Changes the major version to 6.
fn age(answer: &mut [u8]) {
    const FIELD: &[u8] = b"redis_version:";
    if let Some(at) = answer.windows(FIELD.len()).position(|window| window == FIELD) {
        answer[at + FIELD.len()] = b'6';
    }
}

#[test]
fn rejects_server_before_7_with_the_reason() {
    let server = RedisServer::start();
    let url = format!("redis://127.0.0.1:{}", aged(&server));
    let run = |args| at(&server).env("REDIS_URL", &url).run(args).with_code(2);
    run("doctor").prints(&["BROKEN", "Redis 6", "7.0", "upgrade Redis"]);
    run("provision").prints(&["Redis 6", "7.0"]);
    run("watch --until-idle").prints(&["Redis 6", "7.0"]);
}
