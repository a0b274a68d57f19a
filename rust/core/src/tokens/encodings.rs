//! Which vocabulary counts a model's text, and the vocabularies themselves, each loaded when first needed.
//!
//! One rule: nothing is loaded at start, and what a name does not settle is estimated, never guessed to be exact.

use std::sync::OnceLock;

use super::estimate::estimate_text;
use super::pieces::Pattern;
use super::vocabulary::Vocabulary;
use super::{Count, Counter};

/// How a model's text is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    O200kBase,
    Cl100kBase,
    /// The vocabulary is not public, or not carried here.
    Estimate(Density),
}

/// Tokens that a model with an unpublished vocabulary needs for text, compared with `o200k_base`.
///
/// Starting points only: every reply states its usage, and the ratio of that to our count is the better multiplier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Density {
    /// As many as `o200k_base`: what newer vocabularies of 128k entries and more come to on mixed text.
    Typical,
    /// A tenth more: the Claude generations from 3 to 4.6.
    Claude,
    /// Three tenths more: Claude from 4.7, whose tokenizer Anthropic says uses 1.0 to 1.35 times its predecessor's.
    Claude47,
}

impl Density {
    pub(super) const fn per_mille(self) -> u64 {
        match self {
            Self::Typical => 1000,
            Self::Claude => 1100,
            Self::Claude47 => 1300,
        }
    }
}

/// Names by their beginning; the longest that fits wins. What is not listed is estimated, never guessed to be exact.
const MODELS: &[(&str, Encoding)] = &[
    ("babbage-002", Encoding::Cl100kBase),
    ("chatgpt-4o", Encoding::O200kBase),
    ("claude", Encoding::Estimate(Density::Claude)),
    ("claude-haiku-5", Encoding::Estimate(Density::Claude47)),
    ("claude-opus-4-7", Encoding::Estimate(Density::Claude47)),
    ("claude-opus-4.7", Encoding::Estimate(Density::Claude47)),
    ("claude-opus-4-8", Encoding::Estimate(Density::Claude47)),
    ("claude-opus-4.8", Encoding::Estimate(Density::Claude47)),
    ("claude-opus-4-9", Encoding::Estimate(Density::Claude47)),
    ("claude-opus-4.9", Encoding::Estimate(Density::Claude47)),
    ("claude-opus-5", Encoding::Estimate(Density::Claude47)),
    ("claude-sonnet-5", Encoding::Estimate(Density::Claude47)),
    ("codex-mini", Encoding::O200kBase),
    ("computer-use-preview", Encoding::O200kBase),
    ("davinci-002", Encoding::Cl100kBase),
    ("gpt-3.5", Encoding::Cl100kBase),
    // Azure spells it without the point.
    ("gpt-35", Encoding::Cl100kBase),
    ("gpt-4", Encoding::Cl100kBase),
    ("gpt-4.1", Encoding::O200kBase),
    ("gpt-4.5", Encoding::O200kBase),
    ("gpt-4o", Encoding::O200kBase),
    ("gpt-5", Encoding::O200kBase),
    ("gpt-5.", Encoding::O200kBase),
    ("gpt-oss", Encoding::O200kBase),
    ("o1", Encoding::O200kBase),
    ("o3", Encoding::O200kBase),
    ("o4-mini", Encoding::O200kBase),
    ("text-embedding-3", Encoding::Cl100kBase),
    ("text-embedding-ada-002", Encoding::Cl100kBase),
];

/// The encoding for a model's name, which may carry a provider (`azure/gpt-4o`) and a fine-tune's wrapping
/// (`ft:gpt-4o:acme::id`). A name the table does not hold is estimated at [`Density::Typical`].
pub fn encoding_for(model: &str) -> Encoding {
    longest_prefix(MODELS, model).unwrap_or(Encoding::Estimate(Density::Typical))
}

/// The row whose name begins `model`: up to the end of a part of it (`o1` is for `o1-mini`, not for `o1000` nor `o1.5`),
/// or, when the row's name ends in a mark, up to anything.
pub(super) fn longest_prefix<T: Copy>(table: &[(&str, T)], model: &str) -> Option<T> {
    let name = model.rsplit('/').next().unwrap_or(model);
    let name = name.strip_prefix("ft:").unwrap_or(name);
    // Bedrock and its like put the maker first: `us.anthropic.claude-…`.
    let name = name.find("claude").and_then(|at| name.get(at..)).unwrap_or(name);
    let fits = |prefix: &str| {
        name.strip_prefix(prefix).is_some_and(|rest| {
            !prefix.ends_with(|last: char| last.is_ascii_alphanumeric())
                || !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '.')
        })
    };
    table.iter().filter(|(prefix, _)| fits(prefix)).max_by_key(|(prefix, _)| prefix.len()).map(|(_, row)| *row)
}

