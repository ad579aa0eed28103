//! The delays of messages, as a receipt reports them. Only a new message has one.

use super::*;
use crate::receipts::Progress;

/// Returns a scene, and the progress for receipts that its fold reports to.
fn with_progress() -> (Scene, Arc<Progress>) {
    let (mut scene, progress) = (Scene::new(Options::default()), Arc::new(Progress::new()));
    scene.fold = scene.fold.with_progress(Some(Arc::clone(&progress)));
    (scene, progress)
}

#[test]
fn delay_of_a_new_message_is_by_the_clock_of_its_server() {
    for lead in [Duration::ZERO, 3_600 * SECOND] {
        let (mut scene, progress) = with_progress();
        scene.lead = lead;
        scene.read();
        scene.publish("ar-1", &key("1a"));
        scene.wait(2);
        scene.read();
        let (receipt, id) = (progress.receipt("gw-1"), scene.entries()[0].id);
        assert_eq!(receipt.cursor(STREAM), Some(id));
        let delay = receipt.lag(STREAM, id).unwrap();
        assert!(delay.abs_diff(2 * SECOND) < SECOND / 1_000, "lead {lead:?}: {delay:?}");
    }
}

#[test]
fn message_of_the_history_has_no_delay() {
    let (mut scene, progress) = with_progress();
    scene.publish("ar-1", &key("1a"));
    let id = scene.entries()[0].id;
    scene.read();
    assert!(progress.receipt("gw-1").has_skipped(STREAM, id), "it was there at the start");
    scene.fold.suspect_loss(LossSuspicion::Restarted, [true; Stream::ALL.len()]);
    (0..2).for_each(|_| scene.read());
    assert!(scene.fold.is_tailing() && scene.is_revoked("ar-1"));
    assert!(progress.receipt("gw-1").has_skipped(STREAM, id), "it was read again");
}

#[test]
fn message_has_no_delay_until_the_history_is_accepted() {
    let (mut scene, progress) = with_progress();
    scene.publish("forged", &key("2b"));
    scene.read();
    assert!(scene.fold.is_tailing() && scene.unready() == NO_SIGNATURE);
    scene.publish("ar-1", &key("1a"));
    scene.read();
    assert_eq!(scene.unready(), None);
    let id = scene.entries()[1].id;
    assert!(progress.receipt("gw-1").has_skipped(STREAM, id));
}
