//! A call whose arguments come in pieces, each for a place in them: `{"jsonPath":"$.a[0].b","stringValue":"…"}`.
//!
//! Vertex does so when asked. Other dialects stream arguments as text in order, so a call is put together here and told
//! whole; what it may grow to is bounded.

use crate::dialects::raw::RawValue;
use serde_json::Value;
use serde_json::map::Map;

use super::refuse;
use crate::dialects::DialectError;
use crate::dialects::message::{CallKind, Text, ToolCall};
use crate::dialects::object::{self, Object};

/// Bytes of arguments, and steps of a path: far beyond what any model writes.
const MOST_BYTES: usize = 16 << 20;
const MOST_STEPS: usize = 64;
/// Calls that come beside each other.
const MOST_OPEN: usize = 64;
/// What a value costs beside its text.
const VALUE: usize = size_of::<Value>();

#[derive(Debug, Default)]
pub(super) struct Streamed {
    id: String,
    name: String,
    signature: Option<String>,
    arguments: Map<String, Value>,
    bytes: usize,
}

/// One part of such a call.
pub(super) struct Piece<'a> {
    id: Text<'a>,
    name: Text<'a>,
    signature: Option<Text<'a>>,
    /// What stands in `args`.
    whole: Option<&'a RawValue>,
    arguments: Vec<&'a RawValue>,
    goes_on: bool,
}

impl<'a> Piece<'a> {
    /// `None` for other parts, whole calls among them. While a call is `open`, one without a name goes on with it.
    pub(super) fn of(raw: &'a RawValue, open: bool) -> Option<Self> {
        let mut part = Object::lenient(raw)?;
        let mut call = part.take_if("functionCall", Object::lenient)?;
        let name = call.take_if("name", object::text).unwrap_or_default();
        let goes_on = call.take_if("willContinue", |raw| (raw.get() == "true").then_some(())).is_some();
        let arguments = call.take_if("partialArgs", object::list);
        let id = call.take_if("id", object::text).unwrap_or_default();
        let whole = call.take_if("args", Some).filter(|raw| !matches!(raw.get(), "{}" | "null"));
        let signature = part.take_if("thoughtSignature", object::text);
        let empty = name.is_empty() && id.is_empty() && whole.is_none() && signature.is_none();
        let in_pieces = goes_on || arguments.is_some() || (open && name.is_empty()) || empty;
        in_pieces.then(|| Self { id, name, signature, whole, arguments: arguments.unwrap_or_default(), goes_on })
    }

    pub(super) fn opens(&self) -> bool {
        !self.name.is_empty()
    }

    /// By itself it is no call.
    pub(super) fn says_nothing(&self) -> bool {
        let named = self.opens() || !self.id.is_empty() || self.signature.is_some();
        !named && self.whole.is_none() && self.arguments.is_empty()
    }
}

/// Which of the open calls a piece goes on with; `None` for the first of another one.
pub(super) fn goes_on(open: &[Streamed], piece: &Piece<'_>) -> Option<usize> {
    let by_id = open.iter().position(|call| !piece.id.is_empty() && call.id == piece.id);
    let nameless = || open.iter().rposition(|call| call.id.is_empty()).or_else(|| open.len().checked_sub(1));
    by_id.or_else(|| {
        if piece.opens() {
            None
        } else if piece.id.is_empty() {
            open.len().checked_sub(1)
        } else {
            nameless()
        }
    })
}

/// Whether the call that a piece begins leaves those that are open: each must have an id that its pieces can name.
pub(super) fn stands_beside(open: &[Streamed], piece: &Piece<'_>) -> bool {
    !piece.id.is_empty() && open.len() < MOST_OPEN && open.iter().all(|call| !call.id.is_empty())
}

impl Streamed {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a piece in, where all open calls hold so many bytes. True when it was the last.
    pub(super) fn add(&mut self, piece: Piece<'_>, held: usize) -> Result<bool, DialectError> {
        let others = held.saturating_sub(self.bytes);
        if piece.opens() {
            self.name = piece.name.into_owned();
        }
        if self.id.is_empty() {
            self.id = piece.id.into_owned();
        }
        self.signature = self.signature.take().or(piece.signature.map(Text::into_owned));
        if let Some(raw) = piece.whole {
            // Two bytes of text may be a value.
            self.bytes += raw.get().len().saturating_mul(VALUE / 2);
            if self.bytes.saturating_add(others) > MOST_BYTES {
                return Err(refuse("holds more arguments than a call may have"));
            }
            let whole: Option<Map<String, Value>> = serde_json::from_str(raw.get()).ok();
            self.arguments.extend(whole.into_iter().flatten());
        }
        for raw in piece.arguments {
            self.bytes += raw.get().len() + VALUE;
            if self.bytes.saturating_add(others) > MOST_BYTES {
                return Err(refuse("holds more arguments than a call may have"));
            }
            self.set(raw).ok_or_else(|| refuse("holds an argument whose place cannot be found"))?;
        }
        Ok(!piece.goes_on)
    }