/// A vocabulary that is in the binary, and its table once somebody has asked for it.
struct Carried {
    packed: &'static [u8],
    pattern: Pattern,
    /// `None` inside: the bytes are not a vocabulary. The tests see to it that they are.
    loaded: OnceLock<Option<Vocabulary>>,
}

static O200K_BASE: Carried =
    Carried { packed: splintr_vocab_o200k::O200K_BASE_VOCAB_PACKED, pattern: Pattern::O200k, loaded: OnceLock::new() };
static CL100K_BASE: Carried = Carried {
    packed: splintr_vocab_cl100k::CL100K_BASE_VOCAB_PACKED,
    pattern: Pattern::Cl100k,
    loaded: OnceLock::new(),
};
static TYPICAL: Estimator = Estimator(Density::Typical);
static CLAUDE: Estimator = Estimator(Density::Claude);
static CLAUDE_47: Estimator = Estimator(Density::Claude47);

/// The counter for an encoding. Costs nothing; an exact one builds its vocabulary's table with its first count, which
/// takes milliseconds and megabytes, so ask [`loaded`] first where that may not happen.
pub fn counter(encoding: Encoding) -> &'static dyn Counter {
    match encoding {
        Encoding::O200kBase => &O200K_BASE,
        Encoding::Cl100kBase => &CL100K_BASE,
        Encoding::Estimate(Density::Typical) => &TYPICAL,
        Encoding::Estimate(Density::Claude) => &CLAUDE,
        Encoding::Estimate(Density::Claude47) => &CLAUDE_47,
    }
}

/// Would counting start at once? Always so for estimates.
pub fn loaded(encoding: Encoding) -> bool {
    match encoding {
        Encoding::O200kBase => O200K_BASE.loaded.get().is_some(),
        Encoding::Cl100kBase => CL100K_BASE.loaded.get().is_some(),
        Encoding::Estimate(_) => true,
    }
}

impl Counter for Carried {
    fn count(&self, text: &str) -> Count {
        match self.loaded.get_or_init(|| Vocabulary::load(self.packed, self.pattern)) {
            Some(vocabulary) => vocabulary.count(text),
            None => Count::estimated(estimate_text(text, Density::Typical)),
        }
    }
}

struct Estimator(Density);

impl Counter for Estimator {
    fn count(&self, text: &str) -> Count {
        Count::estimated(estimate_text(text, self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_tells_its_encoding_whoever_serves_it() {
        for name in [
            "gpt-4o",
            "azure/gpt-4o-2024-08-06",
            "ft:gpt-4.1-mini:acme::abc",
            "gpt-5.6",
            "gpt-oss:20b",
            "openai/o3",
            "gpt-5-nano",
        ] {
            assert_eq!(encoding_for(name), Encoding::O200kBase, "{name}");
        }
        for name in ["gpt-4", "gpt-4-0613", "gpt-35-turbo", "gpt-3.5-turbo-0125", "text-embedding-3-small"] {
            assert_eq!(encoding_for(name), Encoding::Cl100kBase, "{name}");
        }
        for name in ["claude-sonnet-4-5", "us.anthropic.claude-3-5-haiku-20241022-v1:0", "claude-3-opus@20240229"] {
            assert_eq!(encoding_for(name), Encoding::Estimate(Density::Claude), "{name}");
        }
        for name in ["anthropic/claude-opus-4.7", "claude-opus-4-7-20260401"] {
            assert_eq!(encoding_for(name), Encoding::Estimate(Density::Claude47), "{name}");
        }
    }

    #[test]
    fn a_name_not_in_the_table_is_never_taken_for_exact() {
        for name in [
            "",
            "/",
            "gemini-2.5-pro",
            "gpt-4.7",
            "gpt-45",
            "o1000",
            "o1.5",
            "my-gpt-4o",
            "mistral-large",
            "ft:",
            "claud",
        ] {
            assert_eq!(encoding_for(name), Encoding::Estimate(Density::Typical), "{name}");
        }
    }

    #[test]
    fn the_carried_vocabularies_are_whole() {
        for (encoding, text, tokens) in
            [(Encoding::O200kBase, "Hello, world", 3), (Encoding::Cl100kBase, "Hello, world", 3)]
        {
            assert_eq!(counter(encoding).count(text), Count { tokens, exact: true });
            assert!(loaded(encoding));
        }
    }
}
