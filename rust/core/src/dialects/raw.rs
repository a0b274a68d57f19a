//! JSON text that was proved once, and is walked from then on without proving it again.
//!
//! Its rule: a [`RawValue`] is one whole JSON value, and so is each of its members. Its surprise: stepping over a value
//! counts brackets and does not match them, because whoever made the value has done so.

use ref_cast::RefCast;
use serde::{Deserialize, Deserializer};

use super::message::Text;
use crate::cursor::container_end;
use crate::json::{Prover, closing_quote, plain_end};

/// One JSON value as it stands, without white space around it.
#[derive(Debug, PartialEq, Eq, RefCast)]
#[repr(transparent)]
pub struct RawValue(str);

/// A member of an object, its name unescaped.
pub(crate) type Member<'a> = (Text<'a>, &'a RawValue);

impl RawValue {
    /// Refuses what is not one JSON value.
    pub fn parse(text: &str) -> Result<&Self, serde_json::Error> {
        serde_json::from_str::<&serde_json::value::RawValue>(text).map(|proved| Self::known(proved.get()))
    }

    /// For text that is known to be one JSON value.
    pub(crate) fn known(text: &str) -> &Self {
        Self::ref_cast(text)
    }

    pub fn get(&self) -> &str {
        &self.0
    }

    /// The members in order; `None` for another type.
    pub(crate) fn members(&self) -> Option<Vec<Member<'_>>> {
        let mut walk = Walk { text: &self.0, at: 0 };
        let mut members = Vec::with_capacity(8);
        let mut next = walk.open(b'{')?;
        while next != b'}' {
            let name = walk.name(next)?;
            if walk.token()? != b':' {
                return None;
            }
            walk.at += 1;
            let first = walk.token()?;
            members.push((name, Self::known(walk.value(first)?)));
            next = walk.separated(b'}')?;
        }
        Some(members)
    }

    /// The elements of a list; `None` for another type.
    pub(crate) fn elements(&self) -> Option<Vec<&Self>> {
        let mut walk = Walk { text: &self.0, at: 0 };
        let mut elements = Vec::new();
        let mut next = walk.open(b'[')?;
        while next != b']' {
            elements.push(Self::known(walk.value(next)?));
            next = walk.separated(b']')?;
        }
        Some(elements)
    }
}

/// Proves it, like [`RawValue::parse`]: for values within what serde reads.
impl<'de: 'a, 'a> Deserialize<'de> for &'a RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&serde_json::value::RawValue>::deserialize(deserializer).map(|proved| RawValue::known(proved.get()))
    }
}

/// The members of text that nobody has proved, in one pass. `None` for what is not one JSON object, and for one with half a
/// character in a name.
pub(crate) fn prove_members(text: &str) -> Option<Vec<Member<'_>>> {
    let mut prover = Prover::new(text);
    let mut members = Vec::with_capacity(8);
    let mut next = prover.open_object()?;
    while next != b'}' {
        let (quoted, plain, first) = prover.name(next)?;
        members.push((name(quoted, plain)?, RawValue::known(prover.value(first)?)));
        next = prover.next_member()?;
    }
    prover.ends()?;
    Some(members)
}

/// What a name says, with its quotes; `plain` is one that is known to have no escapes. `None` for one that holds half a
/// character.
#[inline]
fn name(quoted: &str, plain: bool) -> Option<Text<'_>> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    if !plain && inner.as_bytes().contains(&b'\\') {
        return serde_json::from_str(quoted).ok().map(Text::Owned);
    }
    Some(Text::Borrowed(inner))
}

