//! Reads the anchors to revoke from a file: JSON lines, or one id per line.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use super::item::Item;
use crate::cli::{AnchorKind, one_line};
use crate::outcome::Failure;

/// The longest id that is accepted, in bytes. Caracal's own ids have at most 40.
const MAX_ID: usize = 1_024;
/// The largest file that is read.
const MAX_BYTES: u64 = 256 << 20;

/// The items of a file, in its order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) items: Vec<Item>,
    /// The number of lines that repeat an earlier one.
    pub(super) repeated: usize,
}

/// Reads a file, or standard input for `-`.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(format!("--from-file {}: {why}", path.display()))
    };
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)
    } else {
        let open = std::fs::File::open(path);
        open.and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
    };
    match read {
        Err(error) => Err(failed(&error)),
        Ok(_) if bytes.len() as u64 > MAX_BYTES => {
            Err(failed(&format_args!("over {} MiB: split it", MAX_BYTES >> 20)))
        }
        Ok(_) => Ok(bytes),
    }
}

/// Parses all lines. If the first line that is not empty begins with `{`, every line is JSON; else
/// every line is an id of this kind.
///
/// Fails at the first line that cannot be used, with its number.
pub(super) fn parse(bytes: &[u8], kind: AnchorKind, zone: Option<&str>) -> Result<Input, Failure> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let mut is_json = None;
    let (mut seen, mut items, mut repeated) = (HashSet::new(), Vec::new(), 0);
    for (index, line) in lines {
        let wrong = |why: &str| Failure::new(format!("--from-file, line {}: {why}", index + 1));
        let line = std::str::from_utf8(line).map_err(|_| wrong("not UTF-8"))?.trim();
        if line.is_empty() || (is_json != Some(true) && line.starts_with('#')) {
            continue;
        }
        let is_json = *is_json.get_or_insert(line.starts_with('{'));
        let parsed = if is_json { json(line) } else { plain(line, kind) };
        let mut item = parsed.map_err(|why| wrong(&why))?;
        if item.zone_id.is_none() {
            item.zone_id = zone.map(str::to_owned);
        }
        check(&item).map_err(|why| wrong(&why))?;
        if seen.insert(item.digest()) {
            items.push(item);
        } else {
            repeated += 1;
        }
    }
    if items.is_empty() {
        return Err(Failure::new("--from-file: nothing to revoke: no line has an id"));
    }
    Ok(Input { items, repeated })
}

fn json(line: &str) -> Result<Item, String> {
    if !line.starts_with('{') {
        return Err("not JSON: the first line is a JSON object, so every line must be".to_owned());
    }
    serde_json::from_str(line).map_err(|error| {
        // The position in the line is enough: the line of the file is named already.
        let text = error.to_string();
        let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
        format!("not usable JSON: {text} (column {})", error.column())
    })
}

fn plain(line: &str, kind: AnchorKind) -> Result<Item, String> {
    if line.starts_with('{') {
        return Err("JSON: the first line is an id, so every line must be".to_owned());
    }
    if line.contains(char::is_whitespace) || line.contains(',') {
        return Err("expected one id, without blanks or commas".to_owned());
    }
    // No id would match, and the run would report success.
    if line.contains(['"', '\'', '`', '[', ']', '{', '}']) {
        return Err("expected an id without quotes or brackets (with jq: jq -r)".to_owned());
    }
    let mut item = Item::default();
    let anchor = match kind {
        AnchorKind::Session => &mut item.session_id,
        AnchorKind::Root => &mut item.root_sid,
        AnchorKind::AgentSession => &mut item.agent_session_id,
        AnchorKind::Delegation => &mut item.delegation_edge_id,
    };
    *anchor = Some(line.to_owned());
    Ok(item)
}

