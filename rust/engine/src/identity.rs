//! Request ids: sortable by time, unique, not secret.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::dice::Dice;

/// `req_`, 12 hex digits of milliseconds since 1970, 16 hex digits of chance.
pub fn fresh(dice: &Dice) -> Arc<str> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let mut id = *b"req_0000000000000000000000000000";
    let (_, digits) = id.split_at_mut(4);
    let (moment, chance) = digits.split_at_mut(12);
    write_hex(moment, now);
    write_hex(chance, u128::from(dice.next()));
    // Hex digits are text; the fallback is for the compiler.
    std::str::from_utf8(&id).unwrap_or("req_").into()
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The last digits of a number, as many as there is room for.
fn write_hex(into: &mut [u8], mut number: u128) {
    for digit in into.iter_mut().rev() {
        *digit = b"0123456789abcdef".get((number & 0xF) as usize).copied().unwrap_or(b'0');
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_moment_and_its_chance_in_hex() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let id = fresh(&Dice::new(7));
        let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        assert_eq!(id.len(), 32);
        let moment = u128::from_str_radix(id.strip_prefix("req_").unwrap().get(..12).unwrap(), 16).unwrap();
        assert!((before..=after).contains(&moment));
        assert_eq!(id.get(16..).unwrap(), format!("{:016x}", Dice::new(7).next()));
    }
}
