//! The classes of characters that the vocabularies' splitting patterns tell apart, and a table that answers in a few
//! nanoseconds.
//!
//! One rule: the classes are Unicode's general categories as `regex-syntax` has them, the tables that OpenAI's own
//! splitting and its Rust ports use; the standard library's `is_alphabetic` and its like are other properties.

use std::sync::LazyLock;

use regex_syntax::hir::{Class as HirClass, HirKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Lu, Lt: letters in upper and title case.
    Upper,
    /// Ll.
    Lower,
    /// Lm, Lo: modifiers, and letters of scripts without case.
    Caseless,
    /// M: what combines with the character before it.
    Mark,
    /// N.
    Number,
    /// White space but line breaks.
    Blank,
    /// CR and LF, and no other.
    Break,
    /// Punctuation, symbols, controls, what is not assigned.
    Other,
}

impl Class {
    pub(super) const fn is_letter(self) -> bool {
        matches!(self, Self::Upper | Self::Lower | Self::Caseless)
    }

    pub(super) const fn is_space(self) -> bool {
        matches!(self, Self::Blank | Self::Break)
    }
}

/// Characters by page of 256: most pages are alike, so a page is an index into the few that differ.
struct Pages {
    index: Vec<u8>,
    pages: Vec<[Class; PAGE]>,
}

const PAGE: usize = 256;

static PAGES: LazyLock<Pages> = LazyLock::new(Pages::build);

const ASCII: [Class; 128] = {
    let mut table = [Class::Other; 128];
    let mut byte = 0_u8;
    while byte < 128 {
        #[expect(clippy::indexing_slicing, reason = "run by the compiler, which refuses to leave the table")]
        {
            table[byte as usize] = match byte {
                b'A'..=b'Z' => Class::Upper,
                b'a'..=b'z' => Class::Lower,
                b'0'..=b'9' => Class::Number,
                b'\r' | b'\n' => Class::Break,
                b' ' | b'\t' | 0x0b | 0x0c => Class::Blank,
                _ => Class::Other,
            };
        }
        byte += 1;
    }
    table
};

/// The class of the character that starts at byte `at`, and its length in bytes; nothing at the end of the text.
#[inline]
pub(super) fn class_at(text: &str, at: usize) -> Option<(Class, usize)> {
    let first = *text.as_bytes().get(at)?;
    match ASCII.get(usize::from(first)) {
        Some(&class) => Some((class, 1)),
        None => beyond_ascii(text, at),
    }
}

fn beyond_ascii(text: &str, at: usize) -> Option<(Class, usize)> {
    let character = text.get(at..)?.chars().next()?;
    let code = character as usize;
    let page = PAGES.index.get(code / PAGE).and_then(|&page| PAGES.pages.get(usize::from(page)));
    let class = page.and_then(|page| page.get(code % PAGE)).copied().unwrap_or(Class::Other);
    Some((class, character.len_utf8()))
}

impl Pages {
    fn build() -> Self {
        let mut flat = vec![Class::Other; char::MAX as usize + 1];
        let categories = [
            (r"[\p{Lu}\p{Lt}]", Class::Upper),
            (r"\p{Ll}", Class::Lower),
            (r"[\p{Lm}\p{Lo}]", Class::Caseless),
            (r"\p{M}", Class::Mark),
            (r"\p{N}", Class::Number),
        ];
        for (pattern, class) in categories {
            for (first, last) in ranges(pattern) {
                if let Some(range) = flat.get_mut(first..=last) {
                    range.fill(class);
                }
            }
        }
        // White space is scattered over the first 12,289 code points, up to the ideographic space.
        for (code, class) in flat.iter_mut().enumerate().take(0x3001) {
            if u32::try_from(code).ok().and_then(char::from_u32).is_some_and(char::is_whitespace) {
                *class = Class::Blank;
            }
        }
        Self::fold(&flat)
    }

    fn fold(flat: &[Class]) -> Self {
        let mut folded = Self { index: Vec::with_capacity(flat.len() / PAGE), pages: Vec::new() };
        for page in flat.as_chunks::<PAGE>().0 {
            let known = folded.pages.iter().position(|known| known == page).unwrap_or_else(|| {
                folded.pages.push(*page);
                folded.pages.len() - 1
            });
            // Some 140 pages differ; were there ever 256, the first would stand for the others and a test would fail.
            folded.index.push(u8::try_from(known).unwrap_or(0));
        }
        folded
    }
}

fn ranges(pattern: &str) -> Vec<(usize, usize)> {
    let hir = regex_syntax::parse(pattern).ok().map(regex_syntax::hir::Hir::into_kind);
    match hir {
        Some(HirKind::Class(HirClass::Unicode(class))) => {
            class.iter().map(|range| (range.start() as usize, range.end() as usize)).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(character: char) -> Class {
        class_at(&character.to_string(), 0).unwrap().0
    }

    #[test]
    fn characters_have_the_classes_of_their_general_category() {
        let expected = [
            ("AÉЖΩǅＡ", Class::Upper),
            ("aéжωßａ", Class::Lower),
            ("的あ한אʰª", Class::Caseless),
            ("\u{301}\u{93f}\u{fe0f}", Class::Mark),
            ("7½Ⅷ٣〇²", Class::Number),
            (" \t\u{b}\u{a0}\u{2009}\u{3000}\u{85}\u{2028}", Class::Blank),
            ("\r\n", Class::Break),
            ("!_€、😀\u{200b}\u{feff}\u{378}\u{10ffff}", Class::Other),
        ];
        for (characters, expected) in expected {
            for character in characters.chars() {
                assert_eq!(class(character), expected, "{character:?}");
            }
        }
    }

    #[test]
    fn the_table_agrees_with_the_standard_library_where_both_know() {
        for character in '\0'..=char::MAX {
            let class = class(character);
            assert_eq!(class.is_space(), character.is_whitespace(), "{character:?}");
            if class.is_letter() {
                assert!(character.is_alphabetic(), "{character:?}");
            }
        }
    }

    #[test]
    fn the_differing_pages_are_few_enough_to_number_with_a_byte() {
        assert!(PAGES.pages.len() < 256, "{}", PAGES.pages.len());
    }

    #[test]
    fn nothing_lies_beyond_the_end() {
        assert_eq!(class_at("a", 1), None);
        assert_eq!(class_at("", 0), None);
    }
}
