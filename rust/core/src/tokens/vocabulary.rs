//! A vocabulary of merges: bytes to rank, and how many tokens a piece of text merges into.
//!
//! One rule: tokens stay where the binary has them; what is built is one table of eight bytes a slot. The surprise: ranks
//! are never stored. Tokens lie in the order of their ranks, so a token's place is its rank as far as merging can tell.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Count;
use super::pieces::{Pattern, pieces};

pub(super) struct Vocabulary {
    packed: &'static [u8],
    slots: Vec<Slot>,
    longest: usize,
    pattern: Pattern,
}

/// `place` is where the token starts in `packed`; 0, where the magic word is, marks a free slot.
#[derive(Clone, Copy)]
struct Slot {
    place: u32,
    /// 24 bits of the key's hash and its length: what rules out nearly all other keys before any is read.
    tag: u32,
}

const FREE: Slot = Slot { place: 0, tag: 0 };

/// Longest piece merged in one go: a heap's work grows faster than the piece. A longer one is cut and its count, at most
/// one or two too high for each cut, is called an estimate. Text does not have such pieces; attacks and binaries do.
const LONGEST_PIECE: usize = 16 << 10;
/// Up to here a scan for the best merge beats a heap.
const SHORT_PIECE: usize = 48;
const NO_MERGE: u32 = u32::MAX;

impl Vocabulary {
    /// Reads the packed form of the `splintr-vocab` crates: `SPLNTRV1`, a count, then rank, length and bytes of each
    /// token, numbers in LEB128. `None` when it is not that, or its ranks are not in order.
    pub(super) fn load(packed: &'static [u8], pattern: Pattern) -> Option<Self> {
        let header = packed.strip_prefix(b"SPLNTRV1")?;
        let count = u32::from_le_bytes(*header.first_chunk()?);
        let room = usize::try_from(count).ok()?.checked_mul(2)?.checked_next_power_of_two()?;
        let mut vocabulary = Self { packed, slots: vec![FREE; room], longest: 0, pattern };
        // After the magic word and the count.
        let mut at = 12;
        let mut last_rank = None;
        for _ in 0..count {
            let rank = read_varint(packed, &mut at)?;
            let len = u8::try_from(read_varint(packed, &mut at)?).ok()?;
            if last_rank.is_some_and(|last| rank <= last) {
                return None;
            }
            last_rank = Some(rank);
            let end = at.checked_add(usize::from(len))?;
            vocabulary.insert(packed.get(at..end)?, u32::try_from(at).ok()?)?;
            vocabulary.longest = vocabulary.longest.max(usize::from(len));
            at = end;
        }
        Some(vocabulary)
    }

    fn insert(&mut self, token: &[u8], place: u32) -> Option<()> {
        let hash = hash(token);
        let mask = self.slots.len() - 1;
        let mut at = home(hash) & mask;
        while self.slots.get(at)?.place != 0 {
            at = (at + 1) & mask;
        }
        *self.slots.get_mut(at)? = Slot { place, tag: tag(hash, token.len()) };
        Some(())
    }

    /// The token's place, by which tokens compare as by rank; [`NO_MERGE`] when there is no such token.
    #[inline]
    fn place(&self, token: &[u8]) -> u32 {
        // So that a long run is not hashed whole for every pair in it.
        if token.len() > self.longest {
            return NO_MERGE;
        }
        let hash = hash(token);
        let tag = tag(hash, token.len());
        let mask = self.slots.len() - 1;
        let mut at = home(hash) & mask;
        while let Some(slot) = self.slots.get(at).filter(|slot| slot.place != 0) {
            if slot.tag == tag && self.holds(slot.place, token) {
                return slot.place;
            }
            at = (at + 1) & mask;
        }
        NO_MERGE
    }

    /// The tags, and so the lengths, are equal already.
    fn holds(&self, place: u32, token: &[u8]) -> bool {
        self.packed.get(place as usize..).is_some_and(|rest| rest.starts_with(token))
    }

    pub(super) fn count(&self, text: &str) -> Count {
        let mut count = Count::ZERO;
        let mut scratch = Scratch::default();
        for piece in pieces(self.pattern, text) {
            if self.place(piece) != NO_MERGE {
                count.tokens += 1;
                continue;
            }
            count.exact &= piece.len() <= LONGEST_PIECE;
            for part in piece.chunks(LONGEST_PIECE) {
                count.tokens += self.merged(part, &mut scratch);
            }
        }
        count
    }

