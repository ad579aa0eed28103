//! The promises: one function for each.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::history::{Answer, Class, NO_ANSWER, Probe, Request, Route};
use crate::time::At;

use super::history_index::{CALM_DELAY, HistoryIndex};
use super::{Rule, Violation, explain, held, lateness};

/// The longest time that a running process may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

pub(super) fn all(index: &HistoryIndex<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for request in &index.history.requests {
        let broken = match &request.answer {
            Answer::Admitted if request.route == Route::TwoHeaders => Err(Rule::TwoHeaders),
            Answer::Admitted => admitted(index, request),
            Answer::Ambiguous if request.route == Route::TwoHeaders => Ok(()),
            Answer::HistoryIncomplete if request.route == Route::Sts => Err(Rule::UntrueReason),
            Answer::Revoked => revoked(index, request),
            Answer::HistoryIncomplete => explain::history_incomplete(index, request),
            Answer::Stale => explain::stale(index, request),
            Answer::NoPolicy => explain::no_policy(index, request),
            Answer::NotReady => explain::not_ready(index, request),
            Answer::Ambiguous | Answer::Other(_) => Err(Rule::UntrueReason),
            Answer::None => Ok(()),
        };
        let broken = broken.and_then(|()| answered(index, request, request.answer == Answer::None));
        if let Err(rule) = broken {
            violations.push(violation(index, rule, request));
        }
    }
    held::check(index, &mut violations);
    falsely_ready(index, &mut violations);
    probed(index, &mut violations);
    forgotten(index, &mut violations);
    not_recalled(index, &mut violations);
    died(index, &mut violations);
    too_little(index, &mut violations);
    too_slow(index, &mut violations);
    violations
}

/// Checks that a process which runs answers soon.
fn answered(index: &HistoryIndex<'_>, request: &Request, is_missing: bool) -> Result<(), Rule> {
    let is_late = request.received.since(request.sent) > ANSWERS_WITHIN;
    if (is_missing || is_late) && !index.is_stopped(request) {
        Err(Rule::Unanswered)
    } else {
        Ok(())
    }
}

fn admitted(index: &HistoryIndex<'_>, request: &Request) -> Result<(), Rule> {
    let Some(revocation) = index.revocation(request) else { return Ok(()) };
    let Some(acked) = revocation.acked else { return Ok(()) };
    if index.is_excused(revocation, request) {
        return Ok(());
    }
    if request.sent > acked.plus(index.history.promise.bound) {
        return Err(Rule::BeyondBound);
    }
    if index.is_calm(request, acked)
        && index.can_verify(request, revocation)
        && request.sent > acked.plus(CALM_DELAY)
    {
        return Err(Rule::LateInCalm);
    }
    match index.unhindered_since(request) {
        Some(since)
            if index.can_verify(request, revocation)
                && request.sent > acked.max(since).plus(index.recovery()) =>
        {
            Err(Rule::MissingAfterRecovery)
        }
        _ => Ok(()),
    }
}

fn revoked(index: &HistoryIndex<'_>, request: &Request) -> Result<(), Rule> {
    match index.revocation(request) {
        Some(revocation) if revocation.attempted <= request.received => Ok(()),
        _ => match index.history.tokens[request.token].resumed {
            Some(resumed) if index.may_be_suspended(request, resumed) => Ok(()),
            _ => Err(Rule::UntrueReason),
        },
    }
}

/// Checks that a process without any proof of its view did not answer as if it had read the
/// history.
fn falsely_ready(index: &HistoryIndex<'_>, violations: &mut Vec<Violation>) {
    let is_early =
        |life: usize, received: At| received < index.history.readers[life].unproven_until;
    for request in &index.history.requests {
        if matches!(request.answer, Answer::Admitted | Answer::HistoryIncomplete)
            && is_early(request.life, request.received)
        {
            violations.push(violation(index, Rule::FalselyReady, request));
        }
    }
    for probe in &index.history.probes {
        if probe.unready.is_none() && is_early(probe.life, probe.received) {
            violations.push(of_probe(index, Rule::FalselyReady, probe));
        }
    }
}

