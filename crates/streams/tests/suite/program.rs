//! Runs the program with a clean environment.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::redis_server::RedisServer;

pub(crate) const KEY: &str = "7f14aa0fe5569517d3bae57a4b2dcbed15a635f8382f64330c39e35ad25650ae";
pub(crate) const OTHER_KEY: &str =
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// The program before it runs, and its standard input.
pub(crate) struct Program(Command, String);

/// The exit code and output of a run.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Returns the program with an empty environment and no home folder.
pub(crate) fn program() -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_caracal-streams"));
    command.env_clear().env("HOME", "/nonexistent");
    Program(command, String::new())
}

/// Returns the program with a server's address and the test key.
pub(crate) fn at(server: &RedisServer) -> Program {
    program().env("REDIS_URL", &server.url()).env("STREAMS_HMAC_KEY", KEY)
}

impl Program {
    pub(crate) fn env(
        mut self,
        name: &str,
        value: &(impl AsRef<std::ffi::OsStr> + ?Sized),
    ) -> Self {
        self.0.env(name, value);
        self
    }

    /// Sets the folder to run in.
    pub(crate) fn within(mut self, folder: &std::path::Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    /// Starts the program with these arguments, separated by blanks, and does not wait for it.
    pub(crate) fn start(mut self, args: &str) -> std::process::Child {
        let child = self.0.args(args.split_whitespace()).stdin(Stdio::null());
        child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs")
    }

    pub(crate) fn input(mut self, text: &str) -> Self {
        text.clone_into(&mut self.1);
        self
    }

    /// Runs the program with these arguments, separated by blanks.
    pub(crate) fn run(self, args: &str) -> Ended {
        self.run_with(&args.split_whitespace().collect::<Vec<_>>())
    }

    pub(crate) fn run_with(mut self, args: &[&str]) -> Ended {
        let child = self.0.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = child.stderr(Stdio::piped()).spawn().expect("the program runs");
        let mut input = child.stdin.take().expect("a pipe");
        // A program that needs no input may have ended already.
        let _ = input.write_all(self.1.as_bytes());
        drop(input);
        let output = child.wait_with_output().expect("the program ends");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Ended {
            code: output.status.code().expect("the program was not killed"),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl Ended {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "out: {}\nerr: {}", self.out, self.err);
        self
    }

    /// Asserts that standard output or standard error contains all these parts.
    #[track_caller]
    pub(crate) fn prints(self, parts: &[&str]) -> Self {
        for part in parts {
            let is_printed = self.out.contains(part) || self.err.contains(part);
            assert!(is_printed, "missing: {part}\nout: {}\nerr: {}", self.out, self.err);
        }
        self
    }

    /// Parses each line of the output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).expect("JSON");
        self.out.lines().map(parse).collect()
    }

    /// Parses the only line of the output as JSON.
    #[track_caller]
    pub(crate) fn object(&self) -> Value {
        let mut all = self.json();
        assert_eq!(all.len(), 1, "{}", self.out);
        all.remove(0)
    }
}

/// A plain connection, for the actions of an operator or another program.
pub(crate) struct RedisClient(redis::Connection);

pub(crate) fn client(server: &RedisServer) -> RedisClient {
    let client = redis::Client::open(server.url()).expect("an address");
    RedisClient(client.get_connection().expect("a connection"))
}

impl RedisClient {
    /// Runs a command whose words are separated by blanks.
    #[track_caller]
    pub(crate) fn run(&mut self, args: &str) -> redis::Value {
        self.run_with(&args.split_whitespace().collect::<Vec<_>>())
    }

    #[track_caller]
    pub(crate) fn run_with(&mut self, args: &[&str]) -> redis::Value {
        let mut command = redis::cmd(args[0]);
        for arg in &args[1..] {
            command.arg(arg);
        }
        command.query(&mut self.0).expect("the command succeeds")
    }

    #[track_caller]
    pub(crate) fn number(&mut self, args: &str) -> i64 {
        match self.run(args) {
            redis::Value::Int(number) => number,
            other => panic!("no number: {other:?}"),
        }
    }
}

impl RedisClient {
    #[track_caller]
    pub(crate) fn query(&mut self, command: &redis::Cmd) -> redis::Value {
        command.query(&mut self.0).expect("the command succeeds")
    }
}
