//! Pieces of frames that wait: cheap clones while they are large, copied together while they are small.
//!
//! Thousands of tiny frames would otherwise cost more in handles than in bytes, and each would keep a whole read
//! buffer alive. The bound in bytes is the caller's.

use bytes::{BufMut, Bytes, BytesMut};

/// Below this a piece is copied; a handle and what it pins cost more.
const COPIED_BELOW: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Held {
    pieces: Vec<Bytes>,
    /// Small pieces after the last of `pieces`.
    small: BytesMut,
    len: usize,
}

impl Held {
    pub(super) fn push(&mut self, piece: Bytes) {
        self.len += piece.len();
        if piece.len() < COPIED_BELOW {
            self.small.put_slice(&piece);
        } else {
            self.seal();
            self.pieces.push(piece);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn last_byte(&self) -> Option<u8> {
        let last = self.small.last().or_else(|| self.pieces.last()?.last());
        last.copied()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn take(&mut self) -> Vec<Bytes> {
        self.seal();
        self.len = 0;
        std::mem::take(&mut self.pieces)
    }

    fn seal(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push(self.small.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_and_small_pieces_become_one() {
        let mut held = Held::default();
        let mut all = Vec::new();
        for (round, size) in [1, 2, 600, 3, 511, 512, 4].into_iter().enumerate() {
            let piece = vec![u8::try_from(round).unwrap(); size];
            all.extend_from_slice(&piece);
            held.push(Bytes::from(piece));
        }
        assert_eq!((held.len(), held.last_byte()), (all.len(), Some(6)));
        let pieces = held.take();
        assert_eq!(pieces.len(), 5);
        assert_eq!(pieces.concat(), all);
        assert_eq!((held.len(), held.last_byte(), held.take().len()), (0, None, 0));
    }

    #[test]
    fn a_million_single_bytes_are_one_piece() {
        let mut held = Held::default();
        for _ in 0..1_000_000 {
            held.push(Bytes::from_static(b"x"));
        }
        assert_eq!(held.take().len(), 1);
    }
}
