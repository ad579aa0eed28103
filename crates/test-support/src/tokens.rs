//! Generates claims to check and ids to revoke. They are equal in every run.

use caracal_revocation_event::{KeyRing, Message, Stream};
use caracal_revocation_state::{Claims, Options, RevocationsWriter};

/// The first number of ids that are never revoked.
pub const UNKNOWN: u64 = 1 << 40;

/// Returns a fresh state in which the ids below `entries` are revoked.
pub fn revoked(entries: u64) -> RevocationsWriter {
    let revocations = RevocationsWriter::new(Options::default());
    revoke(&revocations, &(0..entries).map(id).collect::<Vec<_>>());
    revocations.confirm(revocations.now());
    revocations
}

/// Revokes the ids with real events. They revoke delegations, since one message can name many.
pub fn revoke(revocations: &RevocationsWriter, ids: &[String]) {
    let ring = KeyRing::insecure_accept_unsigned();
    for ids in ids.chunks(500) {
        let edges = serde_json::to_string(ids).expect("JSON");
        let fields: [(&[u8], &[u8]); 4] = [
            (b"zone_id", b"z-1"),
            (b"epoch", b"1"),
            (b"event", b"edge_revoke"),
            (b"edge_ids", edges.as_bytes()),
        ];
        let message = Message::new(Stream::DelegationsInvalidate, &fields);
        let event = ring.verify(&message).expect("a message");
        revocations.apply(&event, revocations.now());
    }
}

/// Revokes a session.
pub fn revoke_session(revocations: &RevocationsWriter, sid: &str) {
    let fields: [(&[u8], &[u8]); 1] = [(b"sid", sid.as_bytes())];
    let message = Message::new(Stream::SessionsRevoke, &fields);
    let event = KeyRing::insecure_accept_unsigned().verify(&message).expect("a message");
    revocations.apply(&event, revocations.now());
}

/// Returns the claims of a token issued now, with the longest lifetime.
pub fn claims(sid: &str) -> Claims {
    let now = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs();
    let now = i64::try_from(now).expect("a time");
    Claims::new(sid, now, now + 3_600)
}

/// Returns tokens with four anchors each. If there are entries, the last anchor in look-up order is
/// revoked.
pub fn tokens(count: u64, entries: u64) -> Vec<Claims> {
    let token = |n: u64| {
        let [sid, root, session, edge] = [0, 1, 2, 3].map(|anchor| id(UNKNOWN + n * 4 + anchor));
        let mut claims = claims(&sid);
        claims.root_sid = Some(root.into());
        claims.agent_session_id = Some(session.into());
        let revoked = (entries > 0).then(|| id(n * entries / count));
        claims.delegation_edge_id = Some(revoked.unwrap_or(edge).into());
        claims
    };
    (0..count).map(token).collect()
}

/// Returns the id of this number: 36 characters in the form of a UUID.
pub fn id(number: u64) -> String {
    let (high, low) = (mix(number * 2), mix(number * 2 + 1));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0xfff,
        low & 0xffff_ffff_ffff
    )
}

/// Mixes the bits of a number, as `SplitMix64` does.
const fn mix(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
