//! Characters that a server cut in two: half of one ends a text, the other half begins the same text in a later event.
//!
//! JSON may write a character beyond the first plane as two escapes (RFC 8259 section 7), and servers that count texts in
//! these halves cut between them. The rule: the first half is taken out and waits for the next text under the same name
//! that says anything; where that does not begin with the other half, U+FFFD stands for what was lost, as it does in a
//! reply that comes whole.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memmem};

/// More texts than any event cuts; what is beyond stays as it came, and is read as U+FFFD.
const MOST: usize = 16;
const NAME_BYTES: usize = 64;
/// `\ud83d`
const ESCAPE: usize = 6;
const REPLACEMENT: &[u8] = br"\ufffd";

#[derive(Debug, Default)]
pub(super) struct Halves(Vec<Half>);

#[derive(Debug)]
struct Half {
    /// Of the member that the text is under.
    name: Vec<u8>,
    escape: [u8; ESCAPE],
}

/// A string between its quotes.
struct Found<'d> {
    start: usize,
    inner: &'d [u8],
    /// The name in front of it; `None` for a name and for an item of a list.
    name: Option<&'d [u8]>,
}

impl Halves {
    /// The data of an event with whole characters, as far as they have come.
    pub(super) fn mend<'d>(&mut self, data: &'d [u8]) -> Cow<'d, [u8]> {
        if self.0.is_empty() && !may_cut(data) {
            return Cow::Borrowed(data);
        }
        let mut out: Vec<u8> = Vec::new();
        let mut copied = 0;
        let mut waiting = std::mem::take(&mut self.0);
        each_string(data, |found| {
            let Some(name) = found.name else { return };
            let mut copy_to = |at: usize, out: &mut Vec<u8>| {
                out.extend_from_slice(data.get(copied..at).unwrap_or_default());
                copied = at;
            };
            let first = waiting.iter().position(|half| half.name == name).filter(|_| !found.inner.is_empty());
            if let Some(first) = first {
                let half = waiting.remove(first);
                copy_to(found.start, &mut out);
                let goes_on = found.inner.get(..ESCAPE).is_some_and(|escape| is_half(escape, b"cdefCDEF"));
                out.extend_from_slice(if goes_on { &half.escape } else { REPLACEMENT });
            }
            let end = found.start + found.inner.len();
            if let Some(escape) = half_at_end(found.inner)
                && name.len() <= NAME_BYTES
                && self.0.len() + waiting.len() < MOST
            {
                copy_to(end - ESCAPE, &mut out);
                copied = end;
                self.0.push(Half { name: name.to_vec(), escape });
            }
        });
        waiting.append(&mut self.0);
        self.0 = waiting;
        if copied == 0 {
            return Cow::Borrowed(data);
        }
        out.extend_from_slice(data.get(copied..).unwrap_or_default());
        Cow::Owned(out)
    }
}

/// Whether half a character stands anywhere in it.
fn may_cut(data: &[u8]) -> bool {
    memchr(b'\\', data).is_some() && (memmem::find(data, br"\ud").is_some() || memmem::find(data, br"\uD").is_some())
}

/// Whether an escape is half a character, of the kind that these digits tell.
fn is_half(escape: &[u8], kind: &[u8]) -> bool {
    matches!(escape, [b'\\', b'u', b'd' | b'D', digit, more @ ..]
        if kind.contains(digit) && more.iter().all(u8::is_ascii_hexdigit))
}

/// The first half of a character at the end of a string.
fn half_at_end(inner: &[u8]) -> Option<[u8; ESCAPE]> {
    let escape: [u8; ESCAPE] = *inner.last_chunk()?;
    let before = inner.get(..inner.len() - ESCAPE)?;
    // Behind an odd number of backslashes another one is no escape, but escaped.
    let is_escape = before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0;
    (is_escape && is_half(&escape, b"89abAB")).then_some(escape)
}

/// Calls `on` with each string of a JSON text. What is no JSON gives what it gives.
fn each_string<'d>(data: &'d [u8], mut on: impl FnMut(Found<'d>)) {
    let mut at = 0;
    let mut name: Option<&[u8]> = None;
    while let Some(quote) = data.get(at..).and_then(|rest| memchr(b'"', rest)) {
        let between = data.get(at..at + quote).unwrap_or_default();
        if !between.iter().all(|byte| byte.is_ascii_whitespace() || *byte == b':') {
            name = None;
        }
        let start = at + quote + 1;
        let Some(end) = end_of_string(data, start) else { return };
        let inner = data.get(start..end).unwrap_or_default();
        at = end + 1;
        let behind = data.get(at..).unwrap_or_default().iter().find(|byte| !byte.is_ascii_whitespace());
        if behind == Some(&b':') {
            name = Some(inner);
        } else {
            on(Found { start, inner, name: name.take() });
        }
    }
}

/// Where the quote is that ends a string.
fn end_of_string(data: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        let found = at + memchr2(b'"', b'\\', data.get(at..)?)?;
        if data.get(found) == Some(&b'"') {
            return Some(found);
        }
        at = found + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(events: &[&str]) -> Vec<String> {
        let mut halves = Halves::default();
        events.iter().map(|data| String::from_utf8(halves.mend(data.as_bytes()).into_owned()).unwrap()).collect()
    }

    #[test]
    fn halves_meet_under_the_same_name() {
        let told = mended(&[
            r#"{"a":{"content":"x\ud83d"},"other":"y"}"#,
            r#"{"a":{"content":""},"other":"\ude00"}"#,
            r#"{"a":{"content" : "\uDE00z\uD83D"}}"#,
            r#"{"a":{"content":"\ude01"}}"#,
        ]);
        assert_eq!(
            told,
            [
                r#"{"a":{"content":"x"},"other":"y"}"#,
                r#"{"a":{"content":""},"other":"\ude00"}"#,
                r#"{"a":{"content" : "\ud83d\uDE00z"}}"#,
                r#"{"a":{"content":"\uD83D\ude01"}}"#,
            ]
        );
    }

    #[test]
    fn a_half_without_another_is_told_as_lost() {
        let told = mended(&[r#"{"content":"x\ud83d"}"#, r#"{"content":"y"}"#, r#"{"content":"z"}"#]);
        assert_eq!(told, [r#"{"content":"x"}"#, r#"{"content":"\ufffdy"}"#, r#"{"content":"z"}"#]);
    }

    #[test]
    fn what_is_no_half_stays_as_it_is() {
        for data in [
            r#"{"content":"\\ud83d"}"#,
            r#"{"content":"\ud83d\ude00"}"#,
            r#"["\ud83d",{"\ud83d":"\ud83d!"}]"#,
            r#"{"content":"\ud83"#,
            r#"{"content":"\"#,
        ] {
            let mut halves = Halves::default();
            assert!(matches!(halves.mend(data.as_bytes()), Cow::Borrowed(_)), "{data}");
            assert!(halves.0.is_empty(), "{data}");
        }
    }

    #[test]
    fn no_more_wait_than_may() {
        let mut halves = Halves::default();
        for at in 0..100 {
            halves.mend(format!(r#"{{"n{at}":"\ud83d"}}"#).as_bytes());
        }
        assert_eq!(halves.0.len(), MOST);
    }
}
