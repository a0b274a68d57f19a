//! How a proof is marked with who made it, and known again.
//!
//! The rule: what begins as a mark and cannot be read as one is nobody's. The surprise: clients decode base64 and encode
//! it again, Google's SDK in the alphabet of addresses.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use memchr::memmem::Finder;
use smallvec::SmallVec;

use crate::dialects::Dialect;

/// What a marked proof begins with once it is decoded, and what that comes to in base64: nine bytes are twelve letters.
const MARK: &str = "fastroute:";
const MARK_ENCODED: &str = "ZmFzdHJvdXRl";
/// Behind the origin of a proof that is a call's.
const OF_CALL: &str = "/call";

/// Reads base64 with or without its padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Who made a proof, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    /// It says nothing.
    None,
    Of(Dialect, String),
    /// The proof of a call, told as hidden reasoning.
    OfCall(Dialect, String),
    /// It begins as one that was marked, and is cut or of a dialect that nobody knows.
    Broken,
}

impl Mark {
    pub(super) fn of(proof: &str) -> Self {
        if !proof.starts_with(MARK_ENCODED) {
            return Self::None;
        }
        Self::read(proof).unwrap_or(Self::Broken)
    }

    fn read(proof: &str) -> Option<Self> {
        let letters = proof.replace('-', "+").replace('_', "/");
        let decoded = String::from_utf8(LENIENT.decode(letters).ok()?).ok()?;
        let (origin, proof) = decoded.strip_prefix(MARK)?.split_once(':')?;
        Some(match origin.strip_suffix(OF_CALL) {
            Some(origin) => Self::OfCall(Dialect::from_name(origin)?, proof.to_owned()),
            None => Self::Of(Dialect::from_name(origin)?, proof.to_owned()),
        })
    }
}

/// Whether a mark stands anywhere among the strings of a document, as it was told.
pub(super) fn is_in(raw: &str) -> bool {
    raw.contains(MARK_ENCODED) && raw.split('"').any(|text| matches!(Mark::of(text), Mark::Of(..) | Mark::OfCall(..)))
}

/// A proof as a client of another dialect is told it.
pub(in crate::passes) fn mark(origin: Dialect, proof: &str) -> String {
    STANDARD.encode(format!("{MARK}{}:{proof}", origin.name()))
}

/// The proof of a call as a client is told it who has no place for one.
pub(in crate::passes) fn mark_call(origin: Dialect, proof: &str) -> String {
    STANDARD.encode(format!("{MARK}{}{OF_CALL}:{proof}", origin.name()))
}

/// Whether a request holds proofs that were told with their origin. They must not reach a target as they are, not even one
/// that speaks as the client does. A mark in the middle of a text is found as well, which does no harm.
pub fn holds_marks<'f>(frames: impl IntoIterator<Item = &'f [u8]>) -> bool {
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARK_ENCODED));
    let (finder, most) = (&*FINDER, MARK_ENCODED.len() - 1);
    // The last bytes so far: a mark may be cut between two frames.
    let mut seam: SmallVec<[u8; 24]> = SmallVec::new();
    for frame in frames {
        seam.extend_from_slice(frame.get(..most).unwrap_or(frame));
        if finder.find(&seam).is_some() || finder.find(frame).is_some() {
            return true;
        }
        if let Some(tail) = frame.len().checked_sub(most).and_then(|from| frame.get(from..)) {
            seam.clear();
            seam.extend_from_slice(tail);
        } else {
            seam.drain(..seam.len().saturating_sub(most));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_proof_is_base64_and_comes_back_as_it_was() {
        for proof in ["", "Eq8B+/=", "öffnen:a:b", "~?>~?>~?>"] {
            let marked = mark(Dialect::AnthropicMessages, proof);
            assert!(marked.starts_with(MARK_ENCODED), "{marked}");
            assert!(STANDARD.decode(&marked).is_ok());
            let again = marked.replace('+', "-").replace('/', "_");
            for marked in [&marked, &again, again.trim_end_matches('=')] {
                assert_eq!(Mark::of(marked), Mark::Of(Dialect::AnthropicMessages, proof.to_owned()));
            }
        }
        assert_eq!(Mark::of(&mark_call(Dialect::Gemini, "a:b")), Mark::OfCall(Dialect::Gemini, "a:b".to_owned()));
        for other in ["", "Eq8B"] {
            assert_eq!(Mark::of(other), Mark::None, "{other}");
        }
        let marked = mark(Dialect::Gemini, "c2ln");
        for broken in ["ZmFzdHJvdXRl", "ZmFzdHJvdXRlOm5vYm9keTp4", &format!("{marked}!")] {
            assert_eq!(Mark::of(broken), Mark::Broken, "{broken}");
        }
    }

    #[test]
    fn a_mark_is_found_wherever_a_body_is_cut() {
        let body = format!("{{\"data\":\"{}\"}}", mark(Dialect::Gemini, "c2ln"));
        for size in 1..body.len() {
            assert!(holds_marks(body.as_bytes().chunks(size)), "in pieces of {size}");
        }
        let other = body.replace("ZmFzd", "ZmFzD");
        for size in 1..other.len() {
            assert!(!holds_marks(other.as_bytes().chunks(size)), "in pieces of {size}");
        }
    }
}
