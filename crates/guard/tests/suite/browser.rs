//! A real browser without a window.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::programs;

/// A Chromium, with a profile of its own for each page.
pub(crate) struct Browser(PathBuf);

/// A page as the browser has it: the text of the document, and what the console said.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) document: String,
    pub(crate) console: String,
}

impl Browser {
    /// Finds Chromium, or installs it. `None` if it cannot be had, which is printed.
    pub(crate) fn find() -> Option<Self> {
        programs::debian("chromium", "chromium").map(Self)
    }

    /// Loads a page, and returns its document after the style was applied.
    pub(crate) async fn load(&self, address: SocketAddr, path: &str) -> Page {
        let profile = TempDir::with_prefix("chromium-").unwrap();
        let mut command = Command::new(&self.0);
        command
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
            ])
            .args(["--enable-logging=stderr", "--timeout=30000", "--dump-dom"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("http://{address}{path}"))
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let [document, console] = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(output.status.success(), "{console}");
        let lines = console.lines().filter(|line| line.contains("CONSOLE"));
        let console = lines.collect::<Vec<_>>().join("\n");
        Page { document, console }
    }
}

impl Page {
    /// Returns the text of the first element of this name, without the elements inside it.
    pub(crate) fn text(&self, element: &str) -> String {
        let start =
            self.document.find(&format!("<{element}")).unwrap_or_else(|| panic!("{self:?}"));
        let rest = &self.document[start..];
        let end = rest.find(&format!("</{element}>")).unwrap_or_else(|| panic!("{self:?}"));
        let mut text = String::new();
        let mut is_tag = false;
        for letter in rest[..end].chars() {
            match letter {
                '<' => is_tag = true,
                '>' => is_tag = false,
                _ if !is_tag => text.push(letter),
                _ => {}
            }
        }
        text.trim().to_owned()
    }
}
