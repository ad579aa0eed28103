//! The streams and consumer groups that the wire contract provisions.

/// One of the contract's streams: its groups, and how long it is meant to be.
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
    /// How many entries it is meant to have at most; beyond it an operator is warned.
    pub intended_length: Option<u64>,
}

/// Groups that are provisioned, and that no service of Caracal reads.
const UNREAD_GROUPS: [&str; 4] =
    ["siem-export", "audit-dlq-observer", "invocations-observer", "delegations-observer"];

/// Entries in a node of a stream, unless Redis is configured otherwise.
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

    /// Returns `true` if it is longer than it is meant to be.
    ///
    /// A stream without groups gains an entry at each start of Redis: `MAXLEN ~ 1` removes whole
    /// nodes only.
    #[must_use]
    pub fn is_over(&self, length: u64) -> bool {
        let slack = if self.groups.is_empty() { NODE } else { 0 };
        self.intended_length.is_some_and(|intended| length > intended + slack)
    }

    /// Returns `true` if a service of Caracal reads this group, or may read it. In the groups that
    /// none reads, unread entries are normal.
    #[must_use]
    pub fn is_read(&self, group: &str) -> bool {
        !UNREAD_GROUPS.contains(&group)
    }

    /// Returns `true` if old entries may be removed: Caracal's Audit service replays those of its
    /// dead-letter stream, and a stream without groups is kept by its entry.
    #[must_use]
    pub fn is_trimmable(&self) -> bool {
        !self.groups.is_empty() && self.name != "caracal.audit.events.dlq"
    }
}
