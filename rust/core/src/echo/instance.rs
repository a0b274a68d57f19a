//! The smallest JSON value that satisfies a JSON Schema.
//!
//! It understands what clients' SDKs generate from their users' types: type, const, enum, properties and required, items,
//! references inside the schema, anyOf and oneOf, bounds, and the common formats. Patterns are not solved. A schema that
//! needs itself, or more than the bounds below, is refused.

use crate::dialects::raw::RawValue;

use crate::dialects::message::{Json, Text};
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Buffer};
use crate::dialects::{DialectError, Place};

const DEEPEST: usize = 64;
/// Bytes of schema read, counting each visit: recursion over anyOf could otherwise run for hours.
const MOST_READ: usize = 4 << 20;
/// Bytes written; `minItems` and `minLength` may ask for more than anyone has.
const MOST_WRITTEN: usize = 1 << 20;

/// Strings that satisfy `format`, where the empty one does not.
const FORMATS: &[(&str, &str)] = &[
    ("date-time", "1970-01-01T00:00:00Z"),
    ("date", "1970-01-01"),
    ("time", "00:00:00Z"),
    ("duration", "PT0S"),
    ("email", "echo@example.com"),
    ("hostname", "example.com"),
    ("ipv4", "127.0.0.1"),
    ("ipv6", "::1"),
    ("uri", "https://example.com"),
    ("uuid", "00000000-0000-0000-0000-000000000000"),
];

/// Refuses, at `place`, a schema that has no instance within the bounds.
pub(super) fn of(schema: &Json<'_>, place: Place<'_>) -> Result<String, DialectError> {
    let raw = schema.as_raw().ok_or_else(|| place.refuse("is not JSON"))?;
    let mut search = Search { root: raw, unread: MOST_READ, out: Buffer::new() };
    match search.write(raw, 0) {
        Ok(()) => Ok(String::from_utf8(search.out).unwrap_or_default()),
        Err(Dead::End) => Err(place.refuse("has no instance this model can find")),
        Err(Dead::Exhausted) => Err(place.refuse("asks for more than this model will write")),
    }
}

/// Why a branch of the search gave nothing.
enum Dead {
    End,
    /// The bounds are used up, so other branches need not be tried.
    Exhausted,
}

struct Search<'a> {
    root: &'a RawValue,
    unread: usize,
    out: Buffer,
}

impl<'a> Search<'a> {
    fn write(&mut self, schema: &'a RawValue, depth: usize) -> Result<(), Dead> {
        self.unread = self.unread.checked_sub(schema.get().len()).ok_or(Dead::Exhausted)?;
        if self.out.len() > MOST_WRITTEN {
            return Err(Dead::Exhausted);
        }
        if depth > DEEPEST {
            return Err(Dead::End);
        }
        if schema.get() == "true" {
            return self.raw("null");
        }
        let mut schema = Object::lenient(schema).ok_or(Dead::End)?;
        if let Some(value) = schema.take_if("const", Some) {
            return self.raw(value.get());
        }
        if schema.has("const") {
            return self.raw("null");
        }
        if let Some(values) = schema.take_if("enum", object::list) {
            return self.raw(values.first().ok_or(Dead::End)?.get());
        }
        if let Some(pointer) = schema.take_if("$ref", object::text) {
            let target = resolve(self.root, &pointer).ok_or(Dead::End)?;
            return self.write(target, depth + 1);
        }
        for name in ["anyOf", "oneOf"] {
            if let Some(branches) = schema.take_if(name, object::list) {
                return self.any(branches, depth);
            }
        }
        if let Some(parts) = schema.take_if("allOf", object::list) {
            // SDKs wrap a single reference like this; what several parts have in common is not searched for.
            let [only] = parts.as_slice() else {
                return Err(Dead::End);
            };
            return self.write(only, depth + 1);
        }
        match kind(&mut schema).as_deref() {
            Some("object") => self.object(schema, depth),
            Some("array") => self.array(schema, depth),
            Some("string") => self.string(schema),
            Some("integer" | "number") => self.number(schema),
            Some("boolean") => self.raw("false"),
            Some("null") | None => self.raw("null"),
            Some(_) => Err(Dead::End),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "every way to write a value answers alike")]
    fn raw(&mut self, value: &str) -> Result<(), Dead> {
        output::raw(&mut self.out, value);
        Ok(())
    }

