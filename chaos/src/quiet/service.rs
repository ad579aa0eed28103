//! The quiet service: the program starts itself as one.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::{Router, routing::get};
use caracal_revocation::metrics::Exporter;
use caracal_revocation::stream::Canary;
use caracal_revocation::{Follower, GatewayLayer, Operations, Settings};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::failure::Failure;
use crate::reader::{LISTENING, end_of_input};

const LISTENS_WITHIN: Duration = Duration::from_secs(120);

/// A line of the log, and its time since the start.
#[derive(Clone, Debug)]
pub struct Line {
    pub at: Duration,
    pub text: String,
}

pub struct Service {
    pub address: SocketAddr,
    lines: Arc<Mutex<Vec<Line>>>,
    /// The process, which ends when this is dropped.
    _process: Child,
}

/// Runs the service until its input ends.
pub async fn run() -> Result<(), Failure> {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let exporter = Exporter::install()?;
    let settings = Settings::from_env()?;
    let canary = Canary::new(&settings).spawn();
    let revocations = Follower::new(settings).spawn();
    let operations = Operations::new(revocations.clone())
        .with_metrics(move || exporter.render())
        .ready_if("canary", move || canary.is_alive());
    let app = Router::new()
        .route("/", get(async || "hello"))
        .layer(GatewayLayer::new(revocations))
        .fallback_service(operations);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{LISTENING}{}", listener.local_addr()?);
    tokio::select! {
        served = std::future::IntoFuture::into_future(axum::serve(listener, app)) => served?,
        () = end_of_input() => {}
    }
    std::process::exit(0)
}

impl Service {
    pub async fn start(url: &str, key: &str, log: &Path, start: Instant) -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("quiet-service")
            .env("REDIS_URL", url)
            .env("STREAMS_HMAC_KEY", key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let lines = Arc::<Mutex<Vec<Line>>>::default();
        let errors = process.stderr.take().ok_or("a service without a log")?;
        let (kept, mut file) = (lines.clone(), std::fs::File::create(log)?);
        tokio::spawn(async move {
            let mut errors = BufReader::new(errors).lines();
            while let Ok(Some(text)) = errors.next_line().await {
                let _ = writeln!(file, "{text}");
                let line = Line { at: start.elapsed(), text };
                kept.lock().expect("no thread panics here").push(line);
            }
        });
        let output = process.stdout.take().ok_or("a service without output")?;
        let mut output = BufReader::new(output).lines();
        let line = tokio::time::timeout(LISTENS_WITHIN, output.next_line())
            .await
            .map_err(|_| "the service does not listen")??;
        let address = line.as_deref().and_then(|line| line.strip_prefix(LISTENING));
        let address = address.ok_or("the service ended before it listened")?.parse()?;
        Ok(Self { address, lines, _process: process })
    }

    /// Returns the lines logged so far.
    pub fn lines(&self) -> Vec<Line> {
        self.lines.lock().expect("no thread panics here").clone()
    }
}
