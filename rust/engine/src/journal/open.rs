//! The attempts of one lane that are under way, each with the record that says so.
//!
//! A new segment begins by restating them, so that the segments before it are never needed again. Places are used
//! again with their memory: in a steady state nothing is allocated.

use fastroute_core::journal::{AttemptId, Intent, Progress, Record};

#[derive(Default)]
struct Place {
    /// The intent's frame; empty while the place is free.
    frame: Vec<u8>,
    mark: Option<Progress>,
}

#[derive(Default)]
pub(super) struct OpenAttempts {
    places: Vec<Place>,
    free: Vec<u32>,
}

impl OpenAttempts {
    /// Notes an intent; gives its place and its frame.
    pub(super) fn insert(&mut self, intent: &Intent<'_>) -> (u32, &[u8]) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let Some(place) = self.places.get_mut(index as usize) else { return (index, &[]) };
        Record::Intent(*intent).render(&mut place.frame);
        (index, &place.frame)
    }

    pub(super) fn mark(&mut self, index: u32, progress: Progress) {
        if let Some(place) = self.places.get_mut(index as usize) {
            place.mark = Some(progress);
        }
    }

    pub(super) fn remove(&mut self, index: u32) {
        if let Some(place) = self.places.get_mut(index as usize) {
            place.frame.clear();
            place.mark = None;
            self.free.push(index);
        }
    }

    /// Every intent that is open, and the last mark of those that have one; and how many records that is.
    pub(super) fn restate(&self) -> (Vec<u8>, u32) {
        let mut out = Vec::new();
        let mut count = 0;
        for place in self.places.iter().filter(|place| !place.frame.is_empty()) {
            out.extend_from_slice(&place.frame);
            count += 1;
            if let Some(mark) = place.mark {
                Record::Progress(mark).render(&mut out);
                count += 1;
            }
        }
        (out, count)
    }
}

/// Makes ids that never go backwards, whatever the wall clock does.
#[derive(Debug, Default)]
pub(super) struct Ids {
    ms: u64,
    count: u16,
}

/// Ids that fit into one millisecond; more borrow from the next.
const PER_MS: u16 = 1 << 12;

impl Ids {
    pub(super) fn next(&mut self, now_ms: u64, chance: u64) -> AttemptId {
        if now_ms > self.ms {
            (self.ms, self.count) = (now_ms, 0);
        } else {
            self.count += 1;
            if self.count == PER_MS {
                (self.ms, self.count) = (self.ms + 1, 0);
            }
        }
        AttemptId::new(self.ms, self.count, chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_while_the_clock_stands_still_or_goes_back() {
        let mut ids = Ids::default();
        let mut last = ids.next(1_000, u64::MAX);
        for round in 0_u64..20_000 {
            let next = ids.next(1_000_u64.saturating_sub(round), 0);
            assert!(next > last);
            last = next;
        }
        assert!(ids.next(1_001, 0) > last, "a clock that comes back is not waited for");
    }
}
