//! Who calls whom in a compiled policy: a policy that calls itself could exhaust the stack, which
//! no time limit prevents.

use regorus::rvm::{Instruction, Program};

/// How deep the calls of a policy nest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nesting {
    /// At most so deep.
    Bounded(usize),
    /// As deep as data and input say.
    Dynamic,
    /// A rule calls itself, by whatever way.
    Recursive,
}

/// The nesting of the calls, from what the instructions say.
pub(super) fn nesting(program: &Program) -> Nesting {
    if program.needs_runtime_recursion_check {
        return Nesting::Dynamic;
    }
    let callees = callees(program);
    let mut depths = vec![Depth::Unknown; callees.len()];
    let mut deepest = 0;
    for rule in 0..callees.len() {
        match depth(rule, &callees, &mut depths) {
            Some(depth) => deepest = deepest.max(depth),
            None => return Nesting::Recursive,
        }
    }
    Nesting::Bounded(deepest)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Unknown,
    BeingFound,
    Known(usize),
}

/// The depth below a rule, unless it calls itself. Walks with a stack of its own.
fn depth(start: usize, callees: &[Vec<usize>], depths: &mut [Depth]) -> Option<usize> {
    let mut stack = vec![start];
    while let Some(&rule) = stack.last() {
        match depths.get(rule).copied() {
            Some(Depth::Unknown) => {
                if let Some(depth) = depths.get_mut(rule) {
                    *depth = Depth::BeingFound;
                }
                for callee in callees.get(rule).into_iter().flatten() {
                    match depths.get(*callee) {
                        Some(Depth::BeingFound) => return None,
                        Some(Depth::Unknown) => stack.push(*callee),
                        _ => {}
                    }
                }
            }
            Some(Depth::BeingFound) => {
                stack.pop();
                let below = callees.get(rule).into_iter().flatten().map(|callee| {
                    match depths.get(*callee) {
                        Some(Depth::Known(depth)) => *depth,
                        _ => 0,
                    }
                });
                let known = below.max().unwrap_or(0) + 1;
                if let Some(depth) = depths.get_mut(rule) {
                    *depth = Depth::Known(known);
                }
            }
            _ => {
                stack.pop();
            }
        }
    }
    match depths.get(start) {
        Some(Depth::Known(depth)) => Some(*depth),
        _ => Some(0),
    }
}

/// For each rule, the rules that its instructions call. The instructions of a rule are those from
/// one of its entry points to the next entry point of any rule.
fn callees(program: &Program) -> Vec<Vec<usize>> {
    let mut entries: Vec<(usize, usize)> = Vec::new();
    for (index, rule) in program.rule_infos.iter().enumerate() {
        let bodies = rule.definitions.iter().flatten().copied();
        let blocks = rule.destructuring_blocks.iter().flatten().copied();
        entries.extend(bodies.chain(blocks).map(|at| (at as usize, index)));
    }
    entries.sort_unstable();
    let mut callees = vec![Vec::new(); program.rule_infos.len()];
    for (at, instruction) in program.instructions.iter().enumerate() {
        let callee = match instruction {
            Instruction::CallRule { rule_index, .. } => usize::from(*rule_index),
            Instruction::FunctionCall { params_index } => {
                match program.instruction_data.get_function_call_params(*params_index) {
                    Some(call) => usize::from(call.func_rule_index),
                    None => continue,
                }
            }
            _ => continue,
        };
        let caller = entries.partition_point(|(entry, _)| *entry <= at).checked_sub(1);
        let caller = caller.and_then(|caller| entries.get(caller));
        if let Some(called) = caller.and_then(|(_, rule)| callees.get_mut(*rule)) {
            called.push(callee);
        }
    }
    callees
}
