//! Built-ins that fail where regorus gives another value than OPA.

use regorus::unstable::{BUILTINS, Expr, Ref, Span};
use regorus::{Engine, Source, Value};

/// Why a built-in is not called.
type Refusal = Result<(), &'static str>;

/// Puts the guards in front of the built-ins.
pub(super) fn guard(engine: &mut Engine) -> Result<(), String> {
    put(engine, "sprintf", is_plain)?;
    for name in ["max", "min", "sort"] {
        put(engine, name, has_one_order)?;
    }
    Ok(())
}

fn put(engine: &mut Engine, name: &str, allows: fn(&[Value]) -> Refusal) -> Result<(), String> {
    let Some((builtin, arity)) = BUILTINS.get(name) else {
        return Err(format!("the built-in {name} is not there"));
    };
    // Where an error would be: in no file.
    let source = Source::from_contents(name.to_owned(), String::new());
    let source = source.map_err(|error| error.to_string())?;
    let span = Span { source, line: 1, col: 1, start: 0, end: 0 };
    let nowhere = Expr::Null { span: span.clone(), value: Value::Null, eidx: 0 };
    let params = vec![Ref::new(nowhere); usize::from(*arity)];
    let call = move |args: Vec<Value>| {
        allows(&args).map_err(std::io::Error::other)?;
        builtin(&span, &params, &args, true)
    };
    engine.add_extension(name.to_owned(), *arity, Box::new(call)).map_err(|error| error.to_string())
}

/// `%s` of strings, `%d` of integers and `%v`, without flags, and as many as there are values.
fn is_plain(args: &[Value]) -> Refusal {
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
            Some('d') => values.next().is_some_and(|value| {
                matches!(value, Value::Number(_))
                    && (value.as_i64().is_ok() || value.as_u64().is_ok())
            }),
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

/// Sets come after objects in OPA, and before them in regorus.
fn has_one_order(args: &[Value]) -> Refusal {
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
