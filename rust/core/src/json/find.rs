//! Finds where a run of plain text in a string stops: the loops that touch nearly every byte of a body.
//!
//! Machine-made bodies are compact, so a frame usually holds no control character at all. That is checked once per frame
//! at memory speed ([`is_clean`]); in a clean frame only quotes and backslashes can stop a string, and `memchr2` looks
//! for both with the widest registers the machine has. Indented bodies take the other loop, at about a third of that.

use memchr::memchr2;

/// The loop that looks for all three kinds of stop. LLVM turns it into vector compares from this width on.
const WIDTH: usize = 64;
/// Wide enough that the minimum of a block is taken in several registers at once.
const BLOCK: usize = 256;
/// Words tried before a vector search is set up: member names and short values end within them.
const SHORT_WORDS: usize = 2;
/// The same where a search by blocks is set up, which takes longer.
const MORE_WORDS: usize = 6;

const ONES: u64 = u64::MAX / 255;
const HIGHS: u64 = ONES << 7;

fn stops(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// Whether no byte is a control character.
pub(super) fn is_clean(frame: &[u8]) -> bool {
    let (blocks, tail) = frame.as_chunks::<BLOCK>();
    let least = |bytes: &[u8]| bytes.iter().fold(u8::MAX, |least, &byte| least.min(byte));
    blocks.iter().all(|block| least(block) >= 0x20) && least(tail) >= 0x20
}

/// Offset of the first quote, backslash or control character among as many bytes as member names have.
#[inline]
pub(super) fn short_end(bytes: &[u8]) -> Option<usize> {
    let (words, _) = bytes.as_chunks::<8>();
    stop_in_words(words.get(..MORE_WORDS).unwrap_or(words))
}

/// Offset of the first quote, backslash or control character. `clean` promises that there are no control characters.
#[inline]
pub(super) fn text_end(bytes: &[u8], clean: bool) -> Option<usize> {
    let (words, _) = bytes.as_chunks::<8>();
    let short = words.get(..SHORT_WORDS).unwrap_or(words);
    if let Some(at) = stop_in_words(short) {
        return Some(at);
    }
    let rest = bytes.get(short.len() * 8..)?;
    let at = if clean { memchr2(b'"', b'\\', rest)? } else { stop_in_chunks(rest)? };
    Some(short.len() * 8 + at)
}

/// A byte below `n` sets its high bit in `(word - n) & !word`; borrows can only spoil bytes above the first hit.
/// (Anderson, Bit Twiddling Hacks, "Determine if a word has a byte less than n".)
#[inline]
fn stop_in_words(words: &[[u8; 8]]) -> Option<usize> {
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word;
    for (nth, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let hits = (quote | backslash | below(word, 0x20)) & HIGHS;
        if hits != 0 {
            return Some(nth * 8 + hits.trailing_zeros() as usize / 8);
        }
    }
    None
}

#[inline(never)]
fn stop_in_chunks(bytes: &[u8]) -> Option<usize> {
    let (chunks, tail) = bytes.as_chunks::<WIDTH>();
    for (nth, chunk) in chunks.iter().enumerate() {
        // Not `any`: leaving early would keep the compiler from comparing the whole chunk at once.
        if chunk.iter().fold(false, |hit, &byte| hit | stops(byte)) {
            return Some(nth * WIDTH + stop_in_words(chunk.as_chunks::<8>().0)?);
        }
    }
    let (words, end) = tail.as_chunks::<8>();
    let at = stop_in_words(words).or_else(|| Some(words.len() * 8 + end.iter().position(|&byte| stops(byte))?))?;
    Some(chunks.len() * WIDTH + at)
}

#[cfg(test)]
mod tests {
    use super::{is_clean, stops, text_end};

    #[test]
    fn every_stop_is_found_at_every_place() {
        for length in [0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 80, 144, 200, 300, 520] {
            let plain: Vec<u8> =
                (0..length).map(|at| [b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xff][at % 8]).collect();
            assert_eq!(text_end(&plain, false), None);
            assert_eq!(text_end(&plain, true), None);
            assert!(is_clean(&plain));
            for at in 0..length {
                for stop in [b'"', b'\\', 0, 0x1f, b'\n'] {
                    let mut text = plain.clone();
                    text[at] = stop;
                    // A later stop of another kind must not be found first.
                    *text.last_mut().unwrap() = if at + 1 == length { stop } else { b'"' };
                    assert_eq!(text_end(&text, false), Some(at), "{stop:#x} at {at} of {length}");
                    assert_eq!(is_clean(&text), stop >= 0x20);
                    if stop >= 0x20 {
                        assert_eq!(text_end(&text, true), Some(at));
                    }
                }
            }
        }
    }

    #[test]
    fn the_word_search_agrees_with_the_simple_one_on_all_byte_values() {
        for first in 0..=255_u8 {
            for second in 0..=255_u8 {
                let text = [b'a', first, second, b'b', b'c', b'd', b'e', b'f', b'g'];
                assert_eq!(text_end(&text, false), text.iter().position(|&byte| stops(byte)), "{first} {second}");
            }
        }
    }
}
