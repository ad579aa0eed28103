//! Frames with random damage.

use super::client::{Client, FIN, HAPROXY_HELLO, NOTIFY, arguments, frame, hello, message, start};
use crate::world::World;

/// A small generator of random numbers (xorshift), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// Changes, removes, inserts or repeats up to four bytes.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let place = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[place] = random.below(256) as u8,
            1 => bytes[place] ^= 1 << random.below(8),
            2 => drop(bytes.remove(place)),
            3 => bytes.insert(place, [0, 0x7f, 0xf0, 0xff][random.below(4)]),
            _ => bytes.truncate(place),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn survives_damaged_frames_and_approves_none() {
    let world = World::start().await;
    let (mut guard, address) = start(&world, &[]).await;
    let token = world.mint("ar-1");
    let mut random = Random(0x5eed);
    let greeting = frame(HAPROXY_HELLO, FIN, 0, 0, &hello("2.0", 16_380));
    // The token is invalid, so that no damage to it may lead to an approval.
    let question = frame(NOTIFY, FIN, 1, 1, &message("check-token", &arguments(Some("x.y.z"))));
    let mut answers = 0;
    for round in 0..2000 {
        let mut bytes = greeting.clone();
        if round % 4 == 0 {
            damage(&mut bytes, &mut random);
        }
        for _ in 0..3 {
            let mut bad = question.clone();
            damage(&mut bad, &mut random);
            bytes.extend(bad);
        }
        let mut client = Client::connect(address).await;
        client.send(&bytes).await;
        client.finish().await;
        while let Some(frame) = client.read().await {
            answers += 1;
            let status = frame.values.get("status");
            assert_ne!(status, Some(&200_u32.into()), "round {round}: {bytes:?}");
        }
    }
    assert!(answers > 2000, "the guard must answer: {answers}");
    assert!(!guard.has_ended());
    assert!(!guard.log().contains("panicked"), "{}", guard.log());
    let mut client = Client::hello(address, 16_380).await;
    assert_eq!(client.ask(&arguments(Some(&token))).await.number("status"), 200);
}
