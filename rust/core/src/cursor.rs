//! A forgiving cursor over JSON text: walks what is asked for and steps over the rest, without recursion or copies.
//!
//! Its one rule: what an upstream sent is read, not judged. Duplicate keys, any type in any place, `NaN` and broken
//! UTF-8 inside strings are walked over; only text that ends too early or has no structure at all is refused. Its one
//! surprise: brackets are counted, not matched, so it proves that a body is whole, never that it is strict JSON.

use std::borrow::Cow;

use memchr::memchr2;

use crate::json::closing_quote;

/// The text ended inside a value, or a token stood where none may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// A position in JSON text. Opened containers are the caller's to keep track of: it nests by calling.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is not white space, left in place.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.text.get(self.at) {
            // White space is space, tab, CR and LF; other control characters stand nowhere in JSON.
            if byte > b' ' {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// How much of the text has been walked.
    pub fn position(&self) -> usize {
        self.at
    }

    /// True when only white space is left.
    pub fn at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Steps into an object, or stays before a value that is none.
    pub fn open_object(&mut self) -> bool {
        self.take(b'{')
    }

    /// Steps into an array, or stays before a value that is none.
    pub fn open_array(&mut self) -> bool {
        self.take(b'[')
    }

    /// The next key of the open object, unescaped; `None` steps out of it. The value must then be opened or skipped.
    #[inline]
    pub fn key(&mut self) -> Result<Option<Cow<'a, [u8]>>, Broken> {
        let mut next = self.peek();
        if next == Some(b',') {
            self.at += 1;
            next = self.peek();
        }
        match next {
            Some(b'"') => {
                let (raw, escaped) = self.string()?;
                if !self.take(b':') {
                    return Err(Broken);
                }
                Ok(Some(if escaped { unescape(raw) } else { Cow::Borrowed(raw) }))
            }
            Some(b'}') => {
                self.at += 1;
                Ok(None)
            }
            _ => Err(Broken),
        }
    }

    /// True when the open array has one more element, which must then be opened or skipped; false steps out of it.
    pub fn element(&mut self) -> Result<bool, Broken> {
        self.take(b',');
        match self.peek() {
            Some(b']') => {
                self.at += 1;
                Ok(false)
            }
            Some(_) => Ok(true),
            None => Err(Broken),
        }
    }

    /// Steps over one value and returns its text as it stands, a string with its quotes.
    pub fn skip(&mut self) -> Result<&'a [u8], Broken> {
        let first = self.peek().ok_or(Broken)?;
        let start = self.at;
        match first {
            b'"' => self.skip_string()?,
            b'{' | b'[' => self.container()?,
            b'}' | b']' | b',' | b':' => return Err(Broken),
            _ => self.literal(),
        }
        self.text.get(start..self.at).ok_or(Broken)
    }

    #[inline]
    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    /// Steps over a string and returns what stands between its quotes, and whether there are escapes in it.
    #[inline]
    fn string(&mut self) -> Result<(&'a [u8], bool), Broken> {
        let rest = self.text.get(self.at + 1..).ok_or(Broken)?;
        let (length, escaped) = string_end(rest).ok_or(Broken)?;
        self.at += length + 2;
        Ok((rest.get(..length).ok_or(Broken)?, escaped))
    }

    #[inline]
    fn skip_string(&mut self) -> Result<(), Broken> {
        self.at = closing_quote(self.text, self.at + 1).ok_or(Broken)? + 1;
        Ok(())
    }

    fn container(&mut self) -> Result<(), Broken> {
        self.at = container_end(self.text, self.at).ok_or(Broken)?;
        Ok(())
    }

    /// A number, `true`, `null`, and whatever else a lenient writer puts there (`NaN`, `-Infinity`).
    fn literal(&mut self) {
        while let Some(byte) = self.text.get(self.at) {
            if matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t' | b':' | b'"') {
                break;
            }
            self.at += 1;
        }
    }
}

