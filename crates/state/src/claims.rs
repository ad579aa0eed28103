//! The claims of a token that describe its authority: its anchors, zone, epoch and age.

/// The claims of a mandate that revocation needs (contract, "Mandates").
///
/// A token's verifier puts this type into the request; it deserializes from a JWT's payload. A
/// repeated claim of any name is an error, as is a value of the wrong type. Empty and null values
/// count as absent. `sid`, `iat` and `exp` are required: without the last two, the end of the token
/// would be unknown, and it could outlive the memory of its revocation.
///
/// ```
/// use caracal_revocation_state::Claims;
/// let claims: Claims = serde_json::from_str(
///     r#"{"sid":"ar-1","root_sid":"ar-0","iat":1795400000,"exp":1795403600,"scope":"read"}"#,
/// )?;
/// assert_eq!(&*claims.sid, "ar-1");
/// let twice = r#"{"sid":"ar-1","sid":"ar-2","iat":1795400000,"exp":1795403600}"#;
/// assert!(serde_json::from_str::<Claims>(twice).is_err());
/// let endless = r#"{"sid":"ar-1","iat":1795400000}"#;
/// assert!(serde_json::from_str::<Claims>(endless).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// The text is of type `S`: owned by default, borrowed from the payload with [`Text`](crate::Text).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claims<S = Box<str>> {
    /// The id of the authority record.
    pub sid: S,
    /// The id of the root authority record.
    pub root_sid: Option<S>,
    /// The id of the governed session.
    pub agent_session_id: Option<S>,
    /// The id of the delegation.
    pub delegation_edge_id: Option<S>,
    /// The applications through which the authority was delegated: the source of each delegation
    /// and, last, the receiver of the token.
    pub delegation_chain: Vec<Hop<S>>,
    /// The ids of the delegations through which the token got its authority.
    pub delegation_path: Vec<S>,
    /// The number of delegations through which the token got its authority; see [`Claims::hops`].
    pub hop_count: Option<u32>,
    /// The zone's delegation graph epoch when the token was issued; 0 if unknown.
    pub delegation_graph_epoch: u64,
    /// The id of the zone.
    pub zone_id: Option<S>,
    /// The use of the token: `session`, `gateway` or `resource` (the claim `use`).
    pub token_use: Option<S>,
    /// The time at which the token was issued, in seconds since the Unix epoch.
    pub iat: i64,
    /// The time at which the token expires, in seconds since the Unix epoch: no later than
    /// [`LONGEST_LIFETIME`](crate::LONGEST_LIFETIME) after `iat`.
    pub exp: i64,
}

/// One hop of a delegation chain: one application that delegated or received the authority.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop<S = Box<str>> {
    /// The governed session of this hop.
    pub agent_session_id: Option<S>,
    /// The delegation of this hop.
    pub delegation_edge_id: Option<S>,
}

/// The claim that contains an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AnchorKind {
    /// The claim `sid`: the authority record.
    Sid,
    /// The claim `root_sid`: the root of its chain.
    RootSid,
    /// The claim `agent_session_id`: the governed session.
    AgentSession,
    /// The claim `delegation_edge_id`: the delegation.
    Delegation,
    /// A hop's `agent_session_id` in `delegation_chain`.
    ChainSession,
    /// A hop's `delegation_edge_id` in `delegation_chain`, or an entry of `delegation_path`.
    ChainDelegation,
}

impl AnchorKind {
    /// Returns the kind as a label, such as `agent_session`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Sid => "sid",
            Self::RootSid => "root_sid",
            Self::AgentSession => "agent_session",
            Self::Delegation => "delegation",
            Self::ChainSession => "chain_session",
            Self::ChainDelegation => "chain_delegation",
        }
    }
}

impl Claims {
    /// Creates claims with an authority record, `iat` and `exp` (in seconds since the Unix epoch),
    /// and nothing else.
    #[must_use]
    pub fn new(sid: &str, iat: i64, exp: i64) -> Self {
        Self {
            sid: sid.into(),
            root_sid: None,
            agent_session_id: None,
            delegation_edge_id: None,
            delegation_chain: Vec::new(),
            delegation_path: Vec::new(),
            hop_count: None,
            delegation_graph_epoch: 0,
            zone_id: None,
            token_use: None,
            iat,
            exp,
        }
    }
}

impl<S> Hop<S> {
    /// Creates a hop with these ids.
    #[must_use]
    pub const fn new(agent_session_id: Option<S>, delegation_edge_id: Option<S>) -> Self {
        Self { agent_session_id, delegation_edge_id }
    }
}

