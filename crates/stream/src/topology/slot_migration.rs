//! Slot migration in a cluster: detects that the previous node released a stream's slot, and parses
//! `ASK` redirects.

use caracal_revocation_event::Stream;

use super::address::Address;
use super::cluster::{Nodes, slot};
use super::quorum_votes::AT_ONCE;
use crate::identity::Identity;
use crate::log_error::LogError;

/// Returns the run id of this node if it is a master that released the stream's slot. Then it no
/// longer claims the slot, or it redirects with `ASK` while the slot migrates. A node that was
/// replaced after a failure still claims the slot, or is now a replica or another process.
pub(super) async fn released_slot(
    nodes: &Nodes,
    node: &Address,
    stream: Stream,
    is_migrating: bool,
) -> Result<Option<Box<str>>, LogError> {
    let mut connection = nodes.connect(node).await?;
    let identity = Identity::query(&mut connection).await?;
    let view = nodes.view(&mut connection, node).await?;
    let owner = view.vote(slot(stream.name()), AT_ONCE).map(|vote| vote.primary);
    let claims_it = owner.is_none_or(|owner| owner == *node);
    Ok((!identity.is_replica && (!claims_it || is_migrating)).then_some(identity.run_id))
}

/// Returns the address in an `ASK` redirect, which a node sends while a slot migrates.
pub(super) fn parse_ask_redirect(error: &LogError, by: Option<&Address>) -> Option<Address> {
    let LogError::Redis(message) = error else { return None };
    let mut parts = message.split_whitespace();
    let place = parts.next().filter(|code| *code == "ASK").and_then(|_| parts.nth(1))?;
    let (host, port) = place.rsplit_once(':')?;
    // Without a host in the redirect, the host is the same as before.
    let host = if host.is_empty() { &*by?.host } else { host };
    Some(Address { host: host.into(), port: port.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_ask_redirects_only() {
        let by = Address { host: "here".into(), port: 1 };
        let to = |message: &str| parse_ask_redirect(&LogError::Redis(message.into()), Some(&by));
        let at = |host: &str| Some(Address { host: host.into(), port: 7001 });
        assert_eq!(to("ASK 13713 127.0.0.1:7001"), at("127.0.0.1"));
        assert_eq!(to("ASK 13713 :7001"), at("here"));
        assert_eq!(to("ASK 13713 ::1:7001"), at("::1"));
        for message in ["MOVED 13713 127.0.0.1:7001", "ASK", "ASK 1 here", "CLUSTERDOWN"] {
            assert_eq!(to(message), None, "{message}");
        }
    }
}
