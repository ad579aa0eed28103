//! The findings about the messages: readiness, signing keys, rejections and dead letters.

use caracal_revocation_event::Stream;
use caracal_revocation_state::{NotReady, OutageCause};

use super::finding::Finding;
use super::gather::{DAY, Evidence, Replay, StreamOutcomes};
use crate::text::plain;

pub(super) fn check(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = match &evidence.replay {
        Err(error) => vec![
            Finding::broken("follower", error.clone())
                .why("a service with these settings does not start, or cannot read the streams")
                .then("correct the setting named here, or the findings above"),
        ],
        Ok(replay) => of_replay(replay, evidence.has_previous_key),
    };
    findings.extend(dead_letters(evidence));
    findings
}

fn of_replay(replay: &Replay, has_previous_key: bool) -> Vec<Finding> {
    let applied: u64 = replay.streams.iter().map(|outcomes| outcomes.applied).sum();
    let mut findings = Vec::new();
    findings.push(match replay.not_ready {
        None => Finding::fine("follower", format!("{applied} messages of the last day applied")),
        Some(NotReady::NoSignatureVerifies) => {
            Finding::broken("follower", "messages arrive and none is signed with an accepted key")
                .about("STREAMS_HMAC_KEY")
                .why("a service is not ready and answers 503 to every request")
                .then("set STREAMS_HMAC_KEY, or STREAMS_HMAC_KEY_PREVIOUS, to the producers' key")
        }
        Some(why @ NotReady::NotProvisioned) => {
            Finding::broken("follower", "none of the streams that a follower reads exists")
                .about("REDIS_URL")
                .why("a service is not ready and answers 503 to every request")
                .then(why.advice())
        }
        Some(_) => Finding::broken("follower", "the history could not be proven complete")
            .why("until it is proven, the verdict for every token is unknown")
            .then(replay.outage.map_or(
                "run the doctor again; if this stays, a client deletes or trims without pause",
                OutageCause::advice,
            )),
    });
    if let Some(horizon) = replay.horizon {
        let seen = format!("messages up to second {horizon} (Unix time) may be missing");
        findings.push(
            Finding::warning("horizon", seen)
                .why("tokens issued up to then are denied as history_incomplete until refreshed")
                .then("find the client that trimmed, deleted or flushed within the last day"),
        );
    }
    findings.extend(keys(replay, has_previous_key));
    let streams = Stream::ALL.into_iter().zip(&replay.streams);
    findings.extend(streams.filter_map(|(stream, outcomes)| rejected_messages(stream, outcomes)));
    findings
}

fn keys(replay: &Replay, has_previous_key: bool) -> Vec<Finding> {
    let [current, previous, unsigned] = replay.keys;
    let failed: u64 = replay.streams.iter().map(|outcomes| outcomes.bad_signatures).sum();
    let seen = format!(
        "in the last day: current key {current}, previous key {previous}, no accepted key {failed}"
    );
    let mut findings = vec![Finding::fine("signatures", seen)];
    if unsigned > 0 {
        let seen = format!("{unsigned} messages accepted without a signature");
        findings.push(
            Finding::warning("signatures", seen)
                .about("CARACAL_MODE")
                .why("without a key, any client that can write to Redis can end suspensions")
                .then("set STREAMS_HMAC_KEY; only development may run without it"),
        );
    }
    if has_previous_key {
        let seen = if previous == 0 {
            "no message of the last day is signed with it: it can be removed"
        } else {
            "still in use: not every producer has the current key"
        };
        findings.push(Finding::fine("signatures", seen).about("STREAMS_HMAC_KEY_PREVIOUS"));
    }
    findings
}

fn rejected_messages(stream: Stream, outcomes: &StreamOutcomes) -> Option<Finding> {
    let last = outcomes.last_rejected?;
    let seen = format!(
        "{} rejected for their signature, {} as malformed or ambiguous; the last is {last}",
        outcomes.bad_signatures, outcomes.unusable
    );
    Some(
        Finding::warning("refused", seen)
            .about(stream.name())
            .why("a producer has another key, or another client writes to this stream")
            .then(format!("caracal-streams watch --from {last} --count 1; then find its producer")),
    )
}

fn dead_letters(evidence: &Evidence) -> Vec<Finding> {
    let is_on = evidence.writes_dead_letters();
    let mut findings = Vec::new();
    if !is_on {
        findings.push(
            Finding::warning("dead_letters", "off: a service with these settings writes none")
                .why("a message that it rejects is counted, and then lost")
                .then("see the findings about rights above"),
        );
    }
    for dead in &evidence.dead {
        let subject = format!("{}.dead", dead.stream);
        let causes = match &dead.recent {
            Ok(recent) => {
                let cause = |(cause, count): (&String, &u64)| format!("{} {count}", plain(cause));
                recent.iter().map(cause).collect::<Vec<_>>().join(", ")
            }
            Err(error) if evidence.age(dead.last) <= DAY => format!("unknown: {error}"),
            Err(_) => String::new(),
        };
        if causes.is_empty() {
            let seen = match dead.length {
                0 if !is_on => continue,
                0 => "none".to_owned(),
                length => format!("{length}, but none from the last day"),
            };
            findings.push(Finding::fine("dead_letters", seen).about(subject));
            continue;
        }
        let seen = format!("{} dead letters; from the last day: {causes}", dead.length);
        findings.push(
            Finding::warning("dead_letters", seen)
                .about(subject)
                .why("each is a message that a service could not apply")
                .then(format!("caracal-streams dead-letters list --stream {}", dead.stream)),
        );
    }
    findings
}
