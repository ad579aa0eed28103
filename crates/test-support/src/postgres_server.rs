//! A real PostgreSQL on a free port, with the tables of Caracal that this project reads and their
//! row level security. It is removed when dropped.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::child_guard::signal;
use crate::ports::free_port;

/// The roles of the baseline, and of an operator who selects what to revoke.
const GRANTS: [&str; 2] =
    [include_str!("../../postgres/grants.sql"), include_str!("../../postgres/grants_revoke.sql")];

/// The tables of Caracal's migrations, without columns that this project never reads.
const TABLES: &str = "
    CREATE TABLE authority_records (
        id text PRIMARY KEY, zone_id text NOT NULL, status text NOT NULL DEFAULT 'active',
        expires_at timestamptz NOT NULL DEFAULT now() + interval '1 hour',
        session_type text NOT NULL DEFAULT 'user', subject_id text, parent_id text,
        created_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE sessions (
        id text PRIMARY KEY, zone_id text NOT NULL, status text NOT NULL DEFAULT 'active',
        subject_authority_record_id text NOT NULL, updated_at timestamptz NOT NULL DEFAULT now(),
        application_id text NOT NULL DEFAULT 'app', parent_id text,
        started_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE delegation_edges (
        id text PRIMARY KEY, zone_id text NOT NULL, status text NOT NULL DEFAULT 'active',
        revoked_at timestamptz,
        source_session_id text NOT NULL DEFAULT 'source',
        target_session_id text NOT NULL DEFAULT 'target',
        issuer_application_id text NOT NULL DEFAULT 'app',
        receiver_application_id text NOT NULL DEFAULT 'app', parent_edge_id text,
        expires_at timestamptz NOT NULL DEFAULT now() + interval '1 hour',
        created_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE delegated_grants (
        id text PRIMARY KEY, zone_id text NOT NULL, user_id text NOT NULL);
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

/// The password of the role that services use.
pub const PASSWORD: &str = "a-password-of-a-test";

/// A PostgreSQL that this process started.
#[derive(Debug)]
pub struct PostgresServer {
    folder: TempDir,
    port: u16,
    process: Child,
}

impl PostgresServer {
    /// Starts a server with Caracal's tables, empty, and the documented roles.
    pub async fn start() -> Self {
        let mut server = Self::initialize();
        server.wait_until_up();
        server.run(TABLES).await;
        for table in [
            "authority_records",
            "sessions",
            "delegation_edges",
            "delegated_grants",
            "delegation_graph_epochs",
        ] {
            let zone = "current_setting('caracal.zone_id', true)";
            server
                .run(&format!(
                    "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
                     CREATE POLICY zone_isolation ON {table}
                     USING ({zone} = '*' OR zone_id = {zone})"
                ))
                .await;
        }
        for grants in GRANTS {
            server.run(grants).await;
        }
        for role in ["caracal_revocation", "caracal_revoke"] {
            server.run(&format!("ALTER ROLE {role} PASSWORD '{PASSWORD}'")).await;
        }
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
        let port = free_port().expect("a free port");
        let process = launch(folder.path(), port);
        Self { folder, port, process }
    }

    /// Returns the connection URL of a service.
    pub fn url(&self) -> String {
        self.url_with(PASSWORD)
    }

    /// Returns the connection URL with another password.
    pub fn url_with(&self, password: &str) -> String {
        format!("postgres://caracal_revocation:{password}@127.0.0.1:{}/postgres", self.port)
    }

    /// Returns the connection URL of an operator who selects what to revoke.
    pub fn operator_url(&self) -> String {
        self.url().replace("caracal_revocation:", "caracal_revoke:")
    }

    /// Returns its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the connection URL with the port of a proxy.
    pub fn url_at(&self, port: u16) -> String {
        self.url().replace(&format!(":{}/", self.port), &format!(":{port}/"))
    }

    /// Runs statements as the owner of the tables.
    pub async fn run(&self, statements: &str) {
        self.owner().await.batch_execute(statements).await.expect("the statements are good");
    }

    /// Opens a connection as the owner of the tables.
    pub async fn owner(&self) -> tokio_postgres::Client {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.folder.path()).port(self.port).user("postgres").dbname("postgres");
        let (client, connection) =
            config.connect(tokio_postgres::NoTls).await.expect("the server accepts its owner");
        tokio::spawn(connection);
        client
    }

    /// Writes a file that only the server may read.
    pub fn own_file(&self, path: &Path, bytes: &[u8]) {
        std::fs::write(path, bytes).expect("the folder can be written to");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path, mode).expect("the test owns the file");
        own(path);
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        self.process.kill().expect("the server can be killed");
        self.process.wait().expect("the server ends");
    }

    /// Starts it again on the same port and the same files.
    pub fn restart(&mut self) {
        // Processes of the killed server may still use the files for a moment.
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            self.process = launch(self.folder.path(), self.port);
            if self.is_up_by(Instant::now() + Duration::from_secs(20)) {
                return;
            }
            assert!(Instant::now() < deadline, "the server does not come back");
        }
    }

    /// Makes it a standby at the next start: it then waits for a primary.
    pub fn become_standby(&self) {
        let path = self.folder.path().join("data/standby.signal");
        std::fs::write(path, "").expect("the folder can be written to");
    }

    /// Stops its process. The server still accepts connections, but answers nothing.
    pub fn freeze(&self) {
        signal(self.process.id(), "-STOP").expect("the server can be stopped");
    }

    /// Continues its process.
    pub fn thaw(&self) {
        signal(self.process.id(), "-CONT").expect("the server can be continued");
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
        // Ends all of its processes at once, even if they are stopped.
        let _ = signal(self.process.id(), "-CONT");
        let _ = signal(self.process.id(), "-QUIT");
        let _ = self.process.wait();
    }
}

fn launch(folder: &Path, port: u16) -> Child {
    let mut server = program("postgres");
    server.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    server.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
    server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("postgres runs")
}

/// Returns a command for a program of PostgreSQL.
fn program(name: &str) -> Command {
    program_at(&binary(name))
}

/// Returns a command for a program that refuses to run as root. Runs it as another user if needed.
pub fn program_at(binary: &Path) -> Command {
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

/// Finds a server program. Debian installs them outside of `PATH`.
fn binary(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = versions
        .map(|version| version.path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| name.into())
}
