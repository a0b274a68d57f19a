//! Passes over the text of strings that nobody reads: runs and escapes, as far as nothing is wrong with them.
//!
//! The rule: whatever needs a word said about it, an end, an error or a cut, is left where it stands. The simple loop from
//! escape to escape is the oracle of the one that takes blocks.

#[cfg(target_arch = "x86_64")]
use super::block::{BLOCK, Block};
use super::find::{short_end, text_end};
use crate::cursor::string_end;

/// Skips the plain part of text that nobody reads: runs, escapes of two bytes, and `\uXXXX` that make whole characters.
/// Gives the index of the first thing that needs care, or of what the end of the bytes leaves unfinished.
pub(super) fn skip_plain(bytes: &[u8], at: usize, clean: bool) -> usize {
    #[cfg(target_arch = "x86_64")]
    let at = skip_blocks(bytes, at, clean);
    skip_runs(bytes, at, clean)
}

/// Index of the quote that ends the string whose text begins at `at`, if it is short and has no escapes.
#[inline]
pub(crate) fn plain_end(bytes: &[u8], at: usize) -> Option<usize> {
    let end = at + short_end(bytes.get(at..)?)?;
    (bytes.get(end) == Some(&b'"')).then_some(end)
}

/// Index of the quote that ends the string whose text begins at `at`. What it holds is not judged.
#[inline]
pub(crate) fn closing_quote(bytes: &[u8], at: usize) -> Option<usize> {
    if let Some(end) = plain_end(bytes, at) {
        return Some(end);
    }
    // Where a control character stands it stops, or does not; both are right here.
    let at = skip_plain(bytes, at, true);
    let rest = bytes.get(at..)?;
    if rest.first() == Some(&b'"') {
        return Some(at);
    }
    string_end(rest).map(|(length, _)| at + length)
}

/// From escape to escape: for the end of the text, and for machines without the blocks.
fn skip_runs(bytes: &[u8], mut at: usize, clean: bool) -> usize {
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(run) = text_end(rest, clean) else {
            return bytes.len();
        };
        at += run;
        let rest = rest.get(run..).unwrap_or_default();
        let length = match rest {
            [b'\\', b'n' | b'"' | b'\\' | b't' | b'r' | b'/' | b'b' | b'f', ..] => Some(2),
            [b'\\', b'u', ..] => character_length(rest),
            _ => None,
        };
        let Some(length) = length else { return at };
        at += length;
    }
}

/// Blocks without a stop before `memchr` is asked for the next one: what it costs to ask is then sure to come back.
#[cfg(target_arch = "x86_64")]
const QUIET_BLOCKS: u32 = 4;

/// Block by block, until something needs care or less than a block is left.
#[cfg(target_arch = "x86_64")]
fn skip_blocks(bytes: &[u8], mut at: usize, clean: bool) -> usize {
    let mut quiet = 0;
    while let Some(text) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let block = Block::of(text);
        let stop = at + block.stops.trailing_zeros() as usize;
        let mut next = at + BLOCK - usize::from(block.cut);
        let mut units = block.units;
        let mut read = at;
        while units != 0 {
            let unit = at + units.trailing_zeros() as usize;
            units &= units - 1;
            if unit > stop {
                break;
            }
            // The second half of a pair was read with the first.
            if unit >= read {
                let Some(length) = bytes.get(unit..).and_then(character_length) else { return unit };
                read = unit + length;
                next = next.max(read);
            }
        }
        if block.stops != 0 {
            return stop;
        }
        quiet = if block.quiet { quiet + 1 } else { 0 };
        at = next;
        if clean && quiet == QUIET_BLOCKS {
            quiet = 0;
            let rest = bytes.get(at..).unwrap_or_default();
            at += text_end(rest, clean).unwrap_or(rest.len());
        }
    }
    at
}

/// Length of the `\uXXXX`, or of the pair of them, at the start of the bytes, if it is all there and makes a character.
fn character_length(bytes: &[u8]) -> Option<usize> {
    let (first, rest) = bytes.split_first_chunk()?;
    match unit(*first)? {
        0xd800..=0xdbff => matches!(unit(*rest.first_chunk()?)?, 0xdc00..=0xdfff).then_some(12),
        0xdc00..=0xdfff => None,
        _ => Some(6),
    }
}

/// The UTF-16 unit that `\uXXXX` stands for.
fn unit(spelled: [u8; 6]) -> Option<u16> {
    let [b'\\', b'u', digits @ ..] = spelled else { return None };
    let digits = digits.map(|digit| HEX.get(usize::from(digit)).copied().unwrap_or(NO_DIGIT));
    let any = digits.iter().fold(0, |any, digit| any | digit);
    (any != NO_DIGIT).then(|| digits.iter().fold(0, |unit, &digit| unit << 4 | u16::from(digit)))
}

/// Whether a `\uXXXX` stands at the start of the bytes, whatever it means.
pub(super) fn is_unit(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|spelled| unit(*spelled).is_some())
}

