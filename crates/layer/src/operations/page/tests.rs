use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use caracal_revocation_event::KeySlot;
use caracal_revocation_state::{
    BaselineReport, ManualClock, NotReady, Options, OutageCause, RevocationsWriter, SnapshotReport,
};
use sha2::{Digest, Sha256};

use super::headline::{Headline, Level, moment};
use super::words::{ago, bytes, duration};
use super::*;
use crate::operations::status::Status;

/// A state, and its clock.
struct Scene {
    writer: RevocationsWriter,
    clock: Arc<ManualClock>,
}

impl Scene {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        clock.advance(Duration::from_secs(100_000));
        let writer = RevocationsWriter::with_clock(Options::default(), clock.clone());
        Self { writer, clock }
    }

    fn ready() -> Self {
        let scene = Self::new();
        scene.writer.confirm(scene.writer.now());
        scene
    }

    fn status(&self, unmet: Option<&'static str>) -> Status {
        let now = self.writer.now();
        Status::of(&self.writer, unmet, now, Some(now.earlier_by(Duration::from_secs(90))))
    }

    fn headline(&self) -> (Level, String) {
        let headline = Headline::of(&self.status(None));
        (headline.level, headline.state)
    }

    fn page(&self) -> String {
        render(&self.status(None), "", Refresh::On)
    }

    fn now_second(&self) -> i64 {
        i64::try_from(self.writer.now().wall.as_secs()).unwrap()
    }
}

#[test]
fn headline_names_the_state_and_if_requests_are_denied() {
    let scene = Scene::new();
    assert_eq!(scene.headline(), (Level::Bad, "Starting: denying".into()));
    scene.writer.set_not_ready(NotReady::NotProvisioned);
    assert_eq!(scene.headline(), (Level::Bad, "No streams: denying".into()));
    scene.writer.set_not_ready(NotReady::NoSignatureVerifies);
    assert_eq!(scene.headline(), (Level::Bad, "Wrong stream key: denying".into()));
    scene.writer.confirm(scene.writer.now());
    assert_eq!(scene.headline(), (Level::Good, "Ready".into()));
    scene.writer.set_outage(Some(OutageCause::Timeout));
    assert_eq!(scene.headline(), (Level::Warning, "Ready, without Redis".into()));
    scene.clock.advance(Duration::from_secs(12));
    assert_eq!(scene.headline(), (Level::Warning, "Ready, but 12 s old".into()));
    scene.clock.advance(Duration::from_secs(60));
    assert_eq!(scene.headline(), (Level::Bad, "Stale for 12 s: denying".into()));
    scene.writer.report(|report| report.has_ended = true);
    assert_eq!(scene.headline().0, Level::Bad);
}

#[test]
fn headline_warns_of_what_an_operator_must_do() {
    let scene = Scene::ready();
    scene.writer.raise_horizon(scene.now_second());
    assert_eq!(scene.headline(), (Level::Warning, "Ready, with a gap".into()));
    // A gap denies tokens. Rejected messages may admit some, and the advice is about them.
    scene.writer.set_signatures_fail(true);
    assert_eq!(scene.headline(), (Level::Warning, "Ready, degraded".into()));
    let condition = Headline::of(&scene.status(Some("canary")));
    assert_eq!((condition.level, &*condition.state), (Level::Warning, "Not ready: canary"));
    scene.writer.report(|report| report.has_ended = true);
    assert_eq!(scene.headline(), (Level::Warning, "Follower ended: soon denying".into()));
}

#[test]
fn title_and_heading_tell_the_state() {
    let page = Scene::ready().page();
    assert!(page.contains("<title>Ready · Caracal revocation</title>"), "{page}");
    assert!(page.contains("</span>Ready</h1>"), "{page}");
    assert!(page.contains("state good"), "{page}");
    assert!(Scene::new().page().contains("<title>Starting: denying · "));
}

