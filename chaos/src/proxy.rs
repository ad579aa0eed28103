//! A TCP proxy between a reader and a server. Its link can be cut, stalled or slowed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::failure::Failure;
use crate::renames::Renames;

/// The state of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Open,
    /// Open connections are reset, and new ones too.
    Cut,
    /// No data passes in either direction, and connections stay open.
    Stalled,
    /// Replies pass, requests do not.
    OneWay,
    /// All data arrives this much later.
    Slow(Duration),
    /// Replies arrive at this many bytes a second.
    Throttled(u64),
    /// A connection is reset once a single reply reaches this many bytes.
    Capped(u64),
}

/// A slow link may deliver this much later data at once.
const CATCH_UP: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    ToRedis,
    ToReader,
}

#[derive(Clone, Copy, Debug)]
struct State {
    link: Link,
    target: SocketAddr,
    /// Connections with a lower number stay silent until they are closed.
    silent_below: u64,
}

/// Counts of what passed the proxy. They show if a fault had any effect.
#[derive(Debug, Default)]
pub struct Traffic {
    next: AtomicU64,
    pub alive: AtomicUsize,
    /// The number of reads whose data had to wait for a stalled or slow link.
    pub held: AtomicU64,
    /// Connections that were reset or refused because the link was cut.
    pub reset: AtomicU64,
}

#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    traffic: Arc<Traffic>,
    accepting: JoinHandle<()>,
}

/// The listener of a proxy whose target is not known yet.
#[derive(Debug)]
pub struct Socket(TcpListener);

impl Socket {
    pub async fn bind() -> Result<Self, Failure> {
        Ok(Self(TcpListener::bind("127.0.0.1:0").await?))
    }

    pub fn address(&self) -> Result<SocketAddr, Failure> {
        Ok(self.0.local_addr()?)
    }

    /// Begins to forward connections, and renames addresses in the answers.
    pub fn forward(self, target: SocketAddr, renames: Renames) -> Result<Proxy, Failure> {
        let address = self.address()?;
        let (state, watching) = watch::channel(State { link: Link::Open, target, silent_below: 0 });
        let traffic = Arc::new(Traffic::default());
        let accepting = tokio::spawn(accept(self.0, watching, traffic.clone(), renames));
        Ok(Proxy { address, state, traffic, accepting })
    }
}

impl Proxy {
    pub async fn to(target: SocketAddr) -> Result<Self, Failure> {
        Socket::bind().await?.forward(target, Renames::default())
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub fn set(&self, link: Link) {
        self.state.send_modify(|state| state.link = link);
    }

    /// Opens the link for new connections only: existing ones stay silent.
    pub fn open_for_new(&self) {
        let below = self.traffic.next.load(Ordering::SeqCst);
        self.state.send_modify(|state| {
            state.silent_below = below;
            state.link = Link::Open;
        });
    }

    /// Sends new connections to another server, and ends the existing ones.
    pub fn turn_to(&self, target: SocketAddr) {
        self.state.send_modify(|state| state.target = target);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    state: watch::Receiver<State>,
    traffic: Arc<Traffic>,
    renames: Renames,
) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let number = traffic.next.fetch_add(1, Ordering::SeqCst);
        connections.spawn(serve(client, number, state.clone(), traffic.clone(), renames.clone()));
    }
}

async fn serve(
    client: TcpStream,
    number: u64,
    mut state: watch::Receiver<State>,
    traffic: Arc<Traffic>,
    renames: Renames,
) {
    // With no linger time, dropping the socket sends a reset.
    let _ = client.set_zero_linger();
    let _ = client.set_nodelay(true);
    if !wait_until_open(&mut state, number, Direction::ToRedis, &traffic).await {
        return;
    }
    let target = state.borrow_and_update().target;
    let Ok(server) = TcpStream::connect(target).await else { return };
    let _ = server.set_nodelay(true);
    let _alive = Alive::new(&traffic);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (traffic, answered) = (&*traffic, &AtomicU64::new(0));
    let pump = Pump { number, traffic, answered, renames: &renames };
    let up = pump.copy(from_client, to_server, Direction::ToRedis, state.clone());
    let down = pump.copy(from_server, to_client, Direction::ToReader, state.clone());
    tokio::select! {
        () = up => {}
        () = down => {}
        () = is_cut(state.clone(), target) => {
            traffic.reset.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Both directions of one connection.
#[derive(Clone, Copy)]
struct Pump<'t> {
    number: u64,
    traffic: &'t Traffic,
    /// The number of bytes that Redis has sent since the last request.
    answered: &'t AtomicU64,
    renames: &'t Renames,
}

impl Pump<'_> {
    /// Copies one direction until it ends.
    async fn copy(
        self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        direction: Direction,
        mut state: watch::Receiver<State>,
    ) {
        let mut buffer = vec![0; 16 << 10];
        // The time at which a slow link has delivered everything before.
        let mut free = Instant::now();
        loop {
            let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
            if !wait_until_open(&mut state, self.number, direction, self.traffic).await {
                return;
            }
            let link = state.borrow().link;
            match (link, direction) {
                (_, Direction::ToRedis) => self.answered.store(0, Ordering::SeqCst),
                (Link::Throttled(rate), Direction::ToReader) => {
                    let share = Duration::from_secs_f64(read as f64 / rate as f64);
                    // A machine that runs this task late does not make the link slower.
                    free = free.max(Instant::now() - CATCH_UP) + share;
                    tokio::time::sleep_until(free).await;
                }
                (Link::Capped(most), Direction::ToReader) => {
                    let so_far = self.answered.fetch_add(read as u64, Ordering::SeqCst);
                    if so_far + read as u64 > most {
                        self.traffic.reset.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                }
                _ => {}
            }
            if direction == Direction::ToReader {
                self.renames.apply(&mut buffer[..read]);
            }
            if to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    }
}

/// Waits until the link lets data through. Returns `false` if it never will.
async fn wait_until_open(
    state: &mut watch::Receiver<State>,
    number: u64,
    direction: Direction,
    traffic: &Traffic,
) -> bool {
    let mut is_held = false;
    loop {
        let State { link, silent_below, .. } = *state.borrow_and_update();
        let is_silent = number < silent_below;
        match link {
            Link::Cut => {
                traffic.reset.fetch_add(1, Ordering::SeqCst);
                return false;
            }
            Link::Open | Link::Throttled(_) | Link::Capped(_) if !is_silent => return true,
            Link::OneWay if !is_silent && direction == Direction::ToReader => return true,
            Link::Slow(by) if !is_silent => {
                traffic.held.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(by).await;
                return true;
            }
            Link::Open
            | Link::Throttled(_)
            | Link::Capped(_)
            | Link::Slow(_)
            | Link::Stalled
            | Link::OneWay => {
                if !std::mem::replace(&mut is_held, true) {
                    traffic.held.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        if state.changed().await.is_err() {
            return false;
        }
    }
}

/// Completes when the link is cut or its target changes.
async fn is_cut(mut state: watch::Receiver<State>, target: SocketAddr) {
    let _ = state.wait_for(|state| state.link == Link::Cut || state.target != target).await;
}

struct Alive<'t>(&'t Traffic);

impl<'t> Alive<'t> {
    fn new(traffic: &'t Traffic) -> Self {
        traffic.alive.fetch_add(1, Ordering::SeqCst);
        Self(traffic)
    }
}

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::SeqCst);
    }
}