pub(super) fn hex_digit(byte: u8) -> Option<u16> {
    HEX.get(usize::from(byte)).filter(|&&digit| digit != NO_DIGIT).map(|&digit| digit.into())
}

/// All bits, so that a digit joined with it stays none.
const NO_DIGIT: u8 = u8::MAX;

#[expect(clippy::indexing_slicing, reason = "the compiler evaluates this; a byte is within the table")]
static HEX: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut digits: &[u8] = b"00112233445566778899AaBbCcDdEeFf";
    let mut value = 0;
    while let [upper, lower, rest @ ..] = digits {
        (table[*upper as usize], table[*lower as usize]) = (value, value);
        (digits, value) = (rest, value + 1);
    }
    table
};

#[cfg(test)]
mod tests {
    use super::{character_length, closing_quote, hex_digit, skip_plain, skip_runs};

    #[test]
    fn the_quote_that_ends_a_string_is_found_behind_anything() {
        let pieces =
            ["", "a", "\\n", "\\\"", "\\\\", "\\u00e9", "\\ud83d\\ude00", "\\ud83d", "\\q", "\n", "é", "[{]},:"];
        for before in [0, 1, 7, 8, 15, 16, 17, 62, 63, 64, 65, 130, 300] {
            for first in pieces {
                for second in pieces {
                    for behind in ["", ",", "\"", ",\"x\"]}", &"\\\",".repeat(40)] {
                        let text = ["a".repeat(before).as_str(), first, second].concat();
                        let all = [text.as_str(), "\"", behind].concat();
                        assert_eq!(closing_quote(all.as_bytes(), 0), Some(text.len()), "{all:?}");
                        assert_eq!(closing_quote(text.as_bytes(), 0), None, "{text:?}");
                    }
                }
            }
        }
        assert_eq!(closing_quote(b"a", 2), None);
    }

    #[test]
    fn blocks_and_runs_stop_at_the_same_byte() {
        const PIECES: [&str; 22] = [
            "a",
            "plain text that fills",
            "größe 日本語",
            r"\n",
            r"\\",
            r"\\\\\\",
            r#"\""#,
            r"\/",
            r"\u00e9",
            r"\ud83d\ude00",
            r"\u0041\u0041\u0041",
            "\u{7f}",
            r"\b\f\t\r",
            r"\x",
            r"\ud83d",
            r"\ude00",
            r"\u12g4",
            r"\",
            r#"""#,
            "\n",
            "\\\u{1f}",
            "u0041",
        ];
        let mut dice = crate::json::tests::Dice(7);
        let (mut skipped, mut stopped) = (0, 0);
        for _ in 0..20_000 {
            let text: String = (0..dice.below(60))
                .map(|_| {
                    // Mostly pieces that do not stop, so that blocks of every kind are passed.
                    let kinds = if dice.below(16) == 0 { PIECES.len() } else { 13 };
                    PIECES[dice.below(kinds)]
                })
                .collect();
            let bytes = text.as_bytes();
            let runs = skip_runs(bytes, 0, false);
            assert_eq!(skip_plain(bytes, 0, false), runs, "{text:?}");
            if bytes.iter().all(|&byte| byte >= 0x20) {
                assert_eq!(skip_plain(bytes, 0, true), runs, "{text:?}");
            }
            skipped += usize::from(runs > 256);
            stopped += usize::from(runs > 64 && runs + 64 < bytes.len());
        }
        assert!(skipped > 1000 && stopped > 1000, "{skipped} {stopped}");
    }

    #[test]
    fn long_quiet_text_is_left_at_its_end() {
        for length in [0, 63, 64, 255, 256, 257, 320, 1000] {
            for end in ["\"", r"\n", "\\", r"\u0041"] {
                let text = ["a".repeat(length).as_str(), end, &"b".repeat(300)].concat();
                assert_eq!(skip_plain(text.as_bytes(), 0, true), skip_runs(text.as_bytes(), 0, true), "{length} {end}");
            }
        }
    }

    #[test]
    fn only_whole_characters_have_a_length() {
        for (spelled, length) in [
            (r"\u0041", Some(6)),
            (r"\uD7FF", Some(6)),
            (r"\uE000x", Some(6)),
            (r"\ud800\udc00", Some(12)),
            (r"\uDBFF\uDFFF", Some(12)),
            (r"\udc00", None),
            (r"\ud800", None),
            (r"\ud800\u0041", None),
            (r"\ud800\ud800", None),
            (r"\ud800\n\udc00", None),
            (r"\ud800\udc0", None),
            (r"\u004", None),
            (r"\u00 1", None),
            (r"\U0041", None),
        ] {
            assert_eq!(character_length(spelled.as_bytes()), length, "{spelled}");
        }
        for byte in 0..=255_u8 {
            assert_eq!(hex_digit(byte).map(u32::from), char::from(byte).to_digit(16), "{byte:#x}");
        }
    }
}
