//! What an image costs in tokens: by the model's published rule, from the size in the image's own header.
//!
//! One rule: a remote image is never fetched to be counted; that would let a client make the gateway call any address.
//! The surprise: providers change these rules without notice and publish some of them wrong, so every count is an estimate.

use super::encodings::longest_prefix;

/// What an image counts for when its size is not known: it is remote, or in a format not read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// The most the model can charge for one: for limits and budgets.
    Most,
    /// A middling image: for statistics.
    Typical,
}

const TYPICAL_IMAGE: u64 = 250;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// OpenAI's older rule: shrink into 2048 × 2048, then the short side to 768, and pay for tiles of 512 pixels.
    Tiles { base: u64, tile: u64 },
    /// OpenAI's newer rule: patches of 32 pixels, at most `most` (`most_original` with detail "original"), times a factor.
    Patches { per_mille: u64, most: u64, most_original: u64 },
    /// Anthropic's rule, and Qwen's: patches of 28 pixels after shrinking the long side.
    Area { long_edge: u32, most: u64 },
    /// Gemini up to 2.5: small images at a flat price, larger ones in tiles of 768 pixels.
    GeminiTiles,
    /// Gemini 3: a flat price by resolution setting; this is the default's.
    Flat(u64),
}

const FULL_PATCHES: u64 = 1_536;
const GEMINI_TILE: u64 = 258;
const CLAUDE: Rule = Rule::Area { long_edge: 1_568, most: 1_568 };
const CLAUDE_47: Rule = Rule::Area { long_edge: 2_576, most: 4_784 };

const fn patches(per_mille: u64) -> Rule {
    Rule::Patches { per_mille, most: FULL_PATCHES, most_original: FULL_PATCHES }
}

const fn newer_patches(per_mille: u64) -> Rule {
    Rule::Patches { per_mille, most: 2_500, most_original: 10_000 }
}

const RULES: &[(&str, Rule)] = &[
    ("chatgpt-4o", Rule::Tiles { base: 85, tile: 170 }),
    ("claude", CLAUDE),
    ("claude-haiku-5", CLAUDE_47),
    ("claude-opus-4-7", CLAUDE_47),
    ("claude-opus-4.7", CLAUDE_47),
    ("claude-opus-4-8", CLAUDE_47),
    ("claude-opus-4.8", CLAUDE_47),
    ("claude-opus-4-9", CLAUDE_47),
    ("claude-opus-4.9", CLAUDE_47),
    ("claude-opus-5", CLAUDE_47),
    ("claude-sonnet-5", CLAUDE_47),
    ("gemini", Rule::GeminiTiles),
    ("gemini-3", Rule::Flat(1_120)),
    ("gemini-3.", Rule::Flat(1_120)),
    ("gpt-4", Rule::Tiles { base: 85, tile: 170 }),
    ("gpt-4.1", Rule::Tiles { base: 85, tile: 170 }),
    ("gpt-4.1-mini", patches(1_620)),
    ("gpt-4.1-nano", patches(2_460)),
    ("gpt-4.5", Rule::Tiles { base: 85, tile: 170 }),
    ("gpt-4o", Rule::Tiles { base: 85, tile: 170 }),
    ("gpt-4o-mini", Rule::Tiles { base: 2_833, tile: 5_667 }),
    ("gpt-5", Rule::Tiles { base: 70, tile: 140 }),
    ("gpt-5.1", Rule::Tiles { base: 70, tile: 140 }),
    // Documented as 1.62; measured by third parties as 1.20.
    ("gpt-5-mini", patches(1_200)),
    ("gpt-5-nano", patches(2_460)),
    ("gpt-5.2", patches(1_200)),
    ("gpt-5.3", patches(1_200)),
    // 5.4 and what follows it.
    ("gpt-5.", newer_patches(1_200)),
    ("o1", Rule::Tiles { base: 75, tile: 150 }),
    ("o3", Rule::Tiles { base: 75, tile: 150 }),
    ("o4-mini", patches(1_720)),
];

pub(super) fn rule_for(model: &str) -> Rule {
    longest_prefix(RULES, model).unwrap_or(CLAUDE)
}

/// Tokens of one image. `detail` is OpenAI's request field; other rules ignore it.
pub(super) fn image_tokens(rule: Rule, detail: Option<&str>, size: Option<(u32, u32)>, unseen: Unseen) -> u64 {
    if let (Rule::Tiles { base, .. }, Some("low")) = (rule, detail) {
        return base;
    }
    match (size, unseen) {
        (Some((width, height)), _) => sized(rule, detail, width, height),
        (None, Unseen::Most) => most(rule, detail),
        (None, Unseen::Typical) => TYPICAL_IMAGE.min(most(rule, detail)),
    }
}

