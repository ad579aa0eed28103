//! A real redis-server on a free port, with its own data folder. Both are removed when dropped.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use caracal_revocation_event::KeyRing;
use caracal_revocation_stream::Settings;
use tempfile::TempDir;

use crate::child_guard::{KillOnExit, signal};
use crate::ports::free_port;

/// The time within which a server starts; the slowest machine needs less.
pub const STARTS_WITHIN: Duration = Duration::from_secs(120);

/// A redis-server that this process started.
#[derive(Debug)]
pub struct RedisServer {
    folder: TempDir,
    port: u16,
    arguments: Vec<String>,
    process: KillOnExit,
}

impl RedisServer {
    /// Starts a server with the settings that the wire contract requires: append-only file, no
    /// eviction.
    pub fn start() -> Self {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "everysec"])
    }

    /// Starts a server that writes nothing to disk.
    pub fn in_memory() -> Self {
        Self::start_with(&["--appendonly", "no"])
    }

    /// Starts a server with these arguments in addition to the fixed ones.
    pub fn start_with(arguments: &[&str]) -> Self {
        for _ in 0..5 {
            let mut server = Self::launch(arguments).expect("redis-server runs");
            if server.wait_until_up() {
                return server;
            }
            // Another process took the port before the server did: try again.
        }
        panic!("redis-server does not start with {arguments:?}");
    }

    /// Starts a server that also accepts TLS, with `ca.pem`, `server.pem` and `server.key` of the
    /// folder, and returns its port for TLS.
    pub fn start_with_tls(certificates: &Path) -> (Self, u16) {
        let port = free_port().expect("a free port");
        let path = |name| certificates.join(name).display().to_string();
        let server = Self::start_with(&[
            "--tls-port",
            &port.to_string(),
            "--tls-ca-cert-file",
            &path("ca.pem"),
            "--tls-cert-file",
            &path("server.pem"),
            "--tls-key-file",
            &path("server.key"),
        ]);
        (server, port)
    }

    /// Launches a server without waiting for it.
    pub fn launch(arguments: &[&str]) -> io::Result<Self> {
        let folder = TempDir::with_prefix("redis-")?;
        let port = free_port()?;
        let arguments: Vec<_> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let process = launch(folder.path(), port, &arguments)?;
        Ok(Self { folder, port, arguments, process })
    }

    /// Launches it again with the same port and files and with other arguments, without waiting.
    pub fn relaunch(&mut self, arguments: &[&str]) -> io::Result<()> {
        self.arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
        self.process = launch(self.folder.path(), self.port, &self.arguments)?;
        Ok(())
    }

    /// Returns the URL for `REDIS_URL`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Returns its socket address.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the folder of its data. A test may add files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns its process.
    pub fn process(&mut self) -> &mut KillOnExit {
        &mut self.process
    }

    /// Returns the settings of a service that uses this server.
    pub fn settings(&self, keys: &KeyRing) -> Settings {
        settings(&self.url(), keys)
    }

    /// Opens a plain connection, to act as Caracal's other services or as an operator.
    pub async fn connection(&self) -> redis::aio::MultiplexedConnection {
        redis::Client::open(self.url())
            .expect("an address")
            .get_multiplexed_async_connection()
            .await
            .expect("a connection")
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        self.process.kill().expect("the server can be killed");
    }

    /// Starts it again on the same port and the same files.
    pub fn restart(&mut self) {
        self.process =
            launch(self.folder.path(), self.port, &self.arguments).expect("redis-server runs");
        assert!(self.wait_until_up(), "the server comes back");
    }

    /// Stops its process. The server keeps its connections, but answers nothing.
    pub fn freeze(&self) {
        signal(self.process.id(), "-STOP").expect("the server can be stopped");
    }

    /// Continues its process.
    pub fn thaw(&self) {
        signal(self.process.id(), "-CONT").expect("the server can be continued");
    }

    /// Returns the processor time of its threads.
    pub fn processor_time(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id()));
        let nanos = tasks.into_iter().flatten().flatten().filter_map(|task| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    fn wait_until_up(&mut self) -> bool {
        let deadline = Instant::now() + STARTS_WITHIN;
        while Instant::now() < deadline {
            if self.process.has_ended().expect("the process can be polled") {
                return false;
            }
            if answers_ping(self.port) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

/// Returns settings in `dev` mode, in which the streams may be missing.
pub fn settings(url: &str, keys: &KeyRing) -> Settings {
    settings_in("dev", url, keys)
}

/// Returns settings in this mode (`CARACAL_MODE`).
pub fn settings_in(mode: &str, url: &str, keys: &KeyRing) -> Settings {
    let lookup = |name: &str| match name {
        "REDIS_URL" => Some(url.to_owned()),
        "CARACAL_MODE" => Some(mode.to_owned()),
        // `with_keys` below replaces this key.
        "STREAMS_HMAC_KEY" if mode != "dev" => Some("00".repeat(32)),
        _ => None,
    };
    Settings::from_lookup(lookup).expect("settings").with_keys(keys.clone())
}

fn launch(folder: &Path, port: u16, arguments: &[String]) -> io::Result<KillOnExit> {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .arg("--dir")
        .arg(folder)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    KillOnExit::spawn(&mut command).map_err(|error| {
        io::Error::other(format!(
            "redis-server cannot be run (on Debian: apt-get install redis-server): {error}"
        ))
    })
}

/// Returns `true` once the server has loaded its data. Until then it answers with an error.
fn answers_ping(port: u16) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
    let mut answer = [0; 8];
    if stream.write_all(b"PING\r\n").is_err() {
        return false;
    }
    // A server with a password answers NOAUTH, and is up.
    matches!(stream.read(&mut answer), Ok(read) if answer[..read].starts_with(b"+PONG") || answer[..read].starts_with(b"-NOAUTH"))
}