    /// Tokens left when no two neighbours merge any more: always the pair of lowest rank first, leftmost of equals.
    fn merged(&self, piece: &[u8], scratch: &mut Scratch) -> u64 {
        if piece.len() <= SHORT_PIECE {
            self.merged_by_scan(piece, scratch)
        } else {
            self.merged_by_heap(piece, scratch)
        }
    }

    fn merged_by_scan(&self, piece: &[u8], scratch: &mut Scratch) -> u64 {
        let Scratch { starts, places, .. } = scratch;
        // Where each token starts, and the end; the place of each token's merge with the one after it.
        starts.clear();
        starts.extend(0..=piece.len());
        places.clear();
        places.extend(piece.windows(2).map(|pair| self.place(pair)));
        // Two plain passes, first the least and then where it is, are quicker than one that carries both.
        while let Some(least) = places.iter().copied().min().filter(|&least| least != NO_MERGE) {
            let Some(at) = places.iter().position(|&place| place == least) else {
                break;
            };
            places.remove(at);
            starts.remove(at + 1);
            for left in [at.checked_sub(1), Some(at)].into_iter().flatten() {
                if let (Some(place), Some(&start), Some(&end)) =
                    (places.get_mut(left), starts.get(left), starts.get(left + 2))
                {
                    *place = self.place_between(piece, start, end);
                }
            }
        }
        places.len() as u64 + 1
    }

    fn merged_by_heap(&self, piece: &[u8], scratch: &mut Scratch) -> u64 {
        let Scratch { links, heap, .. } = scratch;
        links.clear();
        heap.clear();
        for at in 0..piece.len() {
            let place = self.place_between(piece, at, at + 2);
            links.push(Link { previous: at.saturating_sub(1), next: at + 1, place });
            heap.extend((place != NO_MERGE).then_some(Reverse((place, at))));
        }
        let mut tokens = piece.len() as u64;
        while let Some(Reverse((place, at))) = heap.pop() {
            // A pair that has changed since it was queued was queued again.
            let Some(link) = links.get(at).copied().filter(|link| link.place == place) else {
                continue;
            };
            let taken = link.next;
            let end = links.get(taken).map_or(piece.len(), |taken| taken.next);
            if let Some(taken) = links.get_mut(taken) {
                taken.place = NO_MERGE;
            }
            if let Some(after) = links.get_mut(end) {
                after.previous = at;
            }
            tokens -= 1;
            // The merged token with the one after it, and the one before it with the merged token.
            let pair_end = links.get(end).map(|after| after.next);
            let mut queue = |links: &mut Vec<Link>, start: usize, end: Option<usize>| {
                let place = end.map_or(NO_MERGE, |end| self.place_between(piece, start, end));
                if let Some(link) = links.get_mut(start) {
                    link.place = place;
                }
                heap.extend((place != NO_MERGE).then_some(Reverse((place, start))));
            };
            if let Some(link) = links.get_mut(at) {
                link.next = end;
            }
            queue(links, at, pair_end);
            if at > 0 {
                queue(links, link.previous, Some(end));
            }
        }
        tokens
    }

    /// Nothing is longer than the text: a pair at its end has no merge.
    #[inline]
    fn place_between(&self, piece: &[u8], start: usize, end: usize) -> u32 {
        piece.get(start..end).map_or(NO_MERGE, |token| self.place(token))
    }
}

/// A token of a long piece: where its neighbours start, and the place of its merge with the next.
#[derive(Clone, Copy)]
struct Link {
    previous: usize,
    next: usize,
    place: u32,
}

/// Kept from piece to piece, so that only the longest piece of a text allocates.
#[derive(Default)]
struct Scratch {
    starts: Vec<usize>,
    places: Vec<u32>,
    links: Vec<Link>,
    heap: BinaryHeap<Reverse<(u32, usize)>>,
}

