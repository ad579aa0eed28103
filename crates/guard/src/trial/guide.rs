//! The lines that the trial prints first: commands to copy.

use std::fmt;
use std::net::SocketAddr;

/// The commands for a trial at this address.
pub(super) struct Guide {
    pub(super) address: SocketAddr,
    /// `true` if another program already has the usual port.
    pub(super) moved: bool,
}

impl fmt::Display for Guide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = format!("http://{}", self.address);
        let bearer = "-H \"Authorization: Bearer $TOKEN\"";
        if self.moved {
            writeln!(f, "Port 8080 is in use: the trial has another one.")?;
        }
        // No comments behind the commands: zsh would pass them to curl.
        write!(
            f,
            "A guarded service runs on {url}. Copy these lines into another terminal:

  TOKEN=$(curl -s {url}/token)
  curl -i {bearer} {url}/
  curl -N {bearer} {url}/events &
  sleep 3
  curl -X POST {url}/revoke
  curl -i {bearer} {url}/

The mandate is admitted (200) and an event stream runs. The revocation cuts the stream, and the
mandate is denied (401). Ctrl+C ends the trial. What happens here:
"
        )
    }
}