impl<S: AsRef<str>> Claims<S> {
    /// Returns a copy of the claims with owned text.
    pub(crate) fn to_owned_text(&self) -> Claims {
        let owned = |text: &S| Box::<str>::from(text.as_ref());
        let optional = |text: &Option<S>| text.as_ref().map(owned);
        let hop = |hop: &Hop<S>| {
            Hop::new(optional(&hop.agent_session_id), optional(&hop.delegation_edge_id))
        };
        Claims {
            sid: owned(&self.sid),
            root_sid: optional(&self.root_sid),
            agent_session_id: optional(&self.agent_session_id),
            delegation_edge_id: optional(&self.delegation_edge_id),
            delegation_chain: self.delegation_chain.iter().map(hop).collect(),
            delegation_path: self.delegation_path.iter().map(owned).collect(),
            hop_count: self.hop_count,
            delegation_graph_epoch: self.delegation_graph_epoch,
            zone_id: optional(&self.zone_id),
            token_use: optional(&self.token_use),
            iat: self.iat,
            exp: self.exp,
        }
    }

    /// Returns `true` if Caracal's tables hold everything that the streams report about the token's
    /// authority. They do not for a session's own mandate, nor for a token without a `use`.
    pub(crate) fn is_in_tables(&self) -> bool {
        self.token_use
            .as_ref()
            .is_some_and(|usage| matches!(usage.as_ref(), "gateway" | "resource"))
    }

    /// Returns the number of delegations through which the token got its authority: the largest
    /// number that any claim gives.
    ///
    /// `hop_count` counts delegations. `delegation_chain` also names the receiver, so it may be
    /// longer by one. Without `hop_count`, or if the chain is longer still, each of its elements
    /// counts.
    pub fn hops(&self) -> u32 {
        let len = |len| u32::try_from(len).unwrap_or(u32::MAX);
        let (chain, path) = (len(self.delegation_chain.len()), len(self.delegation_path.len()));
        let counted = self.hop_count.unwrap_or(0).max(path);
        match self.hop_count {
            Some(count) if chain <= count.saturating_add(1) => counted,
            _ => counted.max(chain),
        }
    }

    /// Returns `true` if the token has two delegations or more. The suspension of an earlier
    /// session does not end the token's own session.
    pub(crate) fn has_earlier_hops(&self) -> bool {
        self.hops() >= 2
    }

    /// Returns `true` if `test` returns `true` for any anchor. It tests all of them, so that no
    /// lookup waits for the result of the previous one.
    #[inline]
    pub(crate) fn any_anchor(&self, with_chain: bool, test: impl Fn(&str) -> bool) -> bool {
        let test = |id: Option<&S>| id.is_some_and(|id| test(id.as_ref()));
        let mut any = test(Some(&self.sid))
            | test(self.root_sid.as_ref())
            | test(self.agent_session_id.as_ref())
            | test(self.delegation_edge_id.as_ref());
        if with_chain {
            for hop in &self.delegation_chain {
                any |= test(hop.agent_session_id.as_ref()) | test(hop.delegation_edge_id.as_ref());
            }
            for edge in &self.delegation_path {
                any |= test(Some(edge));
            }
        }
        any
    }

    /// Returns every anchor of the token; those of the chain only if `with_chain` is set.
    pub fn anchors(&self, with_chain: bool) -> impl Iterator<Item = (AnchorKind, &str)> {
        let own = [
            (AnchorKind::Sid, Some(&self.sid)),
            (AnchorKind::RootSid, self.root_sid.as_ref()),
            (AnchorKind::AgentSession, self.agent_session_id.as_ref()),
            (AnchorKind::Delegation, self.delegation_edge_id.as_ref()),
        ];
        let hops = if with_chain { self.delegation_chain.as_slice() } else { &[] };
        let path = if with_chain { self.delegation_path.as_slice() } else { &[] };
        let hops = hops.iter().flat_map(|hop| {
            [
                (AnchorKind::ChainSession, hop.agent_session_id.as_ref()),
                (AnchorKind::ChainDelegation, hop.delegation_edge_id.as_ref()),
            ]
        });
        let path = path.iter().map(|edge| (AnchorKind::ChainDelegation, Some(edge)));
        own.into_iter()
            .chain(hops)
            .chain(path)
            .filter_map(|(kind, id)| id.map(|id| (kind, id.as_ref())))
            .filter(|(_, id)| !id.is_empty())
    }
}
