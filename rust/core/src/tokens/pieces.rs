//! Splits text into the pieces within which a vocabulary merges bytes: words, numbers, punctuation, white space.
//!
//! One rule: the pieces are those of OpenAI's patterns, written out below, matched by hand in linear time; regular
//! expression engines need a thousand times longer for some texts. The surprise: the patterns are ordered choices that
//! backtrack, and where a capitalised word ends depends on that.

use super::classes::{Class, class_at};

/// Which pattern splits. Both try their branches in this order, each greedily:
///
/// ```text
/// o200k  [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
///        [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
///        \p{N}{1,3}    ?[^\s\p{L}\p{N}]+[\r\n/]*   \s*[\r\n]+   \s+(?!\S)   \s+
/// cl100k (?i:'s|'t|'re|'ve|'m|'ll|'d)   [^\r\n\p{L}\p{N}]?\p{L}+
///        \p{N}{1,3}    ?[^\s\p{L}\p{N}]+[\r\n]*    \s*[\r\n]+   \s+(?!\S)   \s+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    O200k,
    Cl100k,
}

/// The pieces of a text, in order; together they are the text.
pub(super) fn pieces(pattern: Pattern, text: &str) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let end = piece_end(pattern, text, start)?;
        let piece = text.as_bytes().get(start..end);
        start = end;
        piece
    })
}

fn piece_end(pattern: Pattern, text: &str, start: usize) -> Option<usize> {
    let (class, len) = class_at(text, start)?;
    let word = match pattern {
        Pattern::O200k => cased_word_end(text, start, class, len),
        Pattern::Cl100k => contraction_end(text, start).or_else(|| plain_word_end(text, start, class, len)),
    };
    let end = word.unwrap_or_else(|| match class {
        Class::Number => number_end(text, start),
        _ if class.is_space() => space_end(pattern, text, start, class, len),
        _ => punctuation_end(pattern, text, start).unwrap_or(start + len),
    });
    Some(end)
}

/// May a character of this class open a word that it is not a letter of?
const fn opens_word(class: Class) -> bool {
    matches!(class, Class::Blank | Class::Other | Class::Mark)
}

fn run_end(text: &str, mut at: usize, belongs: impl Fn(Class) -> bool) -> usize {
    while let Some((class, len)) = class_at(text, at) {
        if !belongs(class) {
            break;
        }
        at += len;
    }
    at
}

/// cl100k's second branch.
fn plain_word_end(text: &str, start: usize, class: Class, len: usize) -> Option<usize> {
    let letters = if class.is_letter() { start } else { start + len };
    if !class.is_letter() && !opens_word(class) {
        return None;
    }
    let end = run_end(text, letters, Class::is_letter);
    (end > letters).then_some(end)
}

/// o200k's first two branches: each is tried with an opening character before it is tried without.
fn cased_word_end(text: &str, start: usize, class: Class, len: usize) -> Option<usize> {
    let opened = opens_word(class).then_some(start + len);
    let bare = (class.is_letter() || class == Class::Mark).then_some(start);
    let tries = [opened, bare];
    let lower = tries.iter().flatten().find_map(|&letters| lower_ending(text, letters));
    let end = lower.or_else(|| {
        // No branch ends in lower case, so what begins here is capitals and nothing else.
        tries.iter().flatten().find_map(|&letters| Some(run_end(text, letters, in_head)).filter(|&end| end > letters))
    })?;
    Some(contraction_end(text, end).unwrap_or(end))
}

const fn in_head(class: Class) -> bool {
    matches!(class, Class::Upper | Class::Caseless | Class::Mark)
}

const fn in_tail(class: Class) -> bool {
    matches!(class, Class::Lower | Class::Caseless | Class::Mark)
}

