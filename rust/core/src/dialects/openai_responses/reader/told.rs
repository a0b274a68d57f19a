//! How much of a text was told, so that a server which repeats it whole is heard where it says more.
//!
//! A text is remembered by its length and a hash (FNV-1a) and not held: answers are long, and there are many.

use crate::dialects::message::Text;

#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    bytes: usize,
    hash: u64,
}

impl Default for Told {
    fn default() -> Self {
        Self { bytes: 0, hash: 0xcbf2_9ce4_8422_2325 }
    }
}

impl Told {
    pub(super) fn is_empty(self) -> bool {
        self.bytes == 0
    }

    pub(super) fn add(&mut self, piece: &str) {
        self.take(piece.bytes());
    }

    /// Without what stands between the words of a JSON text.
    pub(super) fn add_ink(&mut self, piece: &str) {
        self.take(piece.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    }

    fn take(&mut self, bytes: impl Iterator<Item = u8>) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            self.bytes = self.bytes.saturating_add(1);
        }
    }

    /// Whether it is all the ink of `whole`.
    pub(super) fn is_ink_of(self, whole: &str) -> bool {
        let mut ink = Self::default();
        ink.add_ink(whole);
        (ink.bytes, ink.hash) == (self.bytes, self.hash)
    }

    /// The length of what was told, where the parts of the whole begin with it; else what was told is something else.
    pub(super) fn begins<'t>(self, parts: impl Iterator<Item = &'t str>) -> Option<usize> {
        let mut begun = Self::default();
        for part in parts {
            let left = self.bytes - begun.bytes;
            begun.take(part.bytes().take(left));
        }
        ((begun.bytes, begun.hash) == (self.bytes, self.hash)).then_some(self.bytes)
    }

    /// What is missing of the whole; `None` where what was told is something else.
    pub(super) fn rest_of<'a>(self, whole: &Text<'a>) -> Option<Text<'a>> {
        cut(whole, self.begins(std::iter::once(whole.as_ref()))?)
    }
}

/// A text without its first bytes.
pub(super) fn cut<'a>(text: &Text<'a>, bytes: usize) -> Option<Text<'a>> {
    match text {
        Text::Borrowed(text) => text.get(bytes..).map(Text::Borrowed),
        Text::Owned(text) => text.get(bytes..).map(|rest| Text::Owned(rest.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[&str]) -> Told {
        let mut told = Told::default();
        for piece in pieces {
            told.add(piece);
        }
        told
    }

    #[test]
    fn what_is_missing_is_found_however_it_was_cut() {
        for pieces in [&["Grüß", "e"][..], &["G", "rüße"], &["Grüße"]] {
            assert_eq!(told(pieces).rest_of(&"Grüße, Ada".into()).unwrap(), ", Ada");
            assert_eq!(told(pieces).rest_of(&"Grüße".into()).unwrap(), "");
            assert_eq!(told(pieces).rest_of(&"Gruß, Ada".into()), None);
            assert_eq!(told(pieces).rest_of(&"Grü".into()), None);
        }
        assert_eq!(told(&["One", "Two"]).begins(["On", "eTw", "o!"].into_iter()), Some(6));
        assert_eq!(told(&[]).rest_of(&"All".into()).unwrap(), "All");
    }

    #[test]
    fn blanks_between_the_words_of_arguments_are_no_difference() {
        let mut ink = Told::default();
        ink.add_ink(r#"{"a": "#);
        ink.add_ink(r"1}");
        assert!(ink.is_ink_of("{\"a\":1\n}"));
        assert!(!ink.is_ink_of(r#"{"a":12}"#));
    }
}
