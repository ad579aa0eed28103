//! Where an example finds its streams: a real Redis if one is named, else inside this process.

use caracal_revocation::{Follower, InProcess, Key, KeyRing, Publisher, Settings};

/// A follower, and a publisher that plays Caracal's part.
#[allow(dead_code, reason = "an example that needs more asks Origin")]
pub async fn from_env() -> Result<(Follower, Publisher), Box<dyn std::error::Error>> {
    let origin = Origin::from_env()?;
    Ok((origin.follower()?, origin.publisher().await?))
}

/// Where the streams are.
pub enum Origin {
    InProcess(InProcess, Key),
    Redis(Box<Settings>),
}

impl Origin {
    /// The streams that the environment names.
    ///
    /// With a Redis but no `STREAMS_HMAC_KEY` the example signs with a key that everybody knows:
    /// it writes messages that no real service believes.
    pub fn from_env() -> Result<Self, Box<dyn std::error::Error>> {
        let is_set = |name| std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
        let has_server = ["REDIS_URL", "REDIS_URL_FILE", "REDIS_HOST"].into_iter().any(is_set);
        if !has_server {
            println!("Streams: inside this process (set REDIS_URL to use a Redis).");
            return Ok(Self::InProcess(InProcess::new(), Key::generate()?));
        }
        let has_key = ["STREAMS_HMAC_KEY", "STREAMS_HMAC_KEY_FILE"].into_iter().any(is_set);
        let settings = if has_key || is_set("CARACAL_MODE") {
            Settings::from_env()?
        } else {
            println!("STREAMS_HMAC_KEY is not set: signing with the examples' well-known key.");
            let example_key = Key::from_hex(&"c0ffee00".repeat(8))?;
            let dev = |name: &str| match name {
                "CARACAL_MODE" => Some("dev".to_owned()),
                name => std::env::var(name).ok(),
            };
            Settings::from_lookup(dev)?.with_keys(KeyRing::new(example_key))
        };
        println!("Streams: {settings:?}");
        Ok(Self::Redis(Box::new(settings)))
    }

    pub fn follower(&self) -> Result<Follower, Box<dyn std::error::Error>> {
        Ok(match self {
            Self::InProcess(streams, key) => {
                Follower::in_process(streams, KeyRing::new(key.clone()))?
            }
            Self::Redis(settings) => Follower::new((**settings).clone()),
        })
    }

    pub async fn publisher(&self) -> Result<Publisher, Box<dyn std::error::Error>> {
        Ok(match self {
            Self::InProcess(streams, key) => Publisher::in_process(streams, Some(key.clone())),
            Self::Redis(settings) => Publisher::connect(settings).await?,
        })
    }
}
