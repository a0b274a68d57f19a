//! What of one frame goes on, and how much waits for content meanwhile.

use std::ops::Range;

use smallvec::SmallVec;

use crate::failure::Failure;

/// Bytes that wait for content while a frame is read: counted block by block, because one frame may hold what would
/// otherwise have come, and been refused, in many.
pub(super) struct Waiting {
    pub(super) preamble: usize,
    /// The block that began in an earlier frame; it counts once it is finished.
    pub(super) open: usize,
    pub(super) left_out: usize,
}

impl Waiting {
    /// With the finished blocks of this frame up to an offset.
    pub(super) fn until(&self, offset: usize) -> usize {
        let finished = if offset == 0 { 0 } else { self.open + offset };
        self.preamble + finished.saturating_sub(self.left_out)
    }

    pub(super) fn leave_out(&mut self, block: Range<usize>) {
        self.left_out += block.len() + if block.start == 0 { self.open } else { 0 };
    }
}

/// What of one frame goes on.
#[derive(Default)]
pub(super) struct Kept {
    /// Parts that do, before `from`.
    pub(super) ranges: SmallVec<[Range<usize>; 2]>,
    /// Everything from here does, up to the end.
    pub(super) from: usize,
    pub(super) end: Option<usize>,
    pub(super) left_out_end: Option<usize>,
    /// The block that began in an earlier frame is left out.
    pub(super) leaves_out_open: bool,
    pub(super) failure: Option<Failure>,
}

impl Kept {
    /// Nothing goes on from here.
    pub(super) fn fail(&mut self, at: usize, failure: Failure) {
        self.leave_out(at..at);
        self.end = Some(at);
        self.failure = Some(failure);
    }

    pub(super) fn leave_out(&mut self, block: Range<usize>) {
        // Offset 0 means that the block began here or earlier; then nothing of this frame precedes it.
        self.leaves_out_open |= block.start == 0;
        if block.start > self.from {
            self.ranges.push(self.from..block.start);
        }
        self.from = block.end;
        self.left_out_end = Some(block.end);
    }
}