/// Returns `true` for characters that an id has only by mistake, such as after a copy from a web page.
/// The id would match no token.
fn is_invisible(letter: char) -> bool {
    letter.is_control()
        || letter.is_whitespace()
        || matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Fails if a consumer would ignore or reject a part of the message.
fn check(item: &Item) -> Result<(), String> {
    if item.anchors().next().is_none() {
        let names = "session_id, root_sid, agent_session_id or delegation_edge_id";
        return Err(format!("nothing to revoke: expected {names}"));
    }
    let zone = item.zone_id.as_deref().ok_or("no zone: pass --zone, or zone_id in each line")?;
    let reason = item.reason.as_deref().map(|reason| ("reason", reason));
    for (name, value) in item.anchors().chain([("zone_id", zone)]).chain(reason) {
        one_line(value).map_err(|why| format!("{name}: {why}"))?;
        if value.len() > MAX_ID {
            return Err(format!("{name}: longer than {MAX_ID} bytes"));
        }
        if name != "reason" && value.contains(is_invisible) {
            return Err(format!("{name}: contains a blank or an invisible character"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, zone: Option<&str>) -> Result<Input, String> {
        parse(text.as_bytes(), AnchorKind::AgentSession, zone).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_json_lines_with_their_own_zone_and_reason() {
        let text = "{\"zone_id\":\"z-1\",\"sid\":\"a\",\"reason\":\"stolen\"}\r\n\n\
                    {\"agent_session_id\":\"b\",\"edge_id\":\"c\"}";
        let items = parsed(text, Some("z-2")).unwrap().items;
        let [first, second] = items.as_slice() else { panic!("{items:?}") };
        assert_eq!(first.line(), r#"{"zone_id":"z-1","session_id":"a","reason":"stolen"}"#);
        let expected = r#"{"zone_id":"z-2","agent_session_id":"b","delegation_edge_id":"c"}"#;
        assert_eq!(second.line(), expected);
    }

    #[test]
    fn reads_ids_with_comments_and_counts_repeated_lines() {
        let input = parsed("\u{feff}# theirs\n a \nb\na\n", Some("z")).unwrap();
        let ids: Vec<_> = input.items.iter().filter_map(|i| i.agent_session_id.clone()).collect();
        assert_eq!((ids, input.repeated), (vec!["a".to_owned(), "b".to_owned()], 1));
    }

    #[test]
    fn comment_does_not_decide_that_lines_are_ids() {
        let input = parsed("# from the console\n{\"sid\":\"a\"}\n", Some("z")).unwrap();
        assert_eq!(input.items.len(), 1);
        let error = parsed("{\"sid\":\"a\"}\n# more\n", Some("z")).unwrap_err();
        assert!(error.contains("line 2: not JSON"), "{error}");
    }

    #[test]
    fn names_the_line_that_cannot_be_used() {
        for (text, zone, expected) in [
            ("a\nb c\n", Some("z"), "line 2: expected one id"),
            ("a\n{\"sid\":\"b\"}", Some("z"), "line 2: JSON"),
            ("{\"sid\":\"b\"}\na", Some("z"), "line 2: not JSON"),
            ("\n\na", None, "line 3: no zone: pass --zone"),
            ("\"a\"\n", Some("z"), "line 1: expected an id without quotes"),
            ("[\n", Some("z"), "line 1: expected an id without quotes or brackets"),
            ("a\nb\u{200b}\n", Some("z"), "line 2: agent_session_id: contains a blank or an inv"),
            (
                "{\"sid\":\"a\u{feff}\"}",
                Some("z"),
                "line 1: session_id: contains a blank or an inv",
            ),
            ("{\"sid\":\"a b\"}", Some("z"), "line 1: session_id: contains a blank"),
            (
                "{\"sid\":\"a\",\"session_id\":\"b\"}",
                Some("z"),
                "line 1: not usable JSON: duplicate",
            ),
            ("{\"sid\":\"a\",\"agent\":\"b\"}", Some("z"), "unknown field `agent`"),
            ("{\"sid\":\"\"}", Some("z"), "line 1: session_id: consumers would treat it as absent"),
            ("{\"sid\":\"a\\nb=c\"}", Some("z"), "session_id: contains a newline"),
            ("{\"sid\":\"a\",\"reason\":\"a\\nsid=c\"}", Some("z"), "reason: contains a newline"),
            ("{\"zone_id\":\"z\"}", None, "line 1: nothing to revoke: expected session_id"),
            ("{\"sid\":\"a\"", Some("z"), "line 1: not usable JSON: EOF"),
            ("# only\n", Some("z"), "no line has an id"),
            ("", Some("z"), "no line has an id"),
        ] {
            let error = parsed(text, zone).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        let long = "x".repeat(MAX_ID + 1);
        assert!(parsed(&long, Some("z")).unwrap_err().contains("line 1: agent_session_id: longer"));
        let error = parse(b"a\n\xff", AnchorKind::Session, Some("z")).unwrap_err().to_string();
        assert!(error.contains("line 2: not UTF-8"), "{error}");
    }
}
