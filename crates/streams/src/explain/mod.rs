//! `explain`: reports if a token would be denied now, why, and by which message.

mod trace;

use std::io::Write;
use std::time::Duration;

use caracal_revocation_admin::Inspector;
use caracal_revocation_event::StreamId;
use caracal_revocation_state::{
    Checks, Claims, DenyReason, LEEWAY, NotReady, OutageCause, Revocations, Verdict,
};
use caracal_revocation_stream::StreamTail;
use serde::Serialize;

use self::trace::{TokenEffect, Traced, trace};
use crate::cli::ExplainArgs;
use crate::outcome::{Failure, Outcome};
use crate::settings::Sources;
use crate::text::span;
use crate::token::Token;
use crate::watch::read_history;

/// The answer. It contains ids of the token, and never the token itself.
#[derive(Debug, Serialize)]
struct Explanation<'x> {
    /// `admitted`, `denied` or `unknown`.
    verdict: &'static str,
    /// The reason that it is denied or unknown.
    reason: Option<&'static str>,
    /// The claim whose id is revoked.
    anchor: Option<&'static str>,
    /// `true` if only services that check the delegation epoch deny it.
    only_where_epochs_are_checked: bool,
    /// The message that causes the denial.
    message: Option<&'x Traced>,
    /// Every message that concerns the token, in the order of their ids.
    messages: &'x [Traced],
    /// The time up to which issued tokens are denied, in seconds since the Unix epoch.
    horizon: Option<i64>,
    /// `true` if the token has expired.
    is_expired: bool,
}

pub(crate) async fn explain(
    sources: &Sources,
    args: &ExplainArgs,
    out: &mut impl Write,
) -> Result<Outcome, Failure> {
    let settings = sources.settings()?;
    // Ids alone contain no lifetime.
    let mut checks = Checks::default();
    let claims = match args.claims() {
        Some(claims) => {
            checks.lifetime = false;
            claims
        }
        None => Token::read(std::io::stdin(), "the token on standard input")?.claims,
    };
    let now = Inspector::connect(&settings).await?.time().await?;
    // A follower applies every message in the streams, of any age.
    let mut watch = StreamTail::open(&settings, Some(StreamId::ZERO)).await?;
    let mut messages = Vec::new();
    read_history(&mut watch, |message| messages.extend(trace(&message, &claims))).await?;
    messages.sort_by_key(|traced| traced.id);
    let explanation = Explanation::of(&claims, &checks, &messages, watch.revocations(), now);
    if args.json {
        serde_json::to_writer(&mut *out, &explanation)?;
        writeln!(out)?;
    } else {
        explanation.write(watch.revocations(), out)?;
    }
    Ok(match explanation.verdict {
        "admitted" => Outcome::Ok,
        "denied" => Outcome::Negative,
        _ => Outcome::Error,
    })
}

impl<'x> Explanation<'x> {
    fn of(
        claims: &Claims,
        checks: &Checks,
        messages: &'x [Traced],
        state: &Revocations,
        now: Duration,
    ) -> Self {
        let at = state.now();
        let mut with_epochs = *checks;
        with_epochs.delegation_epoch = true;
        let everywhere = state.decide(claims, checks, at);
        let strictest = state.decide(claims, &with_epochs, at);
        let only_where_epochs_are_checked = matches!(everywhere, Verdict::Admitted(_))
            && !matches!(strictest, Verdict::Admitted(_));
        let (verdict, reason, anchor) = match strictest {
            Verdict::Admitted(_) => ("admitted", None, None),
            Verdict::Denied(denial) => {
                let anchor = denial.anchor().map(|kind| kind.label());
                ("denied", Some(denial.reason().label()), anchor)
            }
            Verdict::Unknown(unknown) => ("unknown", Some(unknown.label()), None),
        };
        let message = match strictest {
            Verdict::Denied(denial) => deciding_message(denial.reason(), anchor, messages),
            _ => None,
        };
        let last = now.saturating_sub(LEEWAY).as_secs().cast_signed();
        let is_expired = claims.exp <= last;
        Self {
            verdict,
            reason,
            anchor,
            only_where_epochs_are_checked,
            message,
            messages,
            horizon: state.horizon(),
            is_expired,
        }
    }

    fn write(&self, state: &Revocations, out: &mut impl Write) -> Result<(), Failure> {
        let reason = self.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let anchor = self.anchor.map(|anchor| format!(", by its {anchor}")).unwrap_or_default();
        writeln!(out, "{}{reason}{anchor}", self.verdict)?;
        if self.only_where_epochs_are_checked {
            writeln!(out, "  only by services that check the delegation epoch: resource servers")?;
        }
        if let Some(message) = self.message {
            writeln!(out, "  by {}", message.line())?;
        }
        match (self.reason, self.horizon) {
            (Some("history_incomplete"), Some(horizon)) => writeln!(
                out,
                "  messages may be missing: tokens issued up to second {horizon} are denied; a \
                 refreshed one is admitted"
            )?,
            (Some("replaying"), _) => writeln!(
                out,
                "  the history could not be proven complete: {}",
                state.readiness(state.now()).outage.map_or("run this again", OutageCause::advice)
            )?,
            (Some("not_yet_valid"), _) => writeln!(
                out,
                "  it was issued in the future: check the clocks of its issuer and of this machine"
            )?,
            (Some("lifetime_too_long"), _) => writeln!(
                out,
                "  it lives longer than 60 minutes: its revocation could expire before the token"
            )?,
            (Some("no_signature_verifies"), _) => writeln!(
                out,
                "  no message is signed with the key given here: set STREAMS_HMAC_KEY to the \
                 producers' key"
            )?,
            (Some("not_provisioned"), _) => {
                writeln!(out, "  {}", NotReady::NotProvisioned.advice())?;
            }
            _ => {}
        }
        if self.reason == Some("history_incomplete") && state.options().strict {
            writeln!(
                out,
                "  REVOCATION_STRICT: a service that starts now denies it; one that read a \
                 baseline, or ran before the token was issued, may admit it"
            )?;
        }
        let decides = self.message.map(Traced::place);
        for message in self.messages.iter().filter(|it| Some(it.place()) != decides) {
            writeln!(out, "  also {}", message.line())?;
        }
        if self.is_expired {
            writeln!(out, "  its own time is over: every service denies it anyway")?;
        }
        let age = state.staleness(state.now()).map_or("unproven".to_owned(), span);
        writeln!(
            out,
            "  based on all messages (staleness: {age}); the token's own signature was not checked"
        )?;
        Ok(())
    }
}

/// Returns the message that causes a denial: the first that revoked the token, the last that
/// suspended it, or the first that moved the epoch beyond the token's.
fn deciding_message<'x>(
    reason: DenyReason,
    anchor: Option<&str>,
    messages: &'x [Traced],
) -> Option<&'x Traced> {
    let mut candidates = messages.iter().filter(|traced| match reason {
        DenyReason::Revoked => traced.deed == TokenEffect::Revoked && traced.touches(anchor),
        DenyReason::Suspended => traced.deed == TokenEffect::Suspended && traced.touches(anchor),
        DenyReason::DelegationStale => traced.deed == TokenEffect::EpochMoved,
        _ => false,
    });
    if reason == DenyReason::Suspended { candidates.next_back() } else { candidates.next() }
}
