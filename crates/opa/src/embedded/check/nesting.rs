//! Checks how rules use each other: no rule uses itself, and none nests too deep for the stack.

use std::collections::BTreeSet;

use super::heads::{Checked, Head, rejection};
use crate::limits::MAX_NESTING;

/// The body of a rule: the paths that it uses, and its depth.
pub(super) struct Body {
    /// Paths from the root of `data`, up to the first variable.
    pub(super) uses: BTreeSet<Vec<String>>,
    pub(super) depth: usize,
}

/// Checks that no rule uses itself, and that none nests more than [`MAX_NESTING`] levels deep.
pub(super) fn nests_within_bounds(rules: &[Head], bodies: &[Body]) -> Checked {
    let used: Vec<Vec<usize>> = bodies
        .iter()
        .map(|body| {
            let meets = |rule: &Head| {
                body.uses
                    .iter()
                    .any(|used| used.starts_with(&rule.path) || rule.path.starts_with(used))
            };
            rules.iter().enumerate().filter(|(_, rule)| meets(rule)).map(|(at, _)| at).collect()
        })
        .collect();
    let mut depths = vec![Depth::Unknown; rules.len()];
    for start in 0..rules.len() {
        // An explicit stack instead of recursion, because chains of rules may be long.
        let mut stack = vec![start];
        while let Some(&at) = stack.last() {
            let (Some(depth), Some(body), Some(used)) =
                (depths.get(at).copied(), bodies.get(at), used.get(at))
            else {
                break;
            };
            let below = |at: &usize| depths.get(*at).copied().unwrap_or(Depth::Unknown);
            let known = match depth {
                Depth::Known(_) => {
                    stack.pop();
                    continue;
                }
                Depth::Unknown => {
                    if used.iter().any(|used| below(used) == Depth::BeingFound) {
                        return Err(recursive(rules, at));
                    }
                    stack.extend(used.iter().filter(|used| below(used) == Depth::Unknown));
                    Depth::BeingFound
                }
                Depth::BeingFound => {
                    stack.pop();
                    let deepest = used.iter().map(|used| match below(used) {
                        Depth::Known(depth) => depth,
                        _ => 0,
                    });
                    Depth::Known(body.depth + deepest.max().unwrap_or(0))
                }
            };
            if used.contains(&at) {
                return Err(recursive(rules, at));
            }
            if let Depth::Known(levels) = known
                && levels > MAX_NESTING
            {
                let message = format!("nests {levels} levels deep, more than {MAX_NESTING}");
                return Err(rules
                    .get(at)
                    .map(|rule| rejection(&rule.span, &message))
                    .unwrap_or(message));
            }
            if let Some(depth) = depths.get_mut(at) {
                *depth = known;
            }
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Unknown,
    BeingFound,
    Known(usize),
}

fn recursive(rules: &[Head], at: usize) -> String {
    let message = "this rule uses itself, perhaps by way of others";
    rules.get(at).map_or_else(|| message.to_owned(), |rule| rejection(&rule.span, message))
}
