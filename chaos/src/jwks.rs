//! The server with the issuer's public keys, which resource servers fetch.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::{Json, Router, routing::get};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::failure::Failure;

type Published = Arc<Mutex<Vec<Value>>>;

/// Publishes keys until it is dropped.
pub struct Jwks {
    address: SocketAddr,
    keys: Published,
    serving: JoinHandle<()>,
}

impl Jwks {
    pub async fn start() -> Result<Self, Failure> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let keys = Published::default();
        let document = async |State(keys): State<Published>| {
            let keys = keys.lock().expect("no thread panics here").clone();
            Json(json!({ "keys": keys }))
        };
        let app = Router::new().route("/jwks.json", get(document)).with_state(keys.clone());
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, keys, serving })
    }

    pub fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    pub fn publish(&self, key: Value) {
        self.keys.lock().expect("no thread panics here").push(key);
    }

    /// Removes the key with this `kid`.
    pub fn withdraw(&self, kid: &str) {
        self.keys.lock().expect("no thread panics here").retain(|key| key["kid"] != kid);
    }
}

impl Drop for Jwks {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
