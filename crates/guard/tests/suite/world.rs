//! A Redis, an issuer with its keys, and a publisher: what a guard needs around it.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use caracal_revocation::wire::MessageBuilder;
use caracal_revocation::{Publisher, Settings};
use caracal_test_support::issuer::Issuer;
use caracal_test_support::redis_server::RedisServer;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::program::Guard;

pub(crate) const ZONE: &str = "zone-1";
pub(crate) const AUDIENCE: &str = "https://api.example";

/// The surroundings of a guard.
pub(crate) struct World {
    pub(crate) redis: RedisServer,
    pub(crate) issuer: Issuer,
    issuer_url: String,
    key: String,
    publisher: Publisher,
}

impl World {
    /// Starts a Redis and an STS that publishes its keys.
    pub(crate) async fn start() -> Self {
        let redis = RedisServer::in_memory();
        let hex = "5a".repeat(32);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer_url = format!("http://{}", listener.local_addr().unwrap());
        let issuer = Issuer::new(&issuer_url, ZONE).unwrap();
        let keys = issuer.clone();
        let app = Router::new().route("/.well-known/jwks.json", get(async move || keys.jwks()));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let settings = settings(&redis, &hex);
        let publisher = Publisher::connect(&settings).await.unwrap();
        Self { redis, issuer, issuer_url, key: hex, publisher }
    }

    /// The environment of a guard that follows this Redis and trusts this issuer.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CARACAL_MODE", "dev".to_owned()),
            ("REDIS_URL", self.redis.url()),
            ("STREAMS_HMAC_KEY", self.key.clone()),
            ("CARACAL_ISSUER", self.issuer_url.clone()),
            ("CARACAL_AUDIENCE", AUDIENCE.to_owned()),
            ("CARACAL_ZONE", ZONE.to_owned()),
        ]
    }

    /// Returns the environment of a guard with this configuration file, and the folder of the file.
    pub(crate) fn configured(&self, file: &str) -> (Vec<(&'static str, String)>, TempDir) {
        let folder = TempDir::with_prefix("guard-config-").unwrap();
        let path = folder.path().join("guard.toml");
        std::fs::write(&path, file).unwrap();
        let mut environment = self.environment();
        environment.push(("CARACAL_GUARD_CONFIG", path.display().to_string()));
        (environment, folder)
    }

    /// Starts a guard with these arguments, and waits until it is ready.
    pub(crate) async fn guard(&self, arguments: &[&str]) -> Guard {
        Guard::start(&self.environment(), arguments).await
    }

    /// Issues a mandate of this authority record.
    pub(crate) fn mint(&self, sid: &str) -> String {
        self.mint_with(sid, &json!({}))
    }

    /// Issues a mandate with more claims, or other values of the usual ones.
    pub(crate) fn mint_with(&self, sid: &str, more: &Value) -> String {
        self.issuer.mint(sid, AUDIENCE, more).unwrap()
    }

    /// Publishes the revocation of an authority record.
    pub(crate) async fn revoke(&self, sid: &str) {
        let message = MessageBuilder::revoke(ZONE, "test").session(sid);
        self.publisher.publish(message).await.unwrap();
    }
}

/// Returns an address of this machine that nothing listens on.
pub(crate) fn free_address() -> SocketAddr {
    ([127, 0, 0, 1], caracal_test_support::ports::free_port().unwrap()).into()
}

fn settings(redis: &RedisServer, key: &str) -> Settings {
    let url = redis.url();
    Settings::from_lookup(|name| match name {
        "CARACAL_MODE" => Some("dev".to_owned()),
        "REDIS_URL" => Some(url.clone()),
        "STREAMS_HMAC_KEY" => Some(key.to_owned()),
        _ => None,
    })
    .unwrap()
}
