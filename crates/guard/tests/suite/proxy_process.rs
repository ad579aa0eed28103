//! A proxy of another project, as a process.

use std::fs::File;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use caracal_test_support::child_guard::KillOnExit;
use tempfile::TempDir;

/// A running proxy. It is killed when dropped; its output is printed if the test fails.
pub(crate) struct ProxyProcess {
    process: KillOnExit,
    folder: TempDir,
}

impl ProxyProcess {
    /// Starts a program in a new folder with these files, and waits until it accepts connections
    /// on this address.
    pub(crate) async fn start(
        program: &Path,
        arguments: &[&str],
        files: &[(&str, &str)],
        address: SocketAddr,
    ) -> Self {
        let folder = TempDir::with_prefix("proxy-").unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let log = File::create(folder.path().join("output")).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder.path()).env("HOME", folder.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let process = KillOnExit::spawn(&mut command).unwrap();
        let mut proxy = Self { process, folder };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            let is_late = start.elapsed() > Duration::from_secs(60);
            let has_ended = proxy.process.has_ended().unwrap();
            assert!(!is_late && !has_ended, "{} does not start", program.display());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        proxy
    }
}

impl Drop for ProxyProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let output = std::fs::read_to_string(self.folder.path().join("output"));
            let output = output.unwrap_or_default();
            let _ = writeln!(std::io::stderr(), "the proxy's output:\n{output}");
        }
    }
}