fn most(rule: Rule, detail: Option<&str>) -> u64 {
    match rule {
        // 768 × 2048 pixels are two by four tiles.
        Rule::Tiles { base, tile } => base + 8 * tile,
        Rule::Patches { per_mille, .. } => patch_limit(rule, detail) * per_mille / 1000,
        Rule::Area { most, .. } => most,
        // Gemini shrinks to 3072 × 3072.
        Rule::GeminiTiles => 16 * GEMINI_TILE,
        Rule::Flat(tokens) => tokens,
    }
}

fn patch_limit(rule: Rule, detail: Option<&str>) -> u64 {
    match (rule, detail) {
        (Rule::Patches { most_original, .. }, Some("original")) => most_original,
        (Rule::Patches { most, .. }, _) => most,
        _ => 0,
    }
}

fn sized(rule: Rule, detail: Option<&str>, width: u32, height: u32) -> u64 {
    let tokens = match rule {
        Rule::Tiles { base, tile } => {
            let (width, height) = shrink(width, height, width.max(height), 2_048);
            let (width, height) = shrink(width, height, width.min(height), 768);
            base + tile * pieces(width, height, 512)
        }
        Rule::Patches { per_mille, .. } => {
            let count = pieces(width, height, 32).min(patch_limit(rule, detail));
            (count * per_mille).div_ceil(1000)
        }
        Rule::Area { long_edge, .. } => {
            let (width, height) = shrink(width, height, width.max(height), long_edge);
            pieces(width, height, 28)
        }
        Rule::GeminiTiles if width <= 384 && height <= 384 => GEMINI_TILE,
        Rule::GeminiTiles => GEMINI_TILE * pieces(width, height, 768),
        Rule::Flat(tokens) => tokens,
    };
    tokens.min(most(rule, detail))
}

/// Both sides scaled by `to / side`, when that makes them smaller.
fn shrink(width: u32, height: u32, side: u32, to: u32) -> (u32, u32) {
    if side <= to {
        return (width, height);
    }
    let scaled =
        |length: u32| u32::try_from(u64::from(length) * u64::from(to) / u64::from(side)).unwrap_or(u32::MAX).max(1);
    (scaled(width), scaled(height))
}

fn pieces(width: u32, height: u32, edge: u32) -> u64 {
    u64::from(width.div_ceil(edge)) * u64::from(height.div_ceil(edge))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openai_tiles_follow_the_published_examples() {
        let rule = rule_for("gpt-4o");
        assert_eq!(image_tokens(rule, Some("high"), Some((1024, 1024)), Unseen::Most), 765);
        assert_eq!(image_tokens(rule, None, Some((2048, 4096)), Unseen::Most), 1105);
        assert_eq!(image_tokens(rule, Some("low"), Some((4096, 8192)), Unseen::Most), 85);
        assert_eq!(image_tokens(rule_for("gpt-4o-mini"), None, Some((512, 512)), Unseen::Most), 8_500);
    }

    #[test]
    fn openai_patches_are_counted_up_to_their_limit() {
        assert_eq!(image_tokens(rule_for("o4-mini"), None, Some((1024, 1024)), Unseen::Most), 1_762);
        assert_eq!(image_tokens(rule_for("gpt-5-mini-2025-08-07"), None, Some((4000, 4000)), Unseen::Most), 1_843);
        assert_eq!(image_tokens(rule_for("gpt-5.4"), Some("original"), Some((3200, 3200)), Unseen::Most), 12_000);
    }

    #[test]
    fn claude_counts_patches_of_28_pixels() {
        assert_eq!(image_tokens(rule_for("claude-sonnet-4-5"), None, Some((1000, 1000)), Unseen::Most), 36 * 36);
        assert_eq!(image_tokens(rule_for("claude-sonnet-4-5"), None, Some((8000, 6000)), Unseen::Most), 1_568);
        assert_eq!(
            image_tokens(rule_for("us.anthropic.claude-opus-4-7-v1:0"), None, Some((8000, 6000)), Unseen::Most),
            4_784
        );
    }

    #[test]
    fn an_unseen_image_costs_the_most_for_limits_and_a_middling_one_for_statistics() {
        let rule = rule_for("gpt-4.1");
        assert_eq!(image_tokens(rule, None, None, Unseen::Most), 85 + 8 * 170);
        assert_eq!(image_tokens(rule, None, None, Unseen::Typical), 250);
        assert_eq!(image_tokens(rule, Some("low"), None, Unseen::Most), 85);
    }

    #[test]
    fn absurd_sizes_stay_within_what_a_model_charges() {
        for (model, rule) in RULES {
            let tokens = image_tokens(*rule, Some("original"), Some((u32::MAX, u32::MAX)), Unseen::Most);
            assert!(tokens <= 60_000, "{model}: {tokens}");
            assert!(image_tokens(*rule, None, Some((1, u32::MAX)), Unseen::Most) > 0, "{model}");
        }
    }
}
