//! Writes JSON text: objects member by member, in the order they are told.
//!
//! Its rule: a member is written once; extras fill only what nothing else has written. Newlines between the tokens of
//! raw JSON become spaces, because a line end would break the frame of an event stream.

use smallvec::SmallVec;

use super::Dialect;
use super::message::{Extras, Json};
use super::object::Object;

pub(crate) type Buffer = Vec<u8>;

/// Writes one object; `fill` adds its members.
pub(crate) fn object(out: &mut Buffer, fill: impl FnOnce(&mut Members<'_>)) {
    out.push(b'{');
    fill(&mut Members { out, written: SmallVec::new(), started: false });
    out.push(b'}');
}

/// Writes one object of these members, each a name and JSON text.
pub(crate) fn plain_object<'m>(members: impl Iterator<Item = (&'m str, &'m str)> + Clone) -> Buffer {
    let most = members.clone().map(|(name, value)| name.len() + value.len() + "\"\":,".len()).sum::<usize>();
    let mut out = Buffer::with_capacity(most + "{}".len());
    out.push(b'{');
    for (index, (name, value)) in members.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        text(&mut out, name);
        out.push(b':');
        raw(&mut out, value);
    }
    out.push(b'}');
    out
}

/// Copies `head`, an object without its closing brace, and adds members to it.
pub(crate) fn continue_object(out: &mut Buffer, head: &[u8], fill: impl FnOnce(&mut Members<'_>)) {
    out.extend_from_slice(head);
    fill(&mut Members { out, written: SmallVec::new(), started: true });
    out.push(b'}');
}

pub(crate) fn list<T>(out: &mut Buffer, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Buffer, T)) {
    out.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

const SHORT_BYTES: usize = 64;

fn is_escaped(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// Most of a reply is text, so this takes it in long pieces: up to the next of the three characters that are common in it
/// and need a backslash.
pub(crate) fn text(out: &mut Buffer, value: &str) {
    let mut rest = value.as_bytes();
    // Names, ids and words; in what is longer something to escape is likely.
    if rest.len() <= SHORT_BYTES && !rest.iter().fold(false, |found, &byte| found | is_escaped(byte)) {
        out.reserve(rest.len() + 2);
        out.push(b'"');
        out.extend_from_slice(rest);
        out.push(b'"');
        return;
    }
    // Not stopping at the first lets the compiler take many at once.
    let rare = |byte: u8| u8::from(byte < 0x20 && byte != b'\n');
    if rest.iter().fold(0, |found, &byte| found | rare(byte)) != 0 {
        // A vector takes every byte, so neither this nor the numbers below can fail.
        let _ = serde_json::to_writer(out, value);
        return;
    }
    out.reserve(rest.len() + 2);
    out.push(b'"');
    while let Some((plain, escaped, behind)) = memchr::memchr3(b'"', b'\\', b'\n', rest).and_then(|at| {
        let (plain, behind) = rest.split_at_checked(at)?;
        let (escaped, behind) = behind.split_first()?;
        Some((plain, *escaped, behind))
    }) {
        out.extend_from_slice(plain);
        out.extend_from_slice(&[b'\\', if escaped == b'\n' { b'n' } else { escaped }]);
        rest = behind;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

pub(crate) fn raw(out: &mut Buffer, value: &str) {
    let start = out.len();
    out.extend_from_slice(value.as_bytes());
    // Inside JSON strings a line end is always escaped: what is left stands between tokens.
    if memchr::memchr2(b'\n', b'\r', value.as_bytes()).is_some() {
        for byte in out.iter_mut().skip(start) {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }
}

/// The members of an object being written.
pub(crate) struct Members<'o> {
    out: &'o mut Buffer,
    written: SmallVec<[&'static str; 16]>,
    started: bool,
}

impl Members<'_> {
    pub(crate) fn key(&mut self, name: &'static str) -> &mut Buffer {
        debug_assert!(!name.bytes().any(|byte| matches!(byte, b'"' | b'\\' | ..0x20)), "a name of ours has no escapes");
        self.written.push(name);
        self.comma();
        self.out.reserve(name.len() + 3);
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    fn comma(&mut self) {
        if self.started {
            self.out.push(b',');
        }
        self.started = true;
    }

    pub(crate) fn text(&mut self, name: &'static str, value: &str) {
        text(self.key(name), value);
    }

    pub(crate) fn text_if(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    pub(crate) fn whole(&mut self, name: &'static str, value: u64) {
        let _ = serde_json::to_writer(self.key(name), &value);
    }

    pub(crate) fn whole_if(&mut self, name: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.whole(name, value);
        }
    }

    pub(crate) fn signed_if(&mut self, name: &'static str, value: Option<i64>) {
        if let Some(value) = value {
            let _ = serde_json::to_writer(self.key(name), &value);
        }
    }

    /// The shortest decimal text that reads back as the same number; `null` for what JSON cannot say.
    pub(crate) fn float_if(&mut self, name: &'static str, value: Option<f64>) {
        if let Some(value) = value {
            let _ = serde_json::to_writer(self.key(name), &value);
        }
    }

    pub(crate) fn flag(&mut self, name: &'static str, value: bool) {
        self.raw(name, if value { "true" } else { "false" });
    }

    pub(crate) fn flag_if(&mut self, name: &'static str, value: Option<bool>) {
        if let Some(value) = value {
            self.flag(name, value);
        }
    }

    pub(crate) fn null(&mut self, name: &'static str) {
        self.raw(name, "null");
    }

    pub(crate) fn raw(&mut self, name: &'static str, value: &str) {
        raw(self.key(name), value);
    }

    pub(crate) fn json_if(&mut self, name: &'static str, value: Option<&Json<'_>>) {
        if let Some(value) = value {
            self.raw(name, value.as_str());
        }
    }

    pub(crate) fn object(&mut self, name: &'static str, fill: impl FnOnce(&mut Members<'_>)) {
        object(self.key(name), fill);
    }

    pub(crate) fn list<T>(
        &mut self,
        name: &'static str,
        items: impl IntoIterator<Item = T>,
        write: impl FnMut(&mut Buffer, T),
    ) {
        list(self.key(name), items, write);
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.written.contains(&name)
    }

    /// Keeps the extras from writing a member that belongs to another object.
    pub(crate) fn withhold(&mut self, name: &'static str) {
        self.written.push(name);
    }

    /// Writes the fields that only `dialect` understands, where nothing else stands under their name.
    pub(crate) fn extras(&mut self, dialect: Dialect, extras: &Extras<'_>) {
        for extra in extras.of(dialect) {
            self.fill(&extra.name, extra.value.as_str());
        }
    }

    /// Finishes an object that was opened for its known members: adds the unknown ones, which lie in the parent's
    /// extras as an object under the same name.
    pub(crate) fn rest_of(&mut self, name: &str, dialect: Dialect, extras: &Extras<'_>) {
        let Some(rest) = extras.get(dialect, name) else {
            return;
        };
        if let Some(members) = rest.as_raw().and_then(Object::lenient) {
            for (name, value) in members.into_members() {
                self.fill(&name, value.get());
            }
        }
    }

    /// Writes a member under a name that is not ours, where nothing else stands under it.
    pub(crate) fn fill(&mut self, name: &str, value: &str) {
        if self.written.contains(&name) {
            return;
        }
        self.comma();
        text(self.out, name);
        self.out.push(b':');
        raw(self.out, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::message::Extra;

    #[test]
    fn extras_fill_what_is_not_written_and_never_write_twice() {
        let mut extras = Extras::default();
        for (name, value) in [("model", "\"old\""), ("top_k", "[1,\r\n2]")] {
            extras.push(Extra { dialect: Dialect::OpenAiChat, name: name.into(), value: Json::parse(value).unwrap() });
        }
        let mut out = Vec::new();
        object(&mut out, |members| {
            members.text("model", "new \"one\"\n");
            members.extras(Dialect::OpenAiChat, &extras);
            members.extras(Dialect::OpenAiEmbeddings, &extras);
        });
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"model":"new \"one\"\n","top_k":[1,  2]}"#);
    }

    #[test]
    fn text_is_escaped_as_serde_escapes_it() {
        let mut values: Vec<String> = (0..0x80_u8).map(|byte| format!("a{}ö", char::from(byte))).collect();
        values.extend(
            ["", "\n", "\"\\\n\"", "long enough – \\\" to be taken in pieces\n\n and then some", "\u{1f600}"]
                .map(String::from),
        );
        for length in [SHORT_BYTES - 2, SHORT_BYTES - 1, SHORT_BYTES, SHORT_BYTES + 1, 200] {
            values.extend(["", "\"", "\n", "\u{1}"].map(|end| format!("{}{end}", "a".repeat(length))));
        }
        for value in &values {
            let mut out = Buffer::new();
            text(&mut out, value);
            assert_eq!(out, serde_json::to_vec(value).unwrap(), "{value:?}");
        }
    }
}
