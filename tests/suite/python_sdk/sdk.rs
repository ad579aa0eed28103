//! Installs the SDK into a folder of its own, and runs `sdk.py` with it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use caracal_test_support::foreign::skip;
use rustix::fs::{FlockOperation, flock};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::redis_server::RedisServer;

/// The folder of the script and of the list of packages.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/python_sdk");

/// The version of the SDK, as in `requirements.txt`.
const VERSION: &str = "1.0.0";

/// The programs to try, the newest first. The SDK declares Python 3.12, and its source also runs on
/// 3.11: `pip` gets the option to ignore the declared version.
const PYTHONS: [&str; 4] = ["python3.14", "python3.13", "python3.12", "python3"];

/// The state of the SDK after it has read a stream once, and the end of that read.
#[derive(Debug, Deserialize)]
pub(super) struct Read {
    /// The exception that the SDK raised.
    pub(super) error: Option<String>,
    pub(super) revoked: Vec<String>,
    pub(super) epochs: BTreeMap<String, u64>,
    /// The reasons in its dead letters.
    pub(super) dead: Vec<String>,
}

/// A Python in which the SDK can be imported.
pub(super) struct Sdk {
    python: PathBuf,
}

impl Sdk {
    /// Returns the SDK, installed on first use. `None`, with a printed line, if it cannot be had.
    pub(super) fn find() -> Option<Self> {
        let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = temporary.join(format!("python-sdk-{VERSION}"));
        let sdk = Self { python: folder.join("bin/python") };
        let lock = File::create(temporary.join("python-sdk.lock")).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        if let Err(reason) = sdk.can_be_imported().or_else(|_| sdk.install_once(&folder)) {
            let reason = reason.trim_end().lines().next_back().unwrap_or_default();
            skip(&format!("Caracal's Python SDK cannot be had: {reason}"));
            return None;
        }
        Some(sdk)
    }

    /// Runs these steps on the server and returns a result for each.
    pub(super) fn run<T: DeserializeOwned>(&self, server: &RedisServer, steps: &[Value]) -> Vec<T> {
        let mut child = Command::new(&self.python)
            .arg(Path::new(SOURCES).join("sdk.py"))
            .arg(server.url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let steps = serde_json::to_vec(steps).unwrap();
        child.stdin.take().unwrap().write_all(&steps).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "sdk.py fails: {}", output.status);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Installs the SDK, unless that failed a short time ago: each test runs in its own process.
    fn install_once(&self, folder: &Path) -> Result<(), String> {
        let failure = folder.with_file_name(format!("python-sdk-{VERSION}.failed"));
        let written = std::fs::metadata(&failure).and_then(|file| file.modified());
        let age = written.ok().and_then(|written| written.elapsed().ok());
        if age.is_some_and(|age| age < Duration::from_secs(300)) {
            return Err(std::fs::read_to_string(failure).unwrap());
        }
        self.install(folder).inspect_err(|reason| std::fs::write(failure, reason).unwrap())
    }

    fn install(&self, folder: &Path) -> Result<(), String> {
        let python = PYTHONS.into_iter().find(|python| {
            Command::new(python).arg("--version").output().is_ok_and(|it| it.status.success())
        });
        let python = python.ok_or("there is no Python")?;
        succeeded(Command::new(python).args(["-m", "venv", "--clear"]).arg(folder))?;
        let packages = Path::new(SOURCES).join("requirements.txt");
        let pinned = std::fs::read_to_string(&packages).unwrap();
        assert!(pinned.contains(&format!("caracalai-revocation-redis=={VERSION} ")), "{pinned}");
        let installed = succeeded(
            Command::new(&self.python)
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(["--retries", "1", "--timeout", "15"])
                .args(["--no-deps", "--ignore-requires-python", "--require-hashes", "-r"])
                .arg(packages),
        );
        if let Err(output) = &installed {
            assert!(!output.contains("HASHES"), "PyPI serves other packages: {output}");
        }
        installed.and_then(|()| self.can_be_imported())
    }

    fn can_be_imported(&self) -> Result<(), String> {
        succeeded(Command::new(&self.python).args(["-c", "import caracalai_revocation_redis"]))
    }
}

/// Runs a command to its end. The error is the text that the command printed.
fn succeeded(command: &mut Command) -> Result<(), String> {
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    Err([stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat())
}
