//! When a key that nobody has heard of is looked for.

use proptest::prelude::*;

use super::*;
use crate::{InvalidMandate, KeysUnavailable, VerifyError};

const UNKNOWN: Option<VerifyError> = Some(VerifyError::Invalid(InvalidMandate::UnknownKey));
const UNAVAILABLE: Option<VerifyError> = Some(VerifyError::Unavailable(KeysUnavailable));

/// A zone that rotates its key, and whoever presents tokens to its verifier.
struct Zone {
    sts: Sts,
    verifier: Verifier,
    key: SigningKey,
    tokens: usize,
}

impl Zone {
    /// A verifier that has seen a good mandate of the record `known`. Its keys never get old: after
    /// the first, each fetch is one that was forced.
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

    /// A token that the STS made just now.
    async fn present(&mut self, record: &str) -> Option<VerifyError> {
        let claims = self.claims(record);
        let token = self.key.sign(&claims);
        self.verifier.verify(&token).await.err()
    }

    /// A token of a key that nobody publishes.
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
async fn an_unannounced_rotation_is_found_at_the_first_token_of_the_new_key() {
    for record in ["known", "stranger"] {
        let mut zone = Zone::start().await;
        zone.rotate();
        assert_eq!(zone.present(record).await, None);
        assert_eq!(zone.present("another").await, None);
        assert_eq!(zone.sts.fetches(), 2);
    }
}

#[tokio::test]
async fn a_search_that_found_something_is_one_of_two_in_30_s_like_any_other() {
    let mut zone = Zone::start().await;
    zone.rotate();
    assert_eq!(zone.present("known").await, None);
    zone.advance(29);
    zone.rotate();
    assert_eq!(zone.present("known").await, UNAVAILABLE, "a known record's is not called forged");
    assert_eq!(zone.present("stranger").await, UNKNOWN);
    zone.advance(1);
    assert_eq!(zone.present("stranger").await, None);
    assert_eq!(zone.sts.fetched(), [0, 0, 30]);
}

#[tokio::test]
async fn strangers_who_name_no_real_key_are_believed_less_and_less() {
    let mut zone = Zone::start().await;
    for _ in 0..20 * 60 {
        assert_eq!(zone.forge("stranger").await, UNKNOWN);
        zone.advance(1);
    }
    // Twice as long each time: all but the first 30 s of each pause are the known records' own.
    assert_eq!(zone.sts.fetched(), [0, 0, 60, 180, 420, 900]);
    zone.rotate();
    assert_eq!(zone.present("known").await, None);
    assert_eq!(zone.present("stranger").await, None, "the key is there now, whoever names it");
}

#[tokio::test]
async fn a_stranger_who_names_a_real_key_makes_up_for_the_others() {
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
async fn a_record_whose_token_is_forged_counts_as_a_stranger_until_its_next_good_mandate() {
    let mut zone = Zone::start().await;
    assert_eq!(zone.forge("stranger").await, UNKNOWN);
    for seconds in [30, 1, 28] {
        zone.advance(seconds);
        assert_eq!(zone.forge("known").await, UNKNOWN);
    }
    assert_eq!(zone.sts.fetched(), [0, 0, 30], "once, and then it is doubted");
    assert_eq!(zone.present("known").await, None);
    zone.advance(1);
    assert_eq!(zone.forge("known").await, UNKNOWN);
    assert_eq!(zone.sts.fetched(), [0, 0, 30, 60]);
}

#[tokio::test]
async fn an_sts_that_is_away_is_not_asked_for_unknown_keys_more_often() {
    let mut zone = Zone::start().await;
    zone.sts.answer(503);
    for _ in 0..60 {
        assert_eq!(zone.forge("stranger").await, UNAVAILABLE, "perhaps the outage hides it");
        zone.advance(1);
    }
    assert_eq!(zone.sts.fetched(), [0, 0, 30]);
    assert_eq!(zone.present("known").await, None, "what is known is used on");
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
    fn no_30_s_hold_two_searches_and_an_announced_rotation_waits_for_none(
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
            // However busy the forgers were: announced, a rotation needs no search.
            zone.rotate();
            zone.sts.invalidate_keys();
            assert_eq!(zone.present("new").await, None);
        });
    }

    #[test]
    fn a_known_records_new_key_is_found_within_30_s_whatever_strangers_forge(
        pauses in prop::collection::vec(0_u64..50, 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut zone = Zone::start().await;
            for pause in &pauses {
                assert_eq!(zone.forge("stranger").await, UNKNOWN);
                zone.advance(*pause);
            }
            // A search sent in the very moment of the question would count as one for it.
            zone.advance(1);
            zone.rotate();
            let first = zone.present("known").await;
            if first.is_some() {
                assert_eq!(first, UNAVAILABLE, "an outage, no forgery");
                zone.advance(30);
                assert_eq!(zone.present("known").await, None);
            }
        });
    }
}
