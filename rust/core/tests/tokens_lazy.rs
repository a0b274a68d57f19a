//! Nothing is loaded before it is needed. Alone in its file: it needs a process in which nobody has counted.

use fastroute_core::tokens::{Budget, Density, count_chat};
use fastroute_core::tokens::{Encoding, Measure, Sizes, Unseen, count_text, counter, encoding_for, estimate, loaded};

#[test]
fn a_vocabulary_is_loaded_by_its_first_count_and_by_nothing_else() {
    let exact = [Encoding::O200kBase, Encoding::Cl100kBase];
    let claude = Measure { unseen: Unseen::Typical, ..Measure::for_model("claude-sonnet-4-5") };
    assert_eq!(encoding_for("gpt-4o"), Encoding::O200kBase);
    estimate(Density::Typical, &Sizes::default());
    count_chat(br#"{"messages": [{"role": "user", "content": "Hi"}]}"#, &claude, &mut Budget::default());
    count_text(Encoding::O200kBase, &"too long for an empty budget ".repeat(9), &mut Budget::new(0));
    let _ = exact.map(counter);
    assert_eq!(exact.map(loaded), [false, false]);

    counter(Encoding::Cl100kBase).count("Hi");
    assert_eq!(exact.map(loaded), [false, true]);
}
