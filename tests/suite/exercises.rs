//! The exercises of `docs/runbook.md`, run as the page shows them: the commands of each block, and
//! the output of its last command.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use caracal_test_support::ports::free_port;
use caracal_test_support::postgres_server::PostgresServer;
use caracal_test_support::terminal::{DEADLINE, Shell, built};
use tempfile::TempDir;

use crate::logged::page;

const CHAPTER: &str = "## Exercises";

/// A block of commands, and the expected output of the last one, if the page shows it.
#[derive(Debug, Default)]
struct Step {
    commands: Vec<String>,
    expected: Option<String>,
}

/// Returns the steps of each section of the chapter, by its heading.
fn sections() -> BTreeMap<String, Vec<Step>> {
    let page = page("docs/runbook.md");
    let (_, chapter) = page.split_once(&format!("\n{CHAPTER}\n")).expect("the chapter exists");
    let chapter = chapter.split("\n## ").next().unwrap();
    let section = |text: &str| {
        let (heading, body) = text.split_once('\n').unwrap();
        (heading.to_owned(), steps(body))
    };
    chapter.split("\n### ").skip(1).map(section).collect()
}

fn steps(body: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in body.split("\n```").skip(1).step_by(2) {
        let (language, text) = block.split_once('\n').unwrap();
        match language {
            "sh" => steps.push(Step { commands: commands(text), expected: None }),
            "text" => {
                let step = steps.last_mut().expect("output follows commands");
                assert!(step.expected.is_none(), "two outputs of one block:\n{text}");
                step.expected = Some(text.trim_end().to_owned());
            }
            other => panic!("a block in an unknown language: {other}\n{text}"),
        }
    }
    steps
}

/// Returns the commands of a block. A backslash, an open brace or an indented line continues one.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::<String>::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match commands.last_mut() {
            Some(last) if last.ends_with('\\') || line.starts_with([' ', '}']) => {
                *last += &format!("\n{line}");
            }
            _ => commands.push(line.to_owned()),
        }
    }
    commands
}

/// Returns `true` if the text is the expected one, in which `…` stands for any text of a line.
fn matches(expected: &str, text: &str) -> bool {
    let (expected, text): (Vec<_>, Vec<_>) =
        (expected.lines().collect(), text.trim().lines().collect());
    let is_same = |(expected, line): (&&str, &&str)| line_matches(expected, line.trim_end());
    expected.len() == text.len() && expected.iter().zip(&text).all(is_same)
}

