use super::*;
use crate::{Invalid, KeysUnavailable, VerifyError};

const UNKNOWN: VerifyError = VerifyError::Invalid(Invalid::UnknownKey);
const UNAVAILABLE: VerifyError = VerifyError::Unavailable(KeysUnavailable);

#[tokio::test]
async fn warming_up_fetches_once_and_requests_fetch_no_more() {
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
async fn a_crowd_waits_for_one_fetch_and_a_leaver_does_not_end_it() {
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
async fn old_keys_are_fetched_again_and_outlive_an_outage_by_the_grace() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let verifier = sts.builder().with_capacity(0).build(&sts.revocations).unwrap();
    let verify = async |sid: &str| verifier.verify(&key.sign(&sts.claims(sid))).await.err();
    assert_eq!(verify("ar-1").await, None);
    sts.clock.advance(Duration::from_secs(300));
    assert_eq!(verify("ar-1").await, None);
    assert_eq!(sts.fetches(), 2);
    sts.answer(500);
    sts.clock.advance(Duration::from_secs(899));
    assert_eq!(verify("ar-1").await, None, "within the grace");
    assert_eq!(sts.fetches(), 3);
    sts.clock.advance(Duration::from_secs(2));
    assert_eq!(verify("ar-1").await, Some(UNAVAILABLE), "beyond it");
    sts.answer(200);
    sts.clock.advance(Duration::from_secs(2));
    assert_eq!(verify("ar-1").await, None);
}

#[tokio::test]
async fn a_document_without_keys_or_too_long_never_replaces_keys() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let verifier = sts.builder().with_capacity(0).build(&sts.revocations).unwrap();
    let verify = async || verifier.verify(&key.sign(&sts.claims("ar-1"))).await.err();
    assert_eq!(verify().await, None);
    sts.clock.advance(Duration::from_secs(300));
    let long = format!("{}{}", document(&[&key]), " ".repeat(256 * 1024));
    for bad in [document(&[]), "<html>".into(), long] {
        sts.published.lock().unwrap().document = bad;
        sts.clock.advance(Duration::from_secs(2));
        let before = sts.fetches();
        assert_eq!(verify().await, None);
        assert_eq!(sts.fetches(), before + 1);
    }
    let fresh = sts.verifier();
    assert_eq!(fresh.warm_up().await, Err(KeysUnavailable));
}

#[tokio::test]
async fn an_invalidation_makes_keys_stale_at_once_and_no_grace_covers_that() {
    let (old, new) = (SigningKey::new("k1"), SigningKey::new("k2"));
    let sts = Sts::start(&[&old]).await;
    let verifier = sts.verifier();
    let token = old.sign(&sts.claims("ar-1"));
    verifier.verify(&token).await.unwrap();
    assert!(verifier.recall(&token).is_some());
    sts.answer(500);
    sts.invalidate_keys();
    assert!(verifier.recall(&token).is_none());
    assert_eq!(verifier.verify(&token).await.err(), Some(UNAVAILABLE));
    sts.answer(200);
    sts.publish(&[&new]);
    sts.clock.advance(Duration::from_secs(2));
    assert_eq!(verifier.verify(&token).await.err(), Some(UNKNOWN), "its key is gone");
    verifier.verify(&new.sign(&sts.claims("ar-2"))).await.unwrap();
}

#[tokio::test]
async fn an_invalidation_while_keys_travel_makes_them_stale_on_arrival() {
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
async fn a_token_that_does_not_fit_causes_no_fetch() {
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
async fn an_unknown_key_during_an_outage_is_an_outage() {
    let (old, new) = (SigningKey::new("k1"), SigningKey::new("k2"));
    let sts = Sts::start(&[&old]).await;
    let verifier = sts.verifier();
    verifier.warm_up().await.unwrap();
    sts.answer(503);
    assert_eq!(verifier.verify(&new.sign(&sts.claims("ar-1"))).await.err(), Some(UNAVAILABLE));
    verifier.verify(&old.sign(&sts.claims("ar-1"))).await.unwrap();
}
