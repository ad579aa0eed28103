//! The outcome of every test vector at the SDK and here. `docs/compatibility.md` lists each vector
//! whose outcomes differ; no other vector may differ.

use std::collections::BTreeSet;

use caracal_revocation::wire::{Change, Key, KeyRing, Message, MessageRejectionKind, Stream};
use serde_json::{Value, json};

use super::sdk::{Read, Sdk};
use crate::logged::{assert_same, page};
use crate::redis_server::RedisServer;
use crate::vectors::{Case, vectors};

/// The streams that the SDK reads.
const READ_BY_SDK: [Stream; 2] = [Stream::SessionsRevoke, Stream::DelegationsInvalidate];

fn stream(case: &Case) -> Stream {
    Stream::from_name(&case.stream).unwrap()
}

/// Lets the SDK read each vector on an empty server.
fn read_by_sdk(sdk: &Sdk, cases: &[Case]) -> Vec<Read> {
    let server = RedisServer::in_memory();
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let steps: Vec<_> = cases
        .iter()
        .flat_map(|case| {
            let fields: Vec<_> =
                case.fields().into_iter().map(|(name, value)| (hex(name), hex(value))).collect();
            [
                json!({ "do": "flush" }),
                json!({ "do": "add", "stream": case.stream, "fields_hex": fields }),
                json!({ "do": "read", "stream": case.stream, "key": case.key_hex }),
            ]
        })
        .collect();
    let results: Vec<Value> = sdk.run(&server, &steps);
    let reads = results.into_iter().skip(2).step_by(3);
    reads.map(|read| serde_json::from_value(read).unwrap()).collect()
}

/// Returns the outcome here: the changes of the message, or the kind of its rejection.
fn read_here(case: &Case) -> Result<Vec<Change<'static>>, MessageRejectionKind> {
    let ring = KeyRing::new(Key::from_hex(&case.key_hex).unwrap());
    let fields = case.fields();
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect();
    let event = ring.verify(&Message::new(stream(case), &fields));
    let event = event.map_err(|rejection| rejection.kind())?;
    Ok(event.changes().iter().cloned().map(Change::into_owned).collect())
}

/// Returns changes in words. Epoch 0 changes nothing: no mandate has an earlier one.
fn in_words(changes: BTreeSet<String>) -> String {
    let changes: Vec<_> = changes.into_iter().filter(|change| change != "epoch 0").collect();
    if changes.is_empty() { "changes nothing".to_owned() } else { changes.join(", ") }
}

fn revokes(anchor: &str) -> String {
    format!("revokes `{}`", anchor.escape_debug())
}

fn outcome_here(case: &Case) -> String {
    let Ok(changes) = read_here(case) else { return "rejects".to_owned() };
    let mut words = BTreeSet::new();
    for change in changes {
        match change {
            Change::Revoke(anchor) => words.insert(revokes(anchor.as_str())),
            Change::Suspend(it) => words.insert(format!("suspends `{}`", it.session)),
            Change::DelegationEpoch(it) => {
                words.extend(it.ended.iter().map(|edge| revokes(edge.as_str())));
                words.insert(format!("epoch {}", it.epoch))
            }
            other => panic!("{}: {other:?} on a stream that the SDK reads", case.name),
        };
    }
    in_words(words)
}

fn outcome_of_sdk(read: &Read) -> String {
    if let Some(error) = &read.error {
        return format!("raises `{error}`");
    }
    if !read.dead.is_empty() {
        return "rejects".to_owned();
    }
    let revoked = read.revoked.iter().map(|anchor| revokes(anchor));
    in_words(revoked.chain(read.epochs.values().map(|epoch| format!("epoch {epoch}"))).collect())
}

/// Returns the rows of the table under this heading of the page.
fn rows(heading: &str) -> BTreeSet<String> {
    let page = page("docs/compatibility.md");
    let (_, section) = page.split_once(heading).expect("the heading");
    let table = section.lines().skip_while(|line| !line.starts_with('|'));
    table.take_while(|line| line.starts_with('|')).skip(2).map(str::to_owned).collect()
}

#[test]
fn page_lists_every_vector_with_another_outcome_at_the_sdk() {
    let Some(sdk) = Sdk::find() else { return };
    let mut cases = vectors();
    cases.retain(|case| READ_BY_SDK.contains(&stream(case)));
    let mut differing = BTreeSet::new();
    for (case, read) in cases.iter().zip(read_by_sdk(&sdk, &cases)) {
        let (here, there) = (outcome_here(case), outcome_of_sdk(&read));
        if here != there {
            differing.insert(format!("| {} | {here} | {there} |", case.name));
        }
    }
    assert_same(&differing, &rows("### Messages with another outcome"));
}

#[test]
fn sdk_verifies_signatures_of_the_other_streams_as_here() {
    let Some(sdk) = Sdk::find() else { return };
    let mut cases = vectors();
    cases.retain(|case| !READ_BY_SDK.contains(&stream(case)));
    assert!(cases.iter().any(|case| case.expect == "reject_signature"));
    for (case, read) in cases.iter().zip(read_by_sdk(&sdk, &cases)) {
        let rejected_here = read_here(case) == Err(MessageRejectionKind::Signature);
        assert_eq!(read.dead == ["invalid_signature"], rejected_here, "{}: {read:?}", case.name);
    }
}
