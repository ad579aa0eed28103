//! The probe of a drill: a service that must admit a token before its revocation, and deny it
//! afterwards.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use caracal_revocation_event::MessageBuilder;
use caracal_revocation_state::Claims;
use http::{HeaderValue, StatusCode, Uri};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::http_client::{Answer, HttpClient};
use super::report::ProbeReport;
use crate::outcome::Failure;
use crate::text::{plain, span};
use crate::token::Token;

/// The pause between two requests of the probe.
const PAUSE: Duration = Duration::from_millis(5);

/// A token, the service that judges it, and the anchor to revoke. Contains a secret, so it has no
/// `Debug`.
pub(super) struct Probe {
    url: Uri,
    authorization: HeaderValue,
    claim: AnchorClaim,
    anchor: String,
    zone: String,
    /// The expiry of the token, since the Unix epoch.
    expiry: Duration,
    /// The source of the token, for errors.
    place: String,
}

/// The claim of a token that holds the anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AnchorClaim {
    Sid,
    RootSid,
    AgentSession,
    Delegation,
}

/// The part of an error that a service answers with.
#[derive(Debug, Default, Deserialize)]
struct ErrorBody {
    error: Option<String>,
    error_description: Option<String>,
}

impl Probe {
    /// Reads the token of a file, and finds the anchor to revoke: `anchor`, else the claim `sid`.
    ///
    /// Fails if the token lacks this anchor: another user's tokens could have it. Fails too if the
    /// token expires before `within` has passed.
    pub(super) fn read(
        url: Uri,
        file: &Path,
        anchor: Option<&str>,
        zone: Option<&str>,
        within: Duration,
    ) -> Result<Self, Failure> {
        let place = format!("--probe-token-file {}", file.display());
        let wrong = |what: &str| Failure::new(format!("{place}: {what}"));
        let input = File::open(file).map_err(|error| wrong(&error.to_string()))?;
        let token = Token::read(input, &place)?;
        let claims = &token.claims;
        let expiry = Duration::from_secs(u64::try_from(claims.exp).unwrap_or(0));
        let (claim, anchor) = match anchor {
            None => (AnchorClaim::Sid, claims.sid.to_string()),
            Some(id) => (claim_of(claims, id).ok_or_else(no_anchor)?, id.to_owned()),
        };
        let zone = zone.or(claims.zone_id.as_deref()).map(str::to_owned);
        let zone = zone.ok_or_else(|| wrong("the token names no zone: pass --zone"))?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.text))
            .map_err(|_| wrong("the token holds characters that no token has"))?;
        authorization.set_sensitive(true);
        let probe = Self { url, authorization, claim, anchor, zone, expiry, place };
        probe.check_lifetime(within)?;
        Ok(probe)
    }

    /// Fails if the token expires within this time, because the service would then deny it anyway.
    pub(super) fn check_lifetime(&self, within: Duration) -> Result<(), Failure> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if self.expiry >= now.saturating_add(within) {
            return Ok(());
        }
        let left = span(self.expiry.saturating_sub(now));
        Err(Failure::new(format!("{}: the token expires in {left}: get a new one", self.place)))
    }

    /// Checks that the service admits the token, twice: a token that is admitted only once would
    /// look revoked afterwards.
    pub(super) async fn check_admitted(&self, client: &HttpClient) -> Result<(), Failure> {
        for (time, remedy) in [
            (
                "before",
                "nothing was published; pass a token and a URL that the service answers 2xx",
            ),
            ("a second time", "nothing was published; pass a token that is admitted repeatedly"),
        ] {
            let answer = client.get(&self.url, Some(&self.authorization)).await;
            if !answer.as_ref().is_ok_and(|answer| answer.status.is_success()) {
                let answer = text(&answer);
                let url = plain(&self.url.to_string()).into_owned();
                return Err(Failure::new(format!(
                    "--probe {url}: the token was not admitted {time}: {answer}; {remedy}"
                )));
            }
        }
        Ok(())
    }

    /// Returns the question whether to revoke the token.
    pub(super) fn question(&self) -> String {
        let (claim, anchor) = (self.claim.label(), plain(&self.anchor));
        let zone = plain(&self.zone);
        format!(
            "--probe revokes a real token for good: {claim} {anchor}, zone {zone}.\nEvery service \
             denies every token with this id from now on.\nRevoke it?"
        )
    }

    pub(super) fn anchor(&self) -> &str {
        &self.anchor
    }

    /// Returns the message that revokes exactly the anchor.
    pub(super) fn message(&self) -> MessageBuilder {
        let message = MessageBuilder::revoke(&self.zone, "drill");
        match self.claim {
            AnchorClaim::Sid => message.session(&self.anchor),
            AnchorClaim::RootSid => message.root(&self.anchor),
            AnchorClaim::AgentSession => message.agent_session(&self.anchor),
            AnchorClaim::Delegation => message.delegation_edge(&self.anchor),
        }
    }

    /// Sends requests until the service denies the token as revoked, at most until the deadline.
    /// `sent` is the time when the message was sent.
    pub(super) async fn until_denied(
        &self,
        client: &HttpClient,
        sent: Instant,
        deadline: Instant,
    ) -> ProbeReport {
        loop {
            let answer = client.get(&self.url, Some(&self.authorization)).await;
            let after = sent.elapsed();
            let is_denied = answer.as_ref().is_ok_and(says_revoked);
            if is_denied || Instant::now() >= deadline {
                return ProbeReport {
                    url: self.url.to_string(),
                    denied_seconds: is_denied.then_some(after.as_secs_f64()),
                    answer: text(&answer),
                };
            }
            sleep(PAUSE).await;
        }
    }
}

