use super::*;
use crate::{InvalidMandate, KeysUnavailable, VerifyError};

const UNKNOWN: VerifyError = VerifyError::Invalid(InvalidMandate::UnknownKey);
/// A time limit that no test reaches.
const LONG: Duration = Duration::from_secs(60);
const UNAVAILABLE: VerifyError = VerifyError::Unavailable(KeysUnavailable);

#[tokio::test]
async fn requests_after_warm_up_fetch_no_keys() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let verifier = sts.verifier();
    verifier.warm_up().await.unwrap();
    for n in 0..5 {
        verifier.verify(&key.sign(&sts.claims(&format!("ar-{n}")))).await.unwrap();
    }
    assert_eq!(sts.fetches(), 1);
}

#[tokio::test]
async fn shares_one_fetch_and_survives_cancelled_request() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    sts.published.lock().unwrap().pause = Duration::from_millis(200);
    let verifier = sts.verifier();
    let token = key.sign(&sts.claims("ar-1"));
    let start = || {
        let (verifier, token) = (verifier.clone(), token.clone());
        tokio::spawn(async move { verifier.verify(&token).await })
    };
    let first = start();
    while sts.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    let crowd: Vec<_> = (0..20).map(|_| start()).collect();
    first.abort();
    for one in crowd {
        one.await.unwrap().unwrap();
    }
    assert_eq!(sts.fetches(), 1);
}

#[tokio::test]
async fn refetches_aged_keys_and_uses_them_within_grace() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let verifier = sts.builder().with_capacity(0).build(&sts.revocations).unwrap();
    let verify = async |sid: &str| verifier.verify(&key.sign(&sts.claims(sid))).await.err();
    assert_eq!(verify("ar-1").await, None);
    sts.clock.advance(Duration::from_secs(300));
    assert_eq!(verify("ar-1").await, None);
    wait_for_fetch(&verifier).await;
    assert_eq!(sts.fetches(), 2);
    sts.answer(500);
    sts.clock.advance(Duration::from_secs(899));
    assert_eq!(verify("ar-1").await, None, "within the grace");
    wait_for_fetch(&verifier).await;
    assert_eq!(sts.fetches(), 3);
    sts.clock.advance(Duration::from_secs(1));
    assert_eq!(verify("ar-1").await, Some(UNAVAILABLE), "beyond the grace");
    sts.answer(200);
    sts.clock.advance(Duration::from_secs(2));
    assert_eq!(verify("ar-1").await, None);
}

#[tokio::test]
async fn fetches_keys_ahead_of_time_after_four_fifths_of_their_ttl() {
    let sts = Sts::start(&[&SigningKey::new("k1")]).await;
    let verifier = sts.verifier();
    verifier.warm_up().await.unwrap();
    for (seconds, fetches) in [(239, 1), (1, 2)] {
        sts.clock.advance(Duration::from_secs(seconds));
        verifier.warm_up().await.unwrap();
        wait_for_fetch(&verifier).await;
        assert_eq!(sts.fetches(), fetches, "after {seconds} s more");
    }
}

#[tokio::test]
async fn keeps_keys_when_new_document_is_unusable() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let verifier = sts.builder().with_capacity(0).build(&sts.revocations).unwrap();
    let verify = async || verifier.verify(&key.sign(&sts.claims("ar-1"))).await.err();
    assert_eq!(verify().await, None);
    sts.clock.advance(Duration::from_secs(300));
    let padded = |bytes: usize| {
        let document = document(&[&key]);
        " ".repeat(bytes - document.len()) + &document
    };
    for bad in [document(&[]), "<html>".into(), padded(256 * 1024 + 1)] {
        sts.published.lock().unwrap().document = bad;
        sts.clock.advance(Duration::from_secs(2));
        let before = sts.fetches();
        assert_eq!(verify().await, None);
        wait_for_fetch(&verifier).await;
        assert_eq!(sts.fetches(), before + 1);
    }
    let fresh = sts.verifier();
    assert_eq!(fresh.warm_up().await, Err(KeysUnavailable));
    sts.published.lock().unwrap().document = padded(256 * 1024);
    sts.clock.advance(Duration::from_secs(2));
    assert_eq!(fresh.warm_up().await, Ok(()), "the longest document");
}

