//! The address of an example, which the variable `LISTEN` can change.

use tokio::net::TcpListener;

/// Listens at the address in `LISTEN`, or at `default` if it is not set.
pub async fn listen(default: &str) -> Result<TcpListener, Box<dyn std::error::Error>> {
    let chosen = match std::env::var("LISTEN") {
        Ok(address) => Some(address).filter(|address| !address.trim().is_empty()),
        Err(std::env::VarError::NotPresent) => None,
        Err(std::env::VarError::NotUnicode(_)) => return Err("LISTEN: not UTF-8".into()),
    };
    let address = chosen.as_deref().map_or(default, str::trim);
    TcpListener::bind(address).await.map_err(|error| {
        let cause = match error.kind() {
            std::io::ErrorKind::AddrInUse => "another program listens there".to_owned(),
            _ => error.to_string(),
        };
        format!(
            "cannot listen at {address}: {cause}. Set LISTEN to another host:port, such as \
             LISTEN=127.0.0.1:8090"
        )
        .into()
    })
}