fn line_matches(expected: &str, line: &str) -> bool {
    let mut parts = expected.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// A shell for one exercise, with free ports and a folder in place of those on the page. Ends the
/// processes that the exercise started when dropped.
struct Exercise {
    shell: Shell,
    folder: TempDir,
    ports: BTreeMap<&'static str, String>,
}

impl Exercise {
    fn start(environment: &[(&str, &str)]) -> Self {
        let ports = ["6390", "6391", "7001", "7002", "7003", "9401", "9402", "9403"];
        let ports = ports.map(|port| (port, free_port().unwrap().to_string()));
        let folder = TempDir::with_prefix("exercise-").unwrap();
        let programs = programs();
        let mut exercise = Self { shell: Shell::open(), folder, ports: ports.into() };
        let path = format!("export PATH={}:$PATH", programs.display());
        let folder = format!("export TMPDIR={}", exercise.folder.path().display());
        let set = environment.iter().map(|(name, value)| format!("export {name}='{value}'"));
        for command in [path, folder].into_iter().chain(set) {
            exercise.shell.run(&command);
        }
        exercise
    }

    /// Runs the commands of each step, and repeats the last one of a step until its output is as
    /// the page shows it.
    #[track_caller]
    fn run(&mut self, steps: &[Step]) {
        for step in steps {
            let commands = step.commands.iter().map(|command| self.on_free_ports(command));
            let commands: Vec<_> = commands.collect();
            let (last, before) = commands.split_last().expect("a block has commands");
            for command in before {
                let output = self.shell.run(command);
                assert_eq!(
                    output.trim(),
                    "",
                    "only the last command of a block may print:\n{command}"
                );
            }
            let expected = step.expected.as_deref().unwrap_or_default();
            let begun = Instant::now();
            loop {
                let output = self.shell.run(last);
                if matches(expected, &output) {
                    break;
                }
                let is_over = step.expected.is_none() || begun.elapsed() > DEADLINE;
                assert!(!is_over, "{last}\n-- expected:\n{expected}\n-- output:\n{output}");
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }

    fn on_free_ports(&self, command: &str) -> String {
        // In two steps, because a free port may contain another port of the page.
        let mark = |place: usize| format!("\u{1}{place}\u{1}");
        let ports = || self.ports.iter().enumerate();
        let marked = ports()
            .fold(command.to_owned(), |text, (place, (port, _))| text.replace(port, &mark(place)));
        ports().fold(marked, |text, (place, (_, free))| text.replace(&mark(place), free))
    }
}

impl Drop for Exercise {
    fn drop(&mut self) {
        let files = std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten();
        for folder in files.map(|entry| entry.path()).filter(|path| path.is_dir()) {
            for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if file.path().extension().is_some_and(|kind| kind == "pid") {
                    let pid = std::fs::read_to_string(file.path()).unwrap_or_default();
                    let _ = Command::new("kill").args(["-9", pid.trim()]).output();
                }
            }
        }
    }
}

/// Returns the folder of the built programs.
fn programs() -> PathBuf {
    built("caracal-guard");
    built("caracal-streams").parent().map(Path::to_owned).unwrap()
}

/// Runs one exercise of the page, between its preparation and its end.
fn rehearse(name: &str, environment: &[(&str, &str)]) {
    let sections = sections();
    let section = |name: &str| sections.get(name).unwrap_or_else(|| panic!("no section: {name}"));
    let mut exercise = Exercise::start(environment);
    for name in ["Prepare", &format!("Exercise: {name}"), "End an exercise"] {
        exercise.run(section(name));
    }
}

#[test]
fn redis_stopped() {
    rehearse("Redis is stopped", &[]);
}

#[test]
fn network_stalled() {
    rehearse("the network stalls", &[]);
}

#[test]
fn redis_flushed() {
    rehearse("Redis is flushed", &[]);
}

#[test]
fn stream_deleted() {
    rehearse("a stream is deleted", &[]);
}

#[test]
fn wrong_key() {
    rehearse("a wrong key", &[]);
}

#[test]
fn lagging_replica() {
    rehearse("a replica lags", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_away() {
    let postgres = PostgresServer::start().await;
    let (url, folder) = (postgres.url(), postgres.folder().display());
    let port = postgres.port();
    let admin = format!("host={folder} port={port} user=postgres dbname=postgres");
    let environment = [("DATABASE_URL", url.as_str()), ("ADMIN", &admin)];
    rehearse("Postgres is away", &environment);
}

#[test]
fn every_exercise_of_the_page_has_a_test() {
    let tests = include_str!("exercises.rs");
    for name in sections().keys().filter_map(|heading| heading.strip_prefix("Exercise: ")) {
        assert!(tests.contains(&format!("rehearse(\"{name}\"")), "{name}");
    }
}

#[test]
fn dots_stand_for_any_text_of_a_line() {
    assert!(line_matches("a…c", "abc") && line_matches("a…", "a") && line_matches("…", ""));
    assert!(!line_matches("a…c", "ab") && !line_matches("a", "ab") && !line_matches("ab", "a"));
    assert!(line_matches("x…y…z", "x1y2z") && !line_matches("x…y…z", "x1z"));
    assert!(matches("a\n…b", "a\ncb\n") && !matches("a", "a\nb") && !matches("a\nb", "a"));
}