    /// Branches without a reference first: they end a recursion instead of going round once more.
    fn any(&mut self, mut branches: Vec<&'a RawValue>, depth: usize) -> Result<(), Dead> {
        branches.sort_by_key(|branch| branch.get().contains("$ref"));
        let start = self.out.len();
        for branch in branches {
            match self.write(branch, depth + 1) {
                Err(Dead::End) => self.out.truncate(start),
                result => return result,
            }
        }
        Err(Dead::End)
    }

    fn object(&mut self, mut schema: Object<'a, '_>, depth: usize) -> Result<(), Dead> {
        let required = schema.take_if("required", object::list).unwrap_or_default();
        let properties = schema.take_if("properties", Object::lenient);
        self.out.push(b'{');
        for (index, name) in required.into_iter().filter_map(object::text).enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            output::text(&mut self.out, &name);
            self.out.push(b':');
            match properties.as_ref().and_then(|properties| properties.peek(&name)) {
                Some(property) => self.write(property, depth + 1)?,
                None => self.raw("null")?,
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    fn array(&mut self, mut schema: Object<'a, '_>, depth: usize) -> Result<(), Dead> {
        let least = schema.take_if("minItems", object::whole).unwrap_or(0);
        let first = schema.take_if("prefixItems", object::list).unwrap_or_default();
        let rest = schema.take_if("items", Some);
        self.out.push(b'[');
        let mut first = first.into_iter();
        for index in 0..least {
            if index > 0 {
                self.out.push(b',');
            }
            match first.next().or(rest) {
                Some(item) => self.write(item, depth + 1)?,
                None => self.raw("null")?,
            }
            if self.out.len() > MOST_WRITTEN {
                return Err(Dead::Exhausted);
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn string(&mut self, mut schema: Object<'a, '_>) -> Result<(), Dead> {
        let format = schema.take_if("format", object::text).unwrap_or_default();
        let known = FORMATS.iter().find(|(name, _)| *name == format);
        let mut text = known.map_or(String::new(), |(_, text)| (*text).to_owned());
        let least = schema.take_if("minLength", object::whole).unwrap_or(0);
        let least = usize::try_from(least).unwrap_or(usize::MAX);
        if least > MOST_WRITTEN {
            return Err(Dead::Exhausted);
        }
        text.extend(std::iter::repeat_n('x', least.saturating_sub(text.len())));
        output::text(&mut self.out, &text);
        Ok(())
    }

    /// The number nearest to zero that the bounds allow; whole, because an integer is also a number.
    fn number(&mut self, mut schema: Object<'a, '_>) -> Result<(), Dead> {
        let mut bound = |name: &str| schema.take_if(name, object::number);
        let low = [bound("minimum").map(f64::ceil), bound("exclusiveMinimum").map(|x| x.floor() + 1.0)];
        let high = [bound("maximum").map(f64::floor), bound("exclusiveMaximum").map(|x| x.ceil() - 1.0)];
        let low = low.into_iter().flatten().fold(f64::NEG_INFINITY, f64::max);
        let high = high.into_iter().flatten().fold(f64::INFINITY, f64::min);
        if low > high {
            return Err(Dead::End);
        }
        let nearest = 0.0_f64.clamp(low, high);
        self.raw(&format!("{nearest}"))
    }
}

/// The type by name: the first of several that is not null, and what the keywords suggest where there is none.
fn kind<'a>(schema: &mut Object<'a, '_>) -> Option<Text<'a>> {
    if let Some(name) = schema.take_if("type", object::text) {
        return Some(name);
    }
    if let Some(names) = schema.take_if("type", object::list) {
        let mut names = names.into_iter().filter_map(object::text);
        return names.find(|name| name != "null").or(Some("null".into()));
    }
    if schema.has("properties") || schema.has("required") {
        return Some("object".into());
    }
    schema.has("items").then(|| "array".into())
}

/// Follows a reference inside the schema: `#`, or `#` and a JSON pointer.
fn resolve<'a>(root: &'a RawValue, pointer: &str) -> Option<&'a RawValue> {
    let mut found = root;
    let path = pointer.strip_prefix('#')?;
    for step in path.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        found = match object::list(found) {
            Some(items) => items.get(step.parse::<usize>().ok()?).copied()?,
            None => Object::lenient(found)?.peek(&step)?,
        };
    }
    Some(found)
}
