//! The public names that a wrong one may be a slip of.
//!
//! The surprise: whether a model is served is decided in Python, what it may have been meant for is found here. Anybody
//! may ask for models that are not there, and a thousand names took Python 20 ms of everybody's time.

/// What is longer is no slip of a name, and the work grows with the square of the length.
const MAX_BYTES: usize = 256;
/// As in other lists of suggestions here: more help nobody.
const MAX_SHOWN: usize = 3;

/// At most three of `names`, nearest first: those of which at most two fifths have to be typed again.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    if name.len() > MAX_BYTES {
        return Vec::new();
    }
    let name = name.to_ascii_lowercase();
    let mut found: Vec<(usize, &str)> = names
        .filter_map(|known| {
            let longest = name.len().max(known.len());
            let is_near = |edits: usize| edits * 5 <= longest * 2;
            // No fewer edits than the lengths differ by, so most names cost nothing.
            if !is_near(name.len().abs_diff(known.len())) {
                return None;
            }
            let edits = edits(name.as_bytes(), known.to_ascii_lowercase().as_bytes());
            is_near(edits).then_some((edits, known))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().take(MAX_SHOWN).map(|(_, known)| known).collect()
}

/// Levenshtein's distance, one row of the table at a time.
fn edits(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (typed, byte) in from.iter().enumerate() {
        let mut diagonal = typed;
        let mut left = typed + 1;
        for (above, other) in row.iter_mut().skip(1).zip(to) {
            let here = (diagonal + usize::from(byte != other)).min(*above + 1).min(left + 1);
            diagonal = *above;
            *above = here;
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = typed + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = ["gpt-5", "gpt-5-mini", "GPT-4.1", "claude", "llama-3.3-70b"];

    fn near(name: &str) -> Vec<&'static str> {
        nearest(name, NAMES.into_iter())
    }

    #[test]
    fn a_slip_of_the_fingers_finds_the_name_that_was_meant() {
        for (typed, meant) in [("gtp-5", "gpt-5"), ("gpt5-mini", "gpt-5-mini"), ("llama3.3-70b", "llama-3.3-70b")] {
            assert_eq!(near(typed).first(), Some(&meant), "{typed}");
        }
        assert_eq!(near("gpt-4.1").first(), Some(&"GPT-4.1"));
        assert_eq!(near("CLAUDE"), ["claude"]);
    }

    #[test]
    fn a_name_like_no_other_finds_nothing_however_long_it_is() {
        assert!(near("zzzz").is_empty());
        assert!(near("").is_empty());
        assert!(nearest(&"x".repeat(100_000), ["x".repeat(99_999).as_str()].into_iter()).is_empty());
    }

    #[test]
    fn at_most_three_are_found_and_the_nearest_comes_first() {
        let names = ["model-aaa", "model-aa", "model-a", "model-aaaa"];
        assert_eq!(nearest("model-b", names.into_iter()), ["model-a", "model-aa", "model-aaa"]);
    }

    #[test]
    fn the_distance_is_the_number_of_keys_to_press_again() {
        for (from, to, expected) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(edits(from.as_bytes(), to.as_bytes()), expected, "{from} {to}");
        }
    }
}
