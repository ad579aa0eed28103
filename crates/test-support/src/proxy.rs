//! A TCP proxy between two programs. It can redirect, cut, slow down and silence connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the proxy treats connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Forward,
    /// Forwards this many bytes a second in each direction.
    Throttle(u32),
    /// Closes a connection once more than this many bytes answer the client's last data.
    CutAt(usize),
    /// Accepts and keeps connections, and forwards nothing in either direction.
    Silent,
    /// Answers every command with this error.
    Answer(&'static str),
}

pub struct Proxy {
    port: u16,
    /// The server's port, the mode, and a number whose change closes all connections.
    state: watch::Sender<(u16, Mode, u64)>,
    /// The number of times that it answered with an error.
    errors: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (state, seen) = watch::channel((port, Mode::Forward, 0));
        let errors = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&errors);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, seen.clone(), Arc::clone(&counted)));
            }
        });
        Self { port: own, state, errors, task }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Redirects new connections to `port`, and closes the open ones.
    pub fn redirect(&self, port: u16) {
        self.state.send_modify(|state| *state = (port, Mode::Forward, state.2 + 1));
    }

    /// Closes open connections, and answers every later command with `error`.
    pub fn answer(&self, error: &'static str) {
        self.state.send_modify(|state| *state = (state.0, Mode::Answer(error), state.2 + 1));
    }

    /// Returns the number of times that it answered with an error so far.
    pub fn errors(&self) -> usize {
        self.errors.load(Relaxed)
    }

    /// Forwards this many bytes a second in each direction.
    pub fn throttle(&self, bytes_per_second: u32) {
        self.state.send_modify(|state| state.1 = Mode::Throttle(bytes_per_second));
    }

    /// Closes a connection once more than this many bytes answer the client's last data.
    pub fn cut_answers_at(&self, bytes: usize) {
        self.state.send_modify(|state| state.1 = Mode::CutAt(bytes));
    }

    /// Forwards everything again, on the same connections.
    pub fn resume(&self) {
        self.state.send_modify(|state| state.1 = Mode::Forward);
    }

    /// Simulates a partition that closes no connection.
    pub fn fall_silent(&self) {
        self.state.send_modify(|state| state.1 = Mode::Silent);
    }
}

impl Mode {
    const fn forwards(self) -> bool {
        matches!(self, Self::Forward | Self::Throttle(_) | Self::CutAt(_))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    client: TcpStream,
    mut state: watch::Receiver<(u16, Mode, u64)>,
    errors: Arc<AtomicUsize>,
) {
    let (_, mode, number) = *state.borrow();
    if let Mode::Answer(error) = mode {
        tokio::select! {
            () = answer(client, error, &errors) => {}
            _ = state.wait_for(|(_, _, now)| *now != number) => {}
        }
        return;
    }
    // A silent network does not let a new connection through to the server either.
    if state.wait_for(|(_, mode, _)| mode.forwards()).await.is_err() {
        return;
    }
    let (port, _, _) = *state.borrow();
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let state = Arc::new(state);
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let mut cut = (*state).clone();
    let answered = AtomicUsize::new(0);
    tokio::select! {
        // Polled first, so that data held back by a silent network is dropped by the redirection.
        biased;
        _ = cut.wait_for(|(_, _, now)| *now != number) => {}
        () = forward(client_in, server_out, (*state).clone(), |_| {
            answered.store(0, Relaxed);
            0
        }) => {}
        () = forward(server_in, client_out, (*state).clone(), |read| {
            answered.fetch_add(read, Relaxed) + read
        }) => {}
    }
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut state: watch::Receiver<(u16, Mode, u64)>,
    // Adds these bytes to the current answer, and returns its size.
    answered: impl Fn(usize) -> usize,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        if state.wait_for(|(_, mode, _)| mode.forwards()).await.is_err() {
            return;
        }
        let mode = state.borrow().1;
        let answered = answered(read);
        if matches!(mode, Mode::CutAt(most) if answered > most) {
            return;
        }
        if let Mode::Throttle(bytes_per_second) = mode {
            let share = f64::from(u32::try_from(read).unwrap()) / f64::from(bytes_per_second);
            tokio::time::sleep(Duration::from_secs_f64(share)).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// Answers each command, also when several arrive in one read.
async fn answer(mut client: TcpStream, error: &str, errors: &AtomicUsize) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(read @ 1..) = client.read(&mut buffer).await else { return };
        let text = String::from_utf8_lossy(&buffer[..read]);
        let is_start =
            |line: &&str| line.strip_prefix('*').is_some_and(|count| count.parse::<u32>().is_ok());
        let answers = format!("-{error}\r\n").repeat(text.lines().filter(is_start).count());
        if client.write_all(answers.as_bytes()).await.is_err() {
            return;
        }
        errors.fetch_add(1, Relaxed);
    }
}
