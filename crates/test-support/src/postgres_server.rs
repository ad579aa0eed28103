//! A real PostgreSQL for one test: a free port, a temporary folder, and the parts of Caracal's
//! tables that are read, row level security included.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const GRANTS: &str = include_str!("../../grants.sql");

/// The tables of Caracal's migrations, without the columns that are not read.
const TABLES: &str = "
    CREATE TABLE authority_records (
        id text PRIMARY KEY, zone_id text NOT NULL, status text NOT NULL DEFAULT 'active',
        expires_at timestamptz NOT NULL DEFAULT now() + interval '1 hour');
    CREATE TABLE sessions (
        id text PRIMARY KEY, zone_id text NOT NULL, status text NOT NULL DEFAULT 'active',
        subject_authority_record_id text NOT NULL, updated_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE delegation_edges (
        id text PRIMARY KEY, zone_id text NOT NULL, status text NOT NULL DEFAULT 'active',
        revoked_at timestamptz);
    CREATE TABLE delegation_graph_epochs (
        zone_id text PRIMARY KEY, epoch bigint NOT NULL DEFAULT 0);
    CREATE TABLE event_outbox (
        id text PRIMARY KEY, stream_name text NOT NULL, payload_json jsonb NOT NULL,
        dispatched_at timestamptz, created_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE caracal_outbox (
        id text PRIMARY KEY, topic text NOT NULL, dedupe_key text NOT NULL,
        payload_json jsonb NOT NULL, status text NOT NULL DEFAULT 'pending',
        created_at timestamptz NOT NULL DEFAULT now());
";

pub(crate) const PASSWORD: &str = "a-password-of-a-test";

pub(crate) struct PostgresServer {
    pub(crate) folder: TempDir,
    port: u16,
    pub(crate) process: Child,
}

impl PostgresServer {
    /// A server with Caracal's tables, empty, and the documented role.
    pub(crate) async fn start() -> Self {
        let mut server = Self::initialize();
        server.wait_until_up();
        server.run(TABLES).await;
        for table in
            ["authority_records", "sessions", "delegation_edges", "delegation_graph_epochs"]
        {
            let zone = "current_setting('caracal.zone_id', true)";
            server
                .run(&format!(
                    "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
                     CREATE POLICY zone_isolation ON {table}
                     USING ({zone} = '*' OR zone_id = {zone})"
                ))
                .await;
        }
        server.run(GRANTS).await;
        server.run(&format!("ALTER ROLE caracal_revocation PASSWORD '{PASSWORD}'")).await;
        server
    }

    fn initialize() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        own(folder.path());
        let data = folder.path().join("data");
        let output = program("initdb")
            .args(["--username", "postgres", "--auth-local", "trust", "--no-sync"])
            .args(["--auth-host", "scram-sha-256", "--locale", "C.UTF-8", "--pgdata"])
            .arg(&data)
            .stdout(Stdio::null())
            .output()
            .expect("initdb runs");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        let port = free_port();
        let process = launch(folder.path(), port);
        Self { folder, port, process }
    }

    /// Returns the address that a service would use.
    pub(crate) fn url(&self) -> String {
        self.url_with(PASSWORD)
    }

    pub(crate) fn url_with(&self, password: &str) -> String {
        format!("postgres://caracal_revocation:{password}@127.0.0.1:{}/postgres", self.port)
    }

    #[allow(dead_code, reason = "one of the two suites that share this needs it")]
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the address with another port, for a proxy in between.
    #[allow(dead_code, reason = "one of the two suites that share this needs it")]
    pub(crate) fn url_at(&self, port: u16) -> String {
        self.url().replace(&format!(":{}/", self.port), &format!(":{port}/"))
    }

    /// Runs statements as the owner of the tables.
    pub(crate) async fn run(&self, statements: &str) {
        self.owner().await.batch_execute(statements).await.expect("the statements are good");
    }

    /// Opens a connection as the owner of the tables.
    pub(crate) async fn owner(&self) -> tokio_postgres::Client {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.folder.path()).port(self.port).user("postgres").dbname("postgres");
        let (client, connection) =
            config.connect(tokio_postgres::NoTls).await.expect("the server accepts its owner");
        tokio::spawn(connection);
        client
    }

    /// Writes a file that only the server can read.
    #[allow(dead_code, reason = "one of the two suites that share this needs it")]
    pub(crate) fn own_file(&self, path: &Path, bytes: &[u8]) {
        std::fs::write(path, bytes).expect("the folder can be written to");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path, mode).expect("the test owns the file");
        own(path);
    }

    /// Kills the server, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("the server can be killed");
        self.process.wait().expect("the server ends");
    }

    /// Starts the server again on the same port and files.
    pub(crate) fn restart(&mut self) {
        // The processes of a killed server hold on to the files for a moment.
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            self.process = launch(self.folder.path(), self.port);
            if self.is_up_by(Instant::now() + Duration::from_secs(20)) {
                return;
            }
            assert!(Instant::now() < deadline, "the server does not come back");
        }
    }

    fn wait_until_up(&mut self) {
        assert!(self.is_up_by(Instant::now() + Duration::from_secs(30)), "Postgres does not start");
    }

    fn is_up_by(&mut self, deadline: Instant) -> bool {
        while Instant::now() < deadline {
            if self.process.try_wait().expect("the process can be polled").is_some() {
                return false;
            }
            let port = self.port.to_string();
            let ready = Command::new(binary("pg_isready"))
                .args(["--quiet", "--host", "127.0.0.1", "--port", &port])
                .status();
            if ready.is_ok_and(|status| status.success()) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let id = self.process.id().to_string();
        // Ends all of its processes at once, whether it was stopped or not.
        let _ = Command::new("kill").args(["-CONT", &id]).status();
        let _ = Command::new("kill").args(["-QUIT", &id]).status();
        let _ = self.process.wait();
    }
}

fn launch(folder: &Path, port: u16) -> Child {
    let mut server = program("postgres");
    server.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    server.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
    server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("postgres runs")
}

/// Returns a command for one of PostgreSQL's programs.
fn program(name: &str) -> Command {
    program_at(&binary(name))
}

/// Returns a command that runs as another user if this process is root: the program rejects
/// root.
pub(crate) fn program_at(binary: &Path) -> Command {
    if !is_root() {
        return Command::new(binary);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(binary);
    command
}

fn own(folder: &Path) {
    if is_root() {
        let owned = Command::new("chown").arg("postgres:postgres").arg(folder).status();
        assert!(owned.expect("chown runs").success());
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Finds a server program: Debian keeps them outside of the path.
fn binary(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = versions
        .map(|version| version.path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| name.into())
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