    fn set(&mut self, raw: &RawValue) -> Option<()> {
        let mut argument = Object::lenient(raw)?;
        let path = argument.take_if("jsonPath", object::text)?;
        let mut value = Value::Object(std::mem::take(&mut self.arguments));
        let set = place(&mut value, &path).map(|place| {
            if let Some(text) = argument.take_if("stringValue", object::text) {
                match place {
                    Value::String(all) => all.push_str(&text),
                    _ => *place = Value::String(text.into_owned()),
                }
            } else if let Some(plain) = ["numberValue", "boolValue"]
                .iter()
                .find_map(|name| serde_json::from_str(argument.peek(name)?.get()).ok())
            {
                *place = plain;
            }
        });
        if let Value::Object(arguments) = value {
            self.arguments = arguments;
        }
        set
    }

    pub(super) fn into_call<'a>(self) -> ToolCall<'a> {
        ToolCall {
            kind: CallKind::Function,
            id: self.id.into(),
            name: self.name.into(),
            arguments: Value::Object(self.arguments).to_string().into(),
            signature: self.signature.map(Text::Owned),
        }
    }
}

/// The place that a path names, made where it is not there yet. Lists grow one by one.
fn place<'v>(mut value: &'v mut Value, path: &str) -> Option<&'v mut Value> {
    let mut rest = path.strip_prefix('$')?;
    for _ in 0..MOST_STEPS {
        if rest.is_empty() {
            return Some(value);
        }
        if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (name, after) = name.split_at_checked(end)?;
            value = member(value, name)?;
            rest = after;
        } else {
            let (step, after) = rest.strip_prefix('[')?.split_once(']')?;
            let quoted = ['\'', '"'].iter().find_map(|quote| step.strip_prefix(*quote)?.strip_suffix(*quote));
            value = match quoted {
                Some(name) => member(value, name)?,
                None => item(value, step.parse().ok()?)?,
            };
            rest = after;
        }
    }
    None
}

fn member<'v>(value: &'v mut Value, name: &str) -> Option<&'v mut Value> {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    Some(value.as_object_mut()?.entry(name).or_insert(Value::Null))
}

fn item(value: &mut Value, index: usize) -> Option<&mut Value> {
    if value.is_null() {
        *value = Value::Array(Vec::new());
    }
    let items = value.as_array_mut()?;
    if items.len() == index {
        items.push(Value::Null);
    }
    items.get_mut(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(parts: &[&str]) -> Result<(String, bool), DialectError> {
        let mut streamed = Streamed::default();
        let mut ended = false;
        for part in parts {
            let raw: &RawValue = serde_json::from_str(part).unwrap();
            ended = streamed.add(Piece::of(raw, true).unwrap(), 0)?;
        }
        Ok((streamed.into_call().arguments.into_owned(), ended))
    }

    #[test]
    fn pieces_find_their_places() {
        let told = call(&[
            r#"{"functionCall":{"name":"f","willContinue":true}}"#,
            r#"{"functionCall":{"partialArgs":[{"jsonPath":"$.a[0].b","stringValue":"x","willContinue":true}],"willContinue":true}}"#,
            r#"{"functionCall":{"partialArgs":[{"jsonPath":"$.a[0].b","stringValue":"y"},{"jsonPath":"$['c.d']","numberValue":2}],"willContinue":true}}"#,
            r#"{"functionCall":{"partialArgs":[{"jsonPath":"$.a[1]","nullValue":null},{"jsonPath":"$.e","boolValue":true}]}}"#,
        ]);
        assert_eq!(told.unwrap(), (r#"{"a":[{"b":"xy"},null],"c.d":2,"e":true}"#.to_owned(), true));
    }

    #[test]
    fn a_place_that_is_no_place_is_refused() {
        let deep = format!("${}", ".a".repeat(MOST_STEPS + 1));
        for path in ["", "a", "$.a[7]", "$[x]", "$.a[", "$[0]", &deep] {
            let part = format!(r#"{{"functionCall":{{"partialArgs":[{{"jsonPath":"{path}","stringValue":"x"}}]}}}}"#);
            assert!(call(&[&part]).is_err(), "{path}");
        }
    }
}