#[test]
fn every_value_is_escaped() {
    let scene = Scene::ready();
    let evil = r#"<script>alert("1")</script>&'"#;
    scene.writer.report(|report| {
        let mut baseline = BaselineReport::default();
        baseline.error = Some(evil.to_owned());
        report.baseline = Some(baseline);
        let mut snapshot = SnapshotReport::default();
        snapshot.error = Some(evil.to_owned());
        report.snapshot = Some(snapshot);
    });
    let status = scene.status(Some("<b>condition</b>"));
    let page = render(&status, "", Refresh::On);
    assert_eq!(page.matches("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;'").count(), 2);
    assert!(page.contains("&lt;b&gt;condition"), "{page}");
    assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
}

#[test]
fn page_uses_no_script_and_no_other_file() {
    let page = Scene::ready().page();
    for part in ["<script", "src=", "<link", "url(", "@import", "style=", " on"] {
        let found =
            page.match_indices(part).filter(|(at, _)| part != " on" || is_handler(&page, *at));
        assert_eq!(found.count(), 0, "{part}");
    }
}

/// Returns `true` if an attribute such as ` onclick=` begins here.
fn is_handler(page: &str, at: usize) -> bool {
    page[at + 3..].trim_start_matches(|letter: char| letter.is_ascii_lowercase()).starts_with('=')
}

#[test]
fn policy_allows_exactly_the_style_of_the_page() {
    let page = Scene::ready().page();
    let (_, rest) = page.split_once("<style>").unwrap();
    let (style, _) = rest.split_once("</style>").unwrap();
    let digest = BASE64_STANDARD.encode(Sha256::digest(style));
    let directive = format!("style-src 'sha256-{digest}';");
    assert!(CONTENT_SECURITY_POLICY.contains(&directive), "write {directive} into the policy");
    assert!(CONTENT_SECURITY_POLICY.starts_with("default-src 'none';"));
    assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
}

#[test]
fn counts_of_messages_are_sentences() {
    let scene = Scene::ready();
    let now = scene.writer.now();
    scene.writer.report(|report| {
        report.bad_signatures.add(now);
        report.keys = vec![(KeySlot::Current, report.bad_signatures)];
    });
    scene.clock.advance(Duration::from_secs(3));
    let page = scene.page();
    assert!(page.contains("<dd>1 message verified, the last 3.0 s ago</dd>"), "{page}");
    assert!(page.contains("<dd>1 message rejected, the last 3.0 s ago</dd>"), "{page}");
    assert!(Scene::ready().page().contains("<dd>0 messages rejected</dd>"));
}

#[test]
fn refresh_can_be_stopped() {
    let meta = r#"<meta http-equiv="refresh" content="5">"#;
    let scene = Scene::ready();
    let page = |query| render(&scene.status(None), "", Refresh::of(query));
    assert!(page(None).contains(meta));
    assert!(page(Some("refresh=on")).contains(meta));
    for query in ["refresh=off", "a=b&refresh=off"] {
        assert!(!page(Some(query)).contains(meta), "{query}");
    }
}

#[test]
fn page_without_details_says_how_to_get_them() {
    let scene = Scene::ready();
    let now = scene.writer.now();
    let status = Status::of(&scene.writer, None, now, None);
    let page = render(&status, "They need a token.", Refresh::On);
    assert!(page.contains("<p>They need a token.</p>"), "{page}");
    assert!(!page.contains("Version") && !page.contains("Keys"), "{page}");
    assert!(scene.page().contains("<dt>Version</dt>"));
}

#[test]
fn durations_and_sizes_are_short() {
    let texts = [0.04, 0.25, 9.94, 9.96, 61.2, 119.4, 121.0, 7_199.0, 7_300.0, 200_000.0];
    let expected =
        ["0.0 s", "0.2 s", "9.9 s", "10 s", "61 s", "119 s", "2 min", "120 min", "2 h", "2 days"];
    assert_eq!(texts.map(duration), expected);
    assert_eq!((duration(-1.0).as_str(), ago(None).as_str()), ("0.0 s", "never"));
    assert_eq!([0, 999, 3_100, 150_000_000].map(bytes), ["0 B", "999 B", "3.1 kB", "150.0 MB"]);
    assert_eq!(moment(100, 160), "60 s ago (Unix time 100)");
    assert_eq!(moment(105, 100), "5.0 s from now (Unix time 105)");
    assert_eq!(moment(100, 100), "now (Unix time 100)");
}
