//! Two zones decided by embedded Rego; one policy is edited while the service runs.
//!
//! Run it with `cargo run -p caracal-example-opa --bin opa_embedded`. With `REDIS_URL` and
//! `STREAMS_HMAC_KEY` the message goes through that Redis; otherwise it stays inside this process.

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    caracal_example_opa::run(caracal_revocation::policy::RegoEngine::new()).await
}