impl AnchorClaim {
    const fn label(self) -> &'static str {
        match self {
            Self::Sid => "sid",
            Self::RootSid => "root_sid",
            Self::AgentSession => "agent_session_id",
            Self::Delegation => "delegation_edge_id",
        }
    }
}

fn claim_of(claims: &Claims, id: &str) -> Option<AnchorClaim> {
    let has = |claim: &Option<Box<str>>| claim.as_deref() == Some(id);
    if &*claims.sid == id {
        Some(AnchorClaim::Sid)
    } else if has(&claims.root_sid) {
        Some(AnchorClaim::RootSid)
    } else if has(&claims.agent_session_id) {
        Some(AnchorClaim::AgentSession)
    } else {
        has(&claims.delegation_edge_id).then_some(AnchorClaim::Delegation)
    }
}

fn no_anchor() -> Failure {
    Failure::new(
        "--probe-anchor: not an anchor of the token: expected its sid, root_sid, agent_session_id \
         or delegation_edge_id",
    )
}

/// Returns `true` if an answer denies the token because it is revoked: status 401, and no other reason
/// in the body. A service that gives no reason is believed, because it has admitted the token before.
fn says_revoked(answer: &Answer) -> bool {
    let body: ErrorBody = serde_json::from_slice(&answer.body).unwrap_or_default();
    let is_other = |reason: &String| !reason.to_ascii_lowercase().contains("revoked");
    answer.status == StatusCode::UNAUTHORIZED
        && !body.error_description.as_ref().is_some_and(is_other)
}

/// Returns an answer as text: its status, and the error in its body.
fn text(answer: &Result<Answer, String>) -> String {
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => return why.clone(),
    };
    let body: ErrorBody = serde_json::from_slice(&answer.body).unwrap_or_default();
    let parts = [Some(answer.status.as_u16().to_string()), body.error, body.error_description];
    plain(&parts.into_iter().flatten().collect::<Vec<_>>().join(", ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_401_without_another_reason_means_revoked() {
        let says = |status: u16, body: &'static str| {
            let status = StatusCode::from_u16(status).unwrap();
            says_revoked(&Answer { status, body: body.into() })
        };
        let revoked = r#"{"error":"invalid_token","error_description":"session revoked"}"#;
        assert!(says(401, revoked) && says(401, "") && says(401, r#"{"error":"invalid_token"}"#));
        assert!(!says(403, revoked) && !says(200, ""));
        for other in ["token expired", "refresh the mandate", "token was already used"] {
            let body = format!(r#"{{"error":"invalid_token","error_description":"{other}"}}"#);
            let answer = Answer { status: StatusCode::UNAUTHORIZED, body: body.into() };
            assert!(!says_revoked(&answer), "{other}");
        }
    }

    #[test]
    fn finds_the_claim_of_an_anchor_and_no_foreign_one() {
        let mut claims = Claims::new("ar-1", 0, 9);
        claims.root_sid = Some("ar-0".into());
        claims.agent_session_id = Some("gs-1".into());
        claims.delegation_edge_id = Some("de-1".into());
        let found = ["ar-1", "ar-0", "gs-1", "de-1", "ar-2"].map(|id| claim_of(&claims, id));
        let expected = [
            Some(AnchorClaim::Sid),
            Some(AnchorClaim::RootSid),
            Some(AnchorClaim::AgentSession),
            Some(AnchorClaim::Delegation),
            None,
        ];
        assert_eq!(found, expected);
    }
}
