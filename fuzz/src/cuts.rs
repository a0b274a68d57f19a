//! Ways to cut an input into frames: byte by byte, and at places that follow from the input itself, so that a case
//! found once is found again.

/// xorshift64*, seeded by the FNV-1a hash of an input.
pub struct Dice(u64);

impl Dice {
    pub fn of(input: &[u8]) -> Self {
        let hash = input
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self(hash | 1)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap_or(0) % bound.max(1)
    }
}

/// Three cuts: single bytes, small pieces with empty ones among them, and two large pieces.
pub fn of(input: &[u8]) -> [Vec<&[u8]>; 3] {
    let mut dice = Dice::of(input);
    let (front, back) = input.split_at(dice.below(input.len() + 1));
    [input.chunks(1).collect(), pieces(input, &mut dice), vec![front, back]]
}

fn pieces<'i>(mut rest: &'i [u8], dice: &mut Dice) -> Vec<&'i [u8]> {
    let longest = [4, 17, 70, 300][dice.below(4)];
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let (frame, after) = rest.split_at(dice.below(longest).min(rest.len()));
        frames.push(frame);
        rest = after;
    }
    frames
}
