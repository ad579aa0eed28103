//! The server's processor time for a message and reader, at an even pace.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use caracal_test_support::figures::{Figures, head, row};
use caracal_test_support::redis_server::RedisServer;
use caracal_test_support::resp::RespSocket;

use super::{COUNTED, provision, record_script, settings, spaced_settings};
use crate::board::Board;
use crate::running::Readers;

const RATES: [u64; 2] = [100, 1_000];
const READERS: usize = 10;
const TIME: Duration = Duration::from_millis(1_500);
const ROUNDS: usize = 5;
/// The interval of the followers that read less often.
const INTERVAL: &str = "2";

pub(crate) fn measure() {
    let (server, mut figures) = (RedisServer::in_memory(), Figures::of("readers-paced"));
    let board = Arc::new(Board::new());
    provision(&server, &board);
    let now = record_script(&server, &server, &board);
    let before = now.before();
    println!("a full read: {}\na short one: {}; before: {}", now.full, now.short, before.short);
    let scripts = [before, now.reads_alone(), now.reads_of(COUNTED.name().as_bytes()), now];
    let scripts = scripts.map(Arc::new);
    let (mut names, mut cursors) = scripts[0].full.read();
    let names_of_lanes = [
        "as before".to_owned(),
        "that read the five streams, without a proof".to_owned(),
        "that read one stream, without a proof".to_owned(),
        "with these commands".to_owned(),
        "of real followers".to_owned(),
        format!("of real followers, {INTERVAL} ms between reads"),
    ];
    for rate in RATES {
        let mut lanes = names_of_lanes.each_ref().map(|name| (name, Vec::new()));
        for round in 0..ROUNDS {
            eprintln!("{rate} messages a second, round {} of {ROUNDS}", round + 1);
            // Adding the messages costs the same in each lane.
            let alone = publish(&server, &board, rate, None);
            let each = |took: f64| (took - alone) / READERS as f64;
            let paced = |shared: &Readers| publish(&server, &board, rate, Some(shared));
            for (script, (_, costs)) in scripts.iter().zip(&mut lanes) {
                let (read, _) = script.full.read();
                let at = |name| names.iter().position(|known| known == name).expect("a stream");
                let own = read.iter().map(|name| cursors[at(name)].clone()).collect();
                let mut position = (own, board.published.load(Ordering::Acquire));
                let took = Readers::tails(&server, script, &board, READERS, &mut position, paced);
                costs.push(each(took));
                if read.len() == names.len() {
                    (names, cursors) = (read, position.0);
                }
            }
            let port = server.port();
            let every_time = || settings(port, None);
            let spaced = || spaced_settings(port, INTERVAL);
            let [.., (_, real), (_, less_often)] = &mut lanes;
            real.push(each(Readers::followers(every_time, &board, READERS, paced)));
            less_often.push(each(Readers::followers(spaced, &board, READERS, paced)));
        }
        head(&format!("server's time for a message and reader, {rate} a second"), "µs");
        for (name, costs) in &lanes {
            row(&format!("{READERS} readers {name}"), costs);
            figures.add(&format!("{READERS} readers {name}, {rate} messages/s"), costs, "µs");
        }
    }
    figures.write();
}

/// Publishes at an even pace, until all readers have everything. Returns the server's processor time
/// for a message in microseconds.
fn publish(server: &RedisServer, board: &Board, rate: u64, readers: Option<&Readers>) -> f64 {
    let mut raw = RespSocket::connect(server.port());
    // The first reads are over by then.
    thread::sleep(Duration::from_millis(300));
    if let Some(readers) = readers {
        readers.start_over();
    }
    let messages = rate * TIME.as_secs();
    let (start, busy) = (Instant::now(), server.processor_time());
    for number in 0..messages {
        let due = TIME.mul_f64(number as f64 / messages as f64);
        thread::sleep(due.saturating_sub(start.elapsed()));
        board.publish(&mut raw, 1);
    }
    if let Some(readers) = readers {
        readers.wait_for(messages * READERS as u64);
    }
    (server.processor_time() - busy).as_secs_f64() * 1e6 / messages as f64
}
