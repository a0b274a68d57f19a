//! One JSON object at a time, its members in order and unread until somebody takes them.
//!
//! Its rule: what nobody takes is still there at the end, as `Extras`. A null member is never taken, so an explicit null
//! survives like any unknown field. Each level is scanned again when it is opened; nothing is copied.

mod values;

use std::collections::HashSet;

use crate::dialects::raw::{Member, RawValue, prove_members};

use super::Dialect;
use super::message::{Extra, Extras, Json, Text};
use super::output;
use super::place::{DialectError, Place};
use values::whole_text;
pub(crate) use values::{list, number, text, whole};

/// What to do about a member of the wrong type: requests are refused, replies and events are read around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Strict,
    Lenient,
}

#[derive(Debug)]
pub(crate) struct Object<'a, 'p> {
    members: Vec<Member<'a>>,
    pub(crate) place: Place<'p>,
    pub(crate) mode: Mode,
}

impl<'a> Object<'a, 'static> {
    /// Opens a whole body. Refuses what is not UTF-8, not JSON or not an object.
    pub(crate) fn document(body: &'a [u8], mode: Mode) -> Result<Self, DialectError> {
        match prove_members(utf8(body)?) {
            Some(members) => Self::of(members, Place::Document, mode),
            // Read again for what is wrong with it.
            None => Self::open(document(body)?, Place::Document, mode),
        }
    }
}

impl<'a, 'p> Object<'a, 'p> {
    pub(crate) fn open(raw: &'a RawValue, place: Place<'p>, mode: Mode) -> Result<Self, DialectError> {
        let Some(members) = raw.members() else {
            return Err(place.refuse("must be a JSON object"));
        };
        Self::of(members, place, mode)
    }

    fn of(members: Vec<Member<'a>>, place: Place<'p>, mode: Mode) -> Result<Self, DialectError> {
        // Where parsers disagree on which of two equal keys counts, a gateway must not choose for the upstream.
        if mode == Mode::Strict && has_twins(&members) {
            return Err(place.refuse("must not have the same key twice"));
        }
        Ok(Self { members, place, mode })
    }

