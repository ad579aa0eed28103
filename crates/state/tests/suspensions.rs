//! Suspended, resumed and terminated sessions: the verdict depends only on the set of messages, not
//! on their order or repetition on both streams.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests may panic, their helpers too")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use caracal_revocation_event::{KeyRing, Message, MessageBuilder, OccurredAt};
use caracal_revocation_state::{
    Checks, Claims, DenyReason, ManualClock, Options, RevocationsWriter, Verdict,
};
use proptest::prelude::*;

const ZONE: &str = "z-1";
const SESSION: &str = "gs-1";
/// 2026-11-20T10:00:00Z.
const START: i64 = 1_795_168_800;

/// One message, with its occurrence (in half seconds) and its decision (in milliseconds).
#[derive(Clone, Copy, Debug)]
enum SessionMessage {
    SuspendedOnLifecycle { occurred: u32, decided: u32 },
    SuspendedOnRevoke { occurred: u32, decided: u32 },
    Resumed { occurred: u32, decided: u32 },
    Terminated,
}

impl SessionMessage {
    fn builder(self) -> (MessageBuilder, u32) {
        let at = |half: u32| {
            let (second, ms) = (half / 2, half % 2 * 500);
            OccurredAt::parse(&format!("2026-11-20T10:00:{second:02}.{ms:03}Z")).unwrap()
        };
        match self {
            Self::SuspendedOnLifecycle { occurred, decided } => {
                (MessageBuilder::suspend(ZONE, SESSION, at(occurred)), decided)
            }
            Self::SuspendedOnRevoke { occurred, decided } => {
                let key = format!("agent_suspend:{SESSION}:{}", at(occurred));
                let builder = MessageBuilder::revoke(ZONE, "suspended").agent_session(SESSION);
                (builder.with("dedupe_key", &key), decided)
            }
            Self::Resumed { occurred, decided } => {
                (MessageBuilder::resume(ZONE, SESSION, at(occurred)), decided)
            }
            Self::Terminated => (MessageBuilder::terminate(ZONE, SESSION), 0),
        }
    }

    fn apply(self, revocations: &RevocationsWriter) {
        let (builder, decided) = self.builder();
        let stream = builder.stream();
        let decided = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::from(decided) + 1);
        let fields = builder.into_fields(None, decided);
        let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        let message = Message::new(stream, &fields);
        let event = KeyRing::insecure_accept_unsigned().verify(&message).unwrap();
        revocations.apply(&event, revocations.now());
    }

    const fn suspension(self) -> Option<(u32, u32)> {
        match self {
            Self::SuspendedOnLifecycle { occurred, decided }
            | Self::SuspendedOnRevoke { occurred, decided } => Some((occurred, decided)),
            _ => None,
        }
    }
}

/// Applies the contract's rule to the set of messages.
fn expected(messages: &[SessionMessage], iat: i64) -> Option<DenyReason> {
    if messages.iter().any(|message| matches!(message, SessionMessage::Terminated)) {
        return Some(DenyReason::Revoked);
    }
    let lifted = |suspended: (u32, u32)| {
        messages.iter().any(|message| {
            matches!(message, SessionMessage::Resumed { occurred, decided }
                if suspended.0 < *occurred && suspended.1 < *decided)
        })
    };
    let suspensions = || messages.iter().filter_map(|message| message.suspension());
    if suspensions().any(|suspended| !lifted(suspended)) {
        return Some(DenyReason::Suspended);
    }
    let latest = suspensions().map(|(occurred, _)| START + i64::from(occurred / 2)).max()?;
    (iat <= latest + 1).then_some(DenyReason::Suspended)
}

fn decided(order: &[SessionMessage], iat: i64) -> Option<DenyReason> {
    let clock = ManualClock::new();
    // Set the clock to START.
    clock.set_wall_back(Duration::from_secs(231_200));
    let revocations = RevocationsWriter::with_clock(Options::default(), Arc::new(clock));
    revocations.confirm(revocations.now());
    for message in order {
        message.apply(&revocations);
    }
    let mut claims = Claims::new("ar-1", iat, iat.saturating_add(900));
    claims.agent_session_id = Some(SESSION.into());
    let now = revocations.now();
    let verdict = revocations.decide(&claims, &Checks::default(), now);
    let authority = revocations.authority(&claims);
    assert_eq!(authority.decide(&Checks::default(), now), verdict);
    match verdict {
        Verdict::Denied(denial) => Some(denial.reason()),
        Verdict::Admitted(_) => None,
        Verdict::Unknown(unknown) => panic!("{unknown:?}"),
    }
}

fn any_message() -> impl Strategy<Value = SessionMessage> {
    let times = || (0_u32..8, 0_u32..5);
    prop_oneof![
        3 => times().prop_map(|(occurred, decided)| SessionMessage::SuspendedOnLifecycle { occurred, decided }),
        3 => times().prop_map(|(occurred, decided)| SessionMessage::SuspendedOnRevoke { occurred, decided }),
        5 => times().prop_map(|(occurred, decided)| SessionMessage::Resumed { occurred, decided }),
        1 => Just(SessionMessage::Terminated),
    ]
}

fn permute(items: &mut [SessionMessage], from: usize, visit: &mut impl FnMut(&[SessionMessage])) {
    if from == items.len() {
        visit(items);
    }
    for other in from..items.len() {
        items.swap(from, other);
        permute(items, from + 1, visit);
        items.swap(from, other);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn verdict_ignores_order_and_redelivery(
        messages in prop::collection::vec(any_message(), 1..=5),
        again in 0_usize..5,
        iat in START - 1..START + 7,
    ) {
        let expected = expected(&messages, iat);
        let twice = messages[again % messages.len()];
        permute(&mut messages.clone(), 0, &mut |order| {
            // Repeat one message at every place of every order.
            for place in 0..=order.len() {
                let mut order = order.to_vec();
                order.insert(place, twice);
                assert_eq!(decided(&order, iat), expected, "{order:?}");
            }
        });
    }
}

#[test]
fn terminated_session_is_denied_for_good() {
    let resumed = SessionMessage::Resumed { occurred: 100, decided: 100 };
    assert_eq!(decided(&[SessionMessage::Terminated], i64::MAX), Some(DenyReason::Revoked));
    assert_eq!(
        decided(&[SessionMessage::Terminated, resumed], i64::MAX),
        Some(DenyReason::Revoked)
    );
    assert_eq!(
        decided(&[resumed, SessionMessage::Terminated], i64::MAX),
        Some(DenyReason::Revoked)
    );
}
