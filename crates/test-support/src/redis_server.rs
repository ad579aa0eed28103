//! A real redis-server of a test's own: on a free port, in a folder of its own, gone at the end.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use caracal_revocation::{KeyRing, Settings};
use tempfile::TempDir;

pub(crate) struct RedisServer {
    folder: TempDir,
    port: u16,
    arguments: Vec<String>,
    process: Child,
}

impl RedisServer {
    /// A server as the contract wants it: append-only file on, nothing evicted.
    pub(crate) fn start() -> Self {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "everysec"])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(|text| (*text).to_owned()).collect();
        for _ in 0..5 {
            let folder = TempDir::new().expect("a temporary folder");
            let port = free_port();
            let process = launch(&folder, port, &arguments);
            let mut server = Self { folder, port, arguments: arguments.clone(), process };
            if server.wait_until_up() {
                return server;
            }
            // Somebody else took the port in between: try another.
        }
        panic!("redis-server does not start with {arguments:?}");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where the server keeps its data; a test may put files of its own beside them.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The settings of a service that uses this server.
    pub(crate) fn settings(&self, keys: &KeyRing) -> Settings {
        settings(&self.url(), keys)
    }

    /// A plain connection, to do what Caracal's own services and operators do.
    pub(crate) async fn connection(&self) -> redis::aio::MultiplexedConnection {
        redis::Client::open(self.url())
            .expect("an address")
            .get_multiplexed_async_connection()
            .await
            .expect("a connection")
    }

    /// As by `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("the server can be killed");
        self.process.wait().expect("the server ends");
    }

    /// Starts it again on the same port and the same files.
    pub(crate) fn restart(&mut self) {
        self.process = launch(&self.folder, self.port, &self.arguments);
        assert!(self.wait_until_up(), "the server comes back");
    }

    /// Stops it where it stands; it keeps its connections and answers nothing.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").arg(signal).arg(self.process.id().to_string()).status();
        assert!(status.expect("kill runs").success());
    }

    fn wait_until_up(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if self.process.try_wait().expect("the process can be asked").is_some() {
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

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Settings with which the streams may be missing.
pub(crate) fn settings(url: &str, keys: &KeyRing) -> Settings {
    settings_in("dev", url, keys)
}

pub(crate) fn settings_in(mode: &str, url: &str, keys: &KeyRing) -> Settings {
    let lookup = |name: &str| match name {
        "REDIS_URL" => Some(url.to_owned()),
        "CARACAL_MODE" => Some(mode.to_owned()),
        // In place of this, the keys below.
        "STREAMS_HMAC_KEY" if mode != "dev" => Some("00".repeat(32)),
        _ => None,
    };
    Settings::from_lookup(lookup).expect("settings").with_keys(keys.clone())
}

fn launch(folder: &TempDir, port: u16, arguments: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--dir", folder.path().to_str().expect("a path of text")])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed (on Debian: apt-get install redis-server)")
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Up also means done loading: until then it answers with an error.
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
