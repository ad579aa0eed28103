//! Fuzzes the format, without the seal that protects it otherwise.

use caracal_revocation_event::Key;
use caracal_revocation_state::{Options, RevocationsWriter};

use super::format;

/// Reads `content` as if it were sealed, and checks that writing and reading the result does not
/// change it.
pub fn snapshot(content: &[u8]) {
    let sealed = [format::HEAD, content].concat();
    let Ok(snapshot) = format::parse(&sealed) else { return };
    let Ok(key) = Key::generate() else { return };
    let written = format::seal(&snapshot, &key);
    let again = written.split_last_chunk::<32>().map(|(sealed, _)| format::parse(sealed));
    assert!(matches!(again, Some(Ok(again)) if again == snapshot));
    let revocations = RevocationsWriter::new(Options::default());
    if revocations.restore(&snapshot.state).is_ok() {
        let later = RevocationsWriter::new(Options::default());
        assert_eq!(later.restore(&revocations.image()), Ok(()));
        assert_eq!(later.entries(), revocations.entries());
    }
}
