use super::*;

#[tokio::test]
async fn returns_cached_mandate_until_it_expires() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let verifier = sts.verifier();
    let token = key.sign(&sts.claims("ar-1"));
    assert!(verifier.cached(&token).is_none());
    verifier.verify(&token).await.unwrap();
    let mandate = verifier.cached(&token).unwrap();
    assert_eq!(&*mandate.claims().sid, "ar-1");
    sts.clock.advance(Duration::from_secs(599));
    assert!(verifier.cached(&token).is_some());
    sts.clock.advance(Duration::from_secs(1));
    assert!(verifier.cached(&token).is_none(), "expired: the leeway does not apply to the cache");
}

#[tokio::test]
async fn does_not_return_cached_mandate_for_altered_token() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let verifier = sts.verifier();
    let token = key.sign(&sts.claims("ar-1"));
    verifier.verify(&token).await.unwrap();
    for position in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        assert!(verifier.cached(std::str::from_utf8(&bytes).unwrap()).is_none());
    }
}

#[tokio::test]
async fn drops_cached_mandate_when_its_key_is_removed() {
    let (old, new) = (SigningKey::new("k1"), SigningKey::new("k2"));
    let sts = Sts::start(&[&old]).await;
    let verifier = sts.verifier();
    let exp = sts.revocations.now().wall.as_secs() + 3_600;
    let token = old.sign(&with(sts.claims("ar-1"), "exp", json!(exp)));
    verifier.verify(&token).await.unwrap();
    sts.publish(&[&old, &new]);
    sts.clock.advance(Duration::from_secs(301));
    verifier.verify(&new.sign(&sts.claims("ar-2"))).await.unwrap();
    assert!(verifier.cached(&token).is_some(), "a key was added, none was removed");
    sts.publish(&[&new]);
    sts.clock.advance(Duration::from_secs(301));
    verifier.verify(&new.sign(&sts.claims("ar-3"))).await.unwrap();
    assert!(verifier.cached(&token).is_none());
}

#[tokio::test]
async fn cache_is_bounded() {
    let key = SigningKey::new("k1");
    let sts = Sts::start(&[&key]).await;
    let verifier = sts.builder().with_capacity(10).build(&sts.revocations).unwrap();
    let mut tokens = Vec::new();
    for n in 0..100 {
        let token = key.sign(&sts.claims(&format!("ar-{n}")));
        verifier.verify(&token).await.unwrap();
        tokens.push(token);
    }
    // moka evicts later, during other calls.
    for _ in 0..1_000 {
        let held = tokens.iter().filter(|token| verifier.cached(token).is_some()).count();
        if held <= 10 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the cache holds more than its capacity");
}
