//! Searches for unknown keys: when they are allowed.

use proptest::prelude::*;

use super::*;
use crate::{InvalidMandate, KeysUnavailable, VerifyError};

const UNKNOWN: Option<VerifyError> = Some(VerifyError::Invalid(InvalidMandate::UnknownKey));
const UNAVAILABLE: Option<VerifyError> = Some(VerifyError::Unavailable(KeysUnavailable));

/// A zone that rotates its key, and the clients of its verifier.
struct Zone {
    sts: Sts,
    verifier: Verifier,
    key: SigningKey,
    tokens: usize,
}

impl Zone {
    /// Starts a verifier that has verified a mandate of the record `known`. Its keys never age, so
    /// each fetch after the first is a search.
    async fn start() -> Self {
        let key = SigningKey::new("k1");
        let sts = Sts::start(&[&key]).await;
        let day = Duration::from_secs(24 * 60 * 60);
        let verifier = sts.builder().with_keys_ttl(day).build(&sts.revocations).unwrap();
        let mut zone = Self { sts, verifier, key, tokens: 1 };
        assert_eq!(zone.present("known").await, None);
        zone
    }

    fn rotate(&mut self) {
        self.tokens += 1;
        let key = SigningKey::new(&format!("k{}", self.tokens));
        self.sts.publish(&[&key]);
        self.key = key;
    }

    /// Presents a token that the STS has just issued.
    async fn present(&mut self, record: &str) -> Option<VerifyError> {
        let claims = self.claims(record);
        let token = self.key.sign(&claims);
        self.verifier.verify(&token).await.err()
    }

    /// Presents a token that is signed with an unpublished key.
    async fn forge(&mut self, record: &str) -> Option<VerifyError> {
        let claims = self.claims(record);
        let forged = SigningKey::new(&format!("forged-{}", self.tokens));
        self.verifier.verify(&forged.sign(&claims)).await.err()
    }

    fn claims(&mut self, record: &str) -> Value {
        self.tokens += 1;
        with(self.sts.claims(record), "jti", json!(self.tokens.to_string()))
    }

    fn advance(&self, seconds: u64) {
        self.sts.clock.advance(Duration::from_secs(seconds));
    }
}

#[tokio::test]
async fn first_token_of_new_key_finds_unannounced_rotation() {
    for record in ["known", "stranger"] {
        let mut zone = Zone::start().await;
        zone.rotate();
        assert_eq!(zone.present(record).await, None);
        assert_eq!(zone.present("another").await, None);
        assert_eq!(zone.sts.fetches(), 2);
    }
}

#[tokio::test]
async fn successful_search_also_counts_against_the_limit() {
    let mut zone = Zone::start().await;
    zone.rotate();
    assert_eq!(zone.present("known").await, None);
    zone.advance(29);
    zone.rotate();
    assert_eq!(zone.present("known").await, UNAVAILABLE, "not reported as forged");
    assert_eq!(zone.present("stranger").await, UNKNOWN);
    zone.advance(1);
    assert_eq!(zone.present("stranger").await, None);
    assert_eq!(zone.sts.fetched(), [0, 0, 30]);
}

#[tokio::test]
async fn pause_doubles_after_each_search_that_finds_nothing() {
    let mut zone = Zone::start().await;
    for _ in 0..20 * 60 {
        assert_eq!(zone.forge("stranger").await, UNKNOWN);
        zone.advance(1);
    }
    // The pause doubles. Beyond its first 30 s, only known records may search.
    assert_eq!(zone.sts.fetched(), [0, 0, 60, 180, 420, 900]);
    zone.rotate();
    assert_eq!(zone.present("known").await, None);
    assert_eq!(zone.present("stranger").await, None, "the key is published now");
}

#[tokio::test]
async fn search_that_finds_a_key_resets_the_pause() {
    let mut zone = Zone::start().await;
    assert_eq!(zone.forge("stranger").await, UNKNOWN);
    zone.advance(60);
    zone.rotate();
    assert_eq!(zone.present("stranger").await, None);
    zone.advance(30);
    zone.rotate();
    assert_eq!(zone.present("another").await, None);
    assert_eq!(zone.sts.fetched(), [0, 0, 60, 90]);
}

#[tokio::test]
async fn forged_token_makes_record_unknown_until_next_valid_mandate() {
    let mut zone = Zone::start().await;
    assert_eq!(zone.forge("stranger").await, UNKNOWN);
    for seconds in [30, 1, 28] {
        zone.advance(seconds);
        assert_eq!(zone.forge("known").await, UNKNOWN);
    }
    assert_eq!(zone.sts.fetched(), [0, 0, 30], "one search, then the record is unknown");
    assert_eq!(zone.present("known").await, None);
    zone.advance(1);
    assert_eq!(zone.forge("known").await, UNKNOWN);
    assert_eq!(zone.sts.fetched(), [0, 0, 30, 60]);
}

#[tokio::test]
async fn unavailable_sts_gets_no_more_searches_than_another() {
    let mut zone = Zone::start().await;
    zone.sts.answer(503);
    for _ in 0..60 {
        assert_eq!(zone.forge("stranger").await, UNAVAILABLE, "the outage may hide the key");
        zone.advance(1);
    }
    assert_eq!(zone.sts.fetched(), [0, 0, 30]);
    assert_eq!(zone.present("known").await, None, "held keys stay in use");
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Advance(u64),
    Forge(bool),
    Present(bool),
    Rotate,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1_u64..40).prop_map(Step::Advance),
        3 => any::<bool>().prop_map(Step::Forge),
        2 => any::<bool>().prop_map(Step::Present),
        1 => Just(Step::Rotate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    #[test]
    fn searches_are_30_s_apart_and_announced_rotation_needs_none(
        steps in prop::collection::vec(any_step(), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut zone = Zone::start().await;
            let record = |known| if known { "known" } else { "stranger" };
            for step in &steps {
                match *step {
                    Step::Advance(seconds) => zone.advance(seconds),
                    Step::Rotate => zone.rotate(),
                    Step::Present(known) => drop(zone.present(record(known)).await),
                    Step::Forge(known) => assert_ne!(zone.forge(record(known)).await, None),
                }
            }
            let fetched = zone.sts.fetched();
            let searches = fetched.get(1..).unwrap_or_default();
            let apart = searches.windows(2).all(|pair| pair[1] - pair[0] >= 30);
            assert!(apart, "{searches:?}");
            // After any number of forgeries, an announced rotation needs no search.
            zone.rotate();
            zone.sts.invalidate_keys();
            assert_eq!(zone.present("new").await, None);
        });
    }

    #[test]
    fn finds_new_key_of_known_record_despite_forgeries(
        pauses in prop::collection::vec(0_u64..50, 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut zone = Zone::start().await;
            for pause in &pauses {
                assert_eq!(zone.forge("stranger").await, UNKNOWN);
                zone.advance(*pause);
            }
            // A search at the same moment would count as a search for this token.
            zone.advance(1);
            zone.rotate();
            let first = zone.present("known").await;
            if first.is_some() {
                assert_eq!(first, UNAVAILABLE, "reported as an outage, not as a forgery");
                zone.advance(30);
                assert_eq!(zone.present("known").await, None);
            }
        });
    }
}
