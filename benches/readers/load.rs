//! The load of a number of readers on a server.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use caracal_test_support::figures::{Figures, quantile, shown};
use caracal_test_support::redis_server::RedisServer;
use caracal_test_support::resp::RespSocket;

use crate::board::Board;
use crate::recorder::Script;
use crate::running::Readers;
use crate::{IDLE, Measured, settings};

const PACED: Duration = Duration::from_secs(3);
/// Deliveries (messages times readers) a second at the even pace, and the limits of the message
/// rate.
const DELIVERIES: usize = 3_000;
const SLOWEST: usize = 4;
const FASTEST: usize = 50;
pub(crate) const BURST: u64 = 500;

/// The load of a number of readers on a server.
pub(crate) struct Load {
    readers: usize,
    /// Microseconds of the server's processor per reader and second while nothing is published,
    /// beyond its share without readers.
    idle: f64,
    /// Bytes sent in that time, per reader and second.
    idle_bytes: f64,
    /// Microseconds per message and reader at an even pace.
    message: f64,
    message_bytes: f64,
    times: Vec<f64>,
    /// Messages a second, times readers, in a burst.
    burst: f64,
    burst_message: f64,
    memory: f64,
    pub(crate) primary_idle: f64,
    pub(crate) primary_message: f64,
}

impl Load {
    pub(crate) fn tails(
        measured: &Measured,
        script: &Arc<Script>,
        board: &Arc<Board>,
        readers: usize,
        position: &mut (Vec<Vec<u8>>, u64),
    ) -> Self {
        let before = measured.server.number("memory", "used_memory");
        Readers::tails(&measured.server, script, board, readers, position, |shared| {
            Self::measure(measured, None, board, readers, shared, before)
        })
    }

    pub(crate) fn followers(
        measured: &Measured,
        primary: Option<&Measured>,
        board: &Arc<Board>,
        readers: usize,
    ) -> Self {
        let before = measured.server.number("memory", "used_memory");
        let primary_port = primary.map(|primary| primary.server.port());
        let settings = || settings(measured.server.port(), primary_port);
        Readers::followers(settings, board, readers, |shared| {
            Self::measure(measured, primary, board, readers, shared, before)
        })
    }

    fn measure(
        measured: &Measured,
        primary: Option<&Measured>,
        board: &Board,
        readers: usize,
        shared: &Readers,
        before: f64,
    ) -> Self {
        thread::sleep(Duration::from_millis(1_500));
        let each = readers as f64;
        let server = &measured.server;
        let memory = (server.number("memory", "used_memory") - before) / each / 1024.0;
        let publisher = if server.info("replication", "role").as_deref() == Some("master") {
            server.port()
        } else {
            server.number("replication", "master_port") as u16
        };
        let mut raw = RespSocket::connect(publisher);

        let (start, out, busy) = (Instant::now(), output(server), measured.begin());
        let primary_busy = primary.map(|primary| (primary, primary.begin()));
        thread::sleep(IDLE);
        let seconds = start.elapsed().as_secs_f64() * each;
        let idle = measured.took(busy) / seconds;
        let primary_idle = primary_busy.map_or(0.0, |(primary, busy)| primary.took(busy) / seconds);
        let idle_bytes = (output(server) - out) / seconds;

        let rate = (DELIVERIES / readers).clamp(SLOWEST, FASTEST);
        let messages = PACED.as_secs() * rate as u64;
        shared.start_over();
        let (out, busy) = (output(server), measured.begin());
        let primary_busy = primary.map(|primary| (primary, primary.begin()));
        for _ in 0..messages {
            board.publish(&mut raw, 1);
            thread::sleep(Duration::from_secs(1) / rate as u32);
        }
        shared.wait_for(messages * readers as u64);
        let deliveries = messages as f64 * each;
        let message = measured.took(busy) / deliveries;
        let primary_message =
            primary_busy.map_or(0.0, |(primary, busy)| primary.took(busy) / deliveries);
        let message_bytes = (output(server) - out) / deliveries;
        let times = shared.start_over();

        let busy = measured.begin();
        board.publish(&mut raw, BURST);
        shared.wait_for(BURST * readers as u64);
        let burst = BURST as f64 * each / busy.0.elapsed().as_secs_f64();
        let burst_message = measured.took(busy) / (BURST as f64 * each);
        Self {
            readers,
            idle,
            idle_bytes,
            message,
            message_bytes,
            times,
            burst,
            burst_message,
            memory,
            primary_idle,
            primary_message,
        }
    }

    pub(crate) fn report(&self, name: &str, figures: &mut Figures) {
        let [p50, p99] = [0.5, 0.99].map(|share| quantile(&self.times, share));
        print!("{name:<30}{:>8}", self.readers);
        for value in [self.idle, self.idle_bytes, self.message, self.message_bytes, p50, p99] {
            print!("{:>10}", shown(value));
        }
        println!(
            "{:>11}{:>11}{:>10}",
            shown(self.burst),
            shown(self.burst_message),
            shown(self.memory)
        );
        for (what, value, unit) in [
            ("server's time for an idle reader", self.idle, "µs/s"),
            ("output to an idle reader", self.idle_bytes, "bytes/s"),
            ("server's time for a message and reader", self.message, "µs"),
            ("output for a message and reader", self.message_bytes, "bytes"),
            ("published to read, p50", p50, "µs"),
            ("published to read, p99", p99, "µs"),
            ("a burst", self.burst, "deliveries/s"),
            ("server's time for a message and reader in a burst", self.burst_message, "µs"),
            ("server's memory for a connection", self.memory, "KiB"),
        ] {
            figures.one(&format!("{} {name}: {what}", self.readers), value, unit);
        }
    }
}

fn output(server: &RedisServer) -> f64 {
    server.number("stats", "total_net_output_bytes")
}
