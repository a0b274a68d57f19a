//! The input of a tool: an object here, JSON text in the neutral form.
//!
//! Text that is no object is wrapped, `{"_raw":"…"}`, because nothing else is accepted in its place, and unwrapped when
//! it comes back.

use crate::dialects::raw::RawValue;

use crate::dialects::message::{CallKind, Json, Text};
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Buffer};

const RAW: &str = "_raw";
/// The one parameter of a free text tool that is declared as a function.
pub(in crate::dialects) const FREE_TEXT: &str = "input";

/// The arguments as compact JSON text.
pub(in crate::dialects) fn arguments(input: &RawValue) -> Text<'_> {
    unwrapped(input).unwrap_or_else(|| compact(input.get()))
}

fn unwrapped(input: &RawValue) -> Option<Text<'_>> {
    let mut input = Object::lenient(input)?;
    let text = input.take_if(RAW, object::text)?;
    (input.is_empty() && !says_nothing(&text) && !is_object(&text)).then_some(text)
}

/// Servers say in several ways that a call has no arguments.
pub(in crate::dialects) fn says_nothing(arguments: &str) -> bool {
    matches!(arguments.trim(), "" | "null" | "{}")
}

pub(super) fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && Json::parse(text).is_some()
}

pub(in crate::dialects) fn write(out: &mut Buffer, kind: CallKind, arguments: &str) {
    if kind == CallKind::Custom {
        output::object(out, |input| input.text(FREE_TEXT, arguments));
    } else if says_nothing(arguments) {
        out.extend_from_slice(b"{}");
    } else if is_object(arguments) {
        output::raw(out, arguments);
    } else {
        output::object(out, |input| input.text(RAW, arguments));
    }
}

/// Free text goes out as the only member of an object, piece by piece: JSON escapes each character by itself.
pub(in crate::dialects) fn free_text(piece: &str, first: bool) -> String {
    let mut quoted = Buffer::new();
    output::text(&mut quoted, piece);
    let quoted = String::from_utf8(quoted).unwrap_or_default();
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
    if first { format!("{{\"{FREE_TEXT}\":\"{inner}") } else { inner.to_owned() }
}

/// Takes the blanks between tokens out; those inside strings are content.
fn compact(text: &str) -> Text<'_> {
    if !text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        return text.into();
    }
    let (mut inside, mut escaped) = (false, false);
    let keep = |byte: &u8| {
        let blank = !inside && byte.is_ascii_whitespace();
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            _ => {}
        }
        !blank
    };
    let kept: Vec<u8> = text.bytes().filter(keep).collect();
    // Only whole ASCII characters were taken out.
    String::from_utf8(kept).map_or(Text::Borrowed(text), Text::Owned)
}

/// Whether the pieces of a call's arguments make a whole object yet: then nothing more belongs to it.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::dialects) struct Progress {
    depth: u32,
    inside: bool,
    escaped: bool,
    whole: bool,
    /// The last byte that is no blank.
    last: u8,
}

impl Progress {
    pub(in crate::dialects) fn add(&mut self, piece: &str) {
        for byte in piece.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.inside => self.escaped = true,
                b'"' => self.inside = !self.inside,
                b'{' | b'[' if !self.inside => self.depth = self.depth.saturating_add(1),
                b'}' | b']' if !self.inside => {
                    self.depth = self.depth.saturating_sub(1);
                    self.whole |= self.depth == 0;
                }
                _ => {}
            }
            if !byte.is_ascii_whitespace() {
                self.last = byte;
            }
        }
    }

    /// Whether the next thing may be a value.
    pub(in crate::dialects) fn awaits_value(self) -> bool {
        !self.inside && matches!(self.last, b':' | b'[' | b',')
    }

    pub(in crate::dialects) fn is_whole(self) -> bool {
        self.whole && self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &str) -> String {
        let raw: &RawValue = serde_json::from_str(input).unwrap();
        arguments(raw).into_owned()
    }

    fn written(arguments: &str) -> String {
        let mut out = Buffer::new();
        write(&mut out, CallKind::Function, arguments);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn blanks_go_between_tokens_and_stay_in_strings() {
        assert_eq!(read("{ \"a b\" : [1,\n 2], \"c\": \"\\\" d\" }"), r#"{"a b":[1,2],"c":"\" d"}"#);
    }

    #[test]
    fn what_is_no_object_is_wrapped_and_comes_back() {
        for text in ["{\"city\":\"Ber", "[1]", "\"word\"", "7"] {
            assert_eq!(read(&written(text)), text);
        }
        for nothing in ["  ", "null", "{}"] {
            assert_eq!(written(nothing), "{}");
            // What would not come out again as it went in is not unwrapped.
            let wrapped = format!(r#"{{"_raw":"{nothing}"}}"#);
            assert_eq!(read(&wrapped), wrapped);
        }
        assert_eq!(read(r#"{"_raw":"x","more":1}"#), r#"{"_raw":"x","more":1}"#);
    }

    #[test]
    fn an_object_is_whole_when_its_last_brace_is_closed() {
        let whole = |pieces: &[&str]| {
            let mut progress = Progress::default();
            for piece in pieces {
                progress.add(piece);
            }
            progress.is_whole()
        };
        assert!(!whole(&[]));
        assert!(!whole(&["{\"a\":\"}"]));
        assert!(!whole(&["{\"a\":\"\\", "\"}"]));
        assert!(!whole(&["{\"a\":{}"]));
        assert!(whole(&["{\"a\":", "{}", "}"]));
        assert!(whole(&["{}"]));
    }
}