/// Checks that each probe agrees with the answers to requests at that time.
fn probed(index: &HistoryIndex<'_>, violations: &mut Vec<Violation>) {
    for probe in &index.history.probes {
        let request = |answer: Answer| Request {
            life: probe.life,
            route: Route::Gateway,
            token: 0,
            sent: probe.sent,
            received: probe.received,
            answer,
        };
        let broken = match probe.unready.as_deref() {
            None if index.is_unknown_around(probe) => Err(Rule::ReadinessDiffers),
            None => Ok(()),
            Some(NO_ANSWER) => answered(index, &request(Answer::None), true),
            Some("stale") => explain::stale(index, &request(Answer::Stale)),
            Some("replaying" | "no_signature_verifies" | "not_provisioned" | "full") => {
                explain::not_ready(index, &request(Answer::NotReady))
            }
            Some(_) => Err(Rule::UntrueReason),
        };
        if let Err(rule) = broken {
            violations.push(of_probe(index, rule, probe));
        }
    }
}

/// Checks that a process which denied a token as revoked never admitted it again, even if the
/// message was lost.
fn forgotten(index: &HistoryIndex<'_>, violations: &mut Vec<Violation>) {
    let mut known: HashMap<(usize, usize), At> = HashMap::new();
    for request in &index.history.requests {
        if request.answer == Answer::Revoked {
            let first = known.entry((request.life, request.token)).or_insert(request.received);
            *first = (*first).min(request.received);
        }
    }
    for request in &index.history.requests {
        // The session of such a token was suspended, and is not any more.
        if index.history.tokens[request.token].resumed.is_some() {
            continue;
        }
        let denied = known.get(&(request.life, request.token));
        if request.answer == Answer::Admitted && denied.is_some_and(|denied| *denied < request.sent)
        {
            violations.push(violation(index, Rule::Forgotten, request));
        }
    }
}

/// Checks that a process which started with the snapshot of another denied at once the tokens that
/// the other had denied, even without Redis.
fn not_recalled(index: &HistoryIndex<'_>, violations: &mut Vec<Violation>) {
    let history = index.history;
    let readers = history.readers.iter().map(|life| life.reader + 1).max().unwrap_or(0);
    // By reader: the revoked tokens that its current process must know from its start.
    let mut known: Vec<HashSet<usize>> = vec![HashSet::new(); readers];
    let mut before: Vec<Option<usize>> = vec![None; readers];
    for (number, life) in history.readers.iter().enumerate() {
        let of = |wanted: usize| history.requests.iter().filter(move |r| r.life == wanted);
        if let (Some(before), Some(recalled)) = (before[life.reader], life.recalled) {
            let denied =
                of(before).filter(|r| r.answer == Answer::Revoked && r.received < recalled);
            let denied = denied.filter(|r| {
                let token = &history.tokens[r.token];
                matches!(token.class, Class::Plain | Class::Epoch) && token.resumed.is_none()
            });
            known[life.reader].extend(denied.map(|request| request.token));
            // A snapshot is written only if the streams were proven complete shortly before.
            let proven = recalled.minus(history.promise.recovery);
            let revocations =
                history.revocations.iter().filter(|revocation| revocation.loss.is_none());
            let revocations = revocations
                .filter(|revocation| revocation.acked.is_some_and(|acked| acked < proven));
            let revocations = revocations
                .filter(|revocation| history.readers[before].keys.contains(&revocation.key));
            // Keys and policies are not in a snapshot, and no reader knows a hidden anchor.
            let revocations = revocations.filter(|revocation| {
                let class = history.tokens[revocation.token].class;
                matches!(class, Class::Plain | Class::Epoch) && !revocation.hidden
            });
            known[life.reader].extend(revocations.map(|revocation| revocation.token));
            let unknown = of(number).filter(|r| {
                !matches!(r.answer, Answer::Revoked | Answer::None | Answer::Ambiguous)
                    && known[life.reader].contains(&r.token)
            });
            violations.extend(unknown.map(|r| violation(index, Rule::NotRecalled, r)));
        }
        before[life.reader] = Some(number);
    }
}

