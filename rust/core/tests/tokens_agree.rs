//! Counts agree with an independent counter, whose sums over the same seeded texts are recorded here.
//!
//! The recording is `tokens-bakeoff record` in `benches/tokens`, from the `bpe-openai` crate; there, `agree` compares text
//! by text and names the first that differ.

mod texts;

use fastroute_core::tokens::{Budget, Encoding, count_text, counter};

const BLOCK: u64 = 500;

const O200K_BASE: [u64; 40] = [
    27_356, 26_394, 28_776, 26_180, 28_366, 27_701, 28_025, 27_979, 27_005, 27_658, 30_428, 26_493, 26_719, 27_589,
    28_794, 26_988, 27_726, 26_996, 27_145, 27_459, 28_542, 27_693, 28_403, 26_721, 28_116, 27_331, 27_312, 28_753,
    28_303, 25_574, 26_955, 27_120, 28_467, 27_363, 27_538, 26_777, 27_461, 28_377, 27_080, 29_038,
];

const CL100K_BASE: [u64; 40] = [
    31_486, 29_674, 33_345, 29_711, 31_900, 31_423, 32_090, 31_503, 30_625, 31_319, 34_535, 30_522, 29_962, 30_939,
    33_392, 31_305, 31_632, 30_952, 31_251, 31_650, 32_630, 31_726, 32_651, 30_513, 32_515, 31_243, 30_975, 32_816,
    32_229, 29_206, 30_668, 30_595, 32_443, 30_996, 31_135, 30_368, 31_505, 32_691, 31_068, 32_085,
];

/// Texts of 16,000 bytes that slow tokenizers down, with their counts in `o200k_base` and `cl100k_base`.
const HOSTILE: [(&str, u64, u64); 23] = [
    ("one_letter", 2_000, 2_000),
    ("one_capital", 2_000, 2_000),
    ("spaces", 125, 125),
    ("spaces_then_letter", 127, 127),
    ("newlines", 1_000, 500),
    ("tabs_and_newlines", 5_491, 5_436),
    ("one_mark", 1_000, 2_000),
    ("punctuation", 9_543, 9_440),
    ("small_letters", 8_325, 8_680),
    ("two_letters", 5_461, 6_696),
    ("mixed_case", 8_493, 10_848),
    ("base64", 10_930, 11_456),
    ("digits", 5_334, 5_334),
    ("one_han", 5_333, 5_333),
    ("han", 10_232, 12_569),
    ("rare_han", 15_850, 15_872),
    ("combining_marks", 15_168, 15_857),
    ("stacked_marks", 15_164, 15_873),
    ("emoji", 8_941, 11_389),
    ("wide_spaces", 8_192, 10_666),
    ("apostrophes", 6_170, 6_192),
    ("any_character", 13_871, 14_748),
    ("mixed", 6_894, 7_469),
];

#[test]
fn twenty_thousand_odd_texts_have_the_recorded_counts() {
    for (encoding, recorded) in [(Encoding::O200kBase, O200K_BASE), (Encoding::Cl100kBase, CL100K_BASE)] {
        for (block, expected) in (0..).zip(recorded) {
            let counts = (block * BLOCK..(block + 1) * BLOCK).map(|seed| counter(encoding).count(&texts::fuzzed(seed)));
            let (tokens, exact) =
                counts.fold((0, true), |(tokens, exact), count| (tokens + count.tokens, exact && count.exact));
            assert_eq!((tokens, exact), (expected, true), "{encoding:?}, seeds from {}", block * BLOCK);
        }
    }
}

#[test]
fn hostile_texts_have_the_recorded_counts() {
    let texts = texts::hostile(16_000);
    assert_eq!(texts.len(), HOSTILE.len());
    for ((case, text), (name, o200k, cl100k)) in texts.iter().zip(HOSTILE) {
        assert_eq!(*case, name);
        assert_eq!(counter(Encoding::O200kBase).count(text).tokens, o200k, "{case}");
        assert_eq!(counter(Encoding::Cl100kBase).count(text).tokens, cl100k, "{case}");
    }
}

/// The counts that OpenAI's cookbook prints for these strings ("How to count tokens with tiktoken").
#[test]
fn the_cookbooks_examples_have_the_cookbooks_counts() {
    for (text, cl100k, o200k) in
        [("antidisestablishmentarianism", 6, 6), ("2 + 2 = 4", 7, 7), ("お誕生日おめでとう", 9, 8)]
    {
        assert_eq!(counter(Encoding::Cl100kBase).count(text).tokens, cl100k, "{text}");
        assert_eq!(counter(Encoding::O200kBase).count(text).tokens, o200k, "{text}");
    }
}

#[test]
fn a_control_token_in_a_prompt_is_text() {
    for encoding in [Encoding::O200kBase, Encoding::Cl100kBase] {
        assert_eq!(counter(encoding).count("<|endoftext|>").tokens, 7, "{encoding:?}");
    }
}

#[test]
fn a_long_text_is_sampled_within_three_percent_and_called_an_estimate() {
    for (name, kind) in texts::KINDS {
        let text = texts::text(kind, 3_000_000, 11);
        let full = counter(Encoding::O200kBase).count(&text);
        let mut budget = Budget::default();
        let sampled = count_text(Encoding::O200kBase, &text, &mut budget);
        assert!(full.exact && !sampled.exact, "{name}");
        assert!(sampled.tokens.abs_diff(full.tokens) * 100 < 3 * full.tokens, "{name}: {sampled:?} for {full:?}");
        assert!(budget.left() >= 256 << 10, "{name}: one string took {} bytes too many", (256 << 10) - budget.left());
    }
}

#[test]
fn a_request_is_counted_exactly_as_far_as_its_budget_reaches() {
    let text = texts::text(texts::Kind::Prose, 100_000, 5);
    let mut budget = Budget::new(220_000);
    let counts: Vec<_> = (0..4).map(|_| count_text(Encoding::O200kBase, &text, &mut budget)).collect();
    assert_eq!(counts.iter().map(|count| count.exact).collect::<Vec<_>>(), [true, true, false, false]);
    for count in &counts {
        assert!(count.tokens.abs_diff(counts[0].tokens) * 5 < counts[0].tokens, "{count:?} for {:?}", counts[0]);
    }
    assert!(budget.left() < 20_000);
}

#[test]
fn an_unbroken_run_is_counted_in_parts_and_called_an_estimate() {
    // 24 KB without a space: longer than anything merged at once. Counted apart, its halves have as many or one more.
    let run = texts::run('a', 'z', 24_000, 3);
    let (whole, cut) = (counter(Encoding::O200kBase).count(&run), run.split_at(12_000));
    let halves = counter(Encoding::O200kBase).count(cut.0).tokens + counter(Encoding::O200kBase).count(cut.1).tokens;
    assert!(!whole.exact);
    assert!(whole.tokens.abs_diff(halves) <= 2, "{whole:?} against {halves}");
}