    /// Opens a value that may be something else than an object.
    pub(crate) fn lenient(raw: &'a RawValue) -> Option<Object<'a, 'static>> {
        Object::open(raw, Place::Document, Mode::Lenient).ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The member as it stands, taken or not; null counts as absent.
    pub(crate) fn peek(&self, name: &str) -> Option<&'a RawValue> {
        self.said(name).map(|(_, raw)| raw)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(key, _)| key == name)
    }

    /// Gives members the names that `spell` has for them. Refuses, in requests, one thing said under two names.
    pub(crate) fn rename(&mut self, spell: impl Fn(&str) -> Option<&'static str>) -> Result<(), DialectError> {
        let mut renamed = false;
        for (name, _) in &mut self.members {
            if let Some(spelled) = spell(name) {
                *name = Text::Borrowed(spelled);
                renamed = true;
            }
        }
        if renamed && self.mode == Mode::Strict && has_twins(&self.members) {
            return Err(self.place.refuse("must not have the same key twice"));
        }
        Ok(())
    }

    /// Says a member otherwise, or as well.
    pub(crate) fn put(&mut self, name: &str, value: &'a RawValue) {
        self.forget(name);
        self.members.push((Text::Owned(name.to_owned()), value));
    }

    #[inline(never)]
    pub(crate) fn forget(&mut self, name: &str) {
        while let Some(at) = self.members.iter().rposition(|(key, _)| key == name) {
            self.members.remove(at);
            if self.mode == Mode::Strict {
                // There is no second one.
                return;
            }
        }
    }

    /// Takes a member when `read` can make something of it and leaves it otherwise, whatever the mode.
    #[inline]
    pub(crate) fn take_if<T>(&mut self, name: &str, read: impl FnOnce(&'a RawValue) -> Option<T>) -> Option<T> {
        let (at, raw) = self.said(name)?;
        let value = read(raw)?;
        self.remove(at, name);
        Some(value)
    }

    /// The member that counts of those of a name, unless it is null, and which it is. One copy for all readers: they are many,
    /// and each of them is small beside it.
    #[inline(never)]
    fn said(&self, name: &str) -> Option<(usize, &'a RawValue)> {
        let at = self.members.iter().rposition(|(key, _)| key == name)?;
        let (_, raw) = self.members.get(at)?;
        (raw.get() != "null").then_some((at, *raw))
    }

    /// Removes the member there, which is the last of its name, and whatever else has that name.
    #[inline(never)]
    fn remove(&mut self, mut at: usize, name: &str) {
        self.members.remove(at);
        while self.mode == Mode::Lenient
            && let Some(before) = self.members.iter().take(at).rposition(|(key, _)| key == name)
        {
            self.members.remove(before);
            at = before;
        }
    }

    #[inline]
    fn take<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(&'a RawValue) -> Option<T>,
    ) -> Result<Option<T>, DialectError> {
        let Some((at, raw)) = self.said(name) else { return Ok(None) };
        match read(raw) {
            Some(value) => {
                self.remove(at, name);
                Ok(Some(value))
            }
            None if self.mode == Mode::Strict => Err(self.refusal(name, expected)),
            None => Ok(None),
        }
    }

    #[cold]
    fn refusal(&self, name: &'static str, expected: &'static str) -> DialectError {
        self.place.member(name).refuse(format!("must be {expected}"))
    }

    pub(crate) fn take_text(&mut self, name: &'static str) -> Result<Option<Text<'a>>, DialectError> {
        let read = if self.mode == Mode::Strict { whole_text } else { text };
        self.take(name, "a string of whole characters", read)
    }

    pub(crate) fn require_text(&mut self, name: &'static str) -> Result<Text<'a>, DialectError> {
        self.take_text(name)?.ok_or_else(|| self.place.member(name).refuse("is required"))
    }

    pub(crate) fn take_u64(&mut self, name: &'static str) -> Result<Option<u64>, DialectError> {
        self.take(name, "a whole number of at least 0", whole)
    }

    pub(crate) fn take_i64(&mut self, name: &'static str) -> Result<Option<i64>, DialectError> {
        self.take(name, "a whole number", |raw| raw.get().parse().ok())
    }

    pub(crate) fn take_f64(&mut self, name: &'static str) -> Result<Option<f64>, DialectError> {
        self.take(name, "a number", number)
    }

    pub(crate) fn take_bool(&mut self, name: &'static str) -> Result<Option<bool>, DialectError> {
        self.take(name, "true or false", |raw| raw.get().parse().ok())
    }

    pub(crate) fn take_list(&mut self, name: &'static str) -> Result<Option<Vec<&'a RawValue>>, DialectError> {
        self.take(name, "a list", list)
    }

    /// A list with something in it; an empty one stays where it is.
    pub(crate) fn take_filled_list(&mut self, name: &'static str) -> Result<Option<Vec<&'a RawValue>>, DialectError> {
        if self.peek(name).and_then(list).is_some_and(|l| l.is_empty()) {
            return Ok(None);
        }
        self.take_list(name)
    }

    pub(crate) fn take_object(&mut self, name: &'static str) -> Result<Option<&'a RawValue>, DialectError> {
        self.take(name, "a JSON object", |raw| raw.get().starts_with('{').then_some(raw))
    }

    pub(crate) fn take_json(&mut self, name: &str) -> Option<Json<'a>> {
        self.take_if(name, |raw| Some(Json::from(raw)))
    }

    /// Nothing is left that says anything: a null says nothing.
    pub(crate) fn is_spent(&self) -> bool {
        self.members.iter().all(|(_, raw)| raw.get() == "null")
    }

    /// What nobody took, in order, as fields only `dialect` understands.
    pub(crate) fn into_extras(self, dialect: Dialect) -> Extras<'a> {
        let mut extras = Extras::default();
        self.spill(dialect, &mut extras);
        extras
    }

    /// As [`Self::into_extras`], onto what is there already.
    pub(crate) fn spill(self, dialect: Dialect, extras: &mut Extras<'a>) {
        for (name, raw) in self.members {
            extras.push(Extra { dialect, name, value: Json::from(raw) });
        }
    }

    /// What nobody took of an inner object, to lie in its parent's extras under `name`.
    pub(crate) fn into_rest(self, dialect: Dialect, name: &'static str) -> Extra<'a> {
        let members = self.members.iter().map(|(name, raw)| (name.as_ref(), raw.get()));
        Extra { dialect, name: name.into(), value: Json::written(output::plain_object(members)) }
    }

    /// The same, where that says anything: nulls alone do not.
    pub(crate) fn unspent(self, dialect: Dialect, name: &'static str) -> Option<Extra<'a>> {
        self.unspent_with(dialect, name, None)
    }

    /// As [`Self::unspent`], with what was left of an object inside.
    pub(crate) fn unspent_with(
        self,
        dialect: Dialect,
        name: &'static str,
        inner: Option<Extra<'a>>,
    ) -> Option<Extra<'a>> {
        if self.is_spent() && inner.is_none() {
            return None;
        }
        let mut rest = self.into_extras(dialect);
        rest.extend(inner);
        Some(rest.as_rest(dialect, name))
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.members.iter().map(|(name, raw)| (name.as_ref(), *raw))
    }

    pub(crate) fn into_members(self) -> impl Iterator<Item = (Text<'a>, &'a RawValue)> {
        self.members.into_iter()
    }
}

/// Reads a body as one JSON value, without looking inside.
pub(crate) fn document(body: &[u8]) -> Result<&RawValue, DialectError> {
    RawValue::parse(utf8(body)?).map_err(|fault| {
        // Only the position: the parser's own wording may quote the document.
        let (line, column) = (fault.line(), fault.column());
        Place::Document.refuse(format!("is not JSON at line {line}, column {column}"))
    })
}

fn utf8(body: &[u8]) -> Result<&str, DialectError> {
    simdutf8::compat::from_utf8(body).map_err(|fault| {
        let at = fault.valid_up_to();
        Place::Document.refuse(format!("is not UTF-8 at byte {at}"))
    })
}

fn has_twins(members: &[Member<'_>]) -> bool {
    // A handful of members is compared in place; a set is for objects somebody blew up.
    if members.len() > 32 {
        let mut seen = HashSet::with_capacity(members.len());
        return !members.iter().all(|(name, _)| seen.insert(name));
    }
    let mut rest = members;
    while let Some(((name, _), tail)) = rest.split_first() {
        if tail.iter().any(|(other, _)| other == name) {
            return true;
        }
        rest = tail;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(body: &str) -> Object<'_, 'static> {
        Object::document(body.as_bytes(), Mode::Strict).unwrap()
    }

    #[test]
    fn what_nobody_takes_is_left_in_order_nulls_included() {
        let mut object = open(r#"{"z":1,"model":"m","seed":null,"a":[ 2 ]}"#);
        assert_eq!(object.take_text("model").unwrap().as_deref(), Some("m"));
        assert_eq!(object.take_i64("seed").unwrap(), None);
        let extras = object.into_extras(Dialect::OpenAiChat);
        let left: Vec<_> = extras.iter().map(|e| (e.name.as_ref(), e.value.as_str())).collect();
        assert_eq!(left, [("z", "1"), ("seed", "null"), ("a", "[ 2 ]")]);
    }

    #[test]
    fn a_wrong_type_is_refused_in_requests_and_left_alone_in_replies() {
        let body = br#"{"n":"two"}"#;
        let error = open(r#"{"n":"two"}"#).take_u64("n").unwrap_err();
        assert_eq!(error.to_string(), "n: must be a whole number of at least 0");
        let mut reply = Object::document(body, Mode::Lenient).unwrap();
        assert_eq!(reply.take_u64("n").unwrap(), None);
        assert!(reply.has("n"));
    }

    #[test]
    fn the_same_key_twice_is_refused_in_requests_and_the_last_counts_in_replies() {
        let body = br#"{"a":1,"\u0061":2}"#;
        assert!(Object::document(body, Mode::Strict).is_err());
        let mut reply = Object::document(body, Mode::Lenient).unwrap();
        assert_eq!(reply.take_u64("a").unwrap(), Some(2));
        assert!(reply.is_empty());
    }

    #[test]
    fn no_refusal_repeats_what_was_sent() {
        for body in [
            &b"{\"model\":\"sk-secret\",}"[..],
            b"\"sk-secret\"",
            b"{\"sk-secret\":1,\"sk-secret\":2}",
            b"sk-secret\xff",
        ] {
            let error = Object::document(body, Mode::Strict).unwrap_err();
            assert!(!format!("{error:?}").contains("sk-"), "{error:?}");
        }
    }

    #[test]
    fn half_a_character_is_refused_in_requests_and_marked_in_replies() {
        let body = r#"{"a":"\ud800","b":"\"\\ud83d \ud83d\ude00 \ude00\ud83d!"}"#;
        assert!(open(body).take_text("a").is_err());
        let mut reply = Object::document(body.as_bytes(), Mode::Lenient).unwrap();
        assert_eq!(reply.take_text("a").unwrap().as_deref(), Some("\u{FFFD}"));
        assert_eq!(reply.take_text("b").unwrap().as_deref(), Some("\"\\ud83d \u{1F600} \u{FFFD}\u{FFFD}!"));
    }

    #[test]
    fn whole_numbers_may_be_written_as_floats() {
        let mut object = open(r#"{"a":12.0,"b":1e3,"c":1.5,"d":-1}"#);
        assert_eq!(object.take_u64("a").unwrap(), Some(12));
        assert_eq!(object.take_u64("b").unwrap(), Some(1000));
        assert!(object.take_u64("c").is_err());
        assert!(object.take_u64("d").is_err());
    }
}
