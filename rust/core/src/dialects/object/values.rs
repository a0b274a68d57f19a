//! Single values, each read for what it is: `None` for one of another type.

use std::borrow::Cow;

use crate::dialects::raw::RawValue;

use crate::dialects::message::Text;

/// A string; borrowed when it holds no escapes. `None` for other types. Half a character, as servers write it that cut
/// their texts anywhere, is U+FFFD.
pub(crate) fn text(raw: &RawValue) -> Option<Text<'_>> {
    whole_text(raw).or_else(|| {
        let mended = with_whole_characters(raw.get().starts_with('"').then(|| raw.get())?);
        serde_json::from_str(&mended).ok().map(Cow::Owned)
    })
}

/// The same with U+FFFD for each escaped surrogate that has no partner.
fn with_whole_characters(json: &str) -> String {
    let unit =
        |escape: &str| escape.strip_prefix("\\u").and_then(|digits| u16::from_str_radix(digits.get(..4)?, 16).ok());
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let next = escape.get(6..).and_then(unit);
        let (said, length) = match (unit(escape), next) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (escape.get(..12), 12),
            (Some(0xD800..=0xDFFF), _) => (Some("\u{FFFD}"), 6),
            // Any other escape is two bytes, or begins with two that mean nothing by themselves.
            _ => (escape.get(..2), 2),
        };
        out.push_str(said.unwrap_or_default());
        rest = escape.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// A string of whole characters; borrowed when it holds no escapes. `None` for other types and for lone surrogates.
pub(super) fn whole_text(raw: &RawValue) -> Option<Text<'_>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    unescaped(inner).or_else(|| serde_json::from_str(raw.get()).ok()).map(Cow::Owned)
}

/// The text of which no escape needs more than a look: `None` where one stands for half a character.
fn unescaped(inner: &str) -> Option<String> {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, escape)) = memchr::memchr(b'\\', rest.as_bytes()).and_then(|at| rest.split_at_checked(at)) {
        out.push_str(plain);
        let mut length = 2;
        out.push(match escape.as_bytes().get(1)? {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                length = 6;
                char::from_u32(u16::from_str_radix(escape.get(2..length)?, 16).ok()?.into())?
            }
            &same => char::from(same),
        });
        rest = escape.get(length..)?;
    }
    out.push_str(rest);
    Some(out)
}

pub(crate) fn number(raw: &RawValue) -> Option<f64> {
    let text = raw.get();
    let numeric = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let value: f64 = numeric.then(|| text.parse().ok())??;
    value.is_finite().then_some(value)
}

/// A whole number, also when a server writes it as `12.0`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is checked to be whole, not negative and below 2^53"
)]
pub(crate) fn whole(raw: &RawValue) -> Option<u64> {
    if let Ok(exact) = raw.get().parse() {
        return Some(exact);
    }
    let value = number(raw)?;
    let exact = value >= 0.0 && value.fract() == 0.0 && value < 9_007_199_254_740_992.0;
    exact.then_some(value as u64)
}

pub(crate) fn list(raw: &RawValue) -> Option<Vec<&RawValue>> {
    raw.elements()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_reads_as_any_parser_reads_it() {
        for json in [
            r#""""#,
            r#""plain""#,
            r#""a\"b\\c\/d\b\f\n\r\t""#,
            r#""\u00e9\u65e5\u0000é日\n""#,
            r#""\ud83d\ude00 and \u00e9""#,
            r#""\\u00e9\\""#,
        ] {
            let raw = RawValue::parse(json).unwrap();
            let expected: String = serde_json::from_str(json).unwrap();
            assert_eq!(whole_text(raw).as_deref(), Some(expected.as_str()), "{json}");
        }
        for json in [r#""\ud83d""#, r#""a\n\ude00\ud83d""#, "1", "null", "[]"] {
            assert_eq!(whole_text(RawValue::parse(json).unwrap()), None, "{json}");
        }
    }
}
