//! Guards in front of built-ins: a call fails if regorus would return another value than OPA.

use regorus::unstable::{ArithOp, BUILTINS, Expr, Ref, Span, numbers};
use regorus::{Engine, Source, Value};

use super::rewrite::arithmetic;

const FRACTION: &str = "arithmetic with a fraction";

/// The result of a guard: `Err` with the reason if the built-in must not be called.
type Denial = Result<(), &'static str>;

/// Installs the guards of the built-ins and of arithmetic.
pub(super) fn guard(engine: &mut Engine) -> Result<(), String> {
    for op in [ArithOp::Add, ArithOp::Sub, ArithOp::Mul, ArithOp::Div, ArithOp::Mod] {
        put_arithmetic(engine, op)?;
    }
    put(engine, "sprintf", is_plain)?;
    for name in ["max", "min", "sort"] {
        put(engine, name, has_one_order)?;
    }
    for name in ["product", "sum"] {
        put(engine, name, has_no_fraction)?;
    }
    for name in ["lower", "upper"] {
        put(engine, name, is_ascii)?;
    }
    for name in ["indexof", "indexof_n"] {
        put(engine, name, is_not_empty)?;
    }
    put(engine, "to_number", has_no_space)?;
    // The first index is the position of the pattern, the second the position of the text.
    put(engine, "regex.match", |args| has_common_pattern(args.first(), args.get(1)))?;
    put(engine, "regex.find_n", |args| has_common_pattern(args.first(), args.get(1)))?;
    put(engine, "regex.replace", |args| has_common_pattern(args.get(1), args.first()))?;
    put(engine, "regex.is_valid", |args| has_common_pattern(args.first(), None))?;
    put(engine, "regex.template_match", |args| has_common_pattern(args.first(), args.get(1)))
}

fn put(engine: &mut Engine, name: &str, allows: fn(&[Value]) -> Denial) -> Result<(), String> {
    let Some((builtin, arity)) = BUILTINS.get(name) else {
        return Err(format!("the built-in {name} is not there"));
    };
    let expr = expr_without_position(name)?;
    let params = vec![expr.clone(); usize::from(*arity)];
    let call = move |args: Vec<Value>| {
        allows(&args).map_err(std::io::Error::other)?;
        builtin(expr.span(), &params, &args, true)
    };
    engine.add_extension(name.to_owned(), *arity, Box::new(call)).map_err(|error| error.to_string())
}

fn put_arithmetic(engine: &mut Engine, op: ArithOp) -> Result<(), String> {
    let name = arithmetic(&op);
    let expr = expr_without_position(name)?;
    let call = move |args: Vec<Value>| {
        has_exact_operands(&args).map_err(std::io::Error::other)?;
        let [left, right] = <[Value; 2]>::try_from(args)
            .map_err(|_| std::io::Error::other("an operator has two operands"))?;
        if let (ArithOp::Sub, Value::Set(left), Value::Set(right)) = (&op, &left, &right) {
            return Ok(Value::from(left.difference(right)));
        }
        numbers::arithmetic_operation(expr.span(), &op, &expr, &expr, left, right, true)
    };
    engine.add_extension(name.to_owned(), 2, Box::new(call)).map_err(|error| error.to_string())
}

/// Returns an expression with a position outside of any file.
fn expr_without_position(name: &str) -> Result<Ref<Expr>, String> {
    let source = Source::from_contents(name.to_owned(), String::new());
    let source = source.map_err(|error| error.to_string())?;
    let span = Span { source, line: 1, col: 1, start: 0, end: 0 };
    Ok(Ref::new(Expr::Null { span, value: Value::Null, eidx: 0 }))
}

/// Allows integers, and fractions that are small and have few binary digits. OPA computes with
/// decimal fractions and regorus with binary ones; for these operands both give the same result.
fn has_exact_operands(args: &[Value]) -> Denial {
    let is_integer = |arg: &Value| !matches!(arg, Value::Number(number) if !number.is_integer());
    let is_short = |arg: &Value| {
        let value = arg.as_f64().unwrap_or_default();
        value.abs() < 65_536.0 && (value * 64.0).fract() == 0.0
    };
    if args.iter().all(is_integer) || args.iter().all(is_short) { Ok(()) } else { Err(FRACTION) }
}

/// Allows `%s` for strings, `%d` for integers and `%v`, without flags, one for each value.
fn is_plain(args: &[Value]) -> Denial {
    let [Value::String(format), Value::Array(values)] = args else {
        return Err("sprintf needs a string and an array");
    };
    let (mut values, mut chars) = (values.iter(), format.chars());
    while let Some(char) = chars.next() {
        if char != '%' {
            continue;
        }
        let is_fine = match chars.next() {
            Some('%') => true,
            Some('s') => matches!(values.next(), Some(Value::String(_))),
            Some('d') => values.next().is_some_and(is_integer),
            Some('v') => values.next().is_some(),
            _ => false,
        };
        if !is_fine {
            return Err("sprintf takes %s of a string, %d of an integer and %v");
        }
    }
    if values.next().is_some() {
        return Err("sprintf has more values than its format names");
    }
    Ok(())
}

