//! Decodes a verified message into changes: one pure function for each stream.
//!
//! The canonical form does not escape, so any writer to Redis can move text after a newline from
//! one field to another without breaking the signature (contract, "Ambiguous messages"). Such a
//! message is called re-cut. The rules here make that harmless: clean values are applied; other
//! values are set aside, and the event reports that; and a message that could be re-cut never lifts
//! or weakens a denial.

use std::borrow::Cow;
use std::cell::Cell;

use memchr::memchr;

use crate::canonical::Canonical;
use crate::change::{Anchor, Change, DelegationEpoch, PolicyReload, Resumption, Suspension, Zone};
use crate::event::Event;
use crate::key::KeySlot;
use crate::rejection::MessageRejection;
use crate::stream::{Stream, decimal};
use crate::timestamps::{DecidedAt, OccurredAt};

/// The fields that name an anchor in `sessions.revoke`, except `agent_session_id`, which may also
/// name a suspended session.
const AUTHORITY_FIELDS: [&str; 5] =
    ["session_id", "sid", "root_sid", "delegation_edge_id", "edge_id"];

pub(crate) fn read<'a>(
    stream: Stream,
    canonical: &Canonical<'a>,
    key: KeySlot,
) -> Result<Event<'a>, MessageRejection> {
    let fields = Fields::new(stream, canonical);
    let zone = fields.text("zone_id").map(|id| Zone(Cow::Borrowed(id)));
    let changes = match stream {
        Stream::SessionsRevoke => sessions_revoke(&fields),
        Stream::KeysInvalidate => keys_invalidate(&fields, zone.as_ref()),
        Stream::PolicyInvalidate => policy_invalidate(&fields, zone.as_ref()),
        Stream::DelegationsInvalidate => delegations_invalidate(&fields, zone.as_ref()),
        Stream::AgentsLifecycle => agents_lifecycle(&fields),
    }?;
    Ok(Event {
        stream,
        key,
        zone,
        reason: canonical.value("reason").map(String::from_utf8_lossy),
        decided: fields.decided(),
        changes,
        recut: fields.is_recut(),
    })
}

fn sessions_revoke<'a>(fields: &Fields<'_, 'a>) -> Result<Vec<Change<'a>>, MessageRejection> {
    let mut revoked: Vec<Change<'a>> = Vec::with_capacity(2);
    let mut revoke = |anchor: Anchor<'a>| {
        let change = Change::Revoke(anchor);
        if !revoked.contains(&change) {
            revoked.push(change);
        }
    };
    AUTHORITY_FIELDS.into_iter().filter_map(|name| fields.anchor(name)).for_each(&mut revoke);
    if let Some(session) = fields.anchor("agent_session_id") {
        match fields.weakening_time("agent_suspend", &session) {
            Some(occurred) => {
                let decided = fields.decided();
                revoked.push(Change::Suspend(Suspension { session, occurred, decided }));
            }
            None => revoke(session),
        }
    }
    if revoked.is_empty() {
        return Err(fields.reject_missing("the message names no anchor"));
    }
    Ok(revoked)
}

fn keys_invalidate<'a>(
    fields: &Fields<'_, 'a>,
    zone: Option<&Zone<'a>>,
) -> Result<Vec<Change<'a>>, MessageRejection> {
    let zone = zone.ok_or_else(|| fields.reject_missing("the message has no zone_id"))?;
    Ok(vec![Change::ForgetKeys(zone.clone())])
}

fn policy_invalidate<'a>(
    fields: &Fields<'_, 'a>,
    zone: Option<&Zone<'a>>,
) -> Result<Vec<Change<'a>>, MessageRejection> {
    let zone = zone.ok_or_else(|| fields.reject_missing("the message has no zone_id"))?.clone();
    let version = fields.text("policy_set_version_id").map(Cow::Borrowed);
    Ok(vec![Change::ReloadPolicy(PolicyReload { zone, version })])
}

fn delegations_invalidate<'a>(
    fields: &Fields<'_, 'a>,
    zone: Option<&Zone<'a>>,
) -> Result<Vec<Change<'a>>, MessageRejection> {
    let epoch =
        fields.text("epoch").and_then(decimal).filter(|epoch| i64::try_from(*epoch).is_ok());
    // Without a readable event, or with one that may replace the real one, the message counts as
    // the end of delegations. Only another event in a clean message spares the edges.
    let narrows = match fields.text("event") {
        Some("edge_revoke" | "edge_expire") | None => true,
        Some(_) => fields.is_recut(),
    };
    let ended = if narrows { fields.edges() } else { Vec::new() };
    match (zone, epoch) {
        (Some(zone), Some(epoch)) => {
            let zone = zone.clone();
            Ok(vec![Change::DelegationEpoch(DelegationEpoch { zone, epoch, narrows, ended })])
        }
        // Fallback: zone or epoch were cut off by a writer, but the clean edges are still revoked.
        _ if fields.could_be_recut && !ended.is_empty() => {
            fields.set_aside.set(true);
            Ok(ended.into_iter().map(Change::Revoke).collect())
        }
        (None, _) => Err(fields.reject_missing("the message has no zone_id")),
        _ => Err(fields.reject_missing("epoch is not a decimal number from 0 to 2^63-1")),
    }
}