/// The end of a head, which may be empty, and a tail, which may not. When no lower case follows the head, the head gives
/// characters back until the tail can have one: the last that has no case.
fn lower_ending(text: &str, letters: usize) -> Option<usize> {
    let mut at = letters;
    let mut given_back = None;
    while let Some((class, len)) = class_at(text, at) {
        if class == Class::Lower {
            return Some(run_end(text, at, in_tail));
        }
        if !in_head(class) {
            break;
        }
        at += len;
        if class != Class::Upper {
            given_back = Some(at);
        }
    }
    given_back
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)`; without regard to case, the long s is an s.
fn contraction_end(text: &str, start: usize) -> Option<usize> {
    let rest = text.as_bytes().get(start..)?.strip_prefix(b"'")?;
    let len = match rest {
        [b's' | b'S' | b't' | b'T' | b'm' | b'M' | b'd' | b'D', ..] => 1,
        // The last is the long s.
        [b'r' | b'R' | b'v' | b'V', b'e' | b'E', ..] | [b'l' | b'L', b'l' | b'L', ..] | [0xc5, 0xbf, ..] => 2,
        _ => return None,
    };
    Some(start + 1 + len)
}

fn number_end(text: &str, start: usize) -> usize {
    let mut at = start;
    for _ in 0..3 {
        match class_at(text, at) {
            Some((Class::Number, len)) => at += len,
            _ => break,
        }
    }
    at
}

/// A run of what is neither letter, number nor white space, with a space before it and line breaks after it.
fn punctuation_end(pattern: Pattern, text: &str, start: usize) -> Option<usize> {
    let first = start + usize::from(text.as_bytes().get(start) == Some(&b' '));
    let end = run_end(text, first, |class| matches!(class, Class::Other | Class::Mark));
    if end == first {
        return None;
    }
    let trails = |byte: &u8| matches!(byte, b'\r' | b'\n') || (*byte == b'/' && pattern == Pattern::O200k);
    let trailing = text.as_bytes().get(end..)?.iter().take_while(|byte| trails(byte)).count();
    Some(end + trailing)
}

/// White space up to its last line break; else all of it but the last character, which opens the next word; else all.
fn space_end(pattern: Pattern, text: &str, start: usize, class: Class, len: usize) -> usize {
    if class == Class::Blank
        && let Some(end) = punctuation_end(pattern, text, start)
    {
        return end;
    }
    let (mut at, mut last_break, mut last) = (start + len, (class == Class::Break).then_some(start + len), start);
    while let Some((class, len)) = class_at(text, at)
        && class.is_space()
    {
        last = at;
        at += len;
        if class == Class::Break {
            last_break = Some(at);
        }
    }
    match last_break {
        Some(end) => end,
        None if at == text.len() || last == start => at,
        None => last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pattern: Pattern, text: &str) -> Vec<String> {
        pieces(pattern, text).map(|piece| String::from_utf8(piece.to_vec()).unwrap()).collect()
    }

    #[test]
    fn words_carry_the_space_before_them() {
        for pattern in [Pattern::O200k, Pattern::Cl100k] {
            assert_eq!(split(pattern, "Hello  big\tworld "), ["Hello", " ", " big", "\tworld", " "]);
            assert_eq!(split(pattern, "a \n\n  b"), ["a", " \n\n", " ", " b"]);
            assert_eq!(split(pattern, "x = (y);\n\n z"), ["x", " =", " (", "y", ");\n\n", " z"]);
            assert_eq!(split(pattern, "12345 6"), ["123", "45", " ", "6"]);
            assert_eq!(split(pattern, "\u{a0}\u{a0}né"), ["\u{a0}", "\u{a0}né"]);
        }
    }

    #[test]
    fn capitals_and_contractions_are_where_the_patterns_differ() {
        assert_eq!(split(Pattern::O200k, "HTTPServer don'T it'ſx"), ["HTTPServer", " don'T", " it'ſ", "x"]);
        assert_eq!(split(Pattern::Cl100k, "HTTPServer don'T it'ſx"), ["HTTPServer", " don", "'T", " it", "'ſ", "x"]);
        assert_eq!(split(Pattern::O200k, "camelCase"), ["camel", "Case"]);
        assert_eq!(split(Pattern::Cl100k, "camelCase"), ["camelCase"]);
        assert_eq!(split(Pattern::O200k, "a//\n/b"), ["a", "//\n/", "b"]);
        assert_eq!(split(Pattern::Cl100k, "a//\n/b"), ["a", "//\n", "/b"]);
    }

    #[test]
    fn a_capitalised_head_gives_back_its_last_caseless_letter() {
        assert_eq!(split(Pattern::O200k, "AB字CD"), ["AB字", "CD"]);
        assert_eq!(split(Pattern::O200k, "AB字CDe"), ["AB字CDe"]);
        assert_eq!(split(Pattern::O200k, "\u{301}ABC"), ["\u{301}", "ABC"]);
        assert_eq!(split(Pattern::O200k, "!ABC's"), ["!ABC's"]);
    }

    #[test]
    fn pieces_put_together_are_the_text() {
        let text = "naïve 世界，\r\n don't\u{301} \u{3000}x\u{85}\n 👩‍💻 ½¾¼⅓ $$ \t\t";
        for pattern in [Pattern::O200k, Pattern::Cl100k] {
            assert_eq!(split(pattern, text).concat(), text);
            assert_eq!(split(pattern, "").len(), 0);
        }
    }
}
