//! Bytes that look random and are not: the same text gives the same id and the same numbers on every machine.

/// FNV-1a, 64 bits (Fowler, Noll, Vo).
pub(crate) fn fnv1a<'b>(bytes: impl IntoIterator<Item = &'b u8>) -> u64 {
    bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// splitmix64 (Steele, Lea, Flood 2014): a well-mixed sequence from any start, zero included.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix64(pub(crate) u64);

impl SplitMix64 {
    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// An id in the form of the Responses API, a prefix and 48 hex digits, for the item at `index` of a reply that came without
/// items. It depends only on the reply and the place.
pub(crate) fn item_id(prefix: &str, reply_id: &str, index: u64) -> String {
    let mut dice = SplitMix64(fnv1a(reply_id.as_bytes().iter().chain(&index.to_le_bytes())));
    let [a, b, c] = [dice.draw(), dice.draw(), dice.draw()];
    format!("{prefix}_{a:016x}{b:016x}{c:016x}")
}

/// A tool call id in OpenAI's form, `call_` and 24 letters or digits, for a call that came without one. It depends only
/// on the reply and the call's place in it, so a replayed stream names its calls alike.
pub(crate) fn call_id(reply_id: &str, choice: u32, call: u32) -> String {
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let place = [choice.to_le_bytes(), call.to_le_bytes()].concat();
    let mut dice = SplitMix64(fnv1a(reply_id.as_bytes().iter().chain(&place)));
    let letters = (0..24).filter_map(|_| {
        let digit = usize::try_from(dice.draw() % ALPHABET.len() as u64).ok()?;
        ALPHABET.get(digit).map(|byte| char::from(*byte))
    });
    "call_".chars().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_and_sequence_are_the_published_ones() {
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        let mut dice = SplitMix64(1_234_567);
        assert_eq!(dice.draw(), 6_457_827_717_110_365_317);
        assert_eq!(dice.draw(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn ids_differ_by_reply_choice_and_call_and_by_nothing_else() {
        let id = call_id("chatcmpl-1", 0, 0);
        assert_eq!(id, call_id("chatcmpl-1", 0, 0));
        assert_eq!(id.len(), "call_".len() + 24);
        for other in [call_id("chatcmpl-2", 0, 0), call_id("chatcmpl-1", 1, 0), call_id("chatcmpl-1", 0, 1)] {
            assert_ne!(id, other);
        }
    }
}