fn agents_lifecycle<'a>(fields: &Fields<'_, 'a>) -> Result<Vec<Change<'a>>, MessageRejection> {
    let event = fields.text("event");
    let session = fields.anchor("agent_session_id");
    let named = || {
        session.clone().ok_or_else(|| fields.reject_missing("the message has no agent_session_id"))
    };
    match event {
        // A re-cut message may have announced the end of the session.
        _ if fields.is_recut() => Ok(vec![Change::Revoke(named()?)]),
        Some("terminate") => Ok(vec![Change::Revoke(named()?)]),
        Some("suspend") => {
            let session = named()?;
            Ok(vec![match fields.weakening_time("suspend", &session) {
                Some(occurred) => {
                    Change::Suspend(Suspension { session, occurred, decided: fields.decided() })
                }
                None => Change::Revoke(session),
            }])
        }
        Some("resume") => {
            let session = named()?;
            let occurred = fields.weakening_time("resume", &session).ok_or_else(|| {
                fields.reject_missing("a resume needs its own session and time in dedupe_key")
            })?;
            Ok(vec![Change::Resume(Resumption { session, occurred, decided: fields.decided() })])
        }
        Some(_) => Ok(Vec::new()),
        None => Err(fields.reject_missing("the message has no event")),
    }
}

/// The fields of one message, with a record of whether any of them was unclean.
struct Fields<'c, 'a> {
    canonical: &'c Canonical<'a>,
    /// `true` once a value that is acted on was set aside.
    set_aside: Cell<bool>,
    /// `true` if a field other than `reason` embeds a newline and the name of a field that is acted
    /// on.
    hides: bool,
    /// `true` if some value holds a line that could be a separate field.
    could_be_recut: bool,
    /// `true` if some value has more than one line.
    has_lines: bool,
}

impl<'c, 'a> Fields<'c, 'a> {
    fn new(stream: Stream, canonical: &'c Canonical<'a>) -> Self {
        let names = stream.acted_on();
        let mut hides = false;
        let mut could_be_recut = false;
        let mut has_lines = false;
        for (name, value) in &canonical.fields {
            if memchr(b'\n', value).is_none() {
                continue;
            }
            has_lines = true;
            for line in value.split(|byte| *byte == b'\n').skip(1) {
                let Some(end) = line.iter().position(|byte| *byte == b'=') else { continue };
                could_be_recut = true;
                let hidden = line.get(..end).unwrap_or_default();
                hides |= *name != b"reason" && names.iter().any(|name| name.as_bytes() == hidden);
            }
        }
        Self { canonical, set_aside: Cell::new(false), hides, could_be_recut, has_lines }
    }

    /// Returns a value that can be acted on: present, UTF-8, and a single line.
    fn text(&self, name: &str) -> Option<&'a str> {
        let value = self.canonical.value(name)?;
        match std::str::from_utf8(value) {
            Ok("" | "null") => None,
            Ok(text) if !self.has_lines || !text.contains('\n') => Some(text),
            _ => {
                self.set_aside.set(true);
                None
            }
        }
    }

    fn anchor(&self, name: &str) -> Option<Anchor<'a>> {
        Anchor::new(self.text(name)?)
    }

    /// Returns the delegations that the message names: `edge_id`, and `edge_ids` as JSON text.
    fn edges(&self) -> Vec<Anchor<'a>> {
        let mut edges: Vec<_> = self.anchor("edge_id").into_iter().collect();
        if let Some(text) = self.text("edge_ids") {
            match serde_json::from_str::<Vec<String>>(text) {
                Ok(ids) => edges.extend(ids.into_iter().filter_map(Anchor::new)),
                Err(_) => self.set_aside.set(true),
            }
        }
        edges
    }

    fn decided(&self) -> Option<DecidedAt> {
        let text = std::str::from_utf8(self.canonical.value("outbox_id")?).ok()?;
        DecidedAt::from_outbox_id(text)
    }

    /// Returns the time in a dedupe key `<kind>:<session>:<time>`, if the message may weaken a
    /// denial: the key names this session, its time is readable, and no field could be re-cut.
    fn weakening_time(&self, kind: &str, session: &Anchor<'_>) -> Option<OccurredAt> {
        let key = self.text("dedupe_key")?;
        if self.is_recut() || self.could_be_recut {
            return None;
        }
        let rest = key.strip_prefix(kind)?.strip_prefix(':')?;
        let time = rest.strip_prefix(session.as_str())?.strip_prefix(':')?;
        OccurredAt::parse(time)
    }

    fn is_recut(&self) -> bool {
        self.set_aside.get() || self.hides
    }

    /// Returns the rejection of a message without any value that can be acted on.
    fn reject_missing(&self, missing: &'static str) -> MessageRejection {
        if self.is_recut() || self.could_be_recut {
            MessageRejection::ambiguous("newlines leave more than one way to read the message")
        } else {
            MessageRejection::malformed(missing)
        }
    }
}