/// Where the container ends whose opening bracket stands at `at`. Brackets are counted, not matched.
pub(crate) fn container_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'"' => {
                at = closing_quote(text, at + 1)? + 1;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Where the string ends whose opening quote stands before `text`, and whether there are escapes in it.
#[inline]
pub(crate) fn string_end(text: &[u8]) -> Option<(usize, bool)> {
    let mut at = 0;
    let mut escaped = false;
    loop {
        at += find_quote_or_backslash(text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some((at, escaped));
        }
        escaped = true;
        at += 2;
    }
}

/// `memchr2`, but quicker to start: most strings in an event are shorter than its set-up costs. Eight bytes at a time,
/// a byte of `word ^ pattern` is zero where it matches (Mycroft's test; what it reports beyond the first match may be
/// wrong, and is not looked at).
#[inline]
fn find_quote_or_backslash(rest: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const WORDS: usize = 8;
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, _) = rest.as_chunks::<8>();
    for (index, word) in words.iter().take(WORDS).enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zero_bytes(word ^ (ONES * u64::from(b'"'))) | zero_bytes(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let scanned = words.len().min(WORDS) * 8;
    memchr2(b'"', b'\\', rest.get(scanned..)?).map(|offset| scanned + offset)
}

/// What a string says, from the text between its quotes. An escape that means nothing is left as it stands.
pub fn unescape(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut quoted = Vec::with_capacity(raw.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(raw);
    quoted.push(b'"');
    match serde_json::from_slice::<String>(&quoted) {
        Ok(text) => Cow::Owned(text.into_bytes()),
        Err(_) => Cow::Borrowed(raw),
    }
}

/// The text of a string value, unescaped; `None` for any other type.
pub fn text(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).map(unescape)
}

/// From here on numbers with a point or an exponent are not exact, and no count.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A count, however it is written: integer, float, string of either; below zero and `null` are 0.
pub fn count(value: &[u8]) -> u64 {
    // As nearly all of them are written. So few digits cannot overflow.
    if matches!(value.len(), 1..=18) && value.iter().all(u8::is_ascii_digit) {
        return value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    }
    let digits = std::str::from_utf8(value).unwrap_or_default().trim_matches('"');
    if let Ok(count) = digits.parse::<u64>() {
        return count;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, and NaN becomes 0"
    )]
    digits.parse::<f64>().ok().filter(|count| *count < EXACT).map_or(0, |count| count as u64)
}

/// Neither absent in any spelling nor empty: what a client library would call truthy.
pub fn is_something(value: &[u8]) -> bool {
    match value {
        b"null" | b"false" | b"0" | b"\"\"" | b"" => false,
        [b'{' | b'[', inner @ .., _] => inner.iter().any(|byte| !byte.is_ascii_whitespace()),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Result<Vec<(String, String)>, Broken> {
        let mut cursor = Cursor::new(text.as_bytes());
        let mut found = Vec::new();
        assert!(cursor.open_object());
        while let Some(key) = cursor.key()? {
            let value = cursor.skip()?;
            found.push((String::from_utf8(key.into_owned()).unwrap(), String::from_utf8_lossy(value).into_owned()));
        }
        Ok(found)
    }

    #[test]
    fn members_are_walked_whatever_their_types_and_spacing() {
        let found = members(r#"{ "a" :1 ,"b":{"x":["}","\""]},"c\u0061":"t\\","n":NaN,"a": null }"#).unwrap();
        let expected = [("a", "1"), ("b", r#"{"x":["}","\""]}"#), ("ca", r#""t\\""#), ("n", "NaN"), ("a", "null")];
        assert_eq!(found.len(), expected.len());
        for ((key, value), (want_key, want_value)) in found.iter().zip(expected) {
            assert_eq!((key.as_str(), value.as_str()), (want_key, want_value));
        }
    }

    #[test]
    fn every_proper_prefix_of_an_object_is_broken() {
        let whole = r#"{"a":[1,{"b":"c\n"}],"d":null}"#;
        assert!(members(whole).is_ok());
        for cut in 1..whole.len() {
            assert_eq!(members(&whole[..cut]), Err(Broken), "cut at {cut}");
        }
    }

    #[test]
    fn counts_are_read_in_every_spelling() {
        for (written, meant) in [
            ("12", 12),
            ("007", 7),
            ("18446744073709551615", u64::MAX),
            ("12.0", 12),
            ("\"7\"", 7),
            ("1e3", 1000),
            ("null", 0),
            ("-5", 0),
            ("NaN", 0),
            ("1e308", 0),
            ("{}", 0),
        ] {
            assert_eq!(count(written.as_bytes()), meant, "{written}");
        }
    }

    #[test]
    fn empty_values_are_nothing() {
        for nothing in ["null", "false", "0", "\"\"", "{}", "[ ]", ""] {
            assert!(!is_something(nothing.as_bytes()), "{nothing}");
        }
        for something in ["\"x\"", "1", "{\"a\":1}", "[0]", "true"] {
            assert!(is_something(something.as_bytes()), "{something}");
        }
    }
}