/// A position in the text of a value.
struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Walk<'a> {
    /// Steps to the next byte that is not white space.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            let byte = *bytes.get(self.at)?;
            if byte > b' ' {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Steps into a container; its first byte, or its end.
    fn open(&mut self, bracket: u8) -> Option<u8> {
        (self.token()? == bracket).then_some(())?;
        self.at += 1;
        self.token()
    }

    /// What follows a value: the first byte of the next one, or the `end`.
    #[inline]
    fn separated(&mut self, end: u8) -> Option<u8> {
        match self.token()? {
            b',' => {
                self.at += 1;
                self.token()
            }
            byte => (byte == end).then_some(byte),
        }
    }

    /// Steps over the name that begins here with `first`.
    #[inline]
    fn name(&mut self, first: u8) -> Option<Text<'a>> {
        if let Some(end) = plain_end(self.text.as_bytes(), self.at + 1).filter(|_| first == b'"') {
            let inner = self.text.get(self.at + 1..end);
            self.at = end + 1;
            return inner.map(Text::Borrowed);
        }
        name(self.value(first)?, false)
    }

    /// Steps over the value that begins here with `first`.
    #[inline]
    fn value(&mut self, first: u8) -> Option<&'a str> {
        let start = self.at;
        match first {
            b'"' => self.at = closing_quote(self.text.as_bytes(), self.at + 1)? + 1,
            b'{' | b'[' => self.at = container_end(self.text.as_bytes(), self.at)?,
            _ => self.literal(),
        }
        self.text.get(start..self.at)
    }

    fn literal(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
        self.at += rest.iter().position(is_end).unwrap_or(rest.len());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn members_and_elements_are_those_that_were_written() {
        let text = r#" { "a" :1 ,"b":{"x":["}","\""]},"c\u0061":"t\\","" : null, "n":-1.5e3 ,"l": [ ] } "#;
        let raw = RawValue::parse(text).unwrap();
        let members: Vec<_> = raw.members().unwrap().iter().map(|(name, raw)| (name.clone(), raw.get())).collect();
        let expected =
            [("a", "1"), ("b", r#"{"x":["}","\""]}"#), ("ca", r#""t\\""#), ("", "null"), ("n", "-1.5e3"), ("l", "[ ]")];
        assert_eq!(members.iter().map(|(name, raw)| (name.as_ref(), *raw)).collect::<Vec<_>>(), expected);
        let raw = RawValue::parse(r#"[ 1,"]" , [{}] ,{"a":[1]}]"#).unwrap();
        let elements: Vec<_> = raw.elements().unwrap().iter().map(|raw| raw.get()).collect();
        assert_eq!(elements, ["1", "\"]\"", "[{}]", r#"{"a":[1]}"#]);
    }

    #[test]
    fn text_is_proved_as_it_is_taken_apart() {
        let text = r#" { "a" :[1, 2],"c\u0061":{"b":"\""} } "#;
        assert_eq!(prove_members(text), RawValue::parse(text).unwrap().members());
        assert_eq!(prove_members("{ }"), Some(Vec::new()));
        for text in ["", "[]", "1", "{", "{} {}", r#"{"a":[1,}"#, r#"{"a":{"b":tru}}"#, r#"{"a":"\q"}"#, "{'a':1}"] {
            assert!(prove_members(text).is_none(), "{text}");
        }
    }

    #[test]
    fn another_type_has_neither() {
        for text in ["1", "null", "\"{\"", "true"] {
            let raw = RawValue::parse(text).unwrap();
            assert!(raw.members().is_none() && raw.elements().is_none(), "{text}");
        }
        assert!(RawValue::parse("[]").unwrap().members().is_none());
        assert!(RawValue::parse("{}").unwrap().elements().is_none());
        assert!(RawValue::parse("{}").unwrap().members().unwrap().is_empty());
    }

    #[test]
    fn half_a_character_is_no_name() {
        assert!(RawValue::parse(r#"{"\ud800":1}"#).unwrap().members().is_none());
    }

    /// What is proved nowhere is walked without a panic and without an end that is not there.
    #[test]
    fn text_that_is_no_json_has_no_members() {
        let whole = r#"{"a":[1,{"b":"c\n"}],"d":null}"#;
        for cut in 0..whole.len() {
            assert!(RawValue::known(&whole[..cut]).members().is_none(), "cut at {cut}");
        }
        for text in ["{\"a\"1}", "{\"a\":1 2}", "{1:2}", "[1 2]", "{\"a\":\"é\\", "{,}", "[,", "{\"", "}", ""] {
            let raw = RawValue::known(text);
            assert!(raw.members().is_none() && raw.elements().is_none_or(|all| all.len() < 2), "{text}");
        }
    }

    #[test]
    fn a_walk_finds_what_a_parser_finds() {
        let text = r#"{"z":[[],[{}],{"k":[1,2,{"deep":"\u00e9\\\""}]}],"é":"日本","t":true,"e":1E+2,"s":" , } ] "}"#;
        let parsed: Value = serde_json::from_str(text).unwrap();
        let mut open = vec![(RawValue::parse(text).unwrap(), &parsed)];
        while let Some((raw, parsed)) = open.pop() {
            assert_eq!(&serde_json::from_str::<Value>(raw.get()).unwrap(), parsed);
            if let Some(members) = raw.members() {
                assert_eq!(members.len(), parsed.as_object().unwrap().len());
                open.extend(members.iter().map(|(name, raw)| (*raw, &parsed[name.as_ref()])));
            }
            if let Some(elements) = raw.elements() {
                open.extend(elements.into_iter().zip(parsed.as_array().unwrap()));
            }
        }
    }
}
