//! Proves that text is JSON, in one pass over all of it, for values of which nothing but their extent is asked.
//!
//! It takes what serde's readers of unread values take (RFC 8259, containers of any depth, halves of characters as
//! escapes) and is held to them by tests. What is wrong with refused text it does not say: that is for a slower reader.

use smallvec::SmallVec;

use super::find::is_clean;
use super::skip::{is_unit, plain_end, skip_plain};

/// A position in text, behind which everything has been proved.
#[derive(Debug)]
pub(crate) struct Prover<'a> {
    text: &'a str,
    at: usize,
    /// No byte is a control character.
    clean: bool,
    /// The brackets that are to come.
    closing: SmallVec<[u8; 32]>,
}

impl<'a> Prover<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, clean: is_clean(text.as_bytes()), closing: SmallVec::new() }
    }

    /// Steps into an object, to the quote of its first name or to its end.
    pub(crate) fn open_object(&mut self) -> Option<u8> {
        (self.token()? == b'{').then_some(())?;
        self.at += 1;
        self.token()
    }

    /// A name with its quotes, whether it is known to have no escapes, and the first byte of its value, which comes next.
    #[inline]
    pub(crate) fn name(&mut self, quote: u8) -> Option<(&'a str, bool, u8)> {
        let start = self.at;
        (quote == b'"').then_some(())?;
        let plain = self.string()?;
        let name = self.text.get(start..self.at)?;
        (self.token()? == b':').then_some(())?;
        self.at += 1;
        Some((name, plain, self.token()?))
    }

    /// Steps over the value that begins here with `first`.
    pub(crate) fn value(&mut self, first: u8) -> Option<&'a str> {
        let start = self.at;
        self.step_over(first)?;
        self.text.get(start..self.at)
    }

    /// What follows a member: the quote of the next name, or the end of the object, on which it stays.
    #[inline]
    pub(crate) fn next_member(&mut self) -> Option<u8> {
        match self.token()? {
            b',' => {
                self.at += 1;
                self.token().filter(|&first| first == b'"')
            }
            byte => (byte == b'}').then_some(byte),
        }
    }

    /// Steps over the bracket that stands here; `None` where anything but white space comes behind it.
    pub(crate) fn ends(&mut self) -> Option<()> {
        self.at += 1;
        self.token().is_none().then_some(())
    }

    /// Steps to the next byte that is not white space.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        loop {
            match *self.text.as_bytes().get(self.at)? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    fn step_over(&mut self, mut first: u8) -> Option<()> {
        loop {
            match first {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    let closing = if first == b'{' { b'}' } else { b']' };
                    self.at += 1;
                    first = self.token()?;
                    if first != closing {
                        self.closing.push(closing);
                        if closing == b'}' {
                            first = self.name(first)?.2;
                        }
                        continue;
                    }
                    self.at += 1;
                }
                b'-' | b'0'..=b'9' => self.number()?,
                _ => self.word(first)?,
            }
            // A value has ended, and perhaps what it was the last of.
            loop {
                let Some(&closing) = self.closing.last() else { return Some(()) };
                match self.token()? {
                    b',' => {
                        self.at += 1;
                        first = self.token()?;
                        if closing == b'}' {
                            first = self.name(first)?.2;
                        }
                        break;
                    }
                    byte if byte == closing => {
                        self.at += 1;
                        self.closing.pop();
                    }
                    _ => return None,
                }
            }
        }
    }

    /// Steps over a string; true where it is known to have no escapes.
    #[inline]
    fn string(&mut self) -> Option<bool> {
        let bytes = self.text.as_bytes();
        if let Some(end) = plain_end(bytes, self.at + 1) {
            self.at = end + 1;
            return Some(true);
        }
        let mut at = self.at + 1;
        loop {
            at = skip_plain(bytes, at, self.clean);
            match bytes.get(at)? {
                b'"' => break,
                _ if is_unit(bytes.get(at..)?) => at += 6,
                _ => return None,
            }
        }
        self.at = at + 1;
        Some(false)
    }

    fn word(&mut self, first: u8) -> Option<()> {
        let word: &[u8] = match first {
            b't' => b"true",
            b'f' => b"false",
            b'n' => b"null",
            _ => return None,
        };
        self.text.as_bytes().get(self.at..)?.starts_with(word).then_some(())?;
        self.at += word.len();
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        self.take(|byte| byte == b'-');
        let leads = *self.text.as_bytes().get(self.at)?;
        let digits = self.digits()?;
        if leads == b'0' && digits > 1 {
            return None;
        }
        if self.take(|byte| byte == b'.') {
            self.digits()?;
        }
        if self.take(|byte| matches!(byte, b'e' | b'E')) {
            self.take(|byte| matches!(byte, b'+' | b'-'));
            self.digits()?;
        }
        Some(())
    }

    #[inline]
    fn take(&mut self, is: impl Fn(u8) -> bool) -> bool {
        let found = self.text.as_bytes().get(self.at).is_some_and(|&byte| is(byte));
        self.at += usize::from(found);
        found
    }

    /// At least one.
    #[inline]
    fn digits(&mut self) -> Option<usize> {
        let start = self.at;
        while self.take(|byte| byte.is_ascii_digit()) {}
        Some(self.at - start).filter(|&digits| digits > 0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::Prover;
    use crate::json::tests::Dice;

    /// The extent of the value that the text is, if it is one.
    fn proved(text: &str) -> Option<&str> {
        let mut prover = Prover::new(text);
        let first = prover.token()?;
        let value = prover.value(first)?;
        prover.token().is_none().then_some(value)
    }

    fn same(text: &str) -> bool {
        let expected = serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get);
        assert_eq!(proved(text), expected, "{text:?}");
        expected.is_some()
    }

    #[test]
    fn what_serde_takes_is_proved_and_nothing_else() {
        for text in [
            "",
            " ",
            "null",
            "nul",
            "nullx",
            "true",
            "tru",
            "false",
            "False",
            "0",
            "-",
            "-0",
            "01",
            "-01",
            "00",
            "1.",
            ".5",
            "1.5",
            "1.e3",
            "1e",
            "1e+",
            "1E-7",
            "1e400",
            "+1",
            "0x1",
            "1 2",
            "NaN",
            "-Infinity",
            "\"\"",
            "\"",
            "\"a",
            "\"\\",
            "\"\\\"",
            "\"\\q\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\ud800\"",
            "\"\\udc00\\ud800x\"",
            "\"a\nb\"",
            "\"\u{1}\"",
            "\"\u{7f}é\"",
            "[]",
            "[",
            "]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1,2",
            "[]]",
            "[}",
            "{}",
            "{",
            "}",
            "{]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1 \"b\":2}",
            "{,}",
            "{1:2}",
            "{\"a\":1,\"a\":2}",
            "{\"a\":[1,}",
            " [ { } , [ ] ] ",
            "\u{feff}1",
            "\u{b}1",
            "[\u{a0}1]",
            "{} {}",
            "[[[[[[[[]]]]]]]]",
            "{\"a\":{\"b\":{\"c\":[]}}}",
        ] {
            same(text);
        }
        let deep = ["[".repeat(5000), "]".repeat(5000)].concat();
        assert!(same(&deep) && !same(&deep[1..]));
    }

    #[test]
    fn it_agrees_with_serde_on_text_that_was_tampered_with() {
        const PIECES: [&str; 24] = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "\\u",
            "\\ud83d",
            "\\ude00",
            "\\n",
            "0",
            "-1.5e3",
            "1",
            ".",
            "e",
            "true",
            "null",
            " ",
            "\n",
            "\t",
            "é",
            "plain text that is longer than a word, and than one block of 64 bytes",
        ];
        let whole =
            r#"{"id":"c-1","n":[1,-2.5e-3,0,{"a\u00e9":"\ud83d\ude00 \"so\"\n"},[],{}],"t":true,"f":false,"z":null}"#;
        let long = "more than four blocks of 64 bytes ".repeat(10);
        let mut dice = Dice(11);
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..100_000 {
            let mut text = whole.to_owned();
            for _ in 0..=dice.below(3) {
                let at = (0..=dice.below(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
                match dice.below(4) {
                    0 => text.insert_str(at, PIECES[dice.below(PIECES.len())]),
                    1 => text.truncate(at),
                    2 => text.insert_str(at, &long),
                    _ => {
                        text.remove(at.min(text.char_indices().next_back().map_or(0, |(last, _)| last)));
                    }
                }
                if text.is_empty() {
                    break;
                }
            }
            *(if same(&text) { &mut taken } else { &mut refused }) += 1;
        }
        assert!(taken > 5_000 && refused > 5_000, "{taken} {refused}");
    }
}
