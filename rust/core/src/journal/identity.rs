//! Names of attempts: version 7 of UUIDs (RFC 9562), so that they sort by time and databases have a type for them.

use std::fmt;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId(pub u128);

/// Version 7 and the variant of the RFC.
const MARKS: u128 = 0x7 << 76 | 0b10 << 62;

impl AttemptId {
    /// Milliseconds since 1970 (48 bits), a count within the millisecond (12 bits), and chance (62 bits).
    pub const fn new(ms: u64, count: u16, chance: u64) -> Self {
        let ms = ms as u128 & 0xFFFF_FFFF_FFFF;
        let count = count as u128 & 0xFFF;
        let chance = chance as u128 & 0x3FFF_FFFF_FFFF_FFFF;
        Self(ms << 80 | count << 64 | chance | MARKS)
    }

    /// The text of the RFC: 36 ASCII characters.
    pub fn text(self) -> [u8; 36] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut out = [b'-'; 36];
        let mut left = 128;
        for (at, place) in out.iter_mut().enumerate() {
            if !matches!(at, 8 | 13 | 18 | 23) {
                left -= 4;
                *place = DIGITS.get((self.0 >> left) as usize & 0xF).copied().unwrap_or(b'0');
            }
        }
        out
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_of_version_7() {
        // The example of RFC 9562, appendix A.6.
        let id = AttemptId::new(0x017F_22E2_79B0, 0xCC3, 0x18C4_DC0C_0C07_398F);
        assert_eq!(id.to_string(), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    }

    #[test]
    fn ids_sort_by_time_and_then_by_count() {
        let chance = u64::MAX;
        assert!(AttemptId::new(1, 0xFFF, chance) < AttemptId::new(2, 0, 0));
        assert!(AttemptId::new(1, 1, chance) < AttemptId::new(1, 2, 0));
    }
}
