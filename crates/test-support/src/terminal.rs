//! Runs an example as a program, and runs the commands that it prints.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The longest wait on the slowest machine: a test that waits longer has failed.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until the condition holds.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The output of a process up to now.
#[derive(Clone, Default)]
pub struct Output(Arc<Mutex<String>>);

impl Output {
    /// Returns everything that the process has written up to now.
    pub fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    /// Waits until the process has written this text.
    #[track_caller]
    pub fn wait_for(&self, part: &str) {
        let begun = Instant::now();
        while !self.text().contains(part) {
            assert!(begun.elapsed() < DEADLINE, "never written: {part}\n{}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn collect(&self, from: impl Read + Send + 'static) {
        let output = self.clone();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(from);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                output.0.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
    }
}

/// Returns a command with only these variables, and a free port unless they set another.
fn command(program: &Path, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LISTEN", "127.0.0.1:0").envs(environment.iter().copied());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// Runs a program to its end. Returns `true` if it succeeded, and its output.
pub fn ended(program: &Path, environment: &[(&str, &str)]) -> (bool, String) {
    let output = command(program, environment).output().expect("the program runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).expect("text"))
}

/// An example that runs until it is dropped.
pub struct Running {
    process: Child,
    pub output: Output,
}

impl Running {
    /// Starts a program with only these variables in its environment.
    pub fn start(program: &Path, environment: &[(&str, &str)]) -> Self {
        let command = &mut command(program, environment);
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process =
            command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let output = Output::default();
        output.collect(process.stdout.take().unwrap());
        output.collect(process.stderr.take().unwrap());
        Self { process, output }
    }

    /// Waits until the program has printed `count` blocks of commands, and returns them.
    #[track_caller]
    pub fn blocks(&self, count: usize) -> Vec<Vec<String>> {
        let begun = Instant::now();
        loop {
            let blocks = blocks(&self.output.text());
            if blocks.len() >= count {
                return blocks;
            }
            assert!(begun.elapsed() < DEADLINE, "{count} blocks expected:\n{}", self.output.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the blocks of indented lines. A backslash at the end of a line continues the command.
fn blocks(text: &str) -> Vec<Vec<String>> {
    let (mut blocks, mut block) = (Vec::new(), Vec::<String>::new());
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("  ") {
            match block.last_mut() {
                Some(last) if last.ends_with('\\') => *last += &format!("\n{command}"),
                _ => block.push(command.to_owned()),
            }
        } else if line.is_empty() && !block.is_empty() {
            blocks.push(std::mem::take(&mut block));
        }
    }
    blocks
}

/// A terminal that keeps variables and functions from one command to the next.
pub struct Shell {
    process: Child,
    input: ChildStdin,
    pub output: Output,
    commands: usize,
}

impl Shell {
    /// Opens a terminal.
    pub fn open() -> Self {
        let mut process = Command::new("bash")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("bash");
        let input = process.stdin.take().unwrap();
        let output = Output::default();
        output.collect(process.stdout.take().unwrap());
        Self { process, input, output, commands: 0 }
    }

    /// Runs a command, and returns its output once it has ended.
    #[track_caller]
    pub fn run(&mut self, command: &str) -> String {
        self.commands += 1;
        let (before, end) =
            (self.output.text().len(), format!("\n-- ended {} --\n", self.commands));
        writeln!(self.input, "{command}\nprintf '\\n-- ended {} --\\n'", self.commands).unwrap();
        self.output.wait_for(&end);
        self.output.text()[before..].trim_end_matches(&end).to_owned()
    }

    /// Runs a block of commands. If a command's comment is a status, waits up to a deadline for a
    /// 401, and expects any other status at once.
    #[track_caller]
    pub fn follow(&mut self, block: &[String]) {
        for command in block {
            let comment = command.rsplit_once('#').map(|(_, comment)| comment.trim());
            let status = comment.filter(|comment| comment.parse::<u16>().is_ok());
            let begun = Instant::now();
            loop {
                let output = self.run(command);
                let Some(status) = status else { break };
                if output.contains(&format!("HTTP/1.1 {status} ")) {
                    break;
                }
                let goes_on = status == "401" && begun.elapsed() < DEADLINE;
                assert!(goes_on, "{command}\n{output}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the path of a program of another package. It must be built before the test.
pub fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).expect("target/<profile>/deps").to_owned();
    let program = folder.join(name);
    assert!(program.is_file(), "{name} is not built: cargo build --workspace --bins");
    program
}

/// Checks that an example reports a port in use, and a Redis without a key.
#[track_caller]
pub fn names_what_is_wrong(program: &Path) {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    let (succeeded, text) = ended(program, &[("LISTEN", &taken)]);
    assert!(!succeeded && text.contains(&taken) && text.contains("Set LISTEN"), "{text}");
    requires_key_for_redis(program);
}

/// Checks that an example with a Redis requires a key. No server listens at the address, so the
/// example must fail before it connects.
#[track_caller]
pub fn requires_key_for_redis(program: &Path) {
    for (setting, mode) in [
        ("REDIS_URL", ""),
        ("REDIS_URL", "dev"),
        ("REDIS_HOST", "stable"),
        ("REDIS_SENTINELS", ""),
        ("REDIS_CLUSTER_NODES", ""),
    ] {
        let environment = [(setting, "redis://127.0.0.1:1"), ("CARACAL_MODE", mode)];
        let (succeeded, text) = ended(program, &environment);
        assert!(!succeeded && text.contains("STREAMS_HMAC_KEY"), "{setting} {mode}: {text}");
        assert!(text.contains("writes signed messages to caracal."), "{text}");
    }
}
