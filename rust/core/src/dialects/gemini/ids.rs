//! Ids for tool calls that came without one, which in Gemini most do.
//!
//! Their last letters are made from the ones before: so an id of ours is known again without memory, on any machine, and
//! is left out where the model that never gave it is asked once more.

use crate::dialects::mint;

const LENGTH: usize = "call_".len() + 24;
/// 62^8 ids: one that another server gave does not pass for ours.
const SEAL: usize = 8;

pub(crate) fn mint(reply_id: &str, choice: u32, call: u32) -> String {
    let id = mint::call_id(reply_id, choice, call);
    seal(id.get(..LENGTH - SEAL).unwrap_or_default())
}

pub(crate) fn is_minted(id: &str) -> bool {
    id.len() == LENGTH && id.get(..LENGTH - SEAL).is_some_and(|head| seal(head) == id)
}

fn seal(head: &str) -> String {
    let letters = mint::call_id(head, u32::MAX, u32::MAX);
    let seal = letters.get(LENGTH - SEAL..).unwrap_or_default();
    format!("{head}{seal}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_ours_is_known_again_and_no_other_is() {
        let id = mint("r-1", 0, 1);
        assert_eq!(id.len(), LENGTH);
        assert!(is_minted(&id));
        assert_eq!(id, mint("r-1", 0, 1));
        assert_ne!(id, mint("r-1", 0, 2));
        for other in ["", "call_", "fc_1", &mint::call_id("r-1", 0, 1), &id.to_lowercase(), &format!("{id}0")] {
            assert!(!is_minted(other), "{other}");
        }
    }
}
