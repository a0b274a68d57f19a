//! Equality of JSON documents: numbers by value, so that `1` and `1.0` are the same and `0.1` stays exact.

use std::fmt::Display;

use serde_json::Value;

#[track_caller]
pub(crate) fn assert_same(said: &Value, expected: &Value, case: &dyn Display) {
    if let Some(difference) = difference(said, expected, "") {
        panic!("{case}: {difference}");
    }
}

/// Where and how two documents differ first.
pub(crate) fn difference(said: &Value, expected: &Value, at: &str) -> Option<String> {
    match (said, expected) {
        (Value::Object(left), Value::Object(right)) => {
            for (name, value) in left {
                let at = format!("{at}/{name}");
                match right.get(name) {
                    None => return Some(format!("{at} was added")),
                    Some(other) => {
                        if let Some(found) = difference(value, other, &at) {
                            return Some(found);
                        }
                    }
                }
            }
            let missing = right.keys().find(|name| !left.contains_key(*name))?;
            Some(format!("{at}/{missing} was lost"))
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => left
            .iter()
            .zip(right)
            .enumerate()
            .find_map(|(index, (left, right))| difference(left, right, &format!("{at}/{index}"))),
        (Value::Number(left), Value::Number(right)) => {
            let equal = match (left.as_i64(), right.as_i64()) {
                (Some(left), Some(right)) => left == right,
                _ => left.as_f64() == right.as_f64(),
            };
            (!equal).then(|| format!("{at} is {left}, not {right}"))
        }
        _ => (said != expected).then(|| format!("{at} differs")),
    }
}
