//! Two zones, each decided by an OPA server to which the example pushes the policy.
//!
//! Run it with `cargo run -p caracal-example-opa --bin opa_server`. Set `OPA_URL` to the addresses
//! of two OPA servers, separated by a comma. Without it the example starts the `opa` in `PATH`
//! twice.

use std::error::Error;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use caracal_example_opa::ZONES;
use caracal_revocation::policy::{OpaEngine, OpaServer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut started = Vec::new();
    let addresses: Vec<String> = match std::env::var("OPA_URL") {
        Ok(urls) => urls.split(',').map(|url| url.trim().to_owned()).collect(),
        Err(std::env::VarError::NotUnicode(_)) => return Err("OPA_URL: not UTF-8".into()),
        Err(std::env::VarError::NotPresent) => {
            for _ in ZONES {
                started.push(Opa::start()?);
            }
            started.iter().map(|opa| opa.address.clone()).collect()
        }
    };
    if addresses.len() < ZONES.len() {
        return Err("OPA_URL names one OPA: two zones need two, such as \
                    http://127.0.0.1:8181,http://127.0.0.1:8182"
            .into());
    }
    let mut engine = OpaEngine::new();
    for (zone, address) in ZONES.into_iter().zip(&addresses) {
        println!("{zone} is decided by the OPA at {address}");
        engine = engine.pushing(zone, OpaServer::new(address)?);
    }
    caracal_example_opa::run(engine).await
}

/// An OPA server that this program starts, and kills when it is dropped.
struct Opa {
    address: String,
    process: Child,
}

impl Opa {
    fn start() -> Result<Self, Box<dyn Error>> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let process = Command::new("opa")
            .args(["run", "--server", "--log-level", "error", "--addr", &address.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| {
                format!("no OPA: set OPA_URL, or put `opa` into PATH (see the README): {error}")
            })?;
        let opa = Self { address: format!("http://{address}"), process };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if began.elapsed() > Duration::from_secs(20) {
                return Err("the OPA that was started does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(opa)
    }
}

impl Drop for Opa {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
