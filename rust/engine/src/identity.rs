//! Request ids: sortable by time, unique, not secret.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::dice::Dice;

/// `req_`, 12 hex digits of milliseconds since 1970, 16 hex digits of chance.
pub fn fresh(dice: &Dice) -> Arc<str> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let mut id = String::with_capacity(32);
    let _ = write!(id, "req_{:012x}{:016x}", now & 0xFFFF_FFFF_FFFF, dice.next());
    id.into()
}
