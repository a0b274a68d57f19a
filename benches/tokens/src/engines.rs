//! The three engines behind one signature: how many tokens has this text, read as ordinary text?

use std::sync::OnceLock;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    O200kBase,
    Cl100kBase,
}

pub const ENCODINGS: [(&str, Encoding); 2] = [
    ("o200k_base", Encoding::O200kBase),
    ("cl100k_base", Encoding::Cl100kBase),
];

pub type Count = fn(Encoding, &str) -> usize;

pub const ENGINES: &[(&str, &str, Count)] = &[
    #[cfg(feature = "splintr")]
    ("splintr", "0.22.0", splintr_count),
    #[cfg(feature = "tiktoken")]
    ("tiktoken", "4.1.2", tiktoken_count),
    #[cfg(feature = "bpe-openai")]
    ("bpe-openai", "0.3.2", bpe_openai_count),
    #[cfg(feature = "fastroute")]
    ("fastroute", "0.1.0", fastroute_count),
    #[cfg(feature = "fastroute")]
    ("fastroute-bounded", "0.1.0", fastroute_bounded),
];

/// splintr has no count: the ids are built and their number taken.
#[cfg(feature = "splintr")]
fn splintr_count(encoding: Encoding, text: &str) -> usize {
    static O200K: OnceLock<splintr::AnyTokenizer> = OnceLock::new();
    static CL100K: OnceLock<splintr::AnyTokenizer> = OnceLock::new();
    let tokenizer = match encoding {
        Encoding::O200kBase => {
            O200K.get_or_init(|| splintr::from_pretrained("o200k_base").expect("compiled in"))
        }
        Encoding::Cl100kBase => {
            CL100K.get_or_init(|| splintr::from_pretrained("cl100k_base").expect("compiled in"))
        }
    };
    tokenizer
        .encode_with(text, &splintr::SpecialMode::Ordinary)
        .expect("ordinary mode refuses nothing")
        .len()
}

#[cfg(feature = "tiktoken")]
fn tiktoken_count(encoding: Encoding, text: &str) -> usize {
    let name = match encoding {
        Encoding::O200kBase => "o200k_base",
        Encoding::Cl100kBase => "cl100k_base",
    };
    static O200K: OnceLock<&'static tiktoken::CoreBpe> = OnceLock::new();
    static CL100K: OnceLock<&'static tiktoken::CoreBpe> = OnceLock::new();
    let cell = match encoding {
        Encoding::O200kBase => &O200K,
        Encoding::Cl100kBase => &CL100K,
    };
    cell.get_or_init(|| tiktoken::get_encoding(name).expect("compiled in"))
        .count(text)
}

#[cfg(feature = "bpe-openai")]
fn bpe_openai_count(encoding: Encoding, text: &str) -> usize {
    match encoding {
        Encoding::O200kBase => bpe_openai::o200k_base().count(text),
        Encoding::Cl100kBase => bpe_openai::cl100k_base().count(text),
    }
}

#[cfg(feature = "fastroute")]
fn ours(encoding: Encoding) -> fastroute_core::tokens::Encoding {
    match encoding {
        Encoding::O200kBase => fastroute_core::tokens::Encoding::O200kBase,
        Encoding::Cl100kBase => fastroute_core::tokens::Encoding::Cl100kBase,
    }
}

/// Every byte counted, whatever the length.
#[cfg(feature = "fastroute")]
fn fastroute_count(encoding: Encoding, text: &str) -> usize {
    fastroute_core::tokens::counter(ours(encoding))
        .count(text)
        .tokens as usize
}

/// As a request is counted: long strings from samples.
#[cfg(feature = "fastroute")]
fn fastroute_bounded(encoding: Encoding, text: &str) -> usize {
    let mut budget = fastroute_core::tokens::Budget::default();
    fastroute_core::tokens::count_text(ours(encoding), text, &mut budget).tokens as usize
}