#[tokio::test]
async fn invalidated_keys_get_no_grace() {
    let (old, new) = (SigningKey::new("k1"), SigningKey::new("k2"));
    let sts = Sts::start(&[&old]).await;
    let verifier = sts.verifier();
    let token = old.sign(&sts.claims("ar-1"));
    verifier.verify(&token).await.unwrap();
    assert!(verifier.cached(&token).is_some());
    sts.answer(500);
    sts.invalidate_keys();
    assert!(verifier.cached(&token).is_none());
    assert_eq!(verifier.verify(&token).await.err(), Some(UNAVAILABLE));
    sts.answer(200);
    sts.publish(&[&new]);
    sts.clock.advance(Duration::from_secs(2));
    assert_eq!(verifier.verify(&token).await.err(), Some(UNKNOWN), "its key was removed");
    verifier.verify(&new.sign(&sts.claims("ar-2"))).await.unwrap();
}

#[tokio::test]
async fn invalidation_during_fetch_makes_fetched_keys_stale() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    sts.published.lock().unwrap().pause = Duration::from_millis(100);
    let verifier = sts.verifier();
    let warming = tokio::spawn({
        let verifier = verifier.clone();
        async move { verifier.warm_up().await }
    });
    while sts.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    sts.invalidate_keys();
    warming.await.unwrap().unwrap();
    assert_eq!(sts.fetches(), 2);
}

#[tokio::test]
async fn token_with_wrong_claims_causes_no_fetch() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let verifier = sts.verifier();
    verifier.warm_up().await.unwrap();
    let forged = SigningKey::new("forged");
    for (name, value) in [("iss", "https://x.example"), ("aud", "x"), ("zone_id", "z-2")] {
        let token = forged.sign(&with(sts.claims("ar-1"), name, json!(value)));
        assert!(verifier.verify(&token).await.is_err());
    }
    assert_eq!(sts.fetches(), 1);
}

#[tokio::test]
async fn reports_outage_for_unknown_key_during_outage() {
    let (old, new) = (SigningKey::new("k1"), SigningKey::new("k2"));
    let sts = Sts::start(&[&old]).await;
    let verifier = sts.verifier();
    verifier.warm_up().await.unwrap();
    sts.answer(503);
    assert_eq!(verifier.verify(&new.sign(&sts.claims("ar-1"))).await.err(), Some(UNAVAILABLE));
    verifier.verify(&old.sign(&sts.claims("ar-1"))).await.unwrap();
}

/// Warms up on a separate runtime, which ends once `until` holds or the keys are held.
async fn warm_up_elsewhere(
    verifier: &Verifier,
    runtime: tokio::runtime::Runtime,
    until: impl Fn() -> bool + Send + 'static,
) {
    let verifier = verifier.clone();
    let elsewhere = move || {
        let warming = runtime.spawn(async move { verifier.warm_up().await });
        runtime.block_on(async {
            while !until() && !warming.is_finished() {
                tokio::task::yield_now().await;
            }
        });
    };
    tokio::task::spawn_blocking(elsewhere).await.unwrap();
}

#[tokio::test]
async fn fetches_again_after_runtime_of_fetch_is_dropped() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    sts.published.lock().unwrap().pause = LONG;
    let verifier = sts.builder().with_keys_deadline(LONG).build(&sts.revocations).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fetches = Arc::clone(&sts.fetches);
    warm_up_elsewhere(&verifier, runtime, move || fetches.load(Ordering::SeqCst) == 1).await;
    sts.published.lock().unwrap().pause = Duration::ZERO;
    sts.clock.advance(Duration::from_secs(2));
    assert_eq!(verifier.warm_up().await, Ok(()));
    assert_eq!(sts.fetches(), 2);
}