fn read_varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// A folded multiplication per eight bytes, the last eight overlapping: tokens are short, and few hashes are as quick on
/// four bytes. The keys of the table are fixed, so nobody can choose ones that collide.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a fold takes the product's two halves")]
fn hash(token: &[u8]) -> u64 {
    let fold = |state: u64, word: u64| {
        let product = u128::from(state ^ word) * 0x9e37_79b9_7f4a_7c15;
        (product >> 64) as u64 ^ product as u64
    };
    let mut state = token.len() as u64;
    let (words, _) = token.as_chunks::<8>();
    for word in words {
        state = fold(state, u64::from_le_bytes(*word));
    }
    let tail = match (token.last_chunk::<8>(), token.first_chunk::<4>(), token.last_chunk::<4>()) {
        (Some(last), ..) => u64::from_le_bytes(*last),
        (None, Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
        }
        _ => token.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    };
    fold(state, tail)
}

#[expect(clippy::cast_possible_truncation, reason = "the lower bits are all that a mask will leave")]
fn home(hash: u64) -> usize {
    hash as usize
}

#[expect(clippy::cast_possible_truncation, reason = "24 bits of hash, and a length that the caller holds below 256")]
fn tag(hash: u64, len: usize) -> u32 {
    (hash >> 32) as u32 & !0xff | len as u32 & 0xff
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// The plainest form of the algorithm, over ranks as the file states them.
    fn merged_plainly(ranks: &HashMap<Vec<u8>, u32>, piece: &[u8]) -> u64 {
        let mut parts: Vec<Vec<u8>> = piece.iter().map(|&byte| vec![byte]).collect();
        loop {
            let pairs = parts.windows(2).enumerate();
            let Some((_, at)) = pairs.filter_map(|(at, pair)| Some((*ranks.get(&pair.concat())?, at))).min() else {
                return parts.len() as u64;
            };
            let right = parts.remove(at + 1);
            parts[at].extend(right);
        }
    }

    fn packed(tokens: &[&str]) -> &'static [u8] {
        let mut out = b"SPLNTRV1".to_vec();
        out.extend(u32::try_from(tokens.len()).unwrap().to_le_bytes());
        for (rank, token) in tokens.iter().enumerate() {
            out.extend([rank, token.len()].map(|number| u8::try_from(number).unwrap()));
            out.extend(token.as_bytes());
        }
        out.leak()
    }

    const TOKENS: &[&str] =
        &["a", "b", "c", "d", "ab", "bc", "cd", "abc", "abab", "aa", "aaaa", "bcd", "abcd", "dd", "ddd"];

    #[test]
    fn both_ways_of_merging_agree_with_the_plain_one() {
        let vocabulary = Vocabulary::load(packed(TOKENS), Pattern::Cl100k).unwrap();
        let ranks = TOKENS.iter().zip(0..).map(|(token, rank)| (token.as_bytes().to_vec(), rank)).collect();
        let mut scratch = Scratch::default();
        let mut state = 1_u64;
        for len in (1..40).cycle().take(4_000) {
            let piece: Vec<u8> = (0..len)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    b"abcd"[(state >> 62) as usize]
                })
                .collect();
            let plainly = merged_plainly(&ranks, &piece);
            assert_eq!(vocabulary.merged_by_scan(&piece, &mut scratch), plainly, "{piece:?}");
            assert_eq!(vocabulary.merged_by_heap(&piece, &mut scratch), plainly, "{piece:?}");
        }
    }

    #[test]
    fn a_piece_too_long_to_merge_at_once_is_called_an_estimate() {
        let vocabulary = Vocabulary::load(packed(TOKENS), Pattern::Cl100k).unwrap();
        assert_eq!(
            vocabulary.count(&"a".repeat(LONGEST_PIECE)),
            Count { tokens: LONGEST_PIECE as u64 / 4, exact: true }
        );
        assert_eq!(vocabulary.count(&"a".repeat(2 * LONGEST_PIECE)), Count::estimated(LONGEST_PIECE as u64 / 2));
    }

    #[test]
    fn what_is_not_a_packed_vocabulary_is_refused() {
        let good = packed(TOKENS);
        assert!(Vocabulary::load(good, Pattern::O200k).is_some());
        for end in 0..good.len() {
            assert!(Vocabulary::load(&good[..end], Pattern::O200k).is_none(), "{end}");
        }
        let mut out_of_order = good.to_vec();
        out_of_order[12] = 9;
        assert!(Vocabulary::load(out_of_order.leak(), Pattern::O200k).is_none());
    }
}
