//! A real pgbouncer in front of a server, if it is installed.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use caracal_test_support::ports::free_port;

use crate::server::{PASSWORD, PostgresServer, program_at};

pub(crate) struct Pooler {
    port: u16,
    process: Child,
}

impl Pooler {
    /// Starts a pooler in transaction mode, with room for two connections.
    pub(crate) fn start(server: &PostgresServer) -> Option<Self> {
        let known = std::env::var_os("PATH").unwrap_or_default();
        let binary = std::env::split_paths(&known)
            .chain(["/usr/sbin".into()])
            .map(|folder| folder.join("pgbouncer"))
            .find(|path| path.exists())?;
        let (port, behind) = (free_port().expect("a free port"), server.port());
        let (settings, users) = ("pgbouncer.ini", "users.txt");
        let path = |name: &str| server.folder().join(name).display().to_string();
        let text = format!(
            "[databases]\npostgres = host=127.0.0.1 port={behind}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = 2\nadmin_users = caracal_revocation\n",
            path(users)
        );
        server.own_file(path(settings).as_ref(), text.as_bytes());
        let user = format!("\"caracal_revocation\" \"{PASSWORD}\"\n");
        server.own_file(path(users).as_ref(), user.as_bytes());
        let mut command: Command = program_at(&binary);
        let process = command
            .args(["--quiet", &path(settings)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbouncer runs");
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "pgbouncer does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { port, process })
    }

    pub(crate) fn url(&self, server: &PostgresServer) -> String {
        server.url_at(self.port)
    }

    /// Waits until no client uses one of its server connections.
    pub(crate) async fn wait_until_idle(&self, server: &PostgresServer) {
        let url = self.url(server).replace("/postgres?", "/pgbouncer?");
        let url =
            url.strip_suffix("/postgres").map_or(url.clone(), |url| format!("{url}/pgbouncer"));
        let (client, connection) =
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("its console");
        tokio::spawn(connection);
        let start = Instant::now();
        loop {
            let answers = client.simple_query("SHOW SERVERS").await.expect("its servers");
            let is_active = answers.iter().any(|answer| match answer {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get("state") == Some("active"),
                _ => false,
            });
            if !is_active {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "a connection stays in use");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
