//! Token counts: bounded work and sane numbers, whatever the text. The fuzzer's time limit is the law that matters most,
//! so some inputs are repeated until they are long.

use fastroute_core::tokens::{Budget, Density, Encoding, Measure, Unseen, count_chat, count_text};

const REPEATED_BYTES: usize = 32 << 10;
/// The longest token of either vocabulary has 128 bytes.
const LONGEST_TOKEN: u64 = 128;

pub fn check(input: &[u8]) {
    let (choice, text) = super::chosen(input);
    let encoding = [
        Encoding::O200kBase,
        Encoding::Cl100kBase,
        Encoding::Estimate(Density::Typical),
        Encoding::Estimate(Density::Claude47),
    ][usize::from(choice) % 4];
    if choice & 0x40 == 0 {
        check_chat(text, encoding, choice);
    } else {
        let text = String::from_utf8_lossy(text);
        let times = if choice & 0x20 == 0 { 1 } else { REPEATED_BYTES / text.len().max(1) };
        check_text(&text.repeat(times), encoding);
    }
}

fn check_text(text: &str, encoding: Encoding) {
    let mut budget = Budget::default();
    let count = count_text(encoding, text, &mut budget);
    let bytes = text.len() as u64;
    assert!(budget.left() <= Budget::default().left());
    assert!(count.tokens <= 4 * bytes + 4, "{} tokens of {bytes} bytes", count.tokens);
    assert!((count.tokens == 0) == text.is_empty());
    if count.exact {
        assert!(count.tokens <= bytes && count.tokens >= bytes.div_ceil(LONGEST_TOKEN));
    }
    let mut none = Budget::new(0);
    assert!(!count_text(encoding, text, &mut none).exact || text.is_empty(), "exact without reading");
}

fn check_chat(body: &[u8], encoding: Encoding, choice: u8) {
    let model = ["gpt-4o", "claude-opus-4-7", "gemini-2.5-pro", "gpt-5.4"][usize::from(choice >> 2) % 4];
    let unseen = if choice & 0x10 == 0 { Unseen::Most } else { Unseen::Typical };
    let measure = Measure { model, encoding, unseen };
    let count = |bytes: usize| {
        let mut budget = Budget::new(bytes);
        let count = count_chat(body, &measure, &mut budget);
        assert!(budget.left() <= bytes);
        count
    };
    let full = count(Budget::default().left());
    assert_eq!(full, count(Budget::default().left()), "counted twice, told twice");
    // The dearest image costs sixty thousand and takes at least ten bytes to name; a message costs what it adds.
    assert!(full.tokens <= 6_000 * (body.len() as u64 + 10), "{} tokens", full.tokens);
    assert!(count(0).tokens <= 6_000 * (body.len() as u64 + 10));
}