fn died(index: &HistoryIndex<'_>, violations: &mut Vec<Violation>) {
    for life in index.history.readers.iter().filter(|life| life.died) {
        violations.push(Violation {
            rule: Rule::ReaderDied,
            at: life.ended.unwrap_or_default(),
            what: format!("reader {} (pid {}) ended by itself", life.reader, life.pid),
        });
    }
}

fn too_little(index: &HistoryIndex<'_>, violations: &mut Vec<Violation>) {
    let history = index.history;
    let minimum = history.promise.minimum;
    let end = history.requests.iter().map(|request| request.received).max().unwrap_or_default();
    let effective = history.faults.iter().filter(|fault| fault.effect.is_some()).count();
    let acked = history.revocations.iter().filter(|revocation| revocation.acked.is_some()).count();
    let answered = history.requests.iter().filter(|r| r.answer != Answer::None).count();
    let seconds = usize::try_from(end.0 / 1_000_000).unwrap_or(usize::MAX);
    let least = usize::try_from(minimum.seconds).unwrap_or(usize::MAX);
    for (what, is, least) in [
        ("seconds", seconds, least),
        ("effective faults", effective, minimum.faults),
        ("revocations", acked, minimum.revocations),
        ("answered requests", answered, minimum.requests),
    ] {
        if is < least {
            let what = format!("{is} {what}, at least {least} are needed");
            violations.push(Violation { rule: Rule::TooLittle, at: end, what });
        }
    }
}

/// Checks that the machine was fast enough for the time limits of the rules.
fn too_slow(index: &HistoryIndex<'_>, violations: &mut Vec<Violation>) {
    let slowest = lateness::slowest(&index.history.lateness);
    if let Some(slowest) = slowest.filter(|slowest| slowest.is_too_slow()) {
        let what = format!("machine too slow: run fewer jobs ({slowest})");
        violations.push(Violation { rule: Rule::TooSlow, at: slowest.at, what });
    }
}

fn of_probe(index: &HistoryIndex<'_>, rule: Rule, probe: &Probe) -> Violation {
    let life = &index.history.readers[probe.life];
    let what = format!(
        "reader {} (pid {}, since {}) answered a probe with {}, sent {}, received {}",
        life.reader,
        life.pid,
        life.started,
        probe.unready.as_deref().unwrap_or("ready"),
        probe.sent,
        probe.received
    );
    Violation { rule, at: probe.sent, what }
}

fn violation(index: &HistoryIndex<'_>, rule: Rule, request: &Request) -> Violation {
    let life = index.life(request);
    let token = &index.history.tokens[request.token];
    let mut what = format!(
        "reader {} (pid {}, since {}) answered {:?} on token {} (iat {}), sent {}, received {}",
        life.reader,
        life.pid,
        life.started,
        request.answer,
        request.token,
        token.iat,
        request.sent,
        request.received
    );
    match index.revocation(request) {
        None => what.push_str("; never revoked"),
        Some(revocation) => {
            what.push_str(&format!(
                "; revoked by {}, attempted {}",
                revocation.what, revocation.attempted
            ));
            if let Some(acked) = revocation.acked {
                let id = revocation.id.as_deref().unwrap_or("?");
                what.push_str(&format!(", acknowledged {acked} as {id}"));
            }
            if !index.can_verify(request, revocation) {
                what.push_str(&format!(
                    ", signed with key {}, which it does not know",
                    revocation.key
                ));
            }
            if let Some(loss) = revocation.loss {
                what.push_str(&format!(", {:?} by the fault at {}", loss.how, loss.at));
            }
        }
    }
    if let Some(window) = index.windows(request).last_before(request.received) {
        what.push_str(&format!("; last cut off {} to {}", window.began, window.ended));
    }
    Violation { rule, at: request.sent, what }
}
