//! The streams and consumer groups that the wire contract provisions.

/// One of the contract's streams (section "Streams"): its consumer groups and its intended length.
///
/// ```
/// use caracal_revocation_admin::StreamLayout;
/// let groups: usize = StreamLayout::ALL.iter().map(|stream| stream.groups.len()).sum();
/// assert_eq!((StreamLayout::ALL.len(), groups), (9, 9));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamLayout {
    /// The key in Redis.
    pub name: &'static str,
    /// The consumer groups to provision.
    pub groups: &'static [&'static str],
    /// The intended maximum number of entries. Operators are warned of a longer stream.
    pub intended_length: Option<u64>,
}

/// The provisioned groups that no service of Caracal reads.
const UNREAD_GROUPS: [&str; 4] =
    ["siem-export", "audit-dlq-observer", "invocations-observer", "delegations-observer"];

/// The number of entries in a node of a stream, unless Redis is configured otherwise.
const NODE: u64 = 100;

impl StreamLayout {
    /// Every stream, in the order of the contract's table.
    pub const ALL: [Self; 9] = [
        Self::of("caracal.audit.events", &["audit-ingestor", "siem-export"], Some(1_000_000)),
        Self::of("caracal.audit.events.dlq", &["audit-dlq-observer"], Some(100_000)),
        Self::of("caracal.policy.invalidate", &["opa-engine"], Some(10_000)),
        Self::of("caracal.sessions.revoke", &["sts-revocation"], Some(10_000)),
        Self::of("caracal.keys.invalidate", &["sts-keys"], Some(10_000)),
        Self::of("caracal.agents.lifecycle", &["coordinator-relay"], None),
        Self::of("caracal.invocations.lifecycle", &["invocations-observer"], None),
        Self::of("caracal.delegations.invalidate", &["delegations-observer"], None),
        Self::of("caracal.providers.ratelimit", &[], Some(1)),
    ];

    const fn of(
        name: &'static str,
        groups: &'static [&'static str],
        intended_length: Option<u64>,
    ) -> Self {
        Self { name, groups, intended_length }
    }

    /// Returns `true` if this length exceeds the intended length.
    ///
    /// A stream without groups gains an entry at each start of Redis, and `MAXLEN ~ 1` removes
    /// whole nodes only. It may therefore exceed its intended length by one node.
    #[must_use]
    pub fn is_over(&self, length: u64) -> bool {
        let slack = if self.groups.is_empty() { NODE } else { 0 };
        self.intended_length.is_some_and(|intended| length > intended + slack)
    }

    /// Returns `true` if a service of Caracal may read this group. In the other groups, unread
    /// entries are normal.
    #[must_use]
    pub fn is_read(&self, group: &str) -> bool {
        !UNREAD_GROUPS.contains(&group)
    }

    /// Returns `true` if old entries may be removed. It is `false` for the dead-letter stream of
    /// Caracal's Audit service, which replays the entries. It is also `false` for a stream without
    /// groups, which is provisioned with an entry.
    #[must_use]
    pub fn is_trimmable(&self) -> bool {
        !self.groups.is_empty() && self.name != "caracal.audit.events.dlq"
    }
}
