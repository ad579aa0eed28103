//! A front under test, and the shared cases sent through it.
//!
//! A test starts a [`World`], an [`Upstream`], a guard with [`ARGUMENTS`] and a proxy. Then it calls
//! [`Front::check`] and the functions of `front_outages.rs`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::exchange::{body, exchange, header, status};
use crate::front_cases::{self, Case, Expected};
use crate::upstream::{Received, Upstream};
use crate::world::World;

/// The arguments that give a guard the routes of the shared cases.
pub(crate) const ARGUMENTS: [&str; 2] =
    ["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/front_cases.toml")];

/// A proxy that asks a guard before it forwards requests to an application.
pub(crate) struct Front<'a> {
    pub(crate) world: &'a World,
    pub(crate) upstream: &'a Upstream,
    /// The address on which the proxy takes requests.
    pub(crate) address: SocketAddr,
}

impl Front<'_> {
    /// Sends every shared case, and reports all that went wrong.
    pub(crate) async fn check(&self) {
        let tokens = [
            ("{valid}", self.world.mint("ar-front")),
            ("{revoked}", self.world.mint("ar-revoked")),
            ("{writer}", self.world.mint_with("ar-front", &json!({ "scope": "orders:write" }))),
        ];
        self.world.revoke("ar-revoked").await;
        self.until(401, "/orders/1", &tokens[1].1).await;
        let mut wrong = Vec::new();
        for (case, lines) in front_cases::all() {
            let mut request = bytes(&case, &lines);
            for (name, token) in &tokens {
                request = request.replace(name, token);
            }
            self.upstream.take();
            let response = exchange(self.address, request.as_bytes()).await.unwrap_or_default();
            if let Err(problem) = verify(&case, &response, &self.upstream.take()) {
                wrong.push(format!("{}: {problem}\n{request}\n{response}", case.0));
            }
        }
        assert!(wrong.is_empty(), "{} cases failed:\n{}", wrong.len(), wrong.join("\n---\n"));
    }

    /// Sends a `GET` with this token, and returns the response. It is empty without a connection.
    pub(crate) async fn get(&self, path: &str, token: &str) -> String {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        exchange(self.address, request.as_bytes()).await.unwrap_or_default()
    }

    /// Repeats a `GET` until it is answered with this status, and returns the response.
    pub(crate) async fn until(&self, expected: u16, path: &str, token: &str) -> String {
        let start = Instant::now();
        loop {
            let response = self.get(path, token).await;
            if !response.is_empty() && status(&response) == expected {
                return response;
            }
            assert!(start.elapsed() < Duration::from_secs(90), "never {expected}: {response:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn bytes((_, line, _, body, _): &Case, headers: &[&str]) -> String {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let head = format!("{line} HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n");
    format!("{head}{lines}\r\n{body}")
}

fn verify(case: &Case, response: &str, received: &[Received]) -> Result<(), String> {
    if response.is_empty() {
        return Err("no response".to_owned());
    }
    let status = status(response);
    let denied = |accepted: &[u16], error: &str| {
        if let [_, ..] = received {
            return Err(format!("reached the application: {received:?}"));
        }
        if !accepted.contains(&status) || !body(response).contains(error) {
            return Err(format!("expected {accepted:?} {error}"));
        }
        if status == 401 && !header(response, "www-authenticate").is_some_and(is_challenge) {
            return Err("no challenge".to_owned());
        }
        Ok(())
    };
    match case.4 {
        Expected::Passes => passed(case, status, received, Some("agent-1")),
        Expected::Anonymous => passed(case, status, received, None),
        Expected::Denied(status, error) => denied(&[status], error),
        Expected::DeniedCall(error) if header(response, "grpc-status") == Some("16") => {
            match (received, header(response, "grpc-message")) {
                ([], Some(message)) if message.contains(error) => Ok(()),
                _ => Err(format!("expected {error}")),
            }
        }
        Expected::DeniedCall(error) => denied(&[401], error),
        Expected::DeniedWith(accepted) => denied(accepted, ""),
        Expected::TwoTokens => denied(&[400, 401], ""),
        Expected::CheckedOrDenied | Expected::AnonymousOrDenied if status == 401 => {
            denied(&[401], "")
        }
        Expected::CheckedOrDenied => passed(case, status, received, Some("agent-1")),
        Expected::AnonymousOrDenied
            if received.iter().any(|all| !all.all("authorization").is_empty()) =>
        {
            Err("the token reached the application".to_owned())
        }
        Expected::AnonymousOrDenied => passed(case, status, received, None),
    }
}

fn is_challenge(value: &str) -> bool {
    value == "Bearer" || value.starts_with("Bearer ")
}

/// Checks the request that reached the application: it is whole, and its identity is the token's.
fn passed(
    (_, line, _, body, _): &Case,
    status: u16,
    received: &[Received],
    subject: Option<&str>,
) -> Result<(), String> {
    let [request] = received else { return Err(format!("{} requests arrived", received.len())) };
    let body = if body.is_empty() { "" } else { "hello" };
    if status != 200 || format!("{} {}", request.method, request.uri) != *line {
        return Err(format!("expected 200, arrived as {} {}", request.method, request.uri));
    }
    if request.body != body.as_bytes() {
        return Err(format!("the body arrived as {:?}", request.body));
    }
    let is_identity = |(name, value): &&(String, String)| {
        name.replace('_', "-").starts_with("x-caracal-") && !value.is_empty()
    };
    let identity: Vec<_> = request.headers.iter().filter(is_identity).collect();
    let is_forged = identity.iter().any(|(_, value)| value == "forged");
    if is_forged || request.all("x-caracal-subject").first().copied() != subject {
        return Err(format!("expected the identity of {subject:?}, got {identity:?}"));
    }
    Ok(())
}