#[tokio::test]
async fn fetches_again_after_fetch_panicked() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let verifier = sts.verifier();
    // The runtime has no timers: the fetch panics when it sets its deadline.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    warm_up_elsewhere(&verifier, runtime, || false).await;
    assert_eq!(verifier.warm_up().await, Err(KeysUnavailable), "a panic is a failed attempt");
    sts.clock.advance(Duration::from_secs(2));
    assert_eq!(verifier.warm_up().await, Ok(()));
}

#[tokio::test]
async fn keys_in_grace_verify_new_tokens_while_sts_hangs() {
    let (key, new) = (SigningKey::new("k1"), SigningKey::new("k2"));
    let sts = Sts::start(&[&key]).await;
    let verifier = sts.builder().with_keys_deadline(10 * LONG).build(&sts.revocations).unwrap();
    verifier.warm_up().await.unwrap();
    sts.published.lock().unwrap().pause = 20 * LONG;
    sts.clock.advance(Duration::from_secs(300));
    for sid in ["ar-1", "ar-2", "ar-3"] {
        let token = key.sign(&sts.claims(sid));
        let verified = tokio::time::timeout(LONG, verifier.verify(&token)).await;
        assert!(verified.expect("within the deadline of the fetch").is_ok());
    }
    // An unknown key needs the fetch, which hangs.
    let token = new.sign(&sts.claims("ar-4"));
    let unknown = tokio::time::timeout(Duration::from_millis(50), verifier.verify(&token)).await;
    assert!(unknown.is_err());
}

#[tokio::test]
async fn request_waits_a_second_for_newer_keys_unless_the_last_fetch_failed() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let builder = sts.builder().with_capacity(0).with_keys_deadline(LONG);
    let verifier = builder.build(&sts.revocations).unwrap();
    verifier.warm_up().await.unwrap();
    let token = key.sign(&sts.claims("ar-1"));
    let waited = async || {
        let start = tokio::time::Instant::now();
        verifier.verify(&token).await.unwrap();
        start.elapsed().as_secs()
    };
    sts.published.lock().unwrap().pause = 2 * LONG;
    sts.clock.advance(Duration::from_secs(300));
    // From here on, tokio's clock advances only to the end of a wait.
    tokio::time::pause();
    assert_eq!(waited().await, 1);
    tokio::time::sleep(LONG).await;
    wait_for_fetch(&verifier).await;
    sts.clock.advance(Duration::from_secs(2));
    assert_eq!(waited().await, 0);
}

#[tokio::test]
async fn removed_key_is_unknown_and_not_an_outage() {
    let (old, new) = (SigningKey::new("k1"), SigningKey::new("k2"));
    let sts = Sts::start(&[&old]).await;
    let verifier = sts.verifier();
    for sid in ["ar-1", "ar-2", "ar-3"] {
        verifier.verify(&old.sign(&sts.claims(sid))).await.unwrap();
    }
    sts.publish(&[&new]);
    sts.invalidate_keys();
    verifier.verify(&new.sign(&sts.claims("ar-1"))).await.unwrap();
    let verify = async |sid: &str| verifier.verify(&old.sign(&sts.claims(sid))).await.err();
    // Tokens of known records: a key that was never published would cause a search.
    for sid in ["ar-1", "ar-2"] {
        sts.clock.advance(Duration::from_secs(1));
        assert_eq!(verify(sid).await, Some(UNKNOWN), "{sid}");
    }
    sts.answer(503);
    sts.clock.advance(Duration::from_secs(60));
    assert_eq!(verify("ar-3").await, Some(UNKNOWN), "the last document does not have the key");
    // The key is published again.
    sts.answer(200);
    sts.publish(&[&old, &new]);
    sts.invalidate_keys();
    sts.clock.advance(Duration::from_secs(2));
    assert_eq!(verify("ar-3").await, None);
}