/// Rejects sets and objects together: OPA orders objects before sets, and regorus sets before
/// objects.
fn has_one_order(args: &[Value]) -> Denial {
    let (mut sets, mut objects) = (false, false);
    let mut rest: Vec<&Value> = Vec::new();
    for collection in args {
        match collection {
            Value::Array(items) => rest.extend(items.iter()),
            Value::Set(items) => rest.extend(items.iter()),
            _ => {}
        }
    }
    while let Some(value) = rest.pop() {
        match value {
            Value::Array(items) => rest.extend(items.iter()),
            Value::Set(items) => {
                sets = true;
                rest.extend(items.iter());
            }
            Value::Object(members) => {
                objects = true;
                rest.extend(members.values());
            }
            _ => {}
        }
    }
    if sets && objects { Err("the order of sets and objects") } else { Ok(()) }
}

fn is_integer(value: &Value) -> bool {
    matches!(value, Value::Number(_)) && (value.as_i64().is_ok() || value.as_u64().is_ok())
}

/// Rejects fractions: OPA adds and multiplies decimal fractions, and regorus binary ones.
fn has_no_fraction(args: &[Value]) -> Denial {
    let is_fine = |item: &Value| !matches!(item, Value::Number(_)) || is_integer(item);
    let all = match args.first() {
        Some(Value::Array(items)) => items.iter().all(is_fine),
        Some(Value::Set(items)) => items.iter().all(is_fine),
        _ => true,
    };
    if all { Ok(()) } else { Err(FRACTION) }
}

/// Rejects text beyond ASCII: OPA changes the case of each character alone.
fn is_ascii(args: &[Value]) -> Denial {
    match args.first() {
        Some(Value::String(text)) if !text.is_ascii() => Err("the case of a letter beyond ASCII"),
        _ => Ok(()),
    }
}

fn is_not_empty(args: &[Value]) -> Denial {
    match args.get(1) {
        Some(Value::String(text)) if text.is_empty() => Err("the search for an empty string"),
        _ => Ok(()),
    }
}

fn has_no_space(args: &[Value]) -> Denial {
    match args.first() {
        Some(Value::String(text)) if text.contains(char::is_whitespace) => {
            Err("a number with white space")
        }
        _ => Ok(()),
    }
}

/// Allows patterns that Go and Rust interpret alike: escapes of punctuation and of `bBdDsSwWnrt`,
/// groups, repetitions, and classes without operators. `\d`, `\s`, `\w`, `\b` and `(?i)` are
/// allowed only on ASCII text, because they match different characters beyond it.
fn has_common_pattern(pattern: Option<&Value>, text: Option<&Value>) -> Denial {
    let Some(Value::String(pattern)) = pattern else { return Ok(()) };
    let mut chars = pattern.chars().peekable();
    let (mut is_class, mut has_letters) = (false, false);
    while let Some(char) = chars.next() {
        let next = chars.peek().copied().unwrap_or_default();
        match char {
            '\\' if "bBdDsSwW".contains(next) => {
                has_letters = true;
                chars.next();
            }
            '\\' if "nrt.*+?()[]{}|^$\\/-".contains(next) => drop(chars.next()),
            '\\' => return Err("an escape in a pattern that Go and Rust read otherwise"),
            '[' if is_class => return Err("a class in a class of a pattern"),
            '[' => {
                is_class = true;
                if next == '^' {
                    chars.next();
                }
                // A `]` at the start of a class is a literal.
                if chars.peek() == Some(&']') {
                    chars.next();
                }
            }
            ']' => is_class = false,
            '&' | '~' | '-' if is_class && next == char => {
                return Err("an operator in a class of a pattern");
            }
            '*' | '+' | '?' | '}' if !is_class && matches!(next, '*' | '+') => {
                return Err("a repetition of a repetition in a pattern");
            }
            '(' if !is_class && next == '?' => {
                chars.next();
                let flags: String = chars.by_ref().take_while(|c| !":)>".contains(*c)).collect();
                match flags.as_str() {
                    "" | "m" | "s" => {}
                    "i" => has_letters = true,
                    name if name.starts_with("P<") => {}
                    _ => return Err("a flag in a pattern that Go and Rust read otherwise"),
                }
            }
            _ => {}
        }
    }
    let is_ascii = |value: &Value| !matches!(value, Value::String(text) if !text.is_ascii());
    if has_letters && !(pattern.is_ascii() && text.is_none_or(is_ascii)) {
        return Err("a pattern with classes of letters on a text beyond ASCII");
    }
    Ok(())
}
